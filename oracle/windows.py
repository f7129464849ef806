"""The same energy in windows of another length: 5, 15, 30 or 60 minutes.

To longer windows it is summed: a sum of measured values is measured, and the worst flag of its parts is that
of the sum. To shorter ones it is split, by a profile or evenly, and the parts are estimates whatever the
whole was, for nobody measured them. Both ways every Wh is kept.

No meter signed a value of another length, so sequences are zero: convert what is shown, compared or
forecast, and commit to the day as it was signed.
"""

from __future__ import annotations

import numpy as np

from oracle.day import MISSING, OUT_OF_SERVICE, Day, Flags, MeterDay, Wh
from oracle.errors import WrongLength, WrongShape
from oracle.split import split
from settlement.reference.posting import ACTUAL, ESTIMATED


def coarser(readings: MeterDay, window_length_s: int) -> MeterDay:
    """The day in longer windows. A window with a missing part is missing (0 Wh); one in service for a part
    of its time has what was measured in that part.

    WrongLength unless the day's windows fill the longer ones; OutOfRange if one comes to 2^30 Wh.
    """
    day = coarser_day(readings.day, window_length_s)
    parts = (len(readings.series), day.windows, window_length_s // readings.day.window_length_s)
    wh = readings.wh.reshape(parts).sum(axis=2)
    flags = worst(readings.flags.reshape(parts))
    wh[flags == MISSING] = 0
    return MeterDay(day, readings.series, wh, flags, np.zeros(wh.shape, np.uint64))


def finer(readings: MeterDay, window_length_s: int, profile: Wh | None = None) -> MeterDay:
    """The day in shorter windows, each value split in proportion to `profile` (S, windows of the finer day),
    evenly without one or where it is zero. Actuals become estimates; other flags stay.

    WrongLength if the shorter windows do not fill the day's, WrongShape for a profile of another day.
    """
    day = finer_day(readings.day, window_length_s)
    parts = readings.day.window_length_s // window_length_s
    shape = (len(readings.series), day.windows)
    weights = np.zeros(shape, np.int64) if profile is None else profile
    if weights.shape != shape:
        raise WrongShape("profile", f"{weights.shape} instead of {shape}")
    counts = np.full(readings.wh.size, parts, np.int64)
    wh = split(readings.wh.ravel(), weights.ravel(), counts).reshape(shape)
    flags = np.where(readings.flags == ACTUAL, np.uint8(ESTIMATED), readings.flags).repeat(parts, axis=1)
    return MeterDay(day, readings.series, wh, flags, np.zeros(shape, np.uint64))


def coarser_day(day: Day, window_length_s: int) -> Day:
    """The same time in longer windows; WrongLength unless it begins and ends where they do."""
    parts, rest = divmod(window_length_s, day.window_length_s)
    if rest or parts < 1 or day.first_window % parts or day.windows % parts:
        raise WrongLength(window_length_s, f"windows of {day.window_length_s} s of this day do not fill it")
    return Day(window_length_s, day.first_window // parts, day.windows // parts)


def finer_day(day: Day, window_length_s: int) -> Day:
    """The same time in shorter windows; WrongLength unless they fill the day's."""
    if window_length_s < 1 or day.window_length_s % window_length_s:
        raise WrongLength(window_length_s, f"it does not fill windows of {day.window_length_s} s")
    parts = day.window_length_s // window_length_s
    return Day(window_length_s, day.first_window * parts, day.windows * parts)


def worst(flags: Flags) -> Flags:
    """The worst flag along the last axis, missing the worst of all; out of service only where all are."""
    serving = np.where(flags == OUT_OF_SERVICE, np.uint8(ACTUAL), flags).max(axis=-1)
    idle = (flags == OUT_OF_SERVICE).all(axis=-1)
    return np.where(idle, np.uint8(OUT_OF_SERVICE), serving)
