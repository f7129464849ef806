"""The proof within a clearing: both posted vectors satisfy every constraint, and each entry is supported.

Constraints come from the orders, lines, substitutions and flexible orders, and from the posted volumes and
flows. An entry is supported by its outer bound, or by a tight constraint from an entry of lower rank: then
the vector is the extreme one, and the price is the rule's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from settlement.matching import check_flexible
from settlement.matching.book import BUY
from settlement.matching.case import Case, Violation, fails
from settlement.matching.clear import Clearing
from settlement.matching.market import ROOT, Bools, Ints, Market
from settlement.units import POTENTIAL_LIMIT

NO_BOUND = 2**40


@dataclass(frozen=True, eq=False)
class Table:
    """The proof's constraints `y[head] <= y[tail] + cost`: one row a pair of nodes, [K, W] where `active`.

    Rows of the stacked potentials [Z + Q, W] are named by `tail` and `head`, [K].
    """

    name: tuple[str, ...]
    tail: Ints
    head: Ints
    cost: Ints
    active: Bools


def potentials(case: Case) -> Iterator[Violation]:
    """Every constraint that is broken, and every entry that nothing supports."""
    market, clearing = case.market, case.clearing
    tables = (_cell_table(case), _line_table(market, clearing), _swap_table(market, clearing))
    split = check_flexible.split_of(case.flexible, clearing.flexible_wh)
    for high in (False, True):
        end = "high" if high else "low"
        value, rank = (_stacked(clearing, name, high) for name in ("value", "rank"))
        supported = _at_outer_bound(value, market.zones, high)
        for table in tables:
            yield from _broken(table, value, end)
            _support(table, value, rank, high, supported)
        for name, wrong in check_flexible.bounds(case.flexible, split, value):
            yield from fails(f"{name}_{end}", wrong)
        check_flexible.support(case.flexible, split, value, rank, high, supported)
        supported[market.zones] = True
        yield from fails(f"support_{end}", ~supported)


def _broken(table: Table, value: Ints, end: str) -> Iterator[Violation]:
    slack = value[table.tail] + table.cost - value[table.head]
    for at in np.argwhere(table.active & (slack < 0))[:1].tolist():
        yield Violation(f"{table.name[at[0]]}_{end}", tuple(at))


def _support(table: Table, value: Ints, rank: Ints, high: bool, supported: Bools) -> None:
    giver, taker = (table.tail, table.head) if high else (table.head, table.tail)
    tight = value[table.tail] + table.cost == value[table.head]
    np.logical_or.at(supported, taker, table.active & tight & (rank[giver] < rank[taker]))


def _stacked(clearing: Clearing, what: str, high: bool) -> Ints:
    """[Z + Q, W] one vector's values or ranks: zones, then qualities."""
    end = "high" if high else "low"
    name = end if what == "value" else f"rank_{end}"
    return np.vstack([getattr(clearing.energy, name), getattr(clearing.quality, name)])


def _at_outer_bound(value: Ints, zones: int, high: bool) -> Bools:
    bound = np.full(value.shape, POTENTIAL_LIMIT if high else -POTENTIAL_LIMIT)
    if high:
        bound[zones:] = 0
    reached: Bools = value == bound
    return reached


def _cell_table(case: Case) -> Table:
    """`lb <= e - y <= ub` of every cell; orders at the price bound as a group, by its M and R."""
    market = case.market
    upper, lower = _cell_bounds(case)
    zone, quality = (axis.ravel() for axis in np.indices(market.cell_shape[:2]))
    quality = quality + market.zones
    cost = np.vstack([upper.reshape(len(zone), -1), -lower.reshape(len(zone), -1)])
    name = ("cell_upper",) * len(zone) + ("cell_lower",) * len(zone)
    return Table(name, np.append(quality, zone), np.append(zone, quality), cost, cost < NO_BOUND)


def _line_table(market: Market, clearing: Clearing) -> Table:
    """Room towards b means `y_b <= y_a + charge`; flow towards b means `y_b >= y_a + charge`."""
    child = np.flatnonzero(market.parent != ROOT)
    parent, capacity = market.parent[child], market.capacity_wh[child, None]
    down, up = np.maximum(clearing.flows_wh[child], 0), np.maximum(-clearing.flows_wh[child], 0)
    charge = np.repeat(market.charge[child, None], market.windows, axis=1)
    return Table(
        name=("line_room",) * (2 * len(child)) + ("line_flow",) * (2 * len(child)),
        tail=np.concatenate([parent, child, child, parent]),
        head=np.concatenate([child, parent, parent, child]),
        cost=np.concatenate([charge, charge, -charge, -charge]),
        active=np.concatenate([down < capacity, up < capacity, down > 0, up > 0]),
    )


def _swap_table(market: Market, clearing: Clearing) -> Table:
    """`y_from <= y_to` of every substitution, and the reverse where it carries something."""
    giver, taker = market.zones + market.substitutions[:, 0], market.zones + market.substitutions[:, 1]
    used = clearing.substituted_wh > 0
    return Table(
        name=("substitution_room",) * len(giver) + ("substitution_flow",) * len(giver),
        tail=np.append(taker, giver),
        head=np.append(giver, taker),
        cost=np.zeros((2 * len(giver), market.windows), np.int64),
        active=np.concatenate([np.ones_like(used), used]),
    )


def _cell_bounds(case: Case) -> tuple[Ints, Ints]:
    """The tightest limits above and below each cell's `e - y`, [Z x Q x W]."""
    book, price, clearing = case.book, case.price, case.clearing
    positive = book.quantity_wh > 0
    above, below = positive & (book.limit > price), positive & (book.limit < price)
    at = np.flatnonzero(positive & (book.limit == price))
    slot, buy = case.cell[at] * 2 + book.side[at], book.side[at] == BUY
    filled, total = clearing.filled_wh.ravel()[slot], clearing.marginal_wh.ravel()[slot]
    some, room = filled > 0, filled < total
    above[at], below[at] = np.where(buy, some, room), np.where(buy, room, some)
    upper, lower = np.full(case.market.cells, NO_BOUND), np.full(case.market.cells, -NO_BOUND)
    np.minimum.at(upper, case.cell[above], book.limit[above])
    np.maximum.at(lower, case.cell[below], book.limit[below])
    return upper, lower
