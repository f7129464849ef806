"""Flexible orders whose clearing can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from settlement.errors import InputError
from settlement.matching import (
    ROOT,
    Book,
    Clearing,
    FlexibleOrders,
    Market,
    check,
    clear,
    empty_book,
    make_book,
    make_flexible,
    make_market,
    no_flexible,
)
from settlement.matching.flexible import parts_of, shares_of
from settlement.units import WH_LIMIT

BUY, SELL = 0, 1
CAR = {
    "order": [0],
    "side": [BUY],
    "zone": [0],
    "first_window": [0],
    "last_window": [2],
    "energy_wh": [10],
    "max_wh_per_window": [6],
    "limit": [300],
}


def car(**changed: Any) -> FlexibleOrders:
    return make_flexible(**{**CAR, **{name: [value] for name, value in changed.items()}})


def offers(*limits: int, wh: int = 20, side: int = SELL, zone: int = 0) -> Book:
    """One order a window."""
    rows = len(limits)
    return make_book(
        order=range(rows),
        side=[side] * rows,
        zone=[zone] * rows,
        quality=[0] * rows,
        window=range(rows),
        quantity_wh=[wh] * rows,
        limit=limits,
    )


def cleared(book: Book, flexible: FlexibleOrders, market: Market | None = None) -> Clearing:
    """The clearing, after the independent check."""
    market = market or make_market(3)
    clearing = clear(book, market, flexible)
    assert check(book, market, clearing, flexible) == []
    return clearing


def test_a_car_fills_in_its_cheapest_windows_first() -> None:
    clearing = cleared(offers(200, 100, 150), car())
    assert clearing.flexible_wh.tolist() == [[0, 6, 4]]
    assert clearing.fills_wh.tolist() == [0, 6, 4]
    assert clearing.welfare_nano == 10 * 300 - 6 * 100 - 4 * 150


def test_a_car_fills_no_window_that_is_dearer_than_its_limit() -> None:
    clearing = cleared(offers(200, 100, 150), car(limit=120))
    assert clearing.flexible_wh.tolist() == [[0, 6, 0]]


def test_a_battery_sells_in_its_dearest_windows_first() -> None:
    clearing = cleared(offers(200, 100, 150, side=BUY), car(side=SELL, limit=90))
    assert clearing.flexible_wh.tolist() == [[6, 0, 4]]
    assert clearing.welfare_nano == 6 * 200 + 4 * 150 - 10 * 90


def test_a_car_and_a_battery_meet_though_nobody_else_is_there() -> None:
    flexible = make_flexible(**{name: values * 2 for name, values in CAR.items()})
    flexible = replace(
        flexible, order=np.array([4, 2]), side=np.array([BUY, SELL]), limit=np.array([300, 200])
    )
    clearing = cleared(empty_book(), flexible)
    assert clearing.flexible_wh.sum(axis=1).tolist() == [10, 10]
    assert clearing.welfare_nano == 10 * 100


def test_a_car_with_room_in_a_window_keeps_its_price_up() -> None:
    """The third window's sell is left, so its price is at most 101, at least what the car pays."""
    clearing = cleared(offers(100, 100, 101), car(energy_wh=12))
    assert clearing.energy.low.tolist() == [[100, 100, 100]]
    assert clearing.energy.high.tolist() == [[100, 100, 101]]
    assert clearing.flexible_wh.tolist() == [[6, 6, 0]]


def test_what_a_car_pays_is_bounded_by_its_limit_in_a_window_that_it_alone_uses() -> None:
    clearing = cleared(
        offers(100, wh=6), car(last_window=0, energy_wh=9, max_wh_per_window=9), make_market(1)
    )
    assert clearing.flexible_wh.tolist() == [[6]]
    assert (clearing.energy.low.item(), clearing.energy.high.item()) == (300, 300)


def test_a_car_may_be_served_by_any_quality() -> None:
    book = replace(offers(200, 100, 150), quality=np.array([0, 1, 2]))
    clearing = cleared(book, car(), make_market(3, qualities=3))
    assert clearing.flexible_wh.tolist() == [[0, 6, 4]]
    assert clearing.substituted_wh.sum() == 6 + 4 + 4


def test_a_car_charges_across_a_line_up_to_its_capacity() -> None:
    market = make_market(3, parent=[ROOT, 0], charge=[0, 10], capacity_wh=[0, 5])
    clearing = cleared(offers(200, 100, 150), car(zone=1), market)
    assert clearing.flexible_wh.tolist() == [[0, 5, 5]]
    assert clearing.welfare_nano == 10 * 300 - 5 * 110 - 5 * 160


