"""What all interval files share: intervals that overlap, and how many faults a record lists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from datetime import UTC, datetime

from oracle.formats.record import IntervalReading

MOST_LISTED = 20
"""Problems in a record; more are counted."""
EARLIEST_S, LATEST_S = 0, 1 << 32
"""Seconds of UTC that a start may lie between: 1970 to 2106, what a window index can say."""


def listed(problems: Iterable[str]) -> tuple[str, ...]:
    """The first problems, each once, and how many more there are."""
    found = list(dict.fromkeys(problems))
    more = len(found) - MOST_LISTED
    return (*found[:MOST_LISTED], *([f"and {more} more"] if more > 0 else []))


def overlaps(readings: Iterable[IntervalReading]) -> Iterator[str]:
    """Intervals of one register that begin before the one before them ends: their energy would count
    twice."""
    by_register = defaultdict(list)
    for reading in readings:
        by_register[reading.register].append((reading.start_utc_s, reading.length_s))
    for register, spans in by_register.items():
        end = EARLIEST_S
        for start, length in sorted(spans):
            if start < end:
                yield f"{register}: the interval from {stamp(start)} overlaps the one before"
            end = max(end, start + length)


class Twice:
    """Finds intervals that an earlier record of the same stream in the file has already."""

    def __init__(self) -> None:
        self._first: dict[tuple[Hashable, str, int], int] = {}

    def problems(self, stream: Hashable, readings: Iterable[IntervalReading], record: int) -> Iterator[str]:
        """One sentence for each earlier record that the readings of this one repeat."""
        before = set()
        for reading in readings:
            first = self._first.setdefault((stream, reading.register, reading.start_utc_s), record)
            before |= {first} - {record}
        yield from (
            f"record {first} has intervals of this stream that come again here" for first in sorted(before)
        )


def stamp(seconds: int) -> str:
    """Seconds of UTC as people write them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
