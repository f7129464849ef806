"""A delivery day and the readings of it, as arrays.

Everything between intake and posting is a pure function on these two values. Rows are (meter id, register)
pairs in ascending order, columns the windows of the day; `S` rows and `W` columns below.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from oracle.errors import OutOfRange, UnknownReading, WrongShape, WrongWindow
from oracle.messages import WH_BOUND, WINDOW_LENGTHS_S, Reading, ReadingKey
from settlement.reference.posting import ACTUAL, DEFAULT, ESTIMATED

MISSING = 255
"""Flag of a window that nothing is known of yet. Never posted: estimation leaves none."""
OUT_OF_SERVICE = 254
"""Flag of a window in which the register did not serve its account: not installed yet, or replaced. It is
never estimated, adds nothing to its account, and is not committed to.
"""
FLAGS = (ACTUAL, ESTIMATED, DEFAULT)
"""What a posted window can be, from best to worst."""

Wh = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Flags = npt.NDArray[np.uint8]
Sequences = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Day:
    """The windows of one delivery day: 46 to 50 half-hours, 23 to 25 hours, ..."""

    window_length_s: int
    first_window: int
    """Index of the first, unix_start // window_length_s."""
    windows: int

    def __post_init__(self) -> None:
        if self.window_length_s not in WINDOW_LENGTHS_S:
            raise OutOfRange(self.window_length_s, f"a window lasts one of {WINDOW_LENGTHS_S} s")
        if not 0 < self.windows < 1 << 16 or not 0 <= self.first_window <= (1 << 32) - self.windows:
            raise OutOfRange((self.first_window, self.windows), "the day's windows do not fit uint32")

    def __contains__(self, window_index: int) -> bool:
        return self.first_window <= window_index < self.first_window + self.windows

    def column(self, window_index: int) -> int:
        """The place of a window in the day, from 0; WrongWindow."""
        if window_index not in self:
            raise WrongWindow(window_index, f"{self.first_window} to {self.first_window + self.windows - 1}")
        return window_index - self.first_window


@dataclass(frozen=True, eq=False)
class MeterDay:
    """Every register of every meter in every window."""

    day: Day
    series: tuple[tuple[bytes, int], ...]
    """(meter id, register) of each row, strictly ascending."""
    wh: Wh
    """(S, W), 0 <= wh < 2^30; 0 where nothing is known."""
    flags: Flags
    """(S, W), ACTUAL, ESTIMATED, DEFAULT, MISSING or OUT_OF_SERVICE."""
    sequence: Sequences
    """(S, W), the sequence of an actual reading, 0 for anything else."""

    def __post_init__(self) -> None:
        shape = (len(self.series), self.day.windows)
        for name, dtype in (("wh", np.int64), ("flags", np.uint8), ("sequence", np.uint64)):
            object.__setattr__(self, name, frozen(name, getattr(self, name), shape, dtype))
        if list(self.series) != sorted(set(self.series)):
            raise WrongShape("series", "rows must ascend by meter and register")
        if self.wh.size and (self.wh.min() < 0 or self.wh.max() >= WH_BOUND):
            raise OutOfRange("wh", "a window's energy is from 0 to 2^30 - 1")
        if (self.wh[self.flags == OUT_OF_SERVICE] != 0).any():
            raise OutOfRange("wh", "a register out of service measures nothing")

    def replace(self, wh: Wh, flags: Flags, sequence: Sequences | None = None) -> MeterDay:
        """The same rows and windows with other values."""
        return MeterDay(self.day, self.series, wh, flags, self.sequence if sequence is None else sequence)

    def reading(self, row: int, column: int) -> Reading:
        """The message that stands for one cell; of an estimate it is the oracle's own, with sequence 0."""
        meter_id, register = self.series[row]
        return Reading(
            meter_id,
            register,
            self.day.window_length_s,
            self.day.first_window + column,
            int(self.wh[row, column]),
            int(self.sequence[row, column]),
        )

    def cells(self) -> Iterator[tuple[Reading, int]]:
        """(reading, flag) of every cell in service, in ascending (meter, register, window) order;
        UnknownReading if one is still missing.
        """
        self.refuse_missing()
        for row, column in zip(*np.nonzero(self.flags != OUT_OF_SERVICE), strict=True):
            yield self.reading(int(row), int(column)), int(self.flags[row, column])

    def refuse_missing(self) -> None:
        """UnknownReading for the first cell that nothing is known of, or whose flag is none."""
        unknown = ~np.isin(self.flags, (*FLAGS, OUT_OF_SERVICE))
        if unknown.any():
            row, column = divmod(int(unknown.argmax()), self.day.windows)
            raise UnknownReading(self.reading(row, column).key, "it was not estimated")

    def row(self, meter_id: bytes, register: int) -> int:
        """The row of a register; UnknownReading."""
        row = row_of(self.series, (meter_id, register))
        if row is None:
            raise UnknownReading(ReadingKey(meter_id, register, self.day.first_window))
        return row


def row_of(series: tuple[tuple[bytes, int], ...], register: tuple[bytes, int]) -> int | None:
    """The place of (meter id, register) in ascending series, None if it is not there."""
    row = bisect_left(series, register)
    return row if series[row : row + 1] == (register,) else None


def frozen(name: str, array: npt.NDArray[Any], shape: tuple[int, ...], dtype: type) -> npt.NDArray[Any]:
    """A read-only view of `array`; WrongShape unless it has that shape and type (no float becomes an integer
    here).
    """
    if array.shape != shape or array.dtype != dtype:
        raise WrongShape(name, f"{array.dtype} {array.shape} instead of {np.dtype(dtype)} {shape}")
    view = array.view()
    view.flags.writeable = False
    return view


def blank(day: Day, series: tuple[tuple[bytes, int], ...]) -> MeterDay:
    """A day of which nothing is known yet."""
    shape = (len(series), day.windows)
    missing = np.full(shape, MISSING, np.uint8)
    return MeterDay(day, series, np.zeros(shape, np.int64), missing, np.zeros(shape, np.uint64))


def only_in_service(readings: MeterDay, in_service: Mask) -> MeterDay:
    """The day with everything outside `in_service` (S, W) taken out of it; WrongShape.

    Whatever stood there is gone, an actual too: a meter measures for its account only while it serves it.
    """
    idle = ~frozen("in_service", in_service, readings.wh.shape, np.bool_)
    if not idle.any():
        return readings
    return readings.replace(
        np.where(idle, 0, readings.wh),
        np.where(idle, np.uint8(OUT_OF_SERVICE), readings.flags),
        np.where(idle, np.uint64(0), readings.sequence),
    )
