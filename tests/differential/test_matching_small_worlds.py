"""Every book of three orders over two qualities, two limits and two quantities, against trying all fills."""

from __future__ import annotations

from itertools import combinations_with_replacement, product

import pytest

from settlement.matching import (
    SELL,
    Book,
    FlexibleOrders,
    check,
    clear,
    make_book,
    make_flexible,
    make_market,
    traded_wh,
)

Order = tuple[int, int, int, int]
"""(side, quality, Wh, limit)"""

ORDERS: list[Order] = list(product((0, 1), (0, 1), (1, 2), (-1, 1)))


def best_by_trying(orders: tuple[Order, ...]) -> tuple[int, int]:
    """Most welfare, then most energy, over all whole fills that balance; quality 1 may serve quality 0."""
    outcomes = []
    for fills in product(*(range(wh + 1) for _, _, wh, _ in orders)):
        signed = [-wh if side == SELL else wh for wh, (side, *_) in zip(fills, orders, strict=True)]
        greener = sum(wh for wh, (_, quality, *_) in zip(signed, orders, strict=True) if quality)
        if sum(signed) == 0 and greener <= 0:
            welfare = sum(wh * limit for wh, (*_, limit) in zip(signed, orders, strict=True))
            outcomes.append((welfare, sum(fills) // 2))
    return max(outcomes)


def book_of(orders: tuple[Order, ...]) -> Book:
    side, quality, quantity, limit = zip(*orders, strict=True)
    nothing = [0] * len(orders)
    return make_book(
        order=range(len(orders)),
        side=side,
        zone=nothing,
        quality=quality,
        window=nothing,
        quantity_wh=quantity,
        limit=limit,
    )


@pytest.mark.parametrize("first", range(len(ORDERS)))
def test_every_small_book_clears_to_the_best_there_is(first: int) -> None:
    market = make_market(qualities=2)
    for rest in combinations_with_replacement(ORDERS[first:], 2):
        orders = (ORDERS[first], *rest)
        book = book_of(orders)
        clearing = clear(book, market)
        assert check(book, market, clearing) == [], orders
        bought = int(traded_wh(book, market, clearing.fills_wh)[..., 0].sum())
        assert (clearing.welfare_nano, bought) == best_by_trying(orders), orders


Flexible = tuple[int, int, int, int]
"""(side, Wh in all, Wh a window, limit), over both of two windows"""

FLEXIBLE: list[Flexible] = list(product((0, 1), (1, 2, 3), (1, 2), (-1, 1)))
WINDOWED: list[Order] = list(product((0, 1), (0, 1), (1, 2), (-1, 0)))
"""(side, window, Wh, limit)"""


def best_with_flexible(orders: tuple[Order, ...], flexible: Flexible) -> tuple[int, int]:
    """Most welfare, then most energy, over all whole fills and splits that balance in both windows."""
    side, energy, most, limit = flexible
    outcomes = []
    for split in product(range(most + 1), repeat=2):
        if sum(split) > energy:
            continue
        sign = -1 if side == SELL else 1
        for fills in product(*(range(wh + 1) for _, _, wh, _ in orders)):
            net = [sign * split[0], sign * split[1]]
            welfare = sign * limit * sum(split)
            for wh, (other, window, _, its) in zip(fills, orders, strict=True):
                signed = -wh if other == SELL else wh
                net[window] += signed
                welfare += signed * its
            if net == [0, 0]:
                outcomes.append((welfare, (sum(fills) + sum(split)) // 2))
    return max(outcomes)


def flexible_of(order: Flexible) -> FlexibleOrders:
    side, energy, most, limit = ([value] for value in order)
    return make_flexible(
        order=[0],
        side=side,
        zone=[0],
        first_window=[0],
        last_window=[1],
        energy_wh=energy,
        max_wh_per_window=most,
        limit=limit,
    )


@pytest.mark.parametrize("which", range(len(FLEXIBLE)))
def test_every_small_book_with_a_flexible_order_clears_to_the_best_there_is(which: int) -> None:
    market, flexible = make_market(2), flexible_of(FLEXIBLE[which])
    for orders in combinations_with_replacement(WINDOWED, 2):
        side, window, quantity, limit = zip(*orders, strict=True)
        book = make_book(
            order=[0, 1],
            side=side,
            zone=[0, 0],
            quality=[0, 0],
            window=window,
            quantity_wh=quantity,
            limit=limit,
        )
        clearing = clear(book, market, flexible)
        assert check(book, market, clearing, flexible) == [], orders
        traded = int(clearing.fills_wh.sum() + clearing.flexible_wh.sum())
        found = (clearing.welfare_nano, traded // 2)
        assert found == best_with_flexible(orders, FLEXIBLE[which]), orders
