"""The 17 measured homes of the citylearn package: load, PV, tariff and grid carbon of one year in Fontana,
California.

The files (`citylearn_challenge_2022_phase_all`, MIT, (c) 2020 J. R. Vazquez-Canteli) have 8,760 rows without
a date, only month, hour and day type. Hours are labelled 1 to 24 by their *end*; the first row is hour 24 of
Sunday 2016-07-31, that is the window from 23:00, so the year of whole days runs from 2016-08-01 to
2017-07-30 (the last day lacks one hour). Those are local hours (UTC-8 all year, no daylight saving).
Trellis's windows are UTC: **the local hours are treated as if they were UTC**, so that a day here is the
homes' own day.

    Equipment Electric Power [kWh]   all that the home draws, kWh in the hour
    Solar Generation [W/kW]          mean power for each kW of nominal power: times `nominal_power` (kW, in
                                     schema.json) it is W over one hour, that is Wh
    Electricity Pricing [$]          time-of-use retail price, $/kWh
    kg_CO2/kWh                       grid carbon intensity

Rows are aligned across files as the package itself does. (Its price peak is then 15:00 to 20:00, one hour
before the tariff's 16:00 to 21:00; kept as published.) Home 15 has next to no PV (266 Wh in all
of June); home 14 a third of the others'.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from oracle.day import Day
from oracle.errors import OutOfRange
from oracle.forecasts import weekday
from settlement.errors import InputError, MissingPrerequisite
from settlement.units import WH_LIMIT

DATA_SET = "data/citylearn_challenge_2022_phase_all"
WINDOW_LENGTH_S = 3600
WINDOWS_PER_DAY = 24
FIRST_ROW = datetime(2016, 7, 31, 23, tzinfo=UTC)
FIRST_DAY, LAST_DAY = date(2016, 8, 1), date(2017, 7, 30)
ROWS = 8760
HOMES = 17

LOAD = "Equipment Electric Power [kWh]"
PV = "Solar Generation [W/kW]"
PRICE = "Electricity Pricing [$]"
CARBON = "kg_CO2/kWh"

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Home:
    """One measured home."""

    number: int
    """1 to 17, as in the package."""
    name: str
    """Its name in the package, `Building_7`."""
    pv_kw: float
    """Nominal power of its PV."""
    load_wh: Ints
    """(N,) drawn by its appliances in each window, each rounded to the nearest Wh."""
    pv_wh: Ints
    """(N,) generated in each window, likewise."""

    @property
    def import_wh(self) -> Ints:
        """(N,) what an import register measures behind which load and PV meet: max(0, load - PV)."""
        drawn: Ints = np.maximum(0, self.load_wh - self.pv_wh)
        return drawn

    @property
    def export_wh(self) -> Ints:
        """(N,) what its export register measures: max(0, PV - load)."""
        fed: Ints = np.maximum(0, self.pv_wh - self.load_wh)
        return fed


@dataclass(frozen=True, eq=False)
class Community:
    """Homes over N neighbouring hours."""

    first_window: int
    """Index of the first hour, unix_start // 3600, local time treated as UTC."""
    homes: tuple[Home, ...]
    """Ascending by number."""
    carbon_g_per_kwh: Ints
    """(N,) of the grid, gCO2e/kWh."""
    tariff_micro_per_kwh: Ints
    """(N,) retail price, micro-currency/kWh."""

    @property
    def windows(self) -> int:
        return len(self.carbon_g_per_kwh)

    @property
    def weekdays(self) -> Ints:
        """(days,) Monday 0, of each whole day, if this starts at midnight."""
        first = weekday(self.first_window, WINDOW_LENGTH_S)
        return (first + np.arange(self.windows // WINDOWS_PER_DAY)) % 7

    def between(self, first: date, last: date) -> Community:
        """Only the days from `first` to `last`, both included; OutOfRange if one is not whole in here."""
        start = day_of(first).first_window - self.first_window
        stop = day_of(last).first_window + WINDOWS_PER_DAY - self.first_window
        if not 0 <= start < stop <= self.windows:
            raise OutOfRange(f"{first} to {last}", f"measured days run from {FIRST_DAY} to {LAST_DAY}")
        part = slice(start, stop)
        homes = tuple(Home(h.number, h.name, h.pv_kw, h.load_wh[part], h.pv_wh[part]) for h in self.homes)
        carbon, tariff = self.carbon_g_per_kwh[part], self.tariff_micro_per_kwh[part]
        return Community(self.first_window + start, homes, carbon, tariff)

    def moved(self, weeks: int) -> Community:
        """The same hours so many weeks later, on the same days of the week."""
        return replace(self, first_window=self.first_window + weeks * 7 * WINDOWS_PER_DAY)

    def on(self, day: date) -> Community:
        """One day; OutOfRange."""
        return self.between(day, day)

    def before(self, day: date, days: int) -> Community:
        """The `days` days before `day`, fewer at the beginning of the year; OutOfRange if there is none."""
        first = datetime.fromtimestamp(self.first_window * WINDOW_LENGTH_S, UTC)
        earliest = (first + timedelta(hours=23)).date()
        return self.between(max(earliest, day - timedelta(days=days)), day - timedelta(days=1))


def by_day(values: Ints) -> Ints:
    """(N,) hours that start at midnight as (days, 24)."""
    return values.reshape(-1, WINDOWS_PER_DAY)


def day_of(day: date) -> Day:
    """The 24 windows of a calendar day."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Day(WINDOW_LENGTH_S, int(start.timestamp()) // WINDOW_LENGTH_S, WINDOWS_PER_DAY)


def load_homes(homes: int | Sequence[int] = HOMES) -> Community:
    """The measured year of the first `homes` homes, or of those with the numbers given.

    OutOfRange if there is no such home, MissingPrerequisite if the package's data is not installed,
    InputError if its files are not what this module was written for.
    """
    numbers = tuple(range(1, homes + 1)) if isinstance(homes, int) else tuple(sorted(set(homes)))
    if not numbers or not all(1 <= number <= HOMES for number in numbers):
        raise OutOfRange(homes, f"there are homes 1 to {HOMES}")
    folder = data_folder()
    buildings = _schema(folder)
    carbon = np.rint(_column(folder / "carbon_intensity.csv", CARBON) * 1000)
    tariff = np.rint(_column(folder / "pricing.csv", PRICE) * 1_000_000)
    return Community(
        first_window=int(FIRST_ROW.timestamp()) // WINDOW_LENGTH_S,
        homes=tuple(_home(folder, number, buildings) for number in numbers),
        carbon_g_per_kwh=_frozen(carbon),
        tariff_micro_per_kwh=_frozen(tariff),
    )


def data_folder() -> Path:
    """Where the installed package keeps the data set, found without importing it; MissingPrerequisite."""
    spec = find_spec("citylearn")
    places = spec.submodule_search_locations or [] if spec else []
    for place in places:
        if (Path(place) / DATA_SET / "schema.json").is_file():
            return Path(place) / DATA_SET
    raise MissingPrerequisite("the measured homes are missing: install citylearn==1.8.0 (uv sync does it)")


def _schema(folder: Path) -> dict[str, Any]:
    """The buildings that schema.json describes; InputError naming the line or field."""
    path = folder / "schema.json"
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as cause:
        raise InputError(f"{path}:{cause.lineno}: no JSON: {cause.msg}") from cause
    except (OSError, ValueError, RecursionError) as cause:
        raise InputError(f"{path}: cannot be read: {cause}") from cause
    buildings = schema.get("buildings") if isinstance(schema, dict) else None
    if not isinstance(buildings, dict):
        raise InputError(f"{path}: expected an object with a field 'buildings'")
    return buildings


def _home(folder: Path, number: int, buildings: dict[str, Any]) -> Home:
    name = f"Building_{number}"
    try:
        description = buildings[name]
        pv_kw = float(description["pv"]["attributes"]["nominal_power"])
        path = folder / description["energy_simulation"]
    except (KeyError, TypeError, ValueError) as cause:
        raise InputError(
            f"{folder / 'schema.json'}: field 'buildings.{name}' has no PV power or file"
        ) from cause
    _check_calendar(path)
    return Home(number, name, pv_kw, _energy(path, LOAD, 1000), _energy(path, PV, pv_kw))


def _energy(path: Path, name: str, factor: float) -> Ints:
    """(8760,) a column times `factor` in whole Wh; InputError for 1 GWh or more in an hour."""
    wh = np.rint(_column(path, name) * factor)
    _refuse_rows(path, name, wh >= WH_LIMIT, "is 1 GWh or more in an hour")
    return _frozen(wh)


@cache
def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as cause:
        raise InputError(f"{path}: cannot be read: {cause}") from cause


def _column(path: Path, name: str) -> npt.NDArray[np.float64]:
    """(8760,) a column, complete and not negative; InputError naming the first line that is not."""
    table = _table(path)
    if name not in table or len(table) != ROWS:
        raise InputError(f"{path}: expected {ROWS} rows with a column {name!r}, found {len(table)} rows")
    values = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
    _refuse_rows(path, name, ~np.isfinite(values), "is not a number")
    _refuse_rows(path, name, values < 0, "is negative")
    return values


def _refuse_rows(path: Path, name: str, wrong: npt.NDArray[np.bool_], why: str) -> None:
    """InputError for the first row that is wrong, by its line in the file: the header is line 1."""
    rows = np.flatnonzero(wrong)
    if len(rows):
        given = _table(path)[name].iloc[rows[0]]
        raise InputError(f"{path}:{rows[0] + 2}: column {name!r}: {given} {why}")


def _check_calendar(path: Path) -> None:
    """InputError unless every row's month, hour and day type are those of FIRST_ROW and the hours after
    it.
    """
    starts = pd.date_range(FIRST_ROW, periods=ROWS, freq="h")
    labels = {"Month": starts.month, "Hour": starts.hour + 1, "Day Type": starts.day_of_week + 1}
    for name, expected in labels.items():
        differs = _column(path, name) != expected.to_numpy(np.float64)
        _refuse_rows(path, name, differs, f"does not follow hour by hour from {FIRST_ROW:%Y-%m-%d %H:%M}")


def _frozen(values: npt.NDArray[np.float64]) -> Ints:
    integers = values.astype(np.int64)
    integers.flags.writeable = False
    return integers
