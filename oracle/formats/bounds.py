"""How much one file may hold, so that a small hostile file cannot fill the memory."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

from oracle.errors import BadFormat

MOST_RECORDS = 500_000
"""Telegrams or frames in a file: five days of one a second."""
MOST_READINGS = 2_000_000
"""Intervals in a file: nineteen years of 5 minutes."""

T = TypeVar("T")


def at_most(most: int, items: Iterable[T], name: str) -> list[T]:
    """All items; `BadFormat` under the format's name if there are more than `most`."""
    found = list(islice(items, most + 1))
    if len(found) > most:
        raise BadFormat(name, f"it holds more than {most} records: split the file")
    return found
