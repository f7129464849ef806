"""Whether actual readings can be true, before they count as actual.

A reading that fails is not altered. Either it is taken out, reported, and the window is estimated like any
other gap, so that its entry is flagged estimated (the meter's own signed read can still correct the posting
later); or it stays and is reported as a warning. Which of the two, and from where on, is a `Rules` value,
the same for every node: postings follow from it.

Checks (`oracle.checks`) run in the order of `ORDER`, each on what those before it have left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oracle import checks
from oracle.day import MISSING, OUT_OF_SERVICE, Mask, MeterDay
from oracle.errors import OutOfRange
from oracle.estimation import History
from oracle.intake import Reason
from oracle.messages import IMPORT, Reading
from oracle.registers import RegisterReads, Stretches, stretches
from oracle.registry import MeterRegistry
from oracle.split import Ints
from settlement.reference.posting import ACTUAL

UNLIMITED = (1 << 30) - 1
HOUR_S = 3_600


class Action(Enum):
    """What becomes of a reading that fails a check."""

    OFF = "not checked"
    WARN = "reported"
    REMOVE = "reported, taken out and estimated"


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as a failure, and what follows. OutOfRange if a limit is none.

    By default a signed reading is taken out only where something else than its own day contradicts it: the
    connection's capacity, or the register. Batteries export for half an hour and cars charge for one, homes
    have empty days and flat nights: those are reported for somebody to look at. Of 17,198 days of measured
    registers (5 to 60 minutes) the surge rule tells of 10: the 8 lumps by which a logger caught up after a
    gap, and two true peaks. The spike rule warns of 2.4%.
    """

    over_capacity: Action = Action.REMOVE
    clock: Action = Action.WARN
    """Arrival times differ between nodes: removing by them needs times that the nodes share."""
    stuck: Action = Action.WARN
    zero_run: Action = Action.WARN
    denied: Action = Action.REMOVE
    """A surge that alone exceeds what its register advanced by."""
    surge: Action = Action.WARN
    spike: Action = Action.WARN
    sum: Action = Action.WARN
    """It does not say which window is wrong."""
    clock_tolerance_s: int = 60
    stuck_s: int = 12 * HOUR_S
    """The longest that one value other than zero may be repeated."""
    zero_run_s: int = 6 * HOUR_S
    """The longest that an import register may be zero, if it seldom was before:"""
    zero_share: tuple[int, int] = (1, 20)
    """at most this part (p/q) of its past actual windows. Without a past it is not checked."""
    surge_ratio: tuple[int, int] = (10, 1)
    surge_floor_w: int = 3_000
    """Mean power below which nothing is a surge."""
    spike_ratio: tuple[int, int] = (14, 5)
    """180% more than the third highest."""
    spike_floor_w: int = 1_000
    resolution_wh: int = 1
    """Of register reads: one that counts whole kWh has 1000."""

    def __post_init__(self) -> None:
        for name in ("zero_share", "surge_ratio", "spike_ratio"):
            p, q = getattr(self, name)
            if not (0 <= p < 1 << 31 and 0 < q < 1 << 31):
                raise OutOfRange(name, "a fraction (p, q) with 0 <= p, 0 < q, both below 2^31")
        numbers = ("clock_tolerance_s", "stuck_s", "zero_run_s", "resolution_wh")
        for name in (*numbers, "surge_floor_w", "spike_floor_w"):
            if getattr(self, name) < 0:
                raise OutOfRange(name, "a limit is not negative")


RULES = Rules()
"""The defaults."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An actual reading that failed a check."""

    reading: Reading
    reason: Reason


class Validated(NamedTuple):
    """A day after validation."""

    readings: MeterDay
    """Without what was taken out."""
    failures: tuple[Failure, ...]
    """What was, one for each reading: the first check that it failed. Ascending by reading."""
    warnings: tuple[Failure, ...]
    """What failed a check and stayed, one for each check. Ascending by reading."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a day is judged by, besides itself; everything but the capacities may be missing."""

    capacity_wh: Ints
    """(S,), see `capacities_wh`."""
    history: History | None = None
    """Past days of the same series."""
    reads: RegisterReads | None = None
    arrived_s: npt.NDArray[np.int64] | None = None
    """(S, W) when each reading arrived, unix s, or `checks.NEVER`."""
    upheld: Mask | None = None
    """(S, W) readings that a challenge upheld (`oracle.upheld`): never taken out, at most reported."""


