"""What a clearing must satisfy, judged from the orders and the posted numbers alone, as the chain judges it.

Nothing here uses the network, the solver or the arithmetic of the fills: an error there cannot hide here.
With no violation the clearing is optimal, its prices are the rule's, and energy and qualities balance.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from settlement.matching import check_flexible
from settlement.matching.book import BUY, Book
from settlement.matching.case import Case, Violation, fails
from settlement.matching.check_proof import potentials
from settlement.matching.clear import Clearing
from settlement.matching.flexible import FlexibleOrders, no_flexible
from settlement.matching.market import ROOT, Ints, Market
from settlement.units import POTENTIAL_LIMIT, floor_div

ROWS_OF_A_SUM = 8
"""So many gains, each below 2^59, add up within int64."""


def check(
    book: Book, market: Market, clearing: Clearing, flexible: FlexibleOrders | None = None
) -> list[Violation]:
    """Every condition that fails; empty for an honest clearing."""
    case = Case(book, no_flexible() if flexible is None else flexible, market, clearing)
    misshapen = list(_shapes(case))
    if misshapen:
        return misshapen
    conditions = (_prices, _outer_bounds, _marginals, _fills, _splits, _flows, potentials, _welfare)
    return [found for condition in conditions for found in condition(case)]


def _shapes(case: Case) -> Iterator[Violation]:
    market, clearing = case.market, case.clearing
    cells, windows = market.cell_shape, market.windows
    expected = {
        "prices": cells,
        "marginal_wh": (*cells, 2),
        "filled_wh": (*cells, 2),
        "flows_wh": (market.zones, windows),
        "substituted_wh": (len(market.substitutions), windows),
        "fills_wh": (len(case.book),),
        "flexible_wh": (len(case.flexible), windows),
    }
    arrays = [(getattr(clearing, name), shape) for name, shape in expected.items()]
    for part in ("low", "high", "rank_low", "rank_high"):
        arrays.append((getattr(clearing.energy, part), (market.zones, windows)))
        arrays.append((getattr(clearing.quality, part), (market.qualities, windows)))
    yield from fails("shape", [a.shape != shape or a.dtype != np.int64 for a, shape in arrays])


def _prices(case: Case) -> Iterator[Violation]:
    """A price is the zone's potential less the quality's, each the floor of its extremes' average."""
    energy = floor_div(case.clearing.energy.low + case.clearing.energy.high, 2)
    quality = floor_div(case.clearing.quality.low + case.clearing.quality.high, 2)
    yield from fails("price", case.clearing.prices != energy[:, None] - quality[None])


def _outer_bounds(case: Case) -> Iterator[Violation]:
    """Outer bounds, and the ground's zeros and rank."""
    energy, quality = case.clearing.energy, case.clearing.quality
    for values in (energy.low, energy.high):
        yield from fails("energy_bound", abs(values) > POTENTIAL_LIMIT)
    for values in (quality.low, quality.high):
        yield from fails("quality_bound", (values > 0) | (values < -POTENTIAL_LIMIT))
        yield from fails("ground", values[0] != 0)
    for ranks in (energy.rank_low, energy.rank_high, quality.rank_low[1:], quality.rank_high[1:]):
        yield from fails("rank", ranks < 0)
    for ranks in (quality.rank_low, quality.rank_high):
        yield from fails("ground", ranks[0] != -1)


def _marginals(case: Case) -> Iterator[Violation]:
    """M is what the orders at the price add up to, and R lies within it."""
    book, clearing = case.book, case.clearing
    total = np.zeros(clearing.marginal_wh.size, np.int64)
    at = np.flatnonzero(book.limit == case.price)
    np.add.at(total, case.cell[at] * 2 + book.side[at], book.quantity_wh[at])
    yield from fails("marginal_total", clearing.marginal_wh != total.reshape(clearing.marginal_wh.shape))
    yield from fails("marginal_fill", (clearing.filled_wh < 0) | (clearing.filled_wh > clearing.marginal_wh))


def _fills(case: Case) -> Iterator[Violation]:
    """Strictly better than the price fills, strictly worse does not, at the price orders share pro rata."""
    book, fills, price = case.book, case.clearing.fills_wh, case.price
    better = np.where(book.side == BUY, book.limit > price, book.limit < price)
    other = book.limit != price
    yield from fails("fill", other & (fills != np.where(better, book.quantity_wh, 0)))
    at = np.flatnonzero(~other)
    slot = case.cell[at] * 2 + book.side[at]
    by_order = np.lexsort((book.order[at], slot))
    yield from _shares(case, at[by_order], slot[by_order])


