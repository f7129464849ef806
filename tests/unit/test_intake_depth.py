"""Depth shows what a book holds, and nobody's order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from api.intake.depth import LEAST_TRADERS, TICK, Level, depth
from settlement.reference.flexible import FlexibleSchedule
from settlement.reference.record import BUY, SELL
from settlement.reference.schedule import Schedule

SESSION = b"\x01" * 32


def order(trader: int, limit: int, wh: int = 10, side: int = BUY) -> Schedule:
    return Schedule(bytes(19) + bytes([trader]), SESSION, 0, side, 0, 5, 100, 1, (wh,), (limit,))


def levels(given: Sequence[Schedule | FlexibleSchedule], at: int = 0) -> tuple[Level, ...]:
    return depth(given)[at].levels


def test_a_level_stands_for_three_traders_at_least() -> None:
    book = [order(1, 40_000), order(2, 40_000), order(3, 30_000), order(4, 20_000)]
    assert levels(book) == (Level(20_000, 40, 4),)
    assert levels([*book, order(5, 20_000), order(6, 20_000)]) == (Level(30_000, 30, 3), Level(20_000, 30, 3))


def test_two_traders_or_one_with_many_orders_show_nothing() -> None:
    assert levels([order(1, 10_000), order(2, 20_000)]) == ()
    assert levels([order(1, limit) for limit in range(0, 90_000, 5_000)]) == ()


def test_bids_are_rounded_down_and_offers_up() -> None:
    bids = [order(n, 12_345) for n in range(3)]
    offers = [order(n, -12_345, side=SELL) for n in range(3)]
    assert [one.levels[0].limit_micro_per_kwh for one in depth([*bids, *offers])] == [10_000, -10_000]
    assert levels([order(n, -12_345) for n in range(3)])[0].limit_micro_per_kwh == -15_000


def test_a_flexible_order_counts_in_each_window_with_its_most() -> None:
    given = [
        FlexibleSchedule(bytes(19) + bytes([n]), SESSION, 0, BUY, 0, 100, 2, 1, 50, 30, 10_000)
        for n in range(3)
    ]
    assert [(one.window, one.levels) for one in depth(given)] == [
        (100, (Level(10_000, 90, 3),)),
        (101, (Level(10_000, 90, 3),)),
    ]


@given(
    st.lists(
        st.builds(
            order,
            trader=st.integers(0, 6),
            limit=st.integers(-30_000, 60_000),
            wh=st.integers(0, 500),
            side=st.sampled_from([BUY, SELL]),
        ),
        max_size=40,
    )
)
def test_levels_are_sums_of_at_least_three_and_all_of_a_level_trades_at_its_price(
    book: list[Schedule],
) -> None:
    for cell in depth(book):
        own = [one for one in book if one.side == cell.side and one.quantity_wh[0]]
        prices = [level.limit_micro_per_kwh for level in cell.levels]
        assert prices == sorted(set(prices), reverse=cell.side == BUY)
        assert all(price % TICK == 0 for price in prices)
        if len({one.trader for one in own}) >= LEAST_TRADERS:
            assert sum(level.quantity_wh for level in cell.levels) == sum(one.quantity_wh[0] for one in own)
        else:
            assert cell.levels == ()
        shown: Counter[int] = Counter()
        for level in cell.levels:
            shown[0] += level.quantity_wh
            price = level.limit_micro_per_kwh
            at = sum(
                one.quantity_wh[0]
                for one in own
                if (one.limit_micro_per_kwh[0] >= price) == (cell.side == BUY)
                or one.limit_micro_per_kwh[0] == price
            )
            assert shown[0] <= at
            assert level.traders >= LEAST_TRADERS
