"""The optimal flow: least cost, then most energy, then least substitution, all in one exact solve.

The three aims are one integer cost, `cost x K^2 - bought x K + substituted`. A flow is optimal exactly when
no cycle of its residual network has a negative cost, so the aims keep their order if no cycle can gain K in a
lesser one. A cycle enters each node at most once, and both lesser aims change only where it enters or leaves
a quality (the ground is one). With n qualities within a cycle's reach each changes by at most n, so that
K = n + 1 is enough: n (K + 1) = K^2 - 1.

Windows meet only at the ground, which balances once everything else does. So each window is solved alone,
several times as fast as all at once, and n is Q. A flexible order makes its windows one part, and then n is
1 + (Q - 1) x the part's windows.
"""

from __future__ import annotations

import numpy as np
from ortools.graph.python import min_cost_flow

from settlement.errors import InputError
from settlement.matching.flexible import FlexibleOrders, parts_of
from settlement.matching.market import CHARGE_LIMIT, Ints, Market
from settlement.matching.network import Arcs, Network
from settlement.units import floor_div

SOLVER_LIMIT = 2**62
"""Costs times nodes must stay below: the solver scales by the number of nodes, in int64."""

ARCS_AT_ONCE = 1_000
"""Calling the solver takes as long as solving so many arcs."""

OUT_OF_RANGE = "so many zones and qualities, in windows tied together, exceed the solver's range"


def solve_directly(network: Network, market: Market, flexible: FlexibleOrders) -> Ints:
    """[A] the optimal flow over each arc, Wh."""
    parts = parts_of(flexible, market.windows)
    cost = one_cost(network.arcs, parts, market)
    part = parts[window_of(network, market, flexible)]
    return solve_parts(network.arcs, cost, part)


def window_of(network: Network, market: Market, flexible: FlexibleOrders) -> Ints:
    """[A] the window of an arc's end that is a zone or a quality; the first of its range for a total."""
    arcs, ground = network.arcs, network.nodes.ground
    window: Ints = np.where(arcs.tail >= ground, arcs.head, arcs.tail) % market.windows
    window[network.totals] = flexible.first_window
    return window


def cycle_scale(parts: Ints, market: Market) -> int:
    """K, for windows [W] that belong to these parts."""
    return 2 + (market.qualities - 1) * int(np.bincount(parts).max())


def one_cost(arcs: Arcs, parts: Ints, market: Market) -> Ints:
    """[A] the three aims as one. A charge no trade could bear is cut to another that none could bear."""
    scale = cycle_scale(parts, market)
    spread = (scale - 1) * (market.cap - market.floor)
    # No limit is cut, however far from zero all of them are.
    unbearable = min(max(spread + 1, abs(market.floor), abs(market.cap)), CHARGE_LIMIT)
    if (int(np.abs(arcs.cost).max(initial=0)) + 1) * scale**2 >= SOLVER_LIMIT:
        raise InputError(OUT_OF_RANGE)
    cost: Ints = np.minimum(arcs.cost, unbearable) * scale**2 - arcs.bought * scale + arcs.substituted
    return cost


def solve_parts(arcs: Arcs, cost: Ints, part: Ints) -> Ints:
    """[A] the flow of least cost, each part [A] of the network by itself, small ones several at once."""
    sizes = np.bincount(part)
    part = floor_div(np.cumsum(sizes) - sizes, ARCS_AT_ONCE)[part]
    part = part.astype(np.min_scalar_type(int(part.max(initial=0))))  # a few bytes sort faster
    by_part = np.argsort(part, kind="stable")
    ends = np.cumsum(np.bincount(part))
    flow = np.zeros(len(arcs), np.int64)
    for chosen in np.split(by_part, ends[:-1]):
        if len(chosen):
            flow[chosen] = _solve(
                arcs.tail[chosen], arcs.head[chosen], arcs.capacity_wh[chosen], cost[chosen]
            )
    return flow


def _solve(tail: Ints, head: Ints, capacity_wh: Ints, cost: Ints) -> Ints:
    nodes, tail, head = _numbered(tail, head)
    if int(np.abs(cost).max()) * 2 * (nodes + 1) >= SOLVER_LIMIT:
        raise InputError(OUT_OF_RANGE)
    solver = min_cost_flow.SimpleMinCostFlow()
    handles = solver.add_arcs_with_capacity_and_unit_cost(tail, head, capacity_wh, cost)
    status = solver.solve()
    if status == solver.BAD_COST_RANGE:
        raise InputError(OUT_OF_RANGE)
    if status != solver.OPTIMAL:
        raise RuntimeError(f"the flow solver ended with {status}")
    return np.asarray(solver.flows(handles), np.int64)


def _numbered(tail: Ints, head: Ints) -> tuple[int, Ints, Ints]:
    """How many nodes the arcs have, and their tails and heads, numbered densely."""
    used = np.zeros(1 + int(max(tail.max(), head.max())), bool)
    used[tail] = used[head] = True
    number = np.cumsum(used) - 1
    return int(number[-1]) + 1, number[tail], number[head]
