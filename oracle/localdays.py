"""Local days: midnight to midnight on the wall clocks of a zone, in whole windows.

Windows are UTC. A local day begins with the window that starts at its midnight, and has 46 or 50 half-hours
where clocks change. Settlement periods count them from 1: period 1 of 2026-10-25 in London starts at
2026-10-24T23:00Z, period 50 ends at 2026-10-26T00:00Z.

Rules of the zones come from the pinned `tzdata` package and never from the machine, so that every node cuts
the same days. Where clocks skip midnight, the day begins at the first instant after the gap; where midnight
comes twice, at the first. Days of a zone therefore follow each other without gap or overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from oracle.day import Day
from oracle.errors import MisalignedDay, OutOfRange, UnknownTimeZone, WrongWindow

FIRST_YEAR, LAST_YEAR = 1971, 9998
"""Windows are counted from 1970, and a day ends where the next begins."""
NO_WINDOW = -1
"""Place of a window that a day does not have."""


@cache
def time_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name such as `Europe/London`; UnknownTimeZone."""
    if name not in _names():
        raise UnknownTimeZone(name, "use a name of the IANA time zone database, such as Europe/London")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)


@cache
def _names() -> frozenset[str]:
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


def local_day(day: date, zone: str | tzinfo, window_length_s: int) -> Day:
    """The windows of a calendar day in a zone, given by name or as such.

    MisalignedDay if its midnight lies inside a window (the offset of the zone is no multiple of the length),
    or if the zone never had that day; UnknownTimeZone; OutOfRange for a length that no window has, or a year
    too far away.
    """
    place = time_zone(zone) if isinstance(zone, str) else zone
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise OutOfRange(day, f"local days are of the years {FIRST_YEAR} to {LAST_YEAR}")
    start, end = midnight(day, place), midnight(day + timedelta(days=1), place)
    if start >= end:
        raise MisalignedDay(day, f"clocks of {place} skip it")
    for instant in (start, end):
        if window_length_s > 0 and instant % window_length_s:
            shown = datetime.fromtimestamp(instant, UTC)
            raise MisalignedDay(
                day,
                f"midnight in {place} is {shown:%Y-%m-%dT%H:%MZ}, inside a window of {window_length_s} s: "
                "use shorter windows",
            )
    length = max(window_length_s, 1)  # Day refuses one that is none
    return Day(window_length_s, start // length, (end - start) // length)


def midnight(day: date, zone: tzinfo) -> int:
    """Unix seconds of the first instant of a local day."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def date_of(day: Day, zone: tzinfo) -> date:
    """The local date on which a day begins."""
    return datetime.fromtimestamp(day.first_window * day.window_length_s, zone).date()


def period_of(day: Day, window_index: int) -> int:
    """The settlement period of a window, from 1; WrongWindow."""
    return day.column(window_index) + 1


def window_of(day: Day, period: int) -> int:
    """The window of a settlement period; WrongWindow if the day has no such period."""
    if not 1 <= period <= day.windows:
        raise WrongWindow(period, f"periods of that day are 1 to {day.windows}")
    return day.first_window + period - 1


def columns_by_local_time(past: Day, target: Day, zone: tzinfo) -> npt.NDArray[np.int64]:
    """(W,) for each window of `target` the place in `past` of the same time on the wall clock, or NO_WINDOW.

    An hour that comes twice in one of them only is matched with the single one; one that a day skips has no
    counterpart.
    """
    places = _places(past, zone)
    once = {clock: place for (clock, repeated), place in places.items() if not repeated}
    found = (
        places.get((clock, repeated), once.get(clock, NO_WINDOW)) for clock, repeated in _places(target, zone)
    )
    return np.fromiter(found, np.int64, target.windows)


def _places(day: Day, zone: tzinfo) -> Mapping[tuple[str, int], int]:
    """Wall clock at the start of each window, with 1 where it shows that for the second time -> its place."""
    starts = (
        datetime.fromtimestamp((day.first_window + column) * day.window_length_s, zone)
        for column in range(day.windows)
    )
    return {(f"{start:%H:%M}", start.fold): column for column, start in enumerate(starts)}
