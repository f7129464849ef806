"""The optimal flow: least cost, then most energy, then least substitution, all in one exact solve.

The three aims are one integer cost, `cost x K^2 - bought x K + substituted`. A flow is optimal exactly when no
cycle of its residual network has a negative cost, so the aims keep their order if no cycle can gain K in a lesser
one. A cycle enters each node at most once, and both lesser aims change only where it enters or leaves a quality
(the ground is one). With n qualities within a cycle's reach each changes by at most n, and K = n + 1 is enough:
n (K + 1) = K^2 - 1. Without further nodes a cycle stays in one window, so n is Q.
"""

from __future__ import annotations

import numpy as np
from ortools.graph.python import min_cost_flow

from settlement.matching.market import Ints, Market
from settlement.matching.network import Arcs, Network

SOLVER_LIMIT = 2**62
"""Costs times nodes must stay below: the solver scales by the number of nodes, in int64."""


def solve(network: Network, market: Market) -> Ints:
    """[A] the flow over each arc, Wh."""
    arcs, reach = network.arcs, market.qualities
    cost = _one_cost(arcs, reach, market)
    solver = min_cost_flow.SimpleMinCostFlow()
    if not len(arcs):
        return np.zeros(0, np.int64)
    if int(np.abs(cost).max()) * 2 * (network.nodes.count + 1) >= SOLVER_LIMIT:
        raise OverflowError(f"{network.nodes.count} nodes and {reach} qualities exceed the solver's range")
    handles = solver.add_arcs_with_capacity_and_unit_cost(arcs.tail, arcs.head, arcs.capacity_wh, cost)
    status = solver.solve()
    if status != solver.OPTIMAL:
        raise RuntimeError(f"the flow solver ended with {status}")
    return np.asarray(solver.flows(handles), np.int64)


def _one_cost(arcs: Arcs, reach: int, market: Market) -> Ints:
    """[A] the three aims as one. A charge that no trade could bear is cut to one that none could bear either."""
    scale = reach + 1
    unbearable = reach * (market.cap - market.floor) + 1
    cost: Ints = np.minimum(arcs.cost, unbearable) * scale**2 - arcs.bought * scale + arcs.substituted
    return cost
