"""Imbalance prices as the market tells them: a CSV file that grows (docs/oracle.md, Prices).

    window_start,surplus_micro_per_kwh,deficit_micro_per_kwh
    2026-11-01T00:00:00Z,65000,315000

One row a window, in any order; of several rows of a window the last holds. Who writes it puts a new file in
its place as a whole. Nodes must have the same: a price is part of what they sign.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from oracle.day import Day
from settlement.errors import InputError

COLUMNS = ["window_start", "surplus_micro_per_kwh", "deficit_micro_per_kwh"]

Prices = tuple[tuple[int, ...], tuple[int, ...]]
"""Surplus and deficit price of each window, micro/kWh."""


def read_prices(path: Path, day: Day, bounds: tuple[int, int]) -> Prices:
    """The day's prices. InputError, with file and line, for a row that is none, a window without one, a
    surplus price above the deficit price, or one outside `bounds` (what the day's traders signed).
    """
    found: dict[int, tuple[int, int]] = {}
    for line, window, prices in _rows(path, day.window_length_s):
        if window in day:
            _check(f"{path}, line {line}", prices, bounds)
            found[window] = prices
    missing = [
        window for window in range(day.first_window, day.first_window + day.windows) if window not in found
    ]
    if missing:
        start = datetime.fromtimestamp(missing[0] * day.window_length_s, UTC)
        raise InputError(
            f"{path} has no prices of {len(missing)} of the day's {day.windows} windows, "
            f"the first {start:%Y-%m-%dT%H:%MZ}: add them"
        )
    surplus, deficit = zip(*(found[window] for window in sorted(found)), strict=True)
    return surplus, deficit


def _rows(path: Path, window_length_s: int) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Line, window and prices of each row. InputError."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.reader(file)
            if next(rows, None) != COLUMNS:
                raise InputError(f"{path}, line 1: its columns are {','.join(COLUMNS)}")
            for row in rows:
                yield rows.line_num, *_row(f"{path}, line {rows.line_num}", row, window_length_s)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def _row(place: str, row: list[str], window_length_s: int) -> tuple[int, tuple[int, int]]:
    try:
        start, surplus, deficit = row
        instant = datetime.fromisoformat(start)
        prices = int(surplus), int(deficit)
    except ValueError:
        raise InputError(f"{place}: give a time in UTC and two whole numbers") from None
    seconds = instant.timestamp() if instant.tzinfo is not None else -1
    window = int(seconds) // window_length_s
    if seconds < 0 or window * window_length_s != seconds:
        raise InputError(f"{place}: {start!r} is no start of a window of {window_length_s} s, with its Z")
    return window, prices


def _check(place: str, prices: tuple[int, int], bounds: tuple[int, int]) -> None:
    (surplus, deficit), (low, high) = prices, bounds
    if surplus > deficit:
        raise InputError(f"{place}: the surplus price {surplus} is above the deficit price {deficit}")
    if surplus < low or deficit > high:
        raise InputError(
            f"{place}: prices {surplus} and {deficit} leave the bounds {low} to {high} of the day"
        )
