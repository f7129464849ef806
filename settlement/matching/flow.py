"""The optimal flow: least cost, then most energy, then least substitution, all in one exact solve.

The three aims are one integer cost, `cost x K^2 - bought x K + substituted`. A flow is optimal exactly when
no cycle of its residual network has a negative cost, so the aims keep their order if no cycle can gain K in a
lesser one. A cycle enters each node at most once, and both lesser aims change only where it enters or leaves
a quality (the ground is one). With n qualities within a cycle's reach each changes by at most n, so that
K = n + 1 is enough: n (K + 1) = K^2 - 1.

Windows meet only at the ground, which balances once everything else does. So each window is solved alone,
several times as fast as all at once, and n is Q. A node that tied windows together (a flexible order's) would
make them one part, with n = 1 + (Q - 1) x its windows.
"""

from __future__ import annotations

import numpy as np
from ortools.graph.python import min_cost_flow

from settlement.matching.market import Ints, Market
from settlement.matching.network import Arcs, Network
from settlement.units import floor_div

SOLVER_LIMIT = 2**62
"""Costs times nodes must stay below: the solver scales by the number of nodes, in int64."""


def solve(network: Network, market: Market) -> Ints:
    """[A] the flow over each arc, Wh."""
    arcs, cost = network.arcs, _one_cost(network.arcs, market)
    nodes = market.zones + market.qualities
    if int(np.abs(cost).max(initial=0)) * 2 * (nodes + 1) >= SOLVER_LIMIT:
        raise OverflowError(f"{nodes} zones and qualities exceed the solver's range")
    window = _window_of(arcs, network.nodes.ground, market)
    by_window = np.argsort(window, kind="stable")
    ends = np.cumsum(np.bincount(window, minlength=market.windows))
    flow = np.zeros(len(arcs), np.int64)
    for part in np.split(by_window, ends[:-1]):
        tail = floor_div(arcs.tail[part], market.windows)
        head = floor_div(arcs.head[part], market.windows)
        flow[part] = _solve_part(tail, head, arcs.capacity_wh[part], cost[part])
    return flow


def _one_cost(arcs: Arcs, market: Market) -> Ints:
    """[A] the three aims as one. A charge no trade could bear is cut to another that none could bear."""
    scale = market.qualities + 1
    unbearable = market.qualities * (market.cap - market.floor) + 1
    cost: Ints = np.minimum(arcs.cost, unbearable) * scale**2 - arcs.bought * scale + arcs.substituted
    return cost


def _window_of(arcs: Arcs, ground: int, market: Market) -> Ints:
    """[A] the window of the end that is not the ground, in as few bytes as hold it: those sort faster."""
    inner = np.where(arcs.tail == ground, arcs.head, arcs.tail)
    return (inner % market.windows).astype(np.min_scalar_type(market.windows))


def _solve_part(tail: Ints, head: Ints, capacity_wh: Ints, cost: Ints) -> Ints:
    """The flow over the arcs of one part, its nodes numbered densely."""
    solver = min_cost_flow.SimpleMinCostFlow()
    if not len(tail):
        return np.zeros(0, np.int64)
    handles = solver.add_arcs_with_capacity_and_unit_cost(tail, head, capacity_wh, cost)
    status = solver.solve()
    if status != solver.OPTIMAL:
        raise RuntimeError(f"the flow solver ended with {status}")
    return np.asarray(solver.flows(handles), np.int64)
