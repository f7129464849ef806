"""Working days of a market: neither a weekly rest day nor a public holiday.

Holidays are those of the `holidays` package, one-off bank holidays included; a market adds those it declares
itself, or takes some away. Future years hold what has been announced: a holiday declared later moves due
dates once the package, or the market's `extra`, knows it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import numpy as np

from settlement.errors import InputError
from settlement.rules.configuration import KNOWN_KEYS_ONLY

WEEK = 7
LONGEST_DELAY = 2000


def check_delay(working_days: int) -> int:
    """`working_days` itself; InputError unless it is 1 to 2000."""
    if not 1 <= working_days <= LONGEST_DELAY:
        raise InputError(f"a delay of {working_days} working days: from 1 to {LONGEST_DELAY}")
    return working_days


@dataclass(frozen=True)
class WorkingDays:
    """Which days a market works."""

    country: str
    """ISO 3166-1 alpha-2."""
    subdivision: str | None = None
    """ISO 3166-2 part of the country whose holidays are kept, if they differ; ENG is England and Wales."""
    rest_days: tuple[int, ...] = (5, 6)
    """Weekdays without work, Monday 0."""
    extra: tuple[date, ...] = ()
    """Holidays that the package does not know (yet)."""
    worked: tuple[date, ...] = ()
    """Holidays of the package on which this market works all the same."""

    __pydantic_config__ = KNOWN_KEYS_ONLY

    def __post_init__(self) -> None:
        if not set(self.rest_days) < set(range(WEEK)):
            raise InputError(
                f"rest_days is {list(self.rest_days)}: name weekdays 0 to 6, and not all of them"
            )
        _of_year(self, 2000)  # an unknown country is refused here, not on the first settlement

    def holds(self, day: date) -> bool:
        """Whether `day` is worked."""
        return day.weekday() not in self.rest_days and day not in _of_year(self, day.year)

    def after(self, day: date, number: int) -> date:
        """The `number`-th working day after `day`, which itself need not be one.

        InputError unless `number` is 1 to 2000, and the holidays of all years on the way are known.
        """
        check_delay(number)
        _of_year(self, day.year)
        # At least one day in seven is worked, and a year of reserve covers any cluster of holidays.
        last = day + timedelta(days=WEEK * number + 366)
        holidays = [each for year in range(day.year, last.year + 1) for each in _of_year(self, year)]
        worked = [weekday not in self.rest_days for weekday in range(WEEK)]
        # "backward" takes a day of rest for the working day before it: so day 1 is the next one worked.
        found = np.busday_offset(
            np.datetime64(day), number, roll="backward", weekmask=worked, holidays=_sorted(holidays)
        )
        return date.fromisoformat(str(found))


def _sorted(days: Iterable[date]) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    return np.array(sorted(days), dtype="datetime64[D]")


@lru_cache(maxsize=1024)
def _of_year(days: WorkingDays, year: int) -> frozenset[date]:
    """Holidays of one year, observed days included."""
    import holidays

    try:
        kind = type(holidays.country_holidays(days.country, subdiv=days.subdivision))
        known = holidays.country_holidays(days.country, subdiv=days.subdivision, years=year)
    except NotImplementedError:
        place = f"{days.country}-{days.subdivision}" if days.subdivision else days.country
        raise InputError(f"no holidays are known of {place}: give ISO 3166 codes, as GB and ENG") from None
    if not kind.start_year <= year <= kind.end_year:
        raise InputError(f"{year}: holidays are known from {kind.start_year} to {kind.end_year}")
    extra = {each for each in days.extra if each.year == year}
    return frozenset((set(known) | extra) - set(days.worked))


ENGLAND_AND_WALES = WorkingDays("GB", "ENG")
