"""Which runs of which days are due, and when. Pure.

The first run is due when the calendar says so, or so long after the day's end; never later than a day before
anyone may settle the day by default. Later runs are due on the calendar's dates, each after the one before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo

from oracle.day import Day
from oracle.localdays import date_of
from settlement.reference.correction import MOST_RUNS
from settlement.rules.calendar import RunCalendar

LATEST_FIRST_S = 9 * 86_400
"""After a day's end. On the tenth it may be settled by default, and five working days may take longer."""


@dataclass(frozen=True)
class Duty:
    """One run of one day, in all zones."""

    day: Day
    number: int
    """0 is the first."""
    name: str
    """The calendar's, such as II or SF."""
    due_at: int
    """Unix seconds."""
    due_date: date
    """By which the run has its day key."""


@dataclass(frozen=True)
class Timetable:
    """What a node's file says of runs."""

    calendar: RunCalendar
    zone: tzinfo
    at: time
    """Local time of a run on its due date."""
    grace_s: int | None
    """The first run so long after the day's end; None: by the calendar."""

    def duties(self, day: Day) -> tuple[Duty, ...]:
        """Every run of a day, in order. InputError if the calendar has none of it."""
        dates = self.calendar.runs_of(date_of(day, self.zone))[: MOST_RUNS + 1]
        moments = [self._moment(one.due_date) for one in dates]
        end = (day.first_window + day.windows) * day.window_length_s
        moments[0] = min(moments[0], end + LATEST_FIRST_S) if self.grace_s is None else end + self.grace_s
        return tuple(
            Duty(day, number, run.name, at, datetime.fromtimestamp(at, self.zone).date())
            for number, (run, at) in enumerate(zip(dates, moments, strict=True))
        )

    def today(self, now: int) -> date:
        """The local date of an instant."""
        return datetime.fromtimestamp(now, self.zone).date()

    def _moment(self, due: date) -> int:
        return int(datetime.combine(due, self.at, tzinfo=self.zone).timestamp())
