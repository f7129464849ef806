"""The optimal flow: least cost, then most energy, then least substitution, exactly.

The three aims are one integer cost, `cost x K^2 - bought x K + substituted`. A flow is optimal exactly when
no cycle of its residual network has a negative cost, so the aims keep their order if no cycle can gain K in a
lesser one. A cycle enters each node at most once, and both lesser aims change only where it enters or leaves
a quality (the ground is one). With n qualities within a cycle's reach each changes by at most n, so that
K = n + 1 is enough: n (K + 1) = K^2 - 1.

Windows meet only at the ground, which balances once everything else does. So each window is solved alone,
several times as fast as all at once, and n is Q. A flexible order makes its windows one part, and then n is
1 + (Q - 1) x the part's windows.

The solver multiplies costs by the number of nodes, in int64. Where K^2 on top is too much for that, the aims
are solved one after the other: the flow of least cost first; then, among the arcs that a Wh passes at no loss
by potentials that support it, the best change by the two lesser aims. Every flow of least cost differs from
the first by a circulation over such arcs, so that is as exact.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from ortools.graph.python import min_cost_flow

from settlement.errors import InputError
from settlement.matching.flexible import FlexibleOrders, parts_of
from settlement.matching.market import CHARGE_LIMIT, Ints, Market
from settlement.matching.network import Arcs, Network, join
from settlement.matching.prices import Constraints, relax
from settlement.units import floor_div

SCALED_LIMIT = 2**62
"""Costs by all three aims must stay below, and potentials by them."""

ARCS_AT_ONCE = 1_000
"""Calling the solver takes as long as solving so many arcs."""


class CostRange(InputError):
    """Costs that the solver's int64 does not hold, or potentials that it would need."""

    def __init__(self) -> None:
        super().__init__(
            "limits and charges are so large, over so many zones and windows tied together by flexible "
            "orders, that the solver cannot hold them: narrow floor and cap, or clear fewer windows at once"
        )


def solve_directly(network: Network, market: Market, flexible: FlexibleOrders) -> Ints:
    """[A] the optimal flow over each arc, Wh."""
    arcs, parts = network.arcs, parts_of(flexible, market.windows)
    part = parts[window_of(network, market, flexible)]
    try:
        return solve_parts(arcs, one_cost(arcs, parts, market), part)
    except CostRange:
        flow = solve_parts(arcs, arcs.cost, part)
        value = _supporting(arcs, flow, network.nodes.count)
        return break_ties(arcs, Guess(flow, value), part, cycle_scale(parts, market))


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
    """[A] the three aims as one. A charge no trade could bear is cut to another that none could bear.

    CostRange if that is too much for int64.
    """
    scale = cycle_scale(parts, market)
    spread = (scale - 1) * (market.cap - market.floor)
    # No limit is cut, however far from zero all of them are.
    unbearable = min(max(spread + 1, abs(market.floor), abs(market.cap)), CHARGE_LIMIT)
    dearest = max(int(np.abs(arcs.cost).max(initial=0)), abs(market.floor), abs(market.cap))
    if 4 * (dearest + 1) * scale**2 >= SCALED_LIMIT:
        raise CostRange
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
    tail, head = _numbered(tail, head)
    solver = min_cost_flow.SimpleMinCostFlow()
    handles = solver.add_arcs_with_capacity_and_unit_cost(tail, head, capacity_wh, cost)
    status = solver.solve()
    # Its own check is exact: every cost and potential that it computes is one that int64 holds.
    if status == solver.BAD_COST_RANGE:
        raise CostRange
    if status != solver.OPTIMAL:
        raise RuntimeError(f"the flow solver ended with {status}")
    return np.asarray(solver.flows(handles), np.int64)


def _numbered(tail: Ints, head: Ints) -> tuple[Ints, Ints]:
    """The arcs' tails and heads, numbered densely."""
    used = np.zeros(1 + int(max(tail.max(), head.max())), bool)
    used[tail] = used[head] = True
    number = np.cumsum(used) - 1
    return number[tail], number[head]


# One aim after the other --------------------------------------------------------------------------------


class Guess(NamedTuple):
    """A flow that balances, and potentials (micro/kWh) that support it, or nearly do."""

    flow: Ints
    value: Ints


def break_ties(arcs: Arcs, best: Guess, part: Ints, scale: int) -> Ints:
    """[A] the best flow by the lesser aims among those of least cost, of which `best` is one, supported."""
    level = np.flatnonzero(arcs.cost + best.value[arcs.tail] == best.value[arcs.head])
    return improved(arcs, level, arcs.substituted - arcs.bought * scale, part, best.flow)


def improved(arcs: Arcs, chosen: Ints, cost: Ints, part: Ints, flow: Ints) -> Ints:
    """[A] the flow after the best change over the residual of the chosen arcs, at costs [A]."""
    ahead, back = residual(arcs, chosen, flow)
    one, two = arcs.rows(ahead), arcs.rows(back)
    one = replace(one, capacity_wh=one.capacity_wh - flow[ahead])
    two = replace(two, tail=two.head, head=two.tail, capacity_wh=flow[back])
    moved = solve_parts(
        join([one, two]), np.append(cost[ahead], -cost[back]), np.append(part[ahead], part[back])
    )
    after = flow.copy()
    after[ahead] += moved[: len(ahead)]
    after[back] -= moved[len(ahead) :]
    return after


def residual(arcs: Arcs, chosen: Ints, flow: Ints) -> tuple[Ints, Ints]:
    """Which of the chosen arcs can carry more, and which less."""
    return chosen[flow[chosen] < arcs.capacity_wh[chosen]], chosen[flow[chosen] > 0]


def residual_constraints(arcs: Arcs, chosen: Ints, flow: Ints, cost: Ints) -> Constraints:
    """What the flow demands of the potentials by its residual over the chosen arcs, at costs [A]."""
    ahead, back = residual(arcs, chosen, flow)
    return Constraints(
        np.append(arcs.tail[ahead], arcs.head[back]),
        np.append(arcs.head[ahead], arcs.tail[back]),
        np.append(cost[ahead], -cost[back]),
    )


def _supporting(arcs: Arcs, flow: Ints, nodes: int) -> Ints:
    """[nodes] potentials that support a flow of least cost."""
    everywhere = residual_constraints(arcs, np.arange(len(arcs)), flow, arcs.cost)
    return relax(np.zeros(nodes, np.int64), everywhere)
