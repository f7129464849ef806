"""The homes' agents: what they sign follows from the past alone, and lies within the tariff."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from api.services.agents import (
    ANY,
    FIRM,
    LOW_CARBON,
    PAST_DAYS,
    QUALITIES,
    SOLAR,
    SUBSTITUTIONS,
    Character,
    Order,
    Past,
    Tariff,
    almanac,
    car_need_wh,
    car_schedule,
    character,
    home_orders,
    low_carbon_homes,
    reached,
    scenarios,
    substation_tariff,
    sun_of,
    supplier_orders,
    to_schedules,
)
from oracle.homes import Community, by_day, load_homes
from settlement.errors import InputError
from settlement.reference import flexible, quality, session
from settlement.reference.schedule import BUY, SELL, check

DATE = date(2017, 6, 14)
SEED = 7
HOMES = tuple(range(1, 18))


@pytest.fixture(scope="module")
def community() -> Community:
    return load_homes()


def tariff(retail: int = 300_000, feed_in: int = 80_000, windows: int = 24) -> Tariff:
    return Tariff((retail,) * windows, (feed_in,) * windows)


def day_orders(community: Community, seed: int = SEED) -> dict[int, tuple[Order, ...]]:
    """Every home's orders for DATE."""
    past, green = community.before(DATE, PAST_DAYS), low_carbon_homes(seed, HOMES)
    return {
        home.number: home_orders(
            Past(by_day(home.load_wh), by_day(home.pv_wh), past.weekdays),
            DATE.weekday(),
            tariff(),
            character(seed, home.number, 24, home.number in green),
        )
        for home in past.homes
    }


def small_past(load: list[int], pv: list[int]) -> Past:
    """Three equal working days of a day with a few windows."""
    return Past(np.array([load] * 3), np.array([pv] * 3), np.array([0, 1, 2]))


def test_the_same_seed_signs_the_same_and_another_differs(community) -> None:
    assert day_orders(community) == day_orders(community)
    assert day_orders(community) != day_orders(community, SEED + 1)


def test_what_tomorrow_brings_changes_no_order(community) -> None:
    before = day_orders(community)
    hours = slice((DATE - date(2016, 8, 1)).days * 24 + 1, None)  # DATE and all after it
    homes = []
    for home in community.homes:
        load_wh, pv_wh = home.load_wh.copy(), home.pv_wh.copy()
        load_wh[hours], pv_wh[hours] = 12_345, 54_321
        homes.append(replace(home, load_wh=load_wh, pv_wh=pv_wh))
    assert not np.array_equal(homes[0].load_wh, community.homes[0].load_wh)
    assert day_orders(replace(community, homes=tuple(homes))) == before


def test_every_limit_lies_between_feed_in_and_retail(community) -> None:
    limits = [x for orders in day_orders(community).values() for o in orders for x in o.limit_micro_per_kwh]
    assert min(limits) >= 80_000
    assert max(limits) <= 300_000
    assert len(set(limits)) > 100  # they do differ


def test_there_is_one_order_a_side_and_quality_over_the_whole_day(community) -> None:
    for orders in day_orders(community).values():
        kinds = [(order.side, order.quality) for order in orders]
        assert len(set(kinds)) == len(kinds)
        assert set(kinds) <= {(BUY, ANY), (BUY, LOW_CARBON), (SELL, SOLAR)}
        assert {len(order.quantity_wh) for order in orders} == {24}
        assert all(sum(order.quantity_wh) > 0 for order in orders)


def test_no_window_is_signed_for_twice(community) -> None:
    for orders in day_orders(community).values():
        table = np.array([order.quantity_wh for order in orders])
        assert ((table > 0).sum(axis=0) <= 1).all()


def test_a_low_carbon_home_buys_so_by_day_and_anything_by_night() -> None:
    past = small_past([900, 900, 900, 900], [0, 400, 600, 0])
    agent = Character((500,) * 4, low_carbon=True)
    night, day = home_orders(past, 3, tariff(windows=4), agent)
    assert (night.quality, night.quantity_wh) == (ANY, (675, 0, 0, 675))
    assert (day.quality, day.quantity_wh) == (LOW_CARBON, (0, 500, 300, 0))


def test_limits_are_what_the_last_kwh_is_worth() -> None:
    past = small_past([100, 900, 100, 100], [0, 400, 800, 0])
    buy, sell = home_orders(past, 3, tariff(windows=4), Character((700,) * 4))
    assert buy.limit_micro_per_kwh == (300_000, 234_000, 234_000, 300_000)  # by night retail
    assert sell.limit_micro_per_kwh == (146_000,) * 4
    assert sell.quantity_wh == (0, 0, 700, 0)


def test_a_low_carbon_home_bids_half_way_to_retail() -> None:
    past = small_past([900, 900], [0, 800])
    (_, green) = home_orders(past, 3, tariff(windows=2), Character((500, 500), low_carbon=True))
    assert green.limit_micro_per_kwh[1] == 80_000 + 220_000 * 3 // 4


