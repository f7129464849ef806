"""Whether actual readings can be true, before they count as actual.

A reading that fails is not altered: it is taken out, reported, and the window is estimated like any other
gap, so its entry is flagged estimated. The meter's own signed read can still correct the posting later.
Zero-run, stuck, spike and sum checks belong here too; each will be one function from arrays to a mask of
failures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oracle.day import MISSING, MeterDay
from oracle.errors import WrongShape
from oracle.intake import Reason
from oracle.messages import Reading
from oracle.registry import MeterRegistry
from settlement.reference.posting import ACTUAL

UNLIMITED = (1 << 30) - 1


@dataclass(frozen=True, slots=True)
class Failure:
    """An actual reading that validation took out."""

    reading: Reading
    reason: Reason


def capacities_wh(registry: MeterRegistry, window_length_s: int) -> npt.NDArray[np.int64]:
    """(S,) the most energy that each of the registry's series can have in one window, Wh, rounded up."""
    watts = (registry[meter_id].capacity_w for meter_id, _ in registry.series)
    wh = (UNLIMITED if w is None else min(UNLIMITED, -(-w * window_length_s // 3600)) for w in watts)
    return np.fromiter(wh, np.int64, len(registry.series))


def over_capacity(readings: MeterDay, capacity_wh: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(S, W) where an actual is above its row's capacity (S,)."""
    if capacity_wh.shape != (len(readings.series),):
        raise WrongShape("capacity_wh", f"{capacity_wh.shape} instead of ({len(readings.series)},)")
    failed: npt.NDArray[np.bool_] = (readings.flags == ACTUAL) & (readings.wh > capacity_wh[:, None])
    return failed


def validate(readings: MeterDay, capacity_wh: npt.NDArray[np.int64]) -> tuple[MeterDay, tuple[Failure, ...]]:
    """The day without the actuals that cannot be true, and those, ascending."""
    failed = over_capacity(readings, capacity_wh)
    cells = zip(*np.nonzero(failed), strict=True)
    failures = tuple(Failure(readings.reading(int(r), int(c)), Reason.OVER_CAPACITY) for r, c in cells)
    kept = readings.replace(
        np.where(failed, 0, readings.wh),
        np.where(failed, np.uint8(MISSING), readings.flags),
        np.where(failed, np.uint64(0), readings.sequence),
    )
    return kept, failures
