"""What a clearing must satisfy, judged from the orders and the posted numbers alone, as the chain judges it.

Nothing here uses the network, the solver or the arithmetic of the fills: an error there cannot hide here.
With no violation the clearing is optimal, its prices are the rule's, and energy and qualities balance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from settlement.matching.book import BUY, Book
from settlement.matching.clear import Clearing
from settlement.matching.market import ROOT, Bools, Ints, Market
from settlement.units import POTENTIAL_LIMIT, floor_div

NO_BOUND = 2**40


class Violation(NamedTuple):
    """A condition that fails, and the first index at which it does."""

    name: str
    where: tuple[int, ...]


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


def check(book: Book, market: Market, clearing: Clearing) -> list[Violation]:
    """Every condition that fails; empty for an honest clearing."""
    misshapen = list(_shapes(book, market, clearing))
    if misshapen:
        return misshapen
    conditions = (_prices, _bounds_of_potentials, _marginals, _fills, _flows, _potentials, _welfare)
    return [found for condition in conditions for found in condition(book, market, clearing)]


def _fails(name: str, wrong: Any) -> Iterator[Violation]:
    where = np.argwhere(wrong)
    if len(where):
        yield Violation(name, tuple(int(i) for i in where[0]))


def _shapes(book: Book, market: Market, clearing: Clearing) -> Iterator[Violation]:
    cells, windows = market.cell_shape, market.windows
    expected = {
        "prices": cells,
        "marginal_wh": (*cells, 2),
        "filled_wh": (*cells, 2),
        "flows_wh": (market.zones, windows),
        "substituted_wh": (len(market.substitutions), windows),
        "fills_wh": (len(book),),
    }
    arrays = [(getattr(clearing, name), shape) for name, shape in expected.items()]
    for part in ("low", "high", "rank_low", "rank_high"):
        arrays.append((getattr(clearing.energy, part), (market.zones, windows)))
        arrays.append((getattr(clearing.quality, part), (market.qualities, windows)))
    yield from _fails("shape", [a.shape != shape or a.dtype != np.int64 for a, shape in arrays])


def _prices(_: Book, __: Market, clearing: Clearing) -> Iterator[Violation]:
    """A price is the zone's potential less the quality's, each the floor of its extremes' average."""
    energy = floor_div(clearing.energy.low + clearing.energy.high, 2)
    quality = floor_div(clearing.quality.low + clearing.quality.high, 2)
    yield from _fails("price", clearing.prices != energy[:, None] - quality[None])


def _bounds_of_potentials(_: Book, __: Market, clearing: Clearing) -> Iterator[Violation]:
    """Outer bounds, and the ground's zeros and rank."""
    for values in (clearing.energy.low, clearing.energy.high):
        yield from _fails("energy_bound", abs(values) > POTENTIAL_LIMIT)
    for values in (clearing.quality.low, clearing.quality.high):
        yield from _fails("quality_bound", (values > 0) | (values < -POTENTIAL_LIMIT))
        yield from _fails("ground", values[0] != 0)
    for part in (clearing.energy, clearing.quality):
        for ranks in (part.rank_low, part.rank_high):
            yield from _fails(
                "rank", (ranks < 0) & ((part is clearing.energy) | (np.indices(ranks.shape)[0] > 0))
            )
    for ranks in (clearing.quality.rank_low, clearing.quality.rank_high):
        yield from _fails("ground", ranks[0] != -1)


def _marginals(book: Book, market: Market, clearing: Clearing) -> Iterator[Violation]:
    """M is what the orders at the price add up to, and R lies within it."""
    total = np.zeros_like(clearing.marginal_wh)
    at = np.flatnonzero(book.limit == _price(book, clearing))
    np.add.at(total, (book.zone[at], book.quality[at], book.window[at], book.side[at]), book.quantity_wh[at])
    yield from _fails("marginal_total", clearing.marginal_wh != total)
    yield from _fails("marginal_fill", (clearing.filled_wh < 0) | (clearing.filled_wh > clearing.marginal_wh))


def _fills(book: Book, _: Market, clearing: Clearing) -> Iterator[Violation]:
    """Strictly better than the price fills, strictly worse does not, at the price orders share pro rata."""
    price = _price(book, clearing)
    better = np.where(book.side == BUY, book.limit > price, book.limit < price)
    expected = np.where(better, book.quantity_wh, 0)
    before: dict[tuple[int, ...], int] = {}
    at = np.flatnonzero((book.limit == price) & (book.quantity_wh > 0))
    for row in at[np.argsort(book.order[at])].tolist():
        slot = (book.zone[row], book.quality[row], book.window[row], book.side[row])
        total, filled = int(clearing.marginal_wh[slot]), int(clearing.filled_wh[slot])
        start = before.get(slot, 0)
        end = before[slot] = start + int(book.quantity_wh[row])
        expected[row] = floor_div(end * filled, total) - floor_div(start * filled, total) if total else 0
    yield from _fails("fill", clearing.fills_wh != expected)


