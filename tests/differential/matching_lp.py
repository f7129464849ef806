"""The clearing as a linear program, order by order, solved by HiGHS: nothing shared with the matcher.

Its optimum is integral (two laminar families), so its flow is rounded and everything after is exact.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from settlement.matching import BUY, ROOT, Book, Market
from settlement.units import POTENTIAL_LIMIT

Node = tuple[str, int, int]
GROUND: Node = ("quality", 0, 0)


@dataclass(frozen=True)
class Arc:
    """An order's row, a line one way, or a substitution; `gain` is micro/kWh that a Wh adds to welfare."""

    tail: Node
    head: Node
    capacity_wh: int
    gain: int
    energy: int


def arcs_of(book: Book, market: Market) -> list[Arc]:
    """Every row, then every line up and down, then every substitution."""
    total = int(book.quantity_wh.sum()) + 1
    arcs = [_row_arc(book, row) for row in range(len(book))]
    for window in range(market.windows):
        for zone in np.flatnonzero(market.parent != ROOT).tolist():
            child, parent = ("zone", zone, window), ("zone", int(market.parent[zone]), window)
            capacity, gain = min(int(market.capacity_wh[zone]), total), -int(market.charge[zone])
            arcs += [Arc(child, parent, capacity, gain, 0), Arc(parent, child, capacity, gain, 0)]
        for giver, taker in market.substitutions.tolist():
            arcs.append(Arc(_quality(taker, window), _quality(giver, window), total, 0, 0))
    return arcs


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
    changed = True
    while changed:
        changed = False
        for tail, head, cost in residual:
            if high[tail] + cost < high[head]:
                high[head], changed = high[tail] + cost, True
            if low[head] - cost > low[tail]:
                low[tail], changed = low[head] - cost, True
    return low, high
