"""Large networks: solve a coarse one first, then only the arcs near its prices, until nothing else matters.

Price levels are merged to a few a cell and side. The coarse flow, its levels filled best first, is a flow of
the whole network, and its potentials are an estimate of the prices. From there on the flow is improved over
residual arcs whose reduced cost is small. It is optimal, exactly, once some potentials leave no residual arc
of the whole network with a negative reduced cost; arcs that have one join the next round. If that does not
end soon each round takes in more, in the end everything, so the rounds end.

Flexible orders make windows one part, and large parts are what takes time. So windows are improved alone
first, with flexible orders as they are; then together by cost alone; and by all three aims when little is
left to do, or by the lesser ones alone once nothing is, where all three are too much for the solver.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from settlement.matching.book import BUY, Levels
from settlement.matching.flexible import FlexibleOrders, parts_of
from settlement.matching.flow import (
    CostRange,
    Guess,
    break_ties,
    cycle_scale,
    improved,
    one_cost,
    residual_constraints,
    solve_directly,
    solve_parts,
    window_of,
)
from settlement.matching.market import Bools, Ints, Market
from settlement.matching.network import Arcs, Network, make_network
from settlement.matching.prices import constraints_of, midpoint, outer_bounds, relax
from settlement.units import floor_div

FEWEST_LEVELS = 20_000
"""Networks with fewer price levels are solved as they are."""

MERGED_LEVELS = 60_000
"""The coarse network has about so many levels, but at least two a cell and side."""

NEAR_LEVELS = 10_000
"""A round begins with the arcs of so many price levels, or three a cell."""

PATIENCE = 12
"""After so many rounds each takes in more arcs, whatever is left to do."""

FEW, VERY_FEW = 10, 5_000
"""Where fewer than one arc in so many is wrong, the next round need not reach further, or is not needed."""


@dataclass(frozen=True, eq=False)
class Task:
    """The arcs of a network with their costs, the parts they belong to, and which of them may change."""

    arcs: Arcs
    levels: slice
    cells: int
    cost: Ints
    part: Ints
    free: Bools
    scale: int


def solve(network: Network, levels: Levels, market: Market, flexible: FlexibleOrders) -> Ints:
    """[A] the optimal flow over each arc, Wh."""
    if len(levels.cell) < FEWEST_LEVELS:
        return solve_directly(network, market, flexible)
    guess = _coarse(levels, market, flexible)
    window, parts = window_of(network, market, flexible), parts_of(flexible, market.windows)
    plain = _plain(network, market, parts[window])
    try:
        if len(flexible):
            guess = _improve(_alone(network, market, window), guess, whole=False)
            guess = _improve(plain, guess, whole=False)
        return _improve(_task(network, market, parts, window), guess, whole=True).flow
    except CostRange:
        best = _improve(plain, guess, whole=True)
        return break_ties(network.arcs, best, plain.part, cycle_scale(parts, market))


def _task(network: Network, market: Market, parts: Ints, window: Ints) -> Task:
    """By all three aims, with windows [W] in these parts."""
    cost, scale = one_cost(network.arcs, parts, market), cycle_scale(parts, market) ** 2
    return replace(_plain(network, market, parts[window]), cost=cost, scale=scale)


def _alone(network: Network, market: Market, window: Ints) -> Task:
    """By all three aims, each window by itself, with flexible orders as they are."""
    free = np.ones(len(window), bool)
    free[network.shares.start :] = False
    return replace(_task(network, market, np.arange(market.windows), window), free=free)


def _plain(network: Network, market: Market, part: Ints) -> Task:
    """By cost alone."""
    arcs, free = network.arcs, np.ones(len(part), bool)
    return Task(arcs, network.levels, market.cells, cost=arcs.cost, part=part, free=free, scale=1)


def _improve(task: Task, guess: Guess, whole: bool) -> Guess:
    """Rounds until the flow is optimal; without `whole`, until little is left to do."""
    flow, value = guess.flow, guess.value * task.scale
    reduced = _reduced(task, value)
    wrong, reach = _wrong(task, flow, reduced), _first_reach(task, reduced)
    for rounds in count(1):
        chosen = np.flatnonzero(task.free & (wrong | (np.abs(reduced) <= reach)))
        flow = _round(task, chosen, reduced, flow)
        value = _supporting(task, chosen, flow, value)
        reduced = _reduced(task, value)
        wrong = _wrong(task, flow, reduced)
        left = np.count_nonzero(wrong)
        if not left or (not whole and left * VERY_FEW < len(chosen)):
            break
        if left * FEW > len(chosen) or rounds >= PATIENCE:
            reach *= 4
    return Guess(flow, floor_div(value, task.scale))


def _reduced(task: Task, value: Ints) -> Ints:
    """[A] what a Wh costs on its way, with what the potentials of its ends differ by."""
    reduced: Ints = task.cost + value[task.arcs.tail] - value[task.arcs.head]
    return reduced


def _wrong(task: Task, flow: Ints, reduced: Ints) -> Bools:
    """[A] where more, or less, would cost less."""
    more, less = flow < task.arcs.capacity_wh, flow > 0
    found: Bools = task.free & ((reduced < 0) & more | (reduced > 0) & less)
    return found


def _first_reach(task: Task, reduced: Ints) -> int:
    """The reduced cost within which lie a few price levels a cell."""
    near, wanted = np.abs(reduced[task.levels]), max(NEAR_LEVELS, 3 * task.cells)
    reach = np.partition(near, wanted)[wanted] if wanted < len(near) else near.max()
    return max(int(reach), task.scale)


def _round(task: Task, chosen: Ints, reduced: Ints, flow: Ints) -> Ints:
    """The flow after the best change over the residual of the chosen arcs.

    Reduced costs differ from costs by potentials, which cancel in every cycle. Being small they solve faster.
    """
    return improved(task.arcs, chosen, reduced, task.part, flow)


def _supporting(task: Task, chosen: Ints, flow: Ints, value: Ints) -> Ints:
    """Potentials as close as may be to `value` that support the flow over the chosen arcs."""
    constraints = residual_constraints(task.arcs, chosen, flow, task.cost)
    below, above = relax(value, constraints), -relax(-value, constraints.turned())
    return midpoint(below, above)


def _coarse(levels: Levels, market: Market, flexible: FlexibleOrders) -> Guess:
    """The flow of least cost over merged levels, spread over the levels themselves."""
    first = _runs(levels)
    middle = floor_div(first + np.append(first[1:], len(levels.cell)) - 1, 2)
    merged = Levels(
        cell=levels.cell[first],
        side=levels.side[first],
        limit=levels.limit[middle],
        quantity_wh=np.add.reduceat(levels.quantity_wh, first),
    )
    network = make_network(merged, market, flexible)
    part = parts_of(flexible, market.windows)[window_of(network, market, flexible)]
    flow = solve_parts(network.arcs, network.arcs.cost, part)
    spread = _spread(levels, first, flow[network.levels])
    return Guess(np.append(spread, flow[network.fixed]), _estimate(network, merged, flow, market))


def _estimate(network: Network, levels: Levels, flow: Ints, market: Market) -> Ints:
    """Potentials in the middle of what supports a flow, and no further out than limits are.

    Merged levels may ask for more than the outer bounds allow where the levels themselves do not: what does
    not fit is cut off, since this is only where the search begins.
    """
    nodes, constraints = network.nodes, constraints_of(network, levels, flow, market)
    least, most = np.full((2, nodes.count), [[market.floor], [market.cap]])
    least[nodes.quality], most[nodes.quality] = market.floor - market.cap, 0
    least[nodes.ground] = 0
    outer_least, outer_most = outer_bounds(nodes)
    low, high = -relax(-outer_least, constraints.turned()), relax(outer_most, constraints)
    return midpoint(np.clip(low, least, most), np.clip(high, least, most))


def _runs(levels: Levels) -> Ints:
    """Where the levels begin that are merged: runs of equal numbers of levels in each cell and side."""
    group = levels.cell * 2 + levels.side
    first = np.flatnonzero(np.diff(group, prepend=-1))
    sizes = np.diff(first, append=len(group))
    each = max(2, floor_div(MERGED_LEVELS, len(first)))
    place = np.arange(len(group)) - np.repeat(first, sizes)
    run = group * each + floor_div(place * each, np.repeat(sizes, sizes))
    return np.flatnonzero(np.diff(run, prepend=-1))


def _spread(levels: Levels, first: Ints, filled: Ints) -> Ints:
    """What each level fills if every run fills so much, its best limits first."""
    sizes = np.diff(first, append=len(levels.cell))
    upto = np.cumsum(levels.quantity_wh)
    start, end = (upto - levels.quantity_wh)[first], upto[first + sizes - 1]
    better_sells = upto - levels.quantity_wh - np.repeat(start, sizes)
    better_buys = np.repeat(end, sizes) - upto
    before = np.where(levels.side == BUY, better_buys, better_sells)
    spread: Ints = np.clip(np.repeat(filled, sizes) - before, 0, levels.quantity_wh)
    return spread
