"""Aggregates of a zone's day, from which no single account can be told. Pure.

A sum is told if at least `group` accounts are in it and, of the p%-rule of statistical disclosure control,
what all but the two largest bring is at least a tenth of the largest: the second largest then cannot estimate
the largest to within a tenth. A zone's day is told at one level only, the finest at which every sum that is
not empty may be told; so none is the difference of two others. Bought and sold are told together or not at
all: where no energy crosses a line one is what the other sums to. Only certified days are told, each later
run by itself: what is added to a sum after it was told would be a difference too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Level = Literal["window", "quality", "day"]
LEVELS: tuple[Level, ...] = ("window", "quality", "day")
"""Finest first: by window and quality, by quality, of the whole day."""
Cell = tuple[int | None, int | None]
"""Window and quality code; None is all of them."""
SHARE = 10
"""The rest is a tenth of the largest, or more."""

Amounts = Mapping[str, int]
"""What each account brings to a sum."""


@dataclass(frozen=True)
class Row:
    """What one account did of one product."""

    account: str
    window: int
    """Its index."""
    quality: int
    measure: str
    amount: int


@dataclass(frozen=True)
class Told:
    """The sums of a zone's day at one level."""

    level: Level
    cells: dict[Cell, dict[str, int]] = field(default_factory=dict)
    """By measure."""


def may_tell(amounts: Iterable[int], group: int) -> bool:
    """Whether the sum of these accounts' amounts hides each of them."""
    found = sorted((abs(one) for one in amounts if one), reverse=True)
    return len(found) >= group and sum(found[2:]) * SHARE >= found[0]


def tell(rows: Sequence[Row], group: int) -> Told | None:
    """The finest level at which every sum may be told; None if not even the day's."""
    for level in LEVELS:
        sums = _sums(rows, level)
        if sums and all(may_tell(one.values(), group) for one in sums.values()):
            cells: dict[Cell, dict[str, int]] = {}
            for (cell, measure), amounts in sorted(sums.items(), key=_place):
                cells.setdefault(cell, {})[measure] = sum(amounts.values())
            return Told(level, cells)
    return None


def _sums(rows: Sequence[Row], level: Level) -> dict[tuple[Cell, str], Amounts]:
    found: dict[tuple[Cell, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        found[(_cell(row, level), row.measure)][row.account] += row.amount
    return {key: amounts for key, amounts in found.items() if any(amounts.values())}


def _cell(row: Row, level: Level) -> Cell:
    if level == "window":
        return row.window, row.quality
    return (None, row.quality) if level == "quality" else (None, None)


def _place(item: tuple[tuple[Cell, str], Amounts]) -> tuple[int, int, str]:
    (window, quality), measure = item[0]
    return -1 if window is None else window, -1 if quality is None else quality, measure
