"""Past days lined up with a day to fill: by local time, by register, and by kind of day.

A day of 46 or 50 half-hours lines up with one of 48 by the wall clock. Registers that a past day did not have
(a meter installed since) are unknown there. *Like* days are those of the same kind: working days, or weekends
and holidays.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, tzinfo

import numpy as np

from oracle.day import Day, MeterDay
from oracle.errors import WrongLength
from oracle.estimation import History
from oracle.localdays import NO_WINDOW, columns_by_local_time, date_of
from oracle.split import Ints
from settlement.reference.posting import ACTUAL

SATURDAY = 5


def history_of(
    past: Sequence[MeterDay],
    series: tuple[tuple[bytes, int], ...],
    target: Day,
    zone: tzinfo,
    holidays: Collection[date] = (),
) -> History:
    """What estimation knows of the past `series` (S rows): only what was actual on the `past` days, which are
    local days of `zone` in any order.

    WrongLength if one has windows of another length (`oracle.windows` converts).
    """
    wh = np.zeros((len(series), len(past), target.windows), np.int32)  # a window is below 2^30 Wh
    actual = np.zeros(wh.shape, np.bool_)
    for place, day in enumerate(past):
        if day.day.window_length_s != target.window_length_s:
            raise WrongLength(day.day.window_length_s, f"the day has windows of {target.window_length_s} s")
        rows, theirs = _common_rows(series, day)
        columns = columns_by_local_time(day.day, target, zone)
        known = np.flatnonzero(columns != NO_WINDOW)
        source, goal = np.ix_(theirs, columns[known]), np.ix_(rows, known)
        wh[:, place][goal] = day.wh[source]
        actual[:, place][goal] = day.flags[source] == ACTUAL
    kind = is_working_day(date_of(target, zone), holidays)
    like = [is_working_day(date_of(day.day, zone), holidays) == kind for day in past]
    return History(wh, actual, np.array(like, np.bool_))


def is_working_day(day: date, holidays: Collection[date] = ()) -> bool:
    """Monday to Friday, and no holiday."""
    return day.weekday() < SATURDAY and day not in holidays


def _common_rows(series: tuple[tuple[bytes, int], ...], past: MeterDay) -> tuple[Ints, Ints]:
    """Rows of `series` that the past day has too, and their places there."""
    places = {register: row for row, register in enumerate(past.series)}
    found = np.array([places.get(register, -1) for register in series], np.int64)
    rows = np.flatnonzero(found >= 0)
    return rows, found[rows]
