"""Every book of three orders over two qualities, two limits and two quantities, against trying all fills."""

from __future__ import annotations

from itertools import combinations_with_replacement, product

import pytest

from settlement.matching import SELL, Book, check, clear, make_book, make_market, traded_wh

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
