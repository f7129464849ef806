"""A site's metered days from a CSV file: a row a day, a cell a slot, the days of clock changes among them.

A normal day has as many slots as the method says. A day of a clock change has fewer or more (46 or 50
half-hours), told as it was metered, slot after slot, or padded to a row of normal length. Slots of the rules
are places on the wall clock: the rules of a time zone put such a day there, with nothing in the hour that it
skips, nor in the one that it has twice, since no single slot says which is meant.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from settlement.errors import InputError
from settlement.offchain.tables import Table, date_of, read_table
from settlement.units import floor_div

if TYPE_CHECKING:
    from settlement.rules.baselines import DayWh

DAY_S = 86_400
HOUR_S = 3_600
LEAST_CHANGE_S = 1_800
"""Of the clocks of Lord Howe Island; everywhere else they change by an hour."""
ZONE = "Europe/London"
"""Whose clocks a site has, unless it says so: those of the working days that the rules count by."""


@dataclass(frozen=True)
class MeteredDays:
    """What a file says of one site."""

    history: Mapping[date, DayWh]
    clock_changes: frozenset[date]
    """Days of the history that the site's clocks changed on; they stand for no other day."""


def add_zone(parser: Any) -> None:
    """Adds `--tz` to a command that reads metered days."""
    parser.add_argument(
        "--tz",
        default=ZONE,
        metavar="ZONE",
        help=f"whose clock changes make a day stand for no other (default: {ZONE})",
    )


def read_days(arguments: argparse.Namespace, slots: int) -> MeteredDays:
    """The days of `arguments.metered`, with the clocks of `arguments.tz`. InputError by line."""
    from settlement.chain.history_command import time_zone

    file: Path = arguments.metered
    zone = time_zone(arguments.tz)
    table = read_table(file, empty=True, lengths=_lengths(slots, HOUR_S) | _lengths(slots, LEAST_CHANGE_S))
    if len(table.columns) != slots:
        raise InputError(f"{file}, line 1: {len(table.columns)} slots, and the method's day has {slots}")
    days = [date_of(name, f"{file}, line {line}") for line, name in enumerate(table.names, 2)]
    if len(set(days)) != len(days):
        raise InputError(f"{file}: a day comes twice: give each one row")
    return _with_clocks(file, table, days, slots, zone)


def _lengths(slots: int, change_s: int) -> frozenset[int]:
    """How many slots a day may have if clocks change by so much."""
    seconds = (DAY_S - change_s, DAY_S, DAY_S + change_s)
    return frozenset(floor_div(length * slots, DAY_S) for length in seconds if length * slots % DAY_S == 0)


def _with_clocks(file: Path, table: Table, days: list[date], slots: int, zone: tzinfo) -> MeteredDays:
    history: dict[date, DayWh] = {}
    changed = set()
    for line, (day, row) in enumerate(zip(days, table.rows, strict=True), start=2):
        places = _places(day, slots, zone)
        if len(row) not in _lengths(slots, HOUR_S) | {len(places or ())}:
            raise InputError(f"{file}, line {line}: {len(row)} slots, which {day} does not have in {zone}")
        history[day] = row
        if places is not None:
            changed.add(day)
            history[day] = _by_the_wall(row, places, slots)
    return MeteredDays(history, frozenset(changed))


def _places(day: date, slots: int, zone: tzinfo) -> list[int] | None:
    """The wall-clock slot of each slot of a day of a clock change; None of any other day."""
    start, end = (_midnight(each, zone) for each in (day, day + timedelta(days=1)))
    if end - start == DAY_S or DAY_S % slots:
        return None
    length = DAY_S // slots
    clocks = (datetime.fromtimestamp(at, zone) for at in range(start, end, length))
    return [floor_div(one.hour * HOUR_S + one.minute * 60 + one.second, length) for one in clocks]


def _midnight(day: date, zone: tzinfo) -> int:
    """Unix seconds. InputError for a day that no clock shows."""
    try:
        return int(datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC).timestamp())
    except (OverflowError, ValueError):
        raise InputError(f"{day} is too far away to know its clocks") from None


def _by_the_wall(row: DayWh, places: list[int], slots: int) -> DayWh:
    """A row of as many slots as the day had, or padded behind them, put to the wall clock; any other is taken
    to be there already, as is one that is empty where clocks skip.
    """
    skipped = set(range(slots)) - set(places)
    padded = len(row) == slots and all(wh is None for wh in row[len(places) :])
    padded = padded and any(row[slot] is not None for slot in skipped)
    if len(row) != len(places) and not (padded and len(places) < slots):
        return row
    times = Counter(places)
    found: list[int | None] = [None] * slots
    for place, wh in zip(places, row, strict=False):
        if times[place] == 1:
            found[place] = wh
    return found
