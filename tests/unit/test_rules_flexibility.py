"""What counts as delivered, and what it earns."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.errors import InputError
from settlement.rules.baselines import BL01_DOMESTIC, Method
from settlement.rules.configuration import PPM, from_json
from settlement.rules.flexibility import (
    PROPORTIONAL,
    Between,
    Direction,
    Dispatch,
    Point,
    Scale,
    Service,
    delivered_wh,
    settle,
)
from settlement.units import WH_LIMIT

UP, DOWN = Direction.UP, Direction.DOWN
WH = st.integers(1 - WH_LIMIT, WH_LIMIT - 1)
CLIFF = Scale((Point(0, 0), Point(600_000, 0), Point(950_000, PPM), Point(PPM, PPM)))
"""Nothing below 60 per cent, all from 95, a line between."""
KINKED = Scale((Point(0, 0), Point(500_000, 200_000), Point(PPM, PPM)))
BANDS = Scale((Point(0, 0), Point(500_000, 500_000), Point(900_000, PPM), Point(PPM, PPM)), Between.STEP)


def dispatch(delivered: int, price: int = 100_000, instructed: int = 1000) -> Dispatch:
    return Dispatch(UP, instructed, price, metered_wh=delivered - 300, baseline_wh=-300)


def paid(scale: Scale, delivered: int) -> int:
    """Of 1000 Wh at 1 micro/kWh: nano, so tenths of a per cent."""
    return settle(Service("s", scale=scale), dispatch(delivered, price=1)).payment_nano


@pytest.mark.parametrize(
    ("direction", "metered", "delivered"),
    [
        (UP, -300, 0),
        (UP, -100, 200),
        (UP, 900, 1000),
        (UP, -500, 0),
        (DOWN, -500, 200),
        (DOWN, -100, 0),
        (DOWN, -5000, 1000),
    ],
)
def test_only_what_went_the_instructed_way_is_delivered_and_no_more_than_instructed(
    direction: Direction, metered: int, delivered: int
) -> None:
    assert delivered_wh(direction, 1000, metered, -300) == delivered


@given(st.sampled_from(Direction), st.integers(0, WH_LIMIT - 1), WH, WH)
def test_delivered_is_never_negative_and_never_above_instructed(
    direction: Direction, instructed: int, metered: int, baseline: int
) -> None:
    assert 0 <= delivered_wh(direction, instructed, metered, baseline) <= instructed


def test_a_proportional_service_pays_exactly_what_was_delivered() -> None:
    delivery = settle(Service("s"), dispatch(700))
    assert (delivery.delivered_wh, delivery.missing_wh, delivery.judged) == (700, 300, True)
    assert (delivery.payment_nano, delivery.penalty_nano) == (700 * 100_000, 0)


@given(st.integers(1, WH_LIMIT - 1), st.data(), st.integers(-(2**29), 2**29))
def test_a_proportional_payment_is_never_rounded(instructed: int, data: st.DataObject, price: int) -> None:
    delivered = data.draw(st.integers(0, instructed))
    assert settle(Service("s"), dispatch(delivered, price, instructed)).payment_nano == delivered * price


@pytest.mark.parametrize(("delivered", "share"), [(0, 0), (600, 0), (775, 500), (950, 1000), (1000, 1000)])
def test_a_scale_pays_by_the_line_between_its_points(delivered: int, share: int) -> None:
    assert paid(CLIFF, delivered) == share


def test_a_line_may_begin_above_nothing() -> None:
    assert [paid(KINKED, delivered) for delivered in (250, 500, 750)] == [100, 200, 600]


@pytest.mark.parametrize(("delivered", "share"), [(499, 0), (500, 500), (899, 500), (900, 1000)])
def test_a_scale_in_steps_pays_the_share_of_the_point_below(delivered: int, share: int) -> None:
    assert paid(BANDS, delivered) == share


@given(st.integers(1, 10**6), st.data(), st.integers(-(2**29), 2**29))
def test_a_payment_is_rounded_down_once(instructed: int, data: st.DataObject, price: int) -> None:
    delivered = data.draw(st.integers(0, instructed))
    share = min(max(Fraction(delivered, instructed) - Fraction(6, 10), 0) / Fraction(35, 100), Fraction(1))
    payment = settle(Service("s", scale=CLIFF), dispatch(delivered, price, instructed)).payment_nano
    assert payment == floor(share * instructed * price)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=2), st.sampled_from([PROPORTIONAL, CLIFF, BANDS]))
def test_who_delivers_more_is_paid_no_less(delivered: list[int], scale: Scale) -> None:
    less, more = sorted(delivered)
    assert paid(scale, less) <= paid(scale, more)


@pytest.mark.parametrize(("delivered", "penalty"), [(1000, 0), (900, 0), (899, 1), (0, 900)])
def test_what_is_missing_beyond_the_tolerance_is_charged(delivered: int, penalty: int) -> None:
    service = Service("s", tolerance_ppm=100_000, penalty_micro_per_kwh=20_000)
    delivery = settle(service, dispatch(delivered))
    assert delivery.penalty_nano == penalty * 20_000
    assert delivery.cash_nano == delivered * 100_000 - penalty * 20_000


def test_without_a_baseline_nothing_is_paid_and_nothing_charged() -> None:
    service = Service("s", penalty_micro_per_kwh=20_000)
    delivery = settle(service, Dispatch(UP, 1000, 100_000, metered_wh=5000, baseline_wh=None))
    assert (delivery.delivered_wh, delivery.cash_nano, delivery.judged) == (0, 0, False)


def test_nothing_instructed_is_nothing_missing() -> None:
    delivery = settle(Service("s", scale=CLIFF, penalty_micro_per_kwh=1), dispatch(500, instructed=0))
    assert (delivery.delivered_wh, delivery.missing_wh, delivery.cash_nano) == (0, 0, 0)


def test_a_service_is_read_from_json() -> None:
    points = '[{"delivered_ppm": 0, "paid_ppm": 0}, {"delivered_ppm": 1000000, "paid_ppm": 900000}]'
    document = (
        '{"name": "evening", "method": {"name": "BL01_DOMESTIC"}, "tolerance_ppm": 50000,'
        f' "penalty_micro_per_kwh": 7, "scale": {{"between": "step", "points": {points}}}}}'
    )
    scale = Scale((Point(0, 0), Point(PPM, 900_000)), Between.STEP)
    assert from_json(Service, document, "service.json") == Service("evening", BL01_DOMESTIC, scale, 50_000, 7)
    assert Method("BL01_DOMESTIC") == BL01_DOMESTIC


@pytest.mark.parametrize(
    "points",
    [
        ((0, 0),),
        ((0, 0), (900_000, PPM)),
        ((1, 0), (PPM, PPM)),
        ((0, 5), (PPM, 4)),
        ((0, 0), (5, 0), (5, 1), (PPM, PPM)),
        ((0, 0), (PPM, PPM + 1)),
    ],
)
def test_a_scale_runs_from_nothing_to_all_and_never_falls(points: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(InputError):
        Scale(tuple(Point(*each) for each in points))


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ('{"name": "s", "tolerance_ppm": -1}', "tolerance_ppm of the service s is -1"),
        ('{"name": "s", "penalty_micro_per_kwh": -1}', "penalty_micro_per_kwh"),
        ('{"name": "s", "price": 1}', "price"),
    ],
)
def test_a_wrong_service_names_its_file_and_fault(document: str, fault: str) -> None:
    with pytest.raises(InputError, match=rf"service\.json.*{fault}"):
        from_json(Service, document, "service.json")


@pytest.mark.parametrize(("instructed", "price"), [(-1, 0), (WH_LIMIT, 0), (1, 2**29 + 1)])
def test_an_instruction_outside_its_range_is_refused(instructed: int, price: int) -> None:
    with pytest.raises(InputError):
        Dispatch(UP, instructed, price, 0, 0)
