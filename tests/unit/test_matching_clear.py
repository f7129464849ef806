"""Small markets whose clearing can be worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from settlement.errors import InputError
from settlement.matching import ROOT, Book, Clearing, Market, check, clear, empty_book, make_book, make_market
from settlement.units import POTENTIAL_LIMIT, PRICE_CAP, PRICE_FLOOR, WH_LIMIT

BUY, SELL = "buy", "sell"


def book_of(*rows: tuple[Any, ...]) -> Book:
    """Rows `(side, Wh, limit)` and optionally zone, quality, window; the order's rank is its place."""
    full = [(*row, *(0, 0, 0)[len(row) - 3 :]) for row in rows]
    side, quantity, limit, zone, quality, window = zip(*full, strict=True)
    return make_book(
        order=range(len(rows)),
        side=[int(s == SELL) for s in side],
        zone=zone,
        quality=quality,
        window=window,
        quantity_wh=quantity,
        limit=limit,
    )


def cleared(book: Book, market: Market | None = None) -> Clearing:
    """The clearing, after the independent check."""
    market = market or make_market()
    clearing = clear(book, market)
    assert check(book, market, clearing) == []
    return clearing


def test_an_empty_book_clears_to_nothing() -> None:
    clearing = cleared(empty_book(), make_market(3, qualities=2))
    assert clearing.welfare_nano == 0
    assert len(clearing.fills_wh) == 0
    assert (clearing.energy.low == -POTENTIAL_LIMIT).all()
    assert (clearing.energy.high == POTENTIAL_LIMIT).all()
    assert not clearing.flows_wh.any()
    assert not clearing.substituted_wh.any()


@pytest.mark.parametrize(("side", "bounded", "value"), [(BUY, "low", 300), (SELL, "high", 200)])
def test_one_side_alone_does_not_trade(side: str, bounded: str, value: int) -> None:
    clearing = cleared(book_of((side, 10, 300), (side, 5, 200)))
    assert clearing.fills_wh.tolist() == [0, 0]
    assert getattr(clearing.energy, bounded).tolist() == [[value]]


def test_the_price_is_the_floor_of_the_middle_of_what_supports_it() -> None:
    clearing = cleared(book_of((BUY, 10, 301), (SELL, 10, 200)))
    assert (clearing.energy.low.item(), clearing.energy.high.item()) == (200, 301)
    assert clearing.prices.item() == 250
    assert clearing.welfare_nano == 10 * 101


def test_negative_prices_round_down_too() -> None:
    clearing = cleared(book_of((BUY, 10, -100), (SELL, 10, -201)))
    assert clearing.prices.item() == -151
    assert clearing.welfare_nano == 10 * 101


def test_a_buy_and_a_sell_that_meet_exactly_do_trade() -> None:
    clearing = cleared(book_of((BUY, 7, 250), (SELL, 9, 250)))
    assert clearing.fills_wh.tolist() == [7, 7]
    assert clearing.welfare_nano == 0
    assert clearing.marginal_wh.ravel().tolist() == [7, 9]
    assert clearing.filled_wh.ravel().tolist() == [7, 7]


def test_orders_at_the_price_share_by_cumulative_rounding_in_ascending_order() -> None:
    clearing = cleared(book_of((SELL, 10, 100), (BUY, 5, 200), (BUY, 5, 200), (BUY, 5, 200)))
    assert clearing.prices.item() == 200
    assert clearing.fills_wh.tolist() == [10, 3, 3, 4]


def test_the_odd_wh_goes_by_order_not_by_row() -> None:
    book = make_book(
        order=[9, 3, 7],
        side=[1, 0, 0],
        zone=[0, 0, 0],
        quality=[0, 0, 0],
        window=[0, 0, 0],
        quantity_wh=[1, 1, 1],
        limit=[0, 5, 5],
    )
    assert cleared(book).fills_wh.tolist() == [1, 0, 1]


def test_everything_at_one_price_trades_the_short_side() -> None:
    clearing = cleared(book_of(*[(BUY, 3, 200)] * 5, *[(SELL, 4, 200)] * 2))
    assert clearing.fills_wh.tolist() == [1, 2, 1, 2, 2, 4, 4]
    assert (clearing.energy.low.item(), clearing.energy.high.item()) == (200, 200)