def _flows(book: Book, market: Market, clearing: Clearing) -> Iterator[Violation]:
    """Zones balance with their lines, the tree with itself, and qualities with the substitutions."""
    net = _net_bought(book, market, clearing)
    imports = net.sum(axis=1)
    for zone in _leaves_first(market.parent):
        if market.parent[zone] != ROOT:
            imports[market.parent[zone]] += imports[zone]
    root = market.parent == ROOT
    yield from _fails("energy_balance", imports[root] != 0)
    yield from _fails("line_flow", clearing.flows_wh != np.where(root[:, None], 0, imports))
    yield from _fails(
        "line_capacity", abs(clearing.flows_wh) > np.where(root, 0, market.capacity_wh)[:, None]
    )
    owed = net.sum(axis=0)
    np.add.at(owed, market.substitutions[:, 0], clearing.substituted_wh)
    np.subtract.at(owed, market.substitutions[:, 1], clearing.substituted_wh)
    yield from _fails("quality_balance", owed != 0)
    yield from _fails("substitution_sign", clearing.substituted_wh < 0)


def _potentials(book: Book, market: Market, clearing: Clearing) -> Iterator[Violation]:
    """Both posted vectors satisfy every constraint, and each of their entries is supported."""
    parts = (
        _cell_table(book, market, clearing),
        _line_table(market, clearing),
        _swap_table(market, clearing),
    )
    for high in (False, True):
        value, rank = (_stacked(clearing, name, high) for name in ("value", "rank"))
        supported = _at_outer_bound(value, market.zones, high)
        for table in parts:
            slack = value[table.tail] + table.cost - value[table.head]
            yield from (
                Violation(f"{table.name[at[0]]}_{'high' if high else 'low'}", tuple(at))
                for at in np.argwhere(table.active & (slack < 0))[:1].tolist()
            )
            giver, taker = (table.tail, table.head) if high else (table.head, table.tail)
            tight = table.active & (slack == 0) & (rank[giver] < rank[taker])
            np.logical_or.at(supported, taker, tight)
        supported[market.zones] = True
        yield from _fails(f"support_{'high' if high else 'low'}", ~supported)


def _welfare(book: Book, market: Market, clearing: Clearing) -> Iterator[Violation]:
    """Buyers' limits less sellers' limits less charges, in Python's integers."""
    sign = np.where(book.side == BUY, 1, -1)
    gained = sum(map(int.__mul__, (sign * book.limit).tolist(), clearing.fills_wh.tolist()))
    line = market.parent != ROOT
    carried = abs(clearing.flows_wh[line]).sum(axis=1).tolist()
    charged = sum(map(int.__mul__, carried, market.charge[line].tolist()))
    yield from _fails("welfare", [clearing.welfare_nano != gained - charged])


def _price(book: Book, clearing: Clearing) -> Ints:
    price: Ints = clearing.prices[book.zone, book.quality, book.window]
    return price


def _net_bought(book: Book, market: Market, clearing: Clearing) -> Ints:
    """[Z, Q, W] bought less sold, Wh."""
    net = np.zeros(market.cell_shape, np.int64)
    signed = np.where(book.side == BUY, clearing.fills_wh, -clearing.fills_wh)
    np.add.at(net, (book.zone, book.quality, book.window), signed)
    return net


def _leaves_first(parent: Ints) -> list[int]:
    """Zones, each before its parent."""
    children: dict[int, list[int]] = {}
    for zone, above in enumerate(parent.tolist()):
        children.setdefault(above, []).append(zone)
    order = list(children[ROOT])
    for zone in order:
        order.extend(children.get(zone, ()))
    return order[::-1]


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


def _cell_table(book: Book, market: Market, clearing: Clearing) -> Table:
    """`lb <= e - y <= ub` of every cell; orders at the price bound as a group, by its M and R."""
    price, positive = _price(book, clearing), book.quantity_wh > 0
    slot = (book.zone, book.quality, book.window, book.side)
    filled, total, buy = clearing.filled_wh[slot], clearing.marginal_wh[slot], book.side == BUY
    some, room, equal = filled > 0, filled < total, book.limit == price
    above = positive & np.where(equal, np.where(buy, some, room), book.limit > price)
    below = positive & np.where(equal, np.where(buy, room, some), book.limit < price)
    upper, lower = np.full(market.cell_shape, NO_BOUND), np.full(market.cell_shape, -NO_BOUND)
    np.minimum.at(upper, tuple(s[above] for s in slot[:3]), book.limit[above])
    np.maximum.at(lower, tuple(s[below] for s in slot[:3]), book.limit[below])
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