@pytest.mark.parametrize("nothing", [{"energy_wh": 0}, {"max_wh_per_window": 0}])
def test_a_car_that_asks_for_nothing_neither_fills_nor_bounds(nothing: dict[str, int]) -> None:
    book = offers(200, 100, 150)
    clearing = cleared(book, car(**nothing))
    assert not clearing.flexible_wh.any()
    assert (clearing.prices == clear(book, make_market(3)).prices).all()


def test_the_largest_car_there_can_be_clears_exactly() -> None:
    most = WH_LIMIT - 1
    book = offers(-2_000_000, -2_000_000, -2_000_000, wh=most)
    clearing = cleared(book, car(energy_wh=most, max_wh_per_window=most, limit=6_000_000))
    assert clearing.flexible_wh.sum() == most
    assert clearing.welfare_nano == most * 8_000_000


def test_rows_of_flexible_orders_may_stand_in_any_order() -> None:
    random = np.random.default_rng(3)
    flexible = make_flexible(
        order=random.permutation(9),
        side=random.integers(0, 2, 9),
        zone=[0] * 9,
        first_window=[0] * 9,
        last_window=[2] * 9,
        energy_wh=random.integers(1, 20, 9),
        max_wh_per_window=random.integers(1, 9, 9),
        limit=[150] * 9,
    )
    one = cleared(offers(150, 150, 150), flexible)
    turned = np.arange(9)[::-1]
    two = cleared(offers(150, 150, 150), flexible.rows(turned))
    assert (one.flexible_wh[turned] == two.flexible_wh).all()
    assert (one.fills_wh == two.fills_wh).all()


def test_without_flexible_orders_nothing_is_split() -> None:
    book, market = offers(200, 100, 150), make_market(3)
    assert clear(book, market).flexible_wh.shape == (0, 3)
    assert clear(book, market, no_flexible()).welfare_nano == 0


@pytest.mark.parametrize(
    "changed",
    [
        *({"order": -1}, {"side": 2}, {"zone": 1}, {"first_window": -1}, {"last_window": 3}),
        *({"energy_wh": WH_LIMIT}, {"max_wh_per_window": -1}, {"limit": 6_000_001}),
    ],
)
def test_a_flexible_order_outside_the_market_is_refused(changed: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(changed))):
        clear(empty_book(), make_market(3), car(**changed))


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(InputError, match="after its last_window"):
        clear(empty_book(), make_market(3), car(first_window=2, last_window=1))


def test_two_flexible_orders_of_one_rank_are_refused() -> None:
    twice = make_flexible(**{name: values * 2 for name, values in CAR.items()})
    with pytest.raises(InputError, match="same rank"):
        clear(empty_book(), make_market(3), twice)


def test_windows_are_one_part_where_a_range_ties_them() -> None:
    flexible = make_flexible(
        **{
            **{name: values * 2 for name, values in CAR.items()},
            "first_window": [1, 4],
            "last_window": [3, 4],
        }
    )
    assert parts_of(flexible, 6).tolist() == [0, 1, 1, 1, 2, 3]
    assert parts_of(no_flexible(), 2).tolist() == [0, 1]


def test_shares_are_listed_by_order_and_window_with_no_more_than_the_energy() -> None:
    shares = shares_of(car(energy_wh=4, first_window=1))
    assert shares.window.tolist() == [1, 2]
    assert shares.most_wh.tolist() == [4, 4]


def moved(clearing: Clearing, order: int, window: int, by: int) -> Clearing:
    split = clearing.flexible_wh.copy()
    split[order, window] += by
    return replace(clearing, flexible_wh=split)


@pytest.mark.parametrize(
    ("window", "by", "fault"),
    [(0, -1, "flexible_cap"), (1, 1, "flexible_cap"), (2, 1, "flexible_sum"), (0, 1, "flexible_order_high")],
)
def test_a_split_that_is_off_is_a_named_violation(window: int, by: int, fault: str) -> None:
    market, book = make_market(3), offers(200, 100, 150)
    clearing = cleared(book, car())
    names = {name for name, _ in check(book, market, moved(clearing, 0, window, by), car())}
    assert fault in names


def test_a_share_outside_the_range_is_a_named_violation() -> None:
    market, book, order = make_market(3), offers(200, 100, 150), car(last_window=1)
    clearing = cleared(book, order)
    assert "flexible_window" in {name for name, _ in check(book, market, moved(clearing, 0, 2, 1), order)}


def test_a_used_window_above_the_limit_is_a_named_violation() -> None:
    market, book = make_market(3), offers(200, 100, 150)
    clearing = cleared(book, car())
    names = {name for name, _ in check(book, market, clearing, car(limit=99))}
    assert {"flexible_limit_low", "flexible_limit_high"} <= names
