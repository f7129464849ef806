"""The readings of a day that are committed to, in their order, without an object for each.

A posting may commit to a million readings. What is done to each of them works on two blobs here, `messages`
and the leaves or salts beside it; keys and readings are made only for those that somebody asks about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from oracle.day import OUT_OF_SERVICE, Day, Mask, MeterDay, row_of
from oracle.errors import UnknownReading
from oracle.messages import MESSAGE_BYTES, VERSION, ReadingKey
from oracle.split import Ints

RECORD_BYTES = MESSAGE_BYTES + 1
"""A message and its flag."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The N cells of a day that are in service, ascending by (meter id, register, window)."""

    day: Day
    series: tuple[tuple[bytes, int], ...]
    serving: Mask
    """(S, W)"""

    def __len__(self) -> int:
        return len(self._flat)

    def __getitem__(self, place: int) -> ReadingKey:
        row, column = self.cell(place)
        return ReadingKey(*self.series[row], self.day.first_window + column)

    def __iter__(self) -> Iterator[ReadingKey]:
        return (self[place] for place in range(len(self)))

    def __contains__(self, key: object) -> bool:
        return isinstance(key, ReadingKey) and self._find(key) is not None

    def place(self, key: ReadingKey) -> int:
        """Where a reading stands, from 0; UnknownReading."""
        found = self._find(key)
        if found is None:
            raise UnknownReading(key)
        return found

    def cell(self, place: int) -> tuple[int, int]:
        """Row and column of the cell at `place`; IndexError."""
        return divmod(int(self._flat[place]), self.day.windows)

    def same_as(self, other: Cells) -> bool:
        """Whether both are the same cells of the same day."""
        alike = (self.day, self.series) == (other.day, other.series)
        return self is other or (alike and bool((self.serving == other.serving).all()))

    def _find(self, key: ReadingKey) -> int | None:
        row = row_of(self.series, (key.meter_id, key.register))
        if row is None or key.window_index not in self.day:
            return None
        flat = row * self.day.windows + self.day.column(key.window_index)
        place = int(np.searchsorted(self._flat, flat))
        return place if place < len(self._flat) and self._flat[place] == flat else None

    @cached_property
    def _flat(self) -> Ints:
        """(N,) row * W + column of each."""
        return np.flatnonzero(self.serving)


def cells_of(readings: MeterDay) -> Cells:
    """The cells of a day that is whole; UnknownReading if one is still missing."""
    readings.refuse_missing()
    return Cells(readings.day, readings.series, readings.flags != OUT_OF_SERVICE)


def records(readings: MeterDay, cells: Cells) -> bytes:
    """`message(52) ‖ flag(1)` of every cell, one after another: what `messages.encode` makes of each."""
    table = np.zeros((*cells.serving.shape, RECORD_BYTES), np.uint8)
    if table.size:
        ids = np.frombuffer(b"".join(meter_id for meter_id, _ in cells.series), np.uint8).reshape(-1, 32)
        table[..., 0] = VERSION
        table[..., 1:33] = ids[:, None, :]
        table[..., 33] = np.array([register for _, register in cells.series], np.uint8)[:, None]
        windows = cells.day.first_window + np.arange(cells.day.windows)
        table[..., 34:36] = _bytes(np.array([cells.day.window_length_s]), ">u2")
        table[..., 36:40] = _bytes(windows, ">u4")
        table[..., 40:44] = _bytes(readings.wh, ">u4")
        table[..., 44:52] = _bytes(readings.sequence, ">u8")
        table[..., 52] = readings.flags
    return table[cells.serving].tobytes()


def _bytes(
    values: np.ndarray[tuple[int, ...], np.dtype[np.integer]], form: str
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The big-endian bytes of each integer, on a new last axis."""
    wide = np.ascontiguousarray(values.astype(form))
    return wide.view(np.uint8).reshape(*values.shape, wide.dtype.itemsize)