def test_a_quantity_of_zero_neither_fills_nor_bounds() -> None:
    clearing = cleared(book_of((BUY, 0, 300), (SELL, 0, 10), (BUY, 1, 100)))
    assert clearing.fills_wh.tolist() == [0, 0, 0]
    assert clearing.energy.low.item() == 100
    assert clearing.energy.high.item() == POTENTIAL_LIMIT


def test_limits_at_floor_and_cap_clear_at_the_widest_welfare() -> None:
    most = WH_LIMIT - 1
    clearing = cleared(book_of((BUY, most, PRICE_CAP), (SELL, most, PRICE_FLOOR)))
    assert clearing.welfare_nano == most * (PRICE_CAP - PRICE_FLOOR)
    assert clearing.prices.item() == 2_000_000


def test_welfare_and_shares_may_exceed_64_bits() -> None:
    most, rows = WH_LIMIT - 1, 3_000
    clearing = cleared(
        book_of(*[(BUY, most, PRICE_CAP)] * rows, (SELL, most, PRICE_FLOOR), (SELL, most - 1, PRICE_FLOOR))
    )
    sold = 2 * most - 1
    assert clearing.welfare_nano == sold * (PRICE_CAP - PRICE_FLOOR)
    shares = [most * (i + 1) * sold // (most * rows) - most * i * sold // (most * rows) for i in range(rows)]
    assert clearing.fills_wh[:rows].tolist() == shares
    assert sum(shares) == sold


def test_a_sum_of_welfare_beyond_64_bits_is_exact() -> None:
    most, pairs = WH_LIMIT - 1, 2_000
    clearing = cleared(book_of(*[(BUY, most, PRICE_CAP), (SELL, most, PRICE_FLOOR)] * pairs))
    assert clearing.welfare_nano == pairs * most * (PRICE_CAP - PRICE_FLOOR) > 2**63


def test_energy_crosses_a_line_until_the_line_is_full() -> None:
    market = make_market(parent=[ROOT, 0], charge=[0, 10], capacity_wh=[0, 6])
    clearing = cleared(book_of((BUY, 10, 300, 0), (SELL, 10, 100, 1)), market)
    assert clearing.fills_wh.tolist() == [6, 6]
    assert clearing.flows_wh.tolist() == [[0], [-6]]
    assert clearing.prices.ravel().tolist() == [300, 100]
    assert clearing.welfare_nano == 6 * (300 - 100 - 10)


def test_local_trade_wins_over_trade_across_a_line() -> None:
    market = make_market(parent=[ROOT, 0], charge=[0, 1], capacity_wh=[0, 100])
    clearing = cleared(book_of((BUY, 5, 300, 0), (SELL, 5, 100, 0), (SELL, 5, 100, 1)), market)
    assert clearing.fills_wh.tolist() == [5, 5, 0]
    assert not clearing.flows_wh.any()


def test_a_line_dearer_than_any_trade_carries_nothing() -> None:
    market = make_market(parent=[ROOT, 0], charge=[0, 2**32 - 1], capacity_wh=[0, 100])
    clearing = cleared(book_of((BUY, 5, PRICE_CAP, 0), (SELL, 5, PRICE_FLOOR, 1)), market)
    assert clearing.fills_wh.tolist() == [0, 0]


def test_a_greener_unit_serves_browner_demand_but_never_the_reverse() -> None:
    market = make_market(qualities=2)
    served = cleared(book_of((BUY, 5, 300, 0, 0), (SELL, 5, 100, 0, 1)), market)
    assert served.fills_wh.tolist() == [5, 5]
    assert served.substituted_wh.tolist() == [[5]]
    assert served.premiums.tolist() == [[0], [0]]
    refused = cleared(book_of((BUY, 5, 300, 0, 1), (SELL, 5, 100, 0, 0)), market)
    assert refused.fills_wh.tolist() == [0, 0]


def test_a_scarce_quality_earns_a_premium() -> None:
    market = make_market(qualities=2)
    rows = [(BUY, 10, 300, 0, 1), (SELL, 5, 100, 0, 1), (BUY, 10, 200, 0, 0), (SELL, 20, 100, 0, 0)]
    clearing = cleared(book_of(*rows), market)
    assert clearing.prices.ravel().tolist() == [100, 300]
    assert clearing.premiums.ravel().tolist() == [0, 200]
    assert clearing.fills_wh.tolist() == [5, 5, 10, 10]


def test_a_ring_of_substitutions_carries_no_more_than_it_must() -> None:
    market = make_market(qualities=3, substitutions=[(1, 0), (2, 1), (0, 2), (2, 0)])
    clearing = cleared(book_of((BUY, 5, 300, 0, 0), (SELL, 5, 100, 0, 2)), market)
    assert clearing.substituted_wh.ravel().tolist() == [0, 0, 0, 5]


def test_windows_clear_apart() -> None:
    rows = [(BUY, 5, 300, 0, 0, 0), (SELL, 5, 100, 0, 0, 1), (BUY, 5, 200, 0, 0, 2), (SELL, 5, 100, 0, 0, 2)]
    clearing = cleared(book_of(*rows), make_market(3))
    assert clearing.fills_wh.tolist() == [0, 0, 5, 5]
    assert clearing.prices[0, 0, 2] == 150


def test_energy_in_equals_energy_out_to_the_wh_in_a_large_book() -> None:
    random = np.random.default_rng(7)
    rows = 20_000
    market = make_market(
        4, parent=[ROOT, 0, 0, 1], charge=[0, 5, 7, 9], capacity_wh=[0, 9_000, 50, 10**6], qualities=3
    )
    book = make_book(
        order=random.permutation(rows),
        side=random.integers(0, 2, rows),
        zone=random.integers(0, 4, rows),
        quality=random.integers(0, 3, rows),
        window=random.integers(0, 4, rows),
        quantity_wh=random.integers(0, 3_000, rows),
        limit=random.integers(100, 300, rows) * 1_000,
    )
    clearing = cleared(book, market)
    assert clearing.fills_wh[book.buys].sum() == clearing.fills_wh[~book.buys].sum() > 0


def test_prices_that_no_bounded_potential_supports_are_refused() -> None:
    """An unmet buy of quality 1 at the cap and an unsold quality 0 at the floor: a premium of 2^30."""
    market = make_market(qualities=2, floor=-POTENTIAL_LIMIT, cap=POTENTIAL_LIMIT)
    book = book_of((BUY, 5, POTENTIAL_LIMIT, 0, 1), (SELL, 5, -POTENTIAL_LIMIT, 0, 0))
    with pytest.raises(InputError, match="no potentials"):
        clear(book, market)


def test_every_book_within_floor_and_cap_has_potentials_up_to_sixty_seven_qualities() -> None:
    """The widest premiums: each quality is unmet where the one below it is unsold, zones apart."""
    qualities = 67
    market = make_market(
        parent=[ROOT, *range(qualities - 1)],
        charge=[1] * qualities,
        capacity_wh=[0] * qualities,
        qualities=qualities,
    )
    unsold = [(SELL, 5, PRICE_FLOOR, zone, zone) for zone in range(qualities - 1)]
    unmet = [(BUY, 5, PRICE_CAP, zone, zone + 1) for zone in range(qualities - 1)]
    clearing = cleared(book_of(*unsold, *unmet), market)
    assert not clearing.fills_wh.any()
    assert -clearing.quality.high[-1].item() == 66 * (PRICE_CAP - PRICE_FLOOR)


def test_an_isolated_zone_clears_by_itself() -> None:
    market = make_market(parent=[ROOT, 0, 1], charge=[0, 1, 1], capacity_wh=[0, 0, 9])
    rows = [(BUY, 5, 300, 0), (SELL, 5, 100, 1), (BUY, 3, 200, 2), (SELL, 1, 250, 0)]
    clearing = cleared(book_of(*rows), market)
    assert clearing.fills_wh.tolist() == [1, 3, 3, 1]
    assert clearing.flows_wh.ravel().tolist() == [0, 0, 3]


def test_many_windows_of_few_orders_clear_at_once() -> None:
    windows = 5_000
    rows = [(side, 1, limit, 0, 0, w) for w in range(windows) for side, limit in ((BUY, w), (SELL, 2_500))]
    clearing = cleared(book_of(*rows), make_market(windows))
    assert clearing.fills_wh.sum() == 2 * 2_500
