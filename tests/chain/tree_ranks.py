"""Other prices that keep every constraint, with ranks recomputed as well as they can be.

The operator takes the honest flow and moves its highest (or lowest) potentials to others between the two:
these satisfy every constraint, volumes at the new prices suit the same fills, and each entry is ranked by the
hops over tight constraints that lead to it. What hangs together without reaching an outer bound or the ground
must begin somewhere: one entry of it, which nothing supports, is given the least rank. So only that one gives
the posting away.

A single entry can be moved too, and those that must follow it. There the ranks are flat: what a line holds
together, or any constraint, has the same, so that entries would hold each other, if equal ranks could.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from tree_script import Plan

from settlement.chain import prepared
from settlement.chain.prepared import PreparedZone
from settlement.matching.book import aggregate
from settlement.matching.market import Bools, Ints
from settlement.matching.network import Nodes, make_network
from settlement.matching.prices import (
    GROUND_RANK,
    UNREACHED,
    Constraints,
    Potentials,
    constraints_of,
    highest,
    lowest,
    outer_bounds,
    relax,
)
from settlement.matching.sift import solve
from settlement.reference import clearing
from settlement.reference.clearing import Header
from settlement.reference.marginal import Marginal
from settlement.reference.potential import Potential
from settlement.reference.schedule import SignedSchedule

Maker = Callable[[random.Random, Plan], Iterator[Plan]]
Over = Callable[["Side", Constraints], Bools]
"""Over which of the constraints ranks do not rise."""

STEPS = (1, 1_000, 2**30)
MOST_ENTRIES = 6


@dataclass(frozen=True)
class Solved:
    """A session's network: its constraints, and the lowest and highest potentials of all its nodes."""

    nodes: Nodes
    constraints: Constraints
    low: Potentials
    high: Potentials


def solved(plan: Plan) -> Solved:
    market = prepared.matching_market(plan.session)
    sealed = prepared.SealedBook(tuple(own.book for own in plan.zones))
    counted = prepared.Counted(plan.session, sealed, tuple(own.reasons for own in plan.zones))
    flexible, levels = counted.flexible(), aggregate(counted.book(), market)
    network = make_network(levels, market, flexible)
    flow = solve(network, levels, market, flexible)
    constraints, nodes = constraints_of(network, levels, flow, market), network.nodes
    return Solved(nodes, constraints, lowest(constraints, nodes), highest(constraints, nodes))


@dataclass(frozen=True)
class Side:
    """One of the two vectors, as if it were the highest: the lowest is that of the network turned round."""

    nodes: Nodes
    constraints: Constraints
    value: Ints
    other: Ints
    """The other vector: never above `value`."""
    most: Ints

    def moved(self, step: int) -> Ints:
        """Moved down, nowhere below the other: entry-wise maxima keep every constraint."""
        return np.maximum(self.value - step, self.other)

    def held_back(self, node: int, step: int) -> Ints:
        """One entry moved down, and what must follow it."""
        most = self.most.copy()
        most[node] = max(self.value[node] - step, self.other[node])
        return relax(most, self.constraints)

    def tight(self, value: Ints) -> Constraints:
        one = self.constraints
        where = value[one.head] == value[one.tail] + one.cost
        return Constraints(one.tail[where], one.head[where], one.cost[where])

    def ranked(self, value: Ints, first: int | None = None, over: Over | None = None) -> Ints:
        """Ranks that support all of `value`, but for one entry of each part that nothing holds: `first`, or
        any. They are flat over what `over` says.
        """
        ground, tight = self.nodes.ground, self.tight(value)
        flat = np.zeros(len(tight.tail), bool) if over is None else over(self, tight)
        hops = Constraints(tight.tail, tight.head, ((tight.tail <= ground) & ~flat).astype(np.int64))
        start = np.where(value == self.most, 0, UNREACHED)
        start[ground] = GROUND_RANK
        if first is not None:
            start[first] = min(start[first], 0)
        rank = relax(start, hops)
        while (rank[:ground] >= UNREACHED).any():
            start[int(np.argmax(rank[:ground] >= UNREACHED))] = 0
            rank = relax(start, hops)
        return np.clip(rank, 0, 2**32 - 1)

    def is_line(self, constraints: Constraints) -> Bools:
        zones = self.nodes.zone.size
        return (constraints.tail < zones) & (constraints.head < zones)

    def free(self) -> list[int]:
        """Posted entries that could be lower, those first that bound each other in a circle."""
        ground, circles = self.nodes.ground, self.circles()
        found = np.flatnonzero(self.value[:ground] > self.other[:ground])
        return sorted(found.tolist(), key=lambda node: (not circles[node], node))

    def circles(self) -> Bools:
        """[nodes] which lie on a circle of tight constraints."""
        tight = self.tight(self.value)
        reaches = np.zeros((self.nodes.count, self.nodes.count), bool)
        reaches[tight.tail, tight.head] = True
        for _ in range(self.nodes.count.bit_length()):
            reaches |= reaches @ reaches
        return np.diagonal(reaches)


