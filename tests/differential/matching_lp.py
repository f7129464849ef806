"""The clearing as a linear program, order by order, solved by HiGHS: nothing shared with the matcher.

Its optimum is integral (two laminar families), so its flow is rounded and everything after is exact.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from settlement.matching import BUY, ROOT, Book, FlexibleOrders, Market, no_flexible
from settlement.units import POTENTIAL_LIMIT

Node = tuple[str, int, int]
UNBOUNDED = 2**40
GROUND: Node = ("quality", 0, 0)


@dataclass(frozen=True)
class Arc:
    """An order's row, a line one way, or a substitution; `gain` is micro/kWh that a Wh adds to welfare."""

    tail: Node
    head: Node
    capacity_wh: int
    gain: int
    energy: int


def arcs_of(book: Book, market: Market, flexible: FlexibleOrders | None = None) -> list[Arc]:
    """Every row, then every line up and down, every substitution, and every flexible order's arcs."""
    flexible = no_flexible() if flexible is None else flexible
    total = int(book.quantity_wh.sum()) + int(flexible.energy_wh.sum()) + 1
    arcs = [_row_arc(book, row) for row in range(len(book))]
    for window in range(market.windows):
        for zone in np.flatnonzero(market.parent != ROOT).tolist():
            child, parent = ("zone", zone, window), ("zone", int(market.parent[zone]), window)
            capacity, gain = min(int(market.capacity_wh[zone]), total), -int(market.charge[zone])
            arcs += [Arc(child, parent, capacity, gain, 0), Arc(parent, child, capacity, gain, 0)]
        for giver, taker in market.substitutions.tolist():
            arcs.append(Arc(_quality(taker, window), _quality(giver, window), total, 0, 0))
    return arcs + [arc for row in range(len(flexible)) for arc in _flexible_arcs(flexible, row)]


def _flexible_arcs(flexible: FlexibleOrders, row: int) -> Iterator[Arc]:
    """A node of its own between the ground and its zone in each window."""
    own: Node = ("flexible", row, 0)
    zone, most, limit = (int(v[row]) for v in (flexible.zone, flexible.max_wh_per_window, flexible.limit))
    buys, energy = flexible.side[row] == BUY, int(flexible.energy_wh[row])
    yield Arc(own, GROUND, energy, limit, 1) if buys else Arc(GROUND, own, energy, -limit, 0)
    for window in range(int(flexible.first_window[row]), int(flexible.last_window[row]) + 1):
        here: Node = ("zone", zone, window)
        yield Arc(here, own, most, 0, 0) if buys else Arc(own, here, most, 0, 0)


def _quality(quality: int, window: int) -> Node:
    return ("quality", quality, window) if quality else GROUND


def _row_arc(book: Book, row: int) -> Arc:
    window, limit = int(book.window[row]), int(book.limit[row])
    zone, quality = ("zone", int(book.zone[row]), window), _quality(int(book.quality[row]), window)
    if book.side[row] == BUY:
        return Arc(zone, quality, int(book.quantity_wh[row]), limit, 1)
    return Arc(quality, zone, int(book.quantity_wh[row]), -limit, 0)


class Highs:
    """The solver's process, for as long as the `with` lasts."""

    def __enter__(self) -> Highs:
        program = [sys.executable, str(Path(__file__).with_name("matching_highs.py"))]
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def most(self, arcs: list[Arc], gains: list[int], held: tuple[list[int], int] | None = None) -> list[int]:
        """A circulation of most total gain, in whole Wh; `held` keeps another total at a given value."""
        if not arcs:
            return []
        nodes = {
            node: i for i, node in enumerate(dict.fromkeys(n for arc in arcs for n in (arc.tail, arc.head)))
        }
        program = {
            "tail": [nodes[arc.tail] for arc in arcs],
            "head": [nodes[arc.head] for arc in arcs],
            "capacity": [arc.capacity_wh for arc in arcs],
            "gain": gains,
            "held": held,
        }
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(program), file=self.process.stdin, flush=True)
        flow = json.loads(self.process.stdout.readline())
        assert all(abs(wh - round(wh)) < 1e-5 for wh in flow)
        return [round(wh) for wh in flow]


def extremes(arcs: list[Arc], flow: list[int], market: Market) -> tuple[dict[Node, int], dict[Node, int]]:
    """Lowest and highest potentials over the residual arcs of a flow: plain Bellman and Ford, arc by arc."""
    residual = [(a.tail, a.head, -a.gain) for a, f in zip(arcs, flow, strict=True) if f < a.capacity_wh]
    residual += [(a.head, a.tail, a.gain) for a, f in zip(arcs, flow, strict=True) if f > 0]
    low: dict[Node, int] = {GROUND: 0}
    high: dict[Node, int] = {GROUND: 0}
    for window in range(market.windows):
        for zone in range(market.zones):
            low["zone", zone, window], high["zone", zone, window] = -POTENTIAL_LIMIT, POTENTIAL_LIMIT
        for quality in range(1, market.qualities):
            low["quality", quality, window], high["quality", quality, window] = -POTENTIAL_LIMIT, 0
    own = {node for arc in arcs for node in (arc.tail, arc.head) if node[0] == "flexible"}
    low.update(dict.fromkeys(own, -UNBOUNDED))
    high.update(dict.fromkeys(own, UNBOUNDED))
    changed = True
    while changed:
        changed = False
        for tail, head, cost in residual:
            if high[tail] + cost < high[head]:
                high[head], changed = high[tail] + cost, True
            if low[head] - cost > low[tail]:
                low[tail], changed = low[head] - cost, True
    return low, high