def capacities_wh(registry: MeterRegistry, window_length_s: int) -> Ints:
    """(S,) the most energy that each of the registry's series can have in one window, Wh, rounded up."""
    watts = (registry[meter_id].capacity_w for meter_id, _ in registry.series)
    wh = (UNLIMITED if w is None else min(UNLIMITED, -(-w * window_length_s // HOUR_S)) for w in watts)
    return np.fromiter(wh, np.int64, len(registry.series))


def validate(readings: MeterDay, evidence: Evidence, rules: Rules = RULES) -> Validated:
    """The day without the actuals that cannot be true, those, and the doubtful ones that stayed.

    WrongShape if the evidence is of another day or other series.
    """
    known = None if evidence.reads is None else stretches(evidence.reads, readings.wh.shape)
    left = readings.flags == ACTUAL
    upheld = np.zeros(left.shape, np.bool_) if evidence.upheld is None else evidence.upheld
    failures: list[tuple[int, int, Reason]] = []
    warnings: list[tuple[int, int, Reason]] = []
    for reason, check in ORDER.items():
        action = getattr(rules, reason.name.lower())
        if action is Action.OFF:
            continue
        failed = check(_Case(readings, left, evidence, known, rules))
        kept = failed & upheld if action is Action.REMOVE else failed
        warnings += _cells(kept, reason)
        failures += _cells(failed & ~kept, reason)
        left = left & (~failed | kept)
    warned = (warning for warning in warnings if left[warning[:2]])
    return Validated(_without(readings, left), _told(readings, failures), _told(readings, warned))


def _cells(failed: Mask, reason: Reason) -> list[tuple[int, int, Reason]]:
    return [(int(row), int(column), reason) for row, column in zip(*np.nonzero(failed), strict=True)]


@dataclass(frozen=True, eq=False)
class _Case:
    """What a check is asked about."""

    readings: MeterDay
    left: Mask
    """(S, W) actuals that no check has taken out yet."""
    evidence: Evidence
    known: Stretches | None
    rules: Rules

    def windows(self, seconds: int) -> int:
        return seconds // self.readings.day.window_length_s

    def energy_wh(self, watts: int) -> int:
        return watts * self.readings.day.window_length_s // HOUR_S

    def sums(self) -> tuple[Mask, Mask]:
        """What the register reads contradict, and what they confirm."""
        if self.known is None:
            none = np.zeros(self.left.shape, np.bool_)
            return none, none
        serving = self.readings.flags != OUT_OF_SERVICE
        return checks.sum_check(self.readings.wh, self.left, self.known, serving, self.rules.resolution_wh)


def _over_capacity(case: _Case) -> Mask:
    return checks.over_capacity(case.readings.wh, case.left, case.evidence.capacity_wh)


def _clock(case: _Case) -> Mask:
    if case.evidence.arrived_s is None:
        return np.zeros(case.left.shape, np.bool_)
    day, tolerance_s = case.readings.day, case.rules.clock_tolerance_s
    return checks.early(case.left, case.evidence.arrived_s, day, tolerance_s)


def _stuck(case: _Case) -> Mask:
    return checks.stuck(case.readings.wh, case.left, case.windows(case.rules.stuck_s))


def _zero_run(case: _Case) -> Mask:
    imports = np.array([register == IMPORT for _, register in case.readings.series], np.bool_)
    longest = case.windows(case.rules.zero_run_s)
    failed = checks.zero_runs(case.readings.wh, case.left & imports[:, None], longest)
    rows = np.flatnonzero(failed.any(axis=1))
    if case.evidence.history is None or not len(rows):
        return np.zeros(failed.shape, np.bool_)
    past = case.evidence.history.of(rows)
    actuals = past.actual.sum(axis=(1, 2), dtype=np.int64)
    zeros = (past.actual & (past.wh == 0)).sum(axis=(1, 2), dtype=np.int64)
    p, q = case.rules.zero_share
    failed[rows] &= ((actuals > 0) & (zeros * q <= actuals * p))[:, None]
    return failed


def _denied(case: _Case) -> Mask:
    """A flat day that a register denies may be the register's fault; that both are odd, hardly."""
    if case.known is None:
        return np.zeros(case.left.shape, np.bool_)
    return checks.over_advance(case.readings.wh, _surges(case), case.known, case.rules.resolution_wh)


def _surge(case: _Case) -> Mask:
    """A surge that the register confirms is none: the energy did flow."""
    failed = _surges(case)
    return failed & ~case.sums()[1] if failed.any() else failed


def _surges(case: _Case) -> Mask:
    floor_wh = case.energy_wh(case.rules.surge_floor_w)
    return checks.spikes(case.readings.wh, case.left, case.rules.surge_ratio, floor_wh)


def _spike(case: _Case) -> Mask:
    rules = case.rules
    return checks.spikes(case.readings.wh, case.left, rules.spike_ratio, case.energy_wh(rules.spike_floor_w))


def _sum(case: _Case) -> Mask:
    return case.sums()[0]


ORDER: Mapping[Reason, Callable[[_Case], Mask]] = {
    Reason.OVER_CAPACITY: _over_capacity,
    Reason.CLOCK: _clock,
    Reason.STUCK: _stuck,
    Reason.ZERO_RUN: _zero_run,
    Reason.DENIED: _denied,
    Reason.SURGE: _surge,
    Reason.SPIKE: _spike,
    Reason.SUM: _sum,
}
"""Every check, in the order in which they run. The action of each is the field of `Rules` of its name."""


def _told(readings: MeterDay, cells: Iterable[tuple[int, int, Reason]]) -> tuple[Failure, ...]:
    order = list(ORDER)
    ascending = sorted(cells, key=lambda cell: (cell[0], cell[1], order.index(cell[2])))
    return tuple(Failure(readings.reading(row, column), reason) for row, column, reason in ascending)


def _without(readings: MeterDay, left: Mask) -> MeterDay:
    """The day with only those actuals."""
    out = (readings.flags == ACTUAL) & ~left
    if not out.any():
        return readings
    wh, flags, sequence = readings.wh.copy(), readings.flags.copy(), readings.sequence.copy()
    wh[out], flags[out], sequence[out] = 0, MISSING, 0
    return readings.replace(wh, flags, sequence)
