"""Flexible orders as arrays: so much energy in all, any time within a range of windows.

A flexible order takes any quality, so it trades quality 0 of its zone. In the network it is one more node,
tied to its zone in each of its windows, with its limit and its energy on one arc to the ground.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from settlement.errors import InputError
from settlement.matching.book import BUY, ORDER_LIMIT, SELL
from settlement.matching.market import Bools, Ints, Market, frozen
from settlement.units import WH_LIMIT


@dataclass(frozen=True, eq=False)
class FlexibleOrders:
    """One row an order, in any row order; all columns int64 [F].

    order              the order's rank by ascending hash (or id), one row each
    side               0 buy, 1 sell
    zone               dense index
    first_window, last_window   dense indices, both included
    energy_wh          the most it trades in all, below 2^30
    max_wh_per_window  the most it trades in each window, below 2^30
    limit              micro/kWh
    """

    order: Ints
    side: Ints
    zone: Ints
    first_window: Ints
    last_window: Ints
    energy_wh: Ints
    max_wh_per_window: Ints
    limit: Ints

    def __post_init__(self) -> None:
        if len({len(getattr(self, column.name)) for column in fields(self)}) != 1:
            raise InputError("the columns of flexible orders must be equally long")

    def __len__(self) -> int:
        return len(self.order)

    @property
    def buys(self) -> Bools:
        return np.equal(self.side, BUY)

    def rows(self, index: Ints) -> FlexibleOrders:
        """The orders at these places."""
        return FlexibleOrders(*(getattr(self, column.name)[index] for column in fields(self)))


def make_flexible(
    *,
    order: Any,
    side: Any,
    zone: Any,
    first_window: Any,
    last_window: Any,
    energy_wh: Any,
    max_wh_per_window: Any,
    limit: Any,
) -> FlexibleOrders:
    """Flexible orders from any integer sequences, copied and read-only."""
    columns = (order, side, zone, first_window, last_window, energy_wh, max_wh_per_window, limit)
    return FlexibleOrders(*(frozen(column).reshape(-1) for column in columns))


def no_flexible() -> FlexibleOrders:
    """Not one flexible order."""
    return make_flexible(**{column.name: [] for column in fields(FlexibleOrders)})


def refuse_bad_flexible(flexible: FlexibleOrders, market: Market) -> None:
    """Raise `InputError` unless every order lies in the market, and all are distinct."""
    bounds = {
        "order": (0, ORDER_LIMIT - 1),
        "side": (BUY, SELL),
        "zone": (0, market.zones - 1),
        "first_window": (0, market.windows - 1),
        "last_window": (0, market.windows - 1),
        "energy_wh": (0, WH_LIMIT - 1),
        "max_wh_per_window": (0, WH_LIMIT - 1),
        "limit": (market.floor, market.cap),
    }
    for name, (least, most) in bounds.items():
        column = getattr(flexible, name)
        if len(column) and not least <= column.min() <= column.max() <= most:
            raise InputError(f"a flexible order's {name} lies outside {least}..{most}")
    if (flexible.first_window > flexible.last_window).any():
        raise InputError("a flexible order's first_window comes after its last_window")
    if len(np.unique(flexible.order)) != len(flexible):
        raise InputError("two flexible orders have the same rank")


@dataclass(frozen=True, eq=False)
class Shares:
    """What each flexible order may trade in each of its windows; columns int64 [K], by order, then window.

    owner     place among the flexible orders
    window    dense index
    most_wh   the most it can take there: never more than all of its energy
    """

    owner: Ints
    window: Ints
    most_wh: Ints


def shares_of(flexible: FlexibleOrders) -> Shares:
    """Every (order, window) of every range."""
    lengths = flexible.last_window - flexible.first_window + 1
    owner = np.repeat(np.arange(len(flexible)), lengths)
    before = np.cumsum(lengths) - lengths
    window = np.arange(len(owner)) - before[owner] + flexible.first_window[owner]
    most = np.minimum(flexible.max_wh_per_window, flexible.energy_wh)
    return Shares(owner, window, most[owner])


def parts_of(flexible: FlexibleOrders, windows: int) -> Ints:
    """[W] which part each window belongs to, ascending: a flexible order makes its windows one part."""
    tied = np.zeros(windows + 1, np.int64)
    np.add.at(tied, flexible.first_window + 1, 1)
    np.subtract.at(tied, flexible.last_window + 1, 1)
    begins = np.cumsum(tied)[:windows] == 0
    return np.cumsum(begins) - 1
