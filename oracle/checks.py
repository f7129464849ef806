"""Signs that a reading is not what flowed: pure functions from arrays to the mask (S, W) of failures.

`wh` and `actual` are a day's values and where they are actual; nothing else of a day fails a check, and
nothing else is looked at.

    over_capacity    more than the connection can carry
    spikes           far above the third highest of its day
    zero_runs        zero for long, of a register that is seldom zero
    stuck            one value other than zero again and again
    early            arrived before its window was over: the meter's clock is fast
    over_advance     more than the register advanced by around it
    sum_check        the windows between two register reads do not sum to the register's advance

The spike rule is that of the Uniform Business Practices for Unbundled Electricity Metering, vol. 2, and of
the Californian rules for interval data (CPUC, Standards for Validating, Editing, and Estimating, section A):
the day fails if its highest is above the third highest by more than 180% of it. The sum check is theirs too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oracle.day import Day, Mask, Wh
from oracle.errors import WrongShape
from oracle.registers import Stretches
from oracle.split import Ints

NEVER = np.iinfo(np.int64).max
"""An arrival time that nobody noted."""


def over_capacity(wh: Wh, actual: Mask, capacity_wh: Ints) -> Mask:
    """Where an actual is above its row's capacity (S,)."""
    if capacity_wh.shape != wh.shape[:1]:
        raise WrongShape("capacity_wh", f"{capacity_wh.shape} instead of ({len(wh)},)")
    failed: Mask = actual & (wh > capacity_wh[:, None])
    return failed


def spikes(wh: Wh, actual: Mask, ratio: tuple[int, int], floor_wh: int) -> Mask:
    """Where an actual is above `ratio` (p/q) times the third highest of its day, and above `floor_wh`. A row
    of fewer than three actuals has no third highest, and no spike.

    int64 is safe for p and q below 2^33.
    """
    failed = np.zeros(wh.shape, np.bool_)
    if wh.shape[1] < 3:
        return failed
    rows = np.flatnonzero((actual & (wh > floor_wh)).any(axis=1))
    values = np.where(actual[rows], wh[rows], -1)
    third = np.partition(values, -3, axis=1)[:, -3]
    p, q = ratio
    failed[rows] = (values > floor_wh) & (third[:, None] >= 0) & (q * values > p * third[:, None])
    return failed


def zero_runs(wh: Wh, actual: Mask, longest: int) -> Mask:
    """Where more than `longest` neighbouring actuals are zero: the whole run."""
    return _runs(actual & (wh == 0), np.zeros(0, np.int64), longest)


def stuck(wh: Wh, actual: Mask, longest: int) -> Mask:
    """Where more than `longest` neighbouring actuals have one value that is not zero: the whole run."""
    return _runs(actual & (wh != 0), wh, longest)


def early(actual: Mask, arrived_s: npt.NDArray[np.int64], day: Day, tolerance_s: int) -> Mask:
    """Where an actual arrived (unix s, or NEVER) more than `tolerance_s` before its window was over. Lateness
    proves nothing: networks delay, and never hasten.
    """
    if arrived_s.shape != actual.shape:
        raise WrongShape("arrived_s", f"{arrived_s.shape} instead of {actual.shape}")
    ends = (np.arange(day.windows, dtype=np.int64) + day.first_window + 1) * day.window_length_s
    failed: Mask = actual & (arrived_s < ends - tolerance_s)
    return failed


def over_advance(wh: Wh, actual: Mask, known: Stretches, resolution_wh: int) -> Mask:
    """Where an actual alone is more than what its register advanced by between the reads around it, plus what
    rounding explains (as in `sum_check`). A register that ran backwards denies nothing.
    """
    bounds = np.full(wh.shape, NEVER, np.int64)
    tolerance = resolution_wh + ((known.stop - known.start) >> 1)
    most = np.where(known.advance_wh < 0, NEVER, known.advance_wh + tolerance)
    for at in np.flatnonzero(known.sums(actual)):
        bounds[known.row[at], known.start[at] : known.stop[at]] = most[at]
    failed: Mask = actual & (wh > bounds)
    return failed


def sum_check(
    wh: Wh, actual: Mask, known: Stretches, windows_in_service: Mask, resolution_wh: int
) -> tuple[Mask, Mask]:
    """(S, W) the actuals of every stretch between register reads that does not add up, and the windows of
    every stretch that is complete and does.

    Reads are truncated to `resolution_wh` and windows may each be rounded by themselves: the sum may differ
    from the advance by less than the resolution and half a Wh a window. With windows missing it only must
    not exceed it.
    """
    sums, actuals = known.sums(np.where(actual, wh, 0)), known.sums(actual)
    serving = known.sums(windows_in_service)
    tolerance = resolution_wh + ((known.stop - known.start) >> 1)
    complete = actuals == serving
    differs = (sums > known.advance_wh + tolerance) | (complete & (sums < known.advance_wh - tolerance))
    failed = (actuals > 0) & (differs | (known.advance_wh < 0))
    confirmed = complete & ~failed
    return known.cover(failed, wh.shape) & actual, known.cover(confirmed, wh.shape)


def _runs(chosen: Mask, values: npt.NDArray[np.int64], longest: int) -> Mask:
    """The runs of more than `longest` neighbouring chosen windows of a row, all of one value if there are
    `values`.
    """
    found = np.zeros(chosen.shape, np.bool_)
    rows = np.flatnonzero(chosen.sum(axis=1) > longest)
    part = chosen[rows]
    breaks = np.ones(part.shape, np.bool_)
    breaks[:, 1:] = ~(part[:, 1:] & part[:, :-1])
    if len(values):
        breaks[:, 1:] |= values[rows, 1:] != values[rows, :-1]
    starts = np.flatnonzero(breaks)
    lengths = np.diff(starts, append=breaks.size)
    found[rows] = part & np.repeat(lengths > longest, lengths).reshape(part.shape)
    return found
