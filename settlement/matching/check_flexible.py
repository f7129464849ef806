"""What a clearing must satisfy for its flexible orders, judged from the orders and the split alone.

In both posted vectors no window that an order uses is worse for it than one with room left, and its limit
lies on the right side of both. The same comparisons, where they are tight, support the posted entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from settlement.matching.flexible import FlexibleOrders
from settlement.matching.market import Bools, Ints
from settlement.units import POTENTIAL_LIMIT

Fault = tuple[str, Any]
"""A condition's name, and where it fails (an array of flags)."""

BEYOND = 2 * POTENTIAL_LIMIT
"""Beyond every potential."""


@dataclass(frozen=True, eq=False)
class Split:
    """The windows of each order, [F, W] flags, told by what they say of its zone's potential there.

    above   it is at most what the order pays at the margin: a buy uses the window, a sell has room in it
    below   it is at least that: a buy has room, a sell uses it
    capped  [F] the margin itself is at most the limit: a buy fills in part, a sell is left in part
    floored [F] the margin is at least the limit
    """

    above: Bools
    below: Bools
    capped: Bools
    floored: Bools


def split_of(flexible: FlexibleOrders, split_wh: Ints) -> Split:
    """What a split says, order by order."""
    window, buy = np.arange(split_wh.shape[1]), flexible.buys
    within = (flexible.first_window[:, None] <= window) & (window <= flexible.last_window[:, None])
    used, room = within & (split_wh > 0), within & (split_wh < flexible.max_wh_per_window[:, None])
    some = split_wh.sum(axis=1) > 0
    left = split_wh.sum(axis=1) < flexible.energy_wh
    return Split(
        above=np.where(buy[:, None], used, room),
        below=np.where(buy[:, None], room, used),
        capped=np.where(buy, some, left),
        floored=np.where(buy, left, some),
    )


def amounts(flexible: FlexibleOrders, split_wh: Ints) -> Iterator[Fault]:
    """A split stays within its windows, its cap in each, and its energy in all."""
    window = np.arange(split_wh.shape[1])
    outside = (window < flexible.first_window[:, None]) | (window > flexible.last_window[:, None])
    yield "flexible_window", outside & (split_wh != 0)
    yield "flexible_cap", (split_wh < 0) | (split_wh > flexible.max_wh_per_window[:, None])
    yield "flexible_sum", split_wh.sum(axis=1) > flexible.energy_wh


def bounds(flexible: FlexibleOrders, split: Split, value: Ints) -> Iterator[Fault]:
    """One posted vector's zones [Z, W] obey the windows' order and the limits."""
    most, least = _margins(value[flexible.zone], split)
    yield "flexible_order", most > least
    yield "flexible_limit", split.capped & (most > flexible.limit)
    yield "flexible_limit", split.floored & (least < flexible.limit)


def support(
    flexible: FlexibleOrders, split: Split, value: Ints, rank: Ints, high: bool, supported: Bools
) -> None:
    """Mark in `supported` [Z, W] what tight comparisons hold: high entries from above, low from below."""
    mine, my_rank = value[flexible.zone], rank[flexible.zone]
    most, least = _margins(mine, split)
    taker, giver = (split.above, split.below) if high else (split.below, split.above)
    bounded, edge = (split.capped, least) if high else (split.floored, most)
    by_limit = bounded[:, None] & (mine == flexible.limit[:, None])
    lowest_rank = np.where(giver & (mine == edge[:, None]), my_rank, BEYOND).min(axis=1, initial=BEYOND)
    by_window = (mine == edge[:, None]) & (my_rank > lowest_rank[:, None])
    order, window = np.nonzero(taker & (by_limit | by_window))
    supported[flexible.zone[order], window] = True


def _margins(mine: Ints, split: Split) -> tuple[Ints, Ints]:
    """[F] the most of what must lie below each order's margin, the least of what must lie above it."""
    most = np.where(split.above, mine, -BEYOND).max(axis=1, initial=-BEYOND)
    least = np.where(split.below, mine, BEYOND).min(axis=1, initial=BEYOND)
    return most, least