@pytest.mark.parametrize(("confidence", "expected"), [(1000, 10), (750, 20), (749, 20), (500, 30), (250, 40)])
def test_what_is_signed_for_is_reached_as_often_as_the_home_is_sure(confidence: int, expected: int) -> None:
    amounts = np.array([[30], [10], [40], [20]])
    assert reached(amounts, np.array([confidence])).tolist() == [expected]
    assert reached(-amounts, np.array([confidence])).tolist() == [0]


def test_scenarios_are_the_forecast_with_errors_of_the_past() -> None:
    past = Past(np.array([[100], [200], [300]]), np.array([[0], [0], [0]]), np.array([0, 1, 2]))
    # Forecasts: 100 for the second day, 150 for the third, 200 for tomorrow.
    assert scenarios(past, 3).ravel().tolist() == [-300, -350]


def test_one_past_day_is_enough() -> None:
    past = Past(np.array([[700]]), np.array([[0]]), np.array([0]))
    (buy,) = home_orders(past, 1, tariff(windows=1), Character((500,)))
    assert buy.quantity_wh == (700,)


def test_a_home_without_generation_goes_by_the_almanac() -> None:
    assert np.array_equal(sun_of(np.zeros(24, np.int64)), almanac(24))
    sun = almanac(24)
    assert sun.argmax() in (11, 12)
    assert not sun[:6].any()
    assert not sun[18:].any()
    assert np.array_equal(sun, sun[::-1])


def test_some_homes_are_low_carbon_and_always_one() -> None:
    assert len(low_carbon_homes(SEED, HOMES)) == 6
    assert len(low_carbon_homes(SEED, (4,))) == 1
    assert low_carbon_homes(SEED, HOMES) != low_carbon_homes(SEED + 1, HOMES)


def test_the_supplier_takes_and_gives_anything_at_the_tariff() -> None:
    buy, sell = supplier_orders(tariff(windows=3), 50_000)
    assert (buy.side, buy.quality, buy.limit_micro_per_kwh) == (BUY, ANY, (80_000,) * 3)
    assert (sell.side, sell.quality, sell.limit_micro_per_kwh) == (SELL, FIRM, (300_000,) * 3)
    assert buy.quantity_wh == sell.quantity_wh == (50_000,) * 3


def test_at_the_substation_the_tariff_is_less_the_line() -> None:
    found = substation_tariff(tariff(windows=2), 10_000)
    assert (found.retail, found.feed_in) == ((290_000,) * 2, (90_000,) * 2)


def test_a_line_dearer_than_half_the_spread_leaves_no_tariff() -> None:
    with pytest.raises(InputError):
        substation_tariff(tariff(windows=2), 110_001)


def test_cars_want_what_follows_from_the_seed() -> None:
    needs = [car_need_wh(SEED, number) for number in HOMES]
    assert needs == [car_need_wh(SEED, number) for number in HOMES]
    assert needs != [car_need_wh(SEED + 1, number) for number in HOMES]
    assert all(5_000 <= need <= 12_000 and need % 100 == 0 for need in needs)
    assert len(set(needs)) > 5


def test_a_car_pays_more_than_the_dearest_retail_price_of_its_hours() -> None:
    retail = (*range(200_000, 270_000, 10_000), *(900_000,) * 17)
    message = car_schedule(
        7_000,
        Tariff(retail, (80_000,) * 24),
        trader=bytes(19) + b"\1",
        session=bytes(32),
        first_window=415_000,
        zone=2,
        nonce=3,
    )
    flexible.check(message)
    assert 260_000 < message.limit_micro_per_kwh < 300_000
    assert (message.windows, message.energy_wh, message.max_wh_per_window) == (7, 7_000, 3_600)
    assert (message.side, message.zone, message.nonce) == (BUY, 2, 3)


def test_substitutions_are_those_that_serve() -> None:
    session.check_grid(session.single_zone(QUALITIES, SUBSTITUTIONS))
    assert quality.serves(SOLAR, LOW_CARBON)
    assert quality.serves(FIRM, ANY)
    assert not quality.serves(FIRM, LOW_CARBON)


def test_orders_become_schedules_with_nonces_of_their_own(community) -> None:
    orders = day_orders(community)[1]
    schedules = to_schedules(orders, trader=bytes(19) + b"\1", session=bytes(32), first_window=415_000)
    for schedule in schedules:
        check(schedule)
    assert [s.nonce for s in schedules] == list(range(len(orders)))


@pytest.mark.parametrize("retail", [(1, 2), (1,)])
def test_a_tariff_that_is_none_is_refused(retail: tuple[int, ...]) -> None:
    with pytest.raises(InputError):
        Tariff(retail, (3,) * 1 if len(retail) == 1 else (1,))


def test_a_past_of_other_windows_is_refused() -> None:
    with pytest.raises(InputError, match="windows"):
        home_orders(small_past([1], [0]), 3, tariff(windows=2), Character((500, 500)))