def sides(found: Solved) -> tuple[Side, Side]:
    """The highest vector, and the lowest."""
    least, most = outer_bounds(found.nodes)
    high, low = found.high.value, found.low.value
    return (
        Side(found.nodes, found.constraints, high, low, most),
        Side(found.nodes, found.constraints.turned(), -low, -high, -least),
    )


def with_value(found: Solved, lowest_: bool, value: Ints, rank: Ints) -> tuple[Potentials, Potentials]:
    """Both vectors, one of them changed."""
    if lowest_:
        return Potentials(-value, rank), found.high
    return found.low, Potentials(value, rank)


def whole(lowest_: bool) -> Maker:
    """All entries of one vector, by a bit, by more, and all the way to the other."""

    def make(_: random.Random, plan: Plan) -> Iterator[Plan]:
        found = solved(plan)
        side = sides(found)[lowest_]
        for step in STEPS:
            value = side.moved(step)
            if (value != side.value)[: found.nodes.ground].any():
                yield posted(plan, found.nodes, *with_value(found, lowest_, value, side.ranked(value)))

    return make


def over_lines(side: Side, constraints: Constraints) -> Bools:
    return side.is_line(constraints)


def over_all(side: Side, constraints: Constraints) -> Bools:
    return constraints.tail != side.nodes.ground


def single(lowest_: bool, over: Over) -> Maker:
    """One entry and what must follow it."""

    def make(_: random.Random, plan: Plan) -> Iterator[Plan]:
        found = solved(plan)
        side = sides(found)[lowest_]
        for node in side.free()[:MOST_ENTRIES]:
            value = side.held_back(node, 2**30)
            rank = side.ranked(value, node, over)
            yield posted(plan, found.nodes, *with_value(found, lowest_, value, rank))

    return make


def posted(plan: Plan, nodes: Nodes, low: Potentials, high: Potentials) -> Plan:
    """The plan with these potentials, and the volumes that the honest fills then are."""

    def at(node: int) -> Potential:
        vectors = (low.value, high.value, low.rank, high.rank)
        return Potential(*(int(vector[node]) for vector in vectors))

    header = Header(tuple(at(node) for node in nodes.quality[1:].ravel()))
    other = replace(plan, header=header)
    for own in plan.zones:
        energy = tuple(at(node) for node in nodes.zone[own.zone])
        other = other.with_posting(own.zone, energy=energy)
    for own in other.zones:
        other = other.with_posting(own.zone, marginals=marginals(plan, other, own))
    return other


def marginals(before: Plan, now: Plan, own: PreparedZone) -> tuple[Marginal, ...]:
    """At the new price of a cell, what filled at the old: beside the old price all or nothing."""
    market, honest = now.session.market, before.zones[own.zone].posting
    totals, found = at_price(now, own), []
    for cell, total in enumerate(totals):
        quality, window = divmod(cell, market.windows)
        old = clearing.price(market, before.header, honest, quality, window)
        new = clearing.price(market, now.header, own.posting, quality, window)
        filled = (total[0] if new > old else 0, total[1] if new < old else 0)
        found.append(honest.marginals[cell] if new == old else Marginal(total, filled))
    return tuple(found)


def at_price(plan: Plan, own: PreparedZone) -> list[tuple[int, int]]:
    """Wh at the posted price of each cell of a zone, by side."""
    market, totals = plan.session.market, [[0, 0] for _ in range(plan.session.market.cells)]
    for signed, reason in zip(own.orders, own.reasons, strict=True):
        if reason or not isinstance(signed, SignedSchedule):
            continue
        order = signed.schedule
        quality = market.grid.qualities.index(order.quality)
        first = order.first_window - market.params.first_window
        entries = zip(order.quantity_wh, order.limit_micro_per_kwh, strict=True)
        for window, (wh, limit) in enumerate(entries, start=first):
            if limit == clearing.price(market, plan.header, own.posting, quality, window):
                totals[market.index(quality, window)][order.side] += wh
    return [(buys, sells) for buys, sells in totals]


RANKS = {
    "a lower highest, ranks recomputed": whole(lowest_=False),
    "a higher lowest, ranks recomputed": whole(lowest_=True),
    "an entry of the highest lower, ranks flat over lines": single(lowest_=False, over=over_lines),
    "an entry of the lowest higher, ranks flat over lines": single(lowest_=True, over=over_lines),
    "an entry of the highest lower, ranks all alike": single(lowest_=False, over=over_all),
    "an entry of the lowest higher, ranks all alike": single(lowest_=True, over=over_all),
}
