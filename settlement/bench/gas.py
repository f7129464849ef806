"""`trellis bench gas`: what a community's day costs in steady state.

Measured is the second day of the same accounts: registered, and traded once. Everything that the operator
sends counts. A window-order is one window of one signed schedule; settling is counted by home and window.
`settlement/bench/trees.py` measures the same clearing over a tree of zones, `settlement/bench/aftermath.py`
later runs and challenges.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from settlement.bench import aftermath, trees
from settlement.bench.community import Community, Shape, running
from settlement.bench.registry import Figures, Tell
from settlement.chain import deploy
from settlement.chain.steps import Step

CLEARING = ("commitBooks", "postHeader", "clear", "closeZone", "joinChildren")

CASES: Mapping[str, Shape] = {
    "homes": Shape(),
    "wide": Shape(wide=True),
    "4q": Shape(qualities=(0, 5, 8, 15)),
    "both_sides": Shape(both_sides=True),
}
"""Figures end in the case's name; the homes' do not."""


@dataclass(frozen=True)
class DayGas:
    """What one day took."""

    shape: Shape
    gas: dict[str, int]
    """By step, over all its transactions."""
    transactions: int
    filled: int
    """Entries that filled at least in part."""

    def per_window_order(self) -> float:
        return _each(sum(self.gas.get(name, 0) for name in CLEARING), self.shape.window_orders)

    def per_window(self, step: str) -> float:
        return _each(self.gas[step], self.shape.windows)


def _each(gas: int, count: int) -> float:
    return round(gas / count, 1)


def measure(_: argparse.Namespace, tell: Tell) -> Figures:
    """Figures of every case, then bytecode sizes."""
    headline: dict[str, float] = {}
    details: dict[str, float] = {}
    days: dict[str, DayGas] = {}
    for name, shape in CASES.items():
        tell(f"{name}: {shape.homes} accounts clear and settle two days ...")
        suffix = "" if name == "homes" else f"_{name}"
        with running(shape) as community:
            days[name] = day = measure_day(community)
            headline |= _figures(day, suffix)
            details |= _details(day, suffix)
            sizes = deployed_bytes(community)
    over_zones, more = trees.measure(days["homes"].per_window_order(), tell)
    return headline | over_zones | aftermath.measure(tell) | sizes | details | more


def measure_day(community: Community) -> DayGas:
    """The second day, after both were cleared and the first was settled."""
    community.trade(1)
    cleared = community.trade(2)
    community.settle(1)
    settled = community.settle(2)
    steps = (*cleared.steps, *settled.steps)
    filled = sum(1 for fills in cleared.fills.values() for wh in fills if wh)
    return DayGas(community.shape, _by_name(steps), len(steps), filled)


def _by_name(steps: Sequence[Step]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for step in steps:
        total[step.name] += step.gas_used
    return dict(total)


def _figures(day: DayGas, suffix: str) -> dict[str, float]:
    return {
        f"clear_gas_per_window_order{suffix}": day.per_window_order(),
        f"settle_gas_per_window{suffix}": day.per_window("settle"),
        f"posting_gas_per_window{suffix}": day.per_window("postMetering"),
        f"certify_gas_per_window{suffix}": day.per_window("certify"),
        f"filled_entries_share{suffix}": round(day.filled / day.shape.window_orders, 3),
    }


def _details(day: DayGas, suffix: str) -> dict[str, float]:
    steps = {f"gas_{name}{suffix}": gas for name, gas in day.gas.items()}
    return {**steps, f"transactions{suffix}": day.transactions}


def deployed_bytes(community: Community) -> dict[str, float]:
    """Runtime bytecode of the Exchange and what it delegates to."""
    found = community.exchange.deployment
    names = (re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower() for name in deploy.MODULES)
    places = {"exchange": found.exchange, **dict(zip(names, found.modules, strict=True))}
    sizes = {f"deployed_bytes_{name}": len(community.chain.code(at)) for name, at in places.items()}
    return {"deployed_bytes": sum(sizes.values()), **sizes}
