"""Filling the windows that no reading came for. An actual is never touched; every other value says what it
is.

    gap of 1 or 2 windows with an actual on both sides     linear between them         ESTIMATED
    any other, where past days have that window actual     mean of those days          ESTIMATED
    neither                                                zero                        DEFAULT

All in integers, halves rounded up, so that every node gets the same Wh. Estimates are made from actuals
only, never from other estimates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oracle.day import MISSING, Day, Flags, MeterDay, Wh
from oracle.errors import OutOfRange, WrongShape
from oracle.messages import WH_BOUND
from settlement.reference.posting import ACTUAL, DEFAULT, ESTIMATED

SHORT_GAP_WINDOWS = 2

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class History:
    """Past days of the same series. Column w of each day is the same local time as window w of the day to
    fill; the caller lines up days of other lengths (clock changes) and marks what has no counterpart
    unknown.
    """

    wh: npt.NDArray[np.integer]
    """(S, D, W), Wh."""
    actual: Mask
    """(S, D, W), where that was an actual reading. Only those are used."""

    def __post_init__(self) -> None:
        if self.wh.ndim != 3 or self.wh.shape != self.actual.shape:
            raise WrongShape("history", f"{self.wh.shape} and {self.actual.shape} instead of (S, D, W)")
        known = self.wh[self.actual]
        if known.size and (known.min() < 0 or known.max() >= WH_BOUND):
            raise OutOfRange("history", "a window's energy is from 0 to 2^30 - 1")


def no_history(series: int, day: Day) -> History:
    """A history of no days."""
    return History(np.zeros((series, 0, day.windows), np.int64), np.zeros((series, 0, day.windows), np.bool_))


def estimate(readings: MeterDay, history: History) -> MeterDay:
    """The day with every MISSING window filled and flagged; other windows stay as they are.

    WrongShape unless the history has the day's S rows and W windows.
    """
    shape = readings.wh.shape
    if (history.wh.shape[0], history.wh.shape[2]) != shape:
        raise WrongShape("history", f"{history.wh.shape} for a day of {shape}")
    wh, flags = readings.wh.copy(), readings.flags.copy()
    gaps = np.flatnonzero((flags == MISSING).any(axis=1))  # most rows have none: leave them alone
    wh[gaps], flags[gaps] = _fill(wh[gaps], flags[gaps], history, gaps)
    return readings.replace(wh, flags)


def _fill(wh: Wh, flags: Flags, history: History, rows: npt.NDArray[np.intp]) -> tuple[Wh, Flags]:
    """(R, W) values and flags of some rows with their gaps filled; `rows` (R,) is their place in the
    history.
    """
    missing = flags == MISSING
    between, inside = interpolate(wh, flags == ACTUAL)
    linear = missing & inside
    mean, known = past_mean(History(history.wh[rows], history.actual[rows]))
    historic = missing & ~linear & known
    filled = np.where(linear, between, np.where(historic, mean, np.where(missing, 0, wh)))
    marked = np.where(linear | historic, ESTIMATED, np.where(missing, DEFAULT, flags))
    return filled.astype(np.int64), marked.astype(np.uint8)


def interpolate(wh: Wh, actual: Mask) -> tuple[Wh, Mask]:
    """(S, W) straight lines across short gaps, and the mask of where those are.

    With a on the left at distance i and b on the right at distance j: (a j + b i) / (i + j), halves up.
    """
    columns = wh.shape[1]
    at = np.arange(columns)
    left = np.maximum.accumulate(np.where(actual, at, -1), axis=1)
    right = np.minimum.accumulate(np.where(actual, at, columns)[:, ::-1], axis=1)[:, ::-1]
    inside = ~actual & (left >= 0) & (right < columns) & (right - left - 1 <= SHORT_GAP_WINDOWS)
    a = np.take_along_axis(wh, np.clip(left, 0, None), axis=1)
    b = np.take_along_axis(wh, np.clip(right, None, columns - 1), axis=1)
    span = np.where(inside, right - left, 1)
    return (a * (right - at) + b * (at - left) + (span >> 1)) // span, inside


def past_mean(history: History) -> tuple[Wh, Mask]:
    """(S, W) mean over the days on which the window was actual, halves up, and where there is one."""
    count = history.actual.sum(axis=1, dtype=np.int64)
    total = np.where(history.actual, history.wh, 0).sum(axis=1, dtype=np.int64)
    days = np.maximum(count, 1)
    return (total + (days >> 1)) // days, count > 0


def estimated_share(flags: Flags) -> float:
    """Part of the windows that is not actual, for reports; 0 for an empty day."""
    return float((flags != ACTUAL).mean()) if flags.size else 0.0
