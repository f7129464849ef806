"""When the runs of a settlement date are due.

A run settles a day with the meter data known by then; each later one posts the difference from the last. Due
dates are counted in working days after the settlement date, by terms that change from a settlement date on:
what was in force on the date that is settled decides, not what is in force when the run is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import NamedTuple

from settlement.errors import InputError
from settlement.rules.configuration import KNOWN_KEYS_ONLY
from settlement.rules.workdays import ENGLAND_AND_WALES, WorkingDays, check_delay


@dataclass(frozen=True)
class Run:
    """One run and its delay."""

    name: str
    """As II (initial), SF, R1, R2, R3, RF (final)."""
    working_days: int
    """After the settlement date, 1 to 2000."""

    __pydantic_config__ = KNOWN_KEYS_ONLY

    def __post_init__(self) -> None:
        check_delay(self.working_days)


@dataclass(frozen=True)
class Terms:
    """The runs of all settlement dates from one on."""

    first: date
    """First settlement date that they hold for."""
    runs: tuple[Run, ...]
    """In the order they are made, of rising delay."""

    __pydantic_config__ = KNOWN_KEYS_ONLY

    def __post_init__(self) -> None:
        if not self.runs:
            raise InputError(f"the terms from {self.first} name no run: give at least one")
        if len({run.name for run in self.runs}) != len(self.runs):
            raise InputError(f"the terms from {self.first} name a run twice: give each its own name")
        delays = [0, *(run.working_days for run in self.runs)]
        if any(later <= earlier for earlier, later in pairwise(delays)):
            raise InputError(f"the terms from {self.first} have delays {delays[1:]}: let them rise from 1")


class RunDate(NamedTuple):
    """A run of one settlement date."""

    name: str
    number: int
    """Among the runs of its settlement date, from 1."""
    due_date: date


class Due(NamedTuple):
    """A run that is due, in the order of making: by due date, then settlement date, then number."""

    due_date: date
    settlement_date: date
    number: int
    name: str


@dataclass(frozen=True)
class RunCalendar:
    """Effective-dated terms over one market's working days."""

    terms: tuple[Terms, ...]
    """Ascending by `first`."""
    working_days: WorkingDays = ENGLAND_AND_WALES

    __pydantic_config__ = KNOWN_KEYS_ONLY

    def __post_init__(self) -> None:
        firsts = [terms.first for terms in self.terms]
        if not firsts or any(later <= earlier for earlier, later in pairwise(firsts)):
            raise InputError(
                "a calendar's terms must ascend by their first settlement date, and not be empty"
            )

    def terms_of(self, settlement_date: date) -> Terms:
        """The terms in force on a settlement date; InputError before the first."""
        held = [terms for terms in self.terms if terms.first <= settlement_date]
        if not held:
            first = self.terms[0].first
            raise InputError(f"no runs are known of {settlement_date}: the calendar begins on {first}")
        return held[-1]

    def runs_of(self, settlement_date: date) -> tuple[RunDate, ...]:
        """All runs of a settlement date, first to final."""
        return tuple(
            RunDate(run.name, number, self.working_days.after(settlement_date, run.working_days))
            for number, run in enumerate(self.terms_of(settlement_date).runs, start=1)
        )

    def due(
        self, today: date, settlement_dates: Iterable[date], after: date | None = None
    ) -> tuple[Due, ...]:
        """Runs of these dates that are due by `today`; with `after`, only those due later than that day.

        A job that was down asks with the day it last ran, and misses nothing.
        """
        return tuple(
            sorted(
                Due(run.due_date, settled, run.number, run.name)
                for settled in set(settlement_dates)
                for run in self.runs_of(settled)
                if run.due_date <= today and (after is None or run.due_date > after)
            )
        )


def _runs(**delays: int) -> tuple[Run, ...]:
    return tuple(Run(name, working_days) for name, working_days in delays.items())


GREAT_BRITAIN = RunCalendar(
    (
        Terms(date(2001, 3, 27), _runs(II=5, SF=16, R1=39, R2=84, R3=154, RF=292)),
        Terms(date(2027, 7, 2), _runs(II=4, SF=7, R1=30, RF=84)),
    )
)
"""Settlement runs of Great Britain's Balancing and Settlement Code, in working days of England and Wales;
from 2027-07-02 the shorter timetable of Market-wide Half-Hourly Settlement."""


def runs_of(settlement_date: date, calendar: RunCalendar = GREAT_BRITAIN) -> tuple[RunDate, ...]:
    """The runs of a settlement date and their due dates."""
    return calendar.runs_of(settlement_date)


def due(
    today: date, settlement_dates: Iterable[date], calendar: RunCalendar = GREAT_BRITAIN
) -> tuple[Due, ...]:
    """Runs of these settlement dates that are due by `today`, in the order of making."""
    return calendar.due(today, settlement_dates)
