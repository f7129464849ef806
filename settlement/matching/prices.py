"""Lowest and highest potentials over the residual network, their ranks, and the prices between them.

Every residual arc of an optimal flow is a constraint `y[head] <= y[tail] + cost`. The highest potentials are
the shortest distances from the outer bounds and the ground; the lowest are those of the network turned round.
They do not depend on which optimal flow the network is the residue of.

A flexible order's node is not posted. It has no outer bound, and no rank of its own: what reaches it hands
its rank on, as if every two windows it ties together bounded each other directly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from settlement.errors import InputError
from settlement.matching.book import BUY, Levels
from settlement.matching.market import Ints, Market
from settlement.matching.network import Network, Nodes
from settlement.units import POTENTIAL_LIMIT, floor_div

UNREACHED = 2**40
"""Stands for no bound, and for no rank yet: beyond every potential, and beyond every number of nodes."""

GROUND_RANK = -1


class OutOfRange(InputError):
    """Limits and charges lie so far apart that no potentials within the outer bounds support the clearing."""

    def __init__(self) -> None:
        super().__init__(
            "limits and charges lie so far apart that no potentials within 2^29 support the clearing"
        )


@dataclass(frozen=True, eq=False)
class Constraints:
    """`y[head] <= y[tail] + cost`, one row each, int64 [C]; micro/kWh."""

    tail: Ints
    head: Ints
    cost: Ints

    def turned(self) -> Constraints:
        """The same constraints on `-y`."""
        return Constraints(self.head, self.tail, self.cost)


@dataclass(frozen=True, eq=False)
class Potentials:
    """One of the two extreme vectors over nodes: its values, and the ranks that prove it extreme."""

    value: Ints
    rank: Ints


def constraints_of(network: Network, levels: Levels, flow: Ints, market: Market) -> Constraints:
    """What an optimal flow demands of the potentials."""
    cells = _cell_constraints(network.nodes, levels, flow[network.levels], market)
    arcs, fixed = network.arcs, network.fixed
    tail, head, cost, used = arcs.tail[fixed], arcs.head[fixed], arcs.cost[fixed], flow[fixed]
    room, carries = used < arcs.capacity_wh[fixed], used > 0
    return Constraints(
        np.concatenate([cells.tail, tail[room], head[carries]]),
        np.concatenate([cells.head, head[room], tail[carries]]),
        np.concatenate([cells.cost, cost[room], -cost[carries]]),
    )


def _cell_constraints(nodes: Nodes, levels: Levels, filled: Ints, market: Market) -> Constraints:
    """The tightest bounds that each cell's levels put on `e - y`, both ways."""
    buy, some, room = levels.side == BUY, filled > 0, filled < levels.quantity_wh
    above = np.where(buy, some, room)
    below = np.where(buy, room, some)
    upper = np.full(market.cells, UNREACHED)
    lower = np.full(market.cells, -UNREACHED)
    np.minimum.at(upper, levels.cell[above], levels.limit[above])
    np.maximum.at(lower, levels.cell[below], levels.limit[below])
    zone = np.broadcast_to(nodes.zone[:, None, :], market.cell_shape).ravel()
    quality = np.broadcast_to(nodes.quality[None, :, :], market.cell_shape).ravel()
    capped, floored = upper < UNREACHED, lower > -UNREACHED
    return Constraints(
        np.concatenate([quality[capped], zone[floored]]),
        np.concatenate([zone[capped], quality[floored]]),
        np.concatenate([upper[capped], -lower[floored]]),
    )


def outer_bounds(nodes: Nodes) -> tuple[Ints, Ints]:
    """(least, most) of every node, [nodes] each: within 2^29 of 0, and only a zone above 0.

    A flexible order has none.
    """
    least = np.full(nodes.count, -POTENTIAL_LIMIT)
    most = np.zeros(nodes.count, np.int64)
    most[nodes.zone.ravel()] = POTENTIAL_LIMIT
    least[nodes.ground] = 0
    least[nodes.flexible], most[nodes.flexible] = -UNREACHED, UNREACHED
    return least, most


def lowest(constraints: Constraints, nodes: Nodes) -> Potentials:
    """The lowest potentials: the highest of the network turned round, negated."""
    least, most = outer_bounds(nodes)
    turned = _highest(-most, -least, constraints.turned(), nodes.ground)
    return Potentials(-turned.value, turned.rank)


def highest(constraints: Constraints, nodes: Nodes) -> Potentials:
    """The highest potentials."""
    return _highest(*outer_bounds(nodes), constraints, nodes.ground)


def midpoint(low: Ints, high: Ints) -> Ints:
    """The clearing potentials: they satisfy every constraint again, as such sets are L-natural-convex."""
    return floor_div(low + high, 2)


def cell_prices(energy: Ints, quality: Ints) -> Ints:
    """[Z, Q, W] micro/kWh, from e [Z, W] and y [Q, W]."""
    return energy[:, None, :] - quality[None, :, :]


def _highest(least: Ints, most: Ints, constraints: Constraints, ground: int) -> Potentials:
    """Shortest distances below `most`, and hops over tight constraints from an outer bound or the ground."""
    value = relax(most, constraints)
    if (value[: ground + 1] < least[: ground + 1]).any():
        raise OutOfRange
    tail, head, cost = constraints.tail, constraints.head, constraints.cost
    tight = value[head] == value[tail] + cost
    start = np.where(value == most, 0, UNREACHED)
    start[ground] = GROUND_RANK
    posted = tail[tight] <= ground
    hop = Constraints(tail[tight], head[tight], posted.astype(np.int64))
    return Potentials(value, relax(start, hop))


def relax(start: Ints, constraints: Constraints) -> Ints:
    """The greatest vector up to `start` that meets the constraints: Bellman and Ford, an array pass a hop."""
    by_head = np.argsort(constraints.head, kind="stable")
    tail, head, cost = constraints.tail[by_head], constraints.head[by_head], constraints.cost[by_head]
    first = np.flatnonzero(np.diff(head, prepend=-1))
    reached, value = head[first], start.copy()
    for _ in range(len(start) + 1):
        if not len(first):
            break
        offered = np.minimum.reduceat(value[tail] + cost, first)
        if (offered >= value[reached]).all():
            break
        value[reached] = np.minimum(value[reached], offered)
    else:
        raise OutOfRange
    return value
