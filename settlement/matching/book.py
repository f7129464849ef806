"""The book as arrays, and its aggregation to price levels."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from settlement.errors import InputError
from settlement.matching.market import Bools, Ints, Market, frozen
from settlement.units import WH_LIMIT

BUY = 0
SELL = 1

ORDER_LIMIT = 2**34
"""Order ranks lie strictly below: with fewer than 2^29 windows, (order, window) packs into an int64 key."""

LIMIT_BITS = 32
"""Room for a limit above the floor in a level's key: cap - floor is at most 2^30."""


@dataclass(frozen=True, eq=False)
class Book:
    """One row an order and window, in any row order; all columns int64 [N].

    order        the order's rank by ascending hash (or id), the same in all its rows, gaps allowed:
                 it decides who gets the odd Wh of a tie
    side         0 buy, 1 sell
    zone, quality, window   dense indices
    quantity_wh  below 2^30
    limit        micro/kWh
    """

    order: Ints
    side: Ints
    zone: Ints
    quality: Ints
    window: Ints
    quantity_wh: Ints
    limit: Ints

    def __post_init__(self) -> None:
        if len({len(getattr(self, column.name)) for column in fields(self)}) != 1:
            raise InputError("a book's columns must be equally long")

    def __len__(self) -> int:
        return len(self.order)

    @property
    def buys(self) -> Bools:
        return np.equal(self.side, BUY)


@dataclass(frozen=True, eq=False)
class Levels:
    """The book's positive quantities, added up per cell, side and limit; all columns int64 [L].

    Sorted by cell (index into [Z, Q, W]), side and limit, so that row order leaves no trace.
    """

    cell: Ints
    side: Ints
    limit: Ints
    quantity_wh: Ints


def make_book(
    *, order: Any, side: Any, zone: Any, quality: Any, window: Any, quantity_wh: Any, limit: Any
) -> Book:
    """A book from any integer sequences, copied and read-only."""
    columns = (order, side, zone, quality, window, quantity_wh, limit)
    return Book(*(frozen(column).reshape(-1) for column in columns))


def empty_book() -> Book:
    return make_book(order=[], side=[], zone=[], quality=[], window=[], quantity_wh=[], limit=[])


def refuse_bad_rows(book: Book, market: Market) -> None:
    """Raise `InputError` unless every row lies in the market and no order has two rows in a window."""
    bounds = {
        "order": (0, ORDER_LIMIT - 1),
        "side": (BUY, SELL),
        "zone": (0, market.zones - 1),
        "quality": (0, market.qualities - 1),
        "window": (0, market.windows - 1),
        "quantity_wh": (0, WH_LIMIT - 1),
        "limit": (market.floor, market.cap),
    }
    for name, (least, most) in bounds.items():
        column = getattr(book, name)
        if len(column) and not least <= column.min() <= column.max() <= most:
            raise InputError(f"a row's {name} lies outside {least}..{most}")
    keys = np.sort(book.order * market.windows + book.window)
    if (keys[1:] == keys[:-1]).any():
        raise InputError("an order has two rows in one window")


def cell_of(book: Book, market: Market) -> Ints:
    """[N] each row's cell: its index into [Z, Q, W], flattened."""
    return (book.zone * market.qualities + book.quality) * market.windows + book.window


def aggregate(book: Book, market: Market) -> Levels:
    """The book's price levels."""
    key = (cell_of(book, market) * 2 + book.side) << LIMIT_BITS | (book.limit - market.floor)
    kept = np.flatnonzero(book.quantity_wh)
    kept = kept[np.argsort(key[kept])]
    key = key[kept]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    quantity = np.add.reduceat(book.quantity_wh[kept], first) if len(first) else np.zeros(0, np.int64)
    group, limit = key[first] >> LIMIT_BITS, (key[first] & (1 << LIMIT_BITS) - 1) + market.floor
    return Levels(cell=group >> 1, side=group & 1, limit=limit, quantity_wh=quantity)
