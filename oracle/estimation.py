"""Filling the windows that no reading came for. An actual is never touched; every other value says what it
is. The first of these that applies:

    register     reads of the register on both sides of the gap: what it      ESTIMATED
                 advanced by, less the actuals in between, over the missing
                 windows in the shape that the methods below give
    linear       a gap of up to two hours with an actual on both sides        ESTIMATED
    like days    the mean of the past days of the same kind (working days,    ESTIMATED
                 or weekends and holidays) on which the window was actual
    any days     where no like day has it, the mean over the others           ESTIMATED
    nothing      zero                                                         DEFAULT

The order, two hours and reference days are those of the Californian rules for interval data (CPUC, Standards
for Validating, Editing, and Estimating, section A; the Uniform Business Practices for Unbundled Electricity
Metering, vol. 2, have them too). All in integers, halves rounded up, so that every node gets the same Wh.
Estimates are made from actuals and registers only, never from other estimates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oracle.day import MISSING, Day, Flags, Mask, MeterDay, Wh
from oracle.errors import OutOfRange, WrongShape
from oracle.messages import WH_BOUND
from oracle.registers import RegisterReads, Stretches, stretches
from oracle.split import Ints, split
from settlement.reference.posting import ACTUAL, DEFAULT, ESTIMATED

SHORT_GAP_S = 7_200
"""A gap of up to so many seconds is bridged by a line."""


@dataclass(frozen=True, eq=False)
class History:
    """Past days of the same series. Column w of each day is the same local time as window w of the day to
    fill (`oracle.history` lines days up); what has no counterpart is unknown.
    """

    wh: npt.NDArray[np.integer]
    """(S, D, W), Wh."""
    actual: Mask
    """(S, D, W), where that was an actual reading. Only those are used."""
    like: Mask | None = None
    """(D,) which days are of the same kind as the day to fill; None: all."""

    def __post_init__(self) -> None:
        if self.wh.ndim != 3 or self.wh.shape != self.actual.shape:
            raise WrongShape("history", f"{self.wh.shape} and {self.actual.shape} instead of (S, D, W)")
        if self.like is not None and self.like.shape != (self.wh.shape[1],):
            raise WrongShape("history", f"{self.like.shape} like days of {self.wh.shape[1]}")
        lowest = self.wh.min(where=self.actual, initial=0)
        if lowest < 0 or self.wh.max(where=self.actual, initial=0) >= WH_BOUND:
            raise OutOfRange("history", "a window's energy is from 0 to 2^30 - 1")

    def of(self, rows: npt.NDArray[np.intp]) -> History:
        """The history of some rows."""
        return History(self.wh[rows], self.actual[rows], self.like)


def no_history(series: int, day: Day) -> History:
    """A history of no days."""
    return History(np.zeros((series, 0, day.windows), np.int64), np.zeros((series, 0, day.windows), np.bool_))


def estimate(
    readings: MeterDay,
    history: History,
    reads: RegisterReads | None = None,
    capacity_wh: Ints | None = None,
) -> MeterDay:
    """The day with every MISSING window filled and flagged; other windows stay as they are.

    Registers jump and are reset: an advance that would have brought a window above its row's capacity (S,)
    is not believed. WrongShape unless the history, and the reads and capacities if there are any, have the
    day's S rows and W windows.
    """
    shape = readings.wh.shape
    if (history.wh.shape[0], history.wh.shape[2]) != shape:
        raise WrongShape("history", f"{history.wh.shape} for a day of {shape}")
    known = None if reads is None else stretches(reads, shape)
    most = np.full(shape[0], WH_BOUND - 1) if capacity_wh is None else capacity_wh
    if most.shape != shape[:1]:
        raise WrongShape("capacity_wh", f"{most.shape} instead of {shape[:1]}")
    wh, flags = readings.wh.copy(), readings.flags.copy()
    gaps = np.flatnonzero((flags == MISSING).any(axis=1))  # most rows have none: leave them alone
    short = max(1, SHORT_GAP_S // readings.day.window_length_s)
    wh[gaps], flags[gaps] = _fill(wh[gaps], flags[gaps], history.of(gaps), short)
    if known is not None:
        _apportion(wh, flags, readings.flags, known, most)
    return readings.replace(wh, flags)


def _fill(wh: Wh, flags: Flags, history: History, short_gap_windows: int) -> tuple[Wh, Flags]:
    """(R, W) values and flags with gaps filled by lines, past days and zeros."""
    missing = flags == MISSING
    between, inside = interpolate(wh, flags == ACTUAL, short_gap_windows)
    linear = missing & inside
    mean, known = past_mean(history)
    historic = missing & ~linear & known
    filled = np.where(linear, between, np.where(historic, mean, np.where(missing, 0, wh)))
    marked = np.where(linear | historic, ESTIMATED, np.where(missing, DEFAULT, flags))
    return filled.astype(np.int64), marked.astype(np.uint8)


def _apportion(wh: Wh, flags: Flags, arrived: Flags, known: Stretches, most_wh: Ints) -> None:
    """Scale what was filled, in place, so that each stretch of a register sums to its advance.

    Left as they are: stretches whose actuals alone are more than the advance (`oracle.validation` reports
    them), and those where a window would come to more than its row can have (S,).
    """
    missing = arrived == MISSING
    counts = known.sums(missing)
    rest = known.advance_wh - known.sums(np.where(arrived == ACTUAL, wh, 0))
    used = (counts > 0) & (rest >= 0)
    counts = counts[used]
    # Row by row both are in the order of the stretches, which do not overlap.
    rows, columns = np.nonzero(missing & known.cover(used, wh.shape))
    parts = split(rest[used], wh[rows, columns], counts)
    if not len(parts):
        return
    credible = np.logical_and.reduceat(parts <= most_wh[rows], np.cumsum(counts) - counts)
    fits = np.repeat(credible, counts)
    wh[rows[fits], columns[fits]] = parts[fits]
    flags[rows[fits], columns[fits]] = ESTIMATED


def interpolate(wh: Wh, actual: Mask, short_gap_windows: int) -> tuple[Wh, Mask]:
    """(S, W) straight lines across gaps of at most `short_gap_windows`, and the mask of where those are.

    With a on the left at distance i and b on the right at distance j: (a j + b i) / (i + j), halves up.
    """
    columns = wh.shape[1]
    at = np.arange(columns)
    left = np.maximum.accumulate(np.where(actual, at, -1), axis=1)
    right = np.minimum.accumulate(np.where(actual, at, columns)[:, ::-1], axis=1)[:, ::-1]
    inside = ~actual & (left >= 0) & (right < columns) & (right - left - 1 <= short_gap_windows)
    a = np.take_along_axis(wh, np.clip(left, 0, None), axis=1)
    b = np.take_along_axis(wh, np.clip(right, None, columns - 1), axis=1)
    span = np.where(inside, right - left, 1)
    return (a * (right - at) + b * (at - left) + (span >> 1)) // span, inside


def past_mean(history: History) -> tuple[Wh, Mask]:
    """(S, W) mean over the like days on which the window was actual, over the other days where there is no
    such like day, halves up; and where there is one.
    """
    if history.like is None:
        return _mean(history.wh, history.actual)
    mean, known = _mean(history.wh[:, history.like], history.actual[:, history.like])
    other, also = _mean(history.wh[:, ~history.like], history.actual[:, ~history.like])
    return np.where(known, mean, other), known | also


def _mean(wh: npt.NDArray[np.integer], actual: Mask) -> tuple[Wh, Mask]:
    count = actual.sum(axis=1, dtype=np.int64)
    total = wh.sum(axis=1, dtype=np.int64, where=actual)
    days = np.maximum(count, 1)
    return (total + (days >> 1)) // days, count > 0


def estimated_share(flags: Flags) -> float:
    """Part of the windows that is not actual, for reports; 0 for an empty day."""
    return float((flags != ACTUAL).mean()) if flags.size else 0.0