def _shares(case: Case, at: Ints, slot: Ints) -> Iterator[Violation]:
    """Up to each order at the price, fills F and quantities A have `0 <= A R - F M < M`: F is the floor.

    `at` are rows sorted by `slot`, then order. Where a product may pass 64 bits Python's integers judge.
    """
    asked, given = (_running(column[at], slot) for column in (case.book.quantity_wh, case.clearing.fills_wh))
    total, filled = (v.ravel()[slot] for v in (case.clearing.marginal_wh, case.clearing.filled_wh))
    largest = max(int(np.abs(values).max(initial=0)) for values in (asked, given, total, filled))
    if largest >= 2**31:
        asked, given, total, filled = (v.astype(object) for v in (asked, given, total, filled))
    rest = asked * filled - given * total
    wrong = np.where(total > 0, (rest < 0) | (rest >= total), given != 0).astype(bool)
    yield from (Violation("fill", (int(row),)) for row in at[wrong][:1])


def _running(values: Ints, slot: Ints) -> Ints:
    """[K] the sum of each slot's values so far; slots are sorted."""
    upto = np.cumsum(values)
    first = np.searchsorted(slot, slot)
    sofar: Ints = upto - (upto - values)[first] if len(slot) else upto
    return sofar


def _splits(case: Case) -> Iterator[Violation]:
    """A flexible order stays within its windows, its caps and its energy."""
    for name, wrong in check_flexible.amounts(case.flexible, case.clearing.flexible_wh):
        yield from fails(name, wrong)


def _flows(case: Case) -> Iterator[Violation]:
    """Zones balance with their lines, the tree with itself, and qualities with the substitutions."""
    market, clearing, net = case.market, case.clearing, _net_bought(case)
    imports = net.sum(axis=1)
    for zone in _leaves_first(market.parent):
        if market.parent[zone] != ROOT:
            imports[market.parent[zone]] += imports[zone]
    root = market.parent == ROOT
    yield from fails("energy_balance", imports[root] != 0)
    yield from fails("line_flow", clearing.flows_wh != np.where(root[:, None], 0, imports))
    yield from fails("line_capacity", abs(clearing.flows_wh) > np.where(root, 0, market.capacity_wh)[:, None])
    owed = net.sum(axis=0)
    np.add.at(owed, market.substitutions[:, 0], clearing.substituted_wh)
    np.subtract.at(owed, market.substitutions[:, 1], clearing.substituted_wh)
    yield from fails("quality_balance", owed != 0)
    yield from fails("substitution_sign", clearing.substituted_wh < 0)


def _net_bought(case: Case) -> Ints:
    """[Z, Q, W] bought less sold, Wh."""
    net = np.zeros(case.market.cells, np.int64)
    np.add.at(net, case.cell, _signed(case.book, case.clearing.fills_wh))
    net = net.reshape(case.market.cell_shape)
    np.add.at(net[:, 0], case.flexible.zone, _signed(case.flexible, case.clearing.flexible_wh.T).T)
    return net


def _signed(orders: Book | FlexibleOrders, wh: Ints) -> Ints:
    """What is bought counts up, what is sold counts down; orders are the last axis."""
    return np.where(orders.side == BUY, wh, -wh)


def _welfare(case: Case) -> Iterator[Violation]:
    """Buyers' limits less sellers' limits less charges, in Python's integers."""
    clearing = case.clearing
    gained = _gain(case.book, clearing.fills_wh)
    gained += sum(_gain(case.flexible, of_window) for of_window in clearing.flexible_wh.T)
    line = case.market.parent != ROOT
    carried = abs(clearing.flows_wh[line]).sum(axis=1).tolist()
    charged = sum(map(int.__mul__, carried, case.market.charge[line].tolist()))
    yield from fails("welfare", [clearing.welfare_nano != gained - charged])


def _gain(orders: Book | FlexibleOrders, wh: Ints) -> int:
    """Limits of what was bought less limits of what was sold, nano."""
    gains = _signed(orders, wh) * orders.limit
    return sum(np.add.reduceat(gains, np.arange(0, len(gains), ROWS_OF_A_SUM)).tolist()) if len(gains) else 0


def _leaves_first(parent: Ints) -> list[int]:
    """Zones, each before its parent."""
    children: dict[int, list[int]] = {}
    for zone, above in enumerate(parent.tolist()):
        children.setdefault(above, []).append(zone)
    order = list(children[ROOT])
    for zone in order:
        order.extend(children.get(zone, ()))
    return order[::-1]
