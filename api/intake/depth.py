"""The depth of a book: what is bid and offered at each price, in aggregates that show nobody's order.

Limits are rounded to a tick, a bid's down and an offer's up: all of a level trades at the level's price. Best
prices come first. A level with fewer than `LEAST_TRADERS` traders is joined with the next worse one, until so
many stand behind it; what is left at the end joins the last level that is shown. A side with fewer traders in
all shows nothing. A flexible order counts in each of its windows, with the most that it may take there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from settlement.chain.books import asked
from settlement.reference.flexible import FlexibleSchedule
from settlement.reference.orders import Order
from settlement.reference.record import BUY
from settlement.units import floor_div

LEAST_TRADERS = 3
TICK = 5_000
"""micro/kWh."""

MOST_LEVELS = 50
"""Of a cell: the best ones."""

Cell = tuple[int, int, int]
"""Quality, window, side."""


@dataclass(frozen=True, slots=True)
class Level:
    """What several traders bid or offer."""

    limit_micro_per_kwh: int
    """All of it trades at this price, micro/kWh."""
    quantity_wh: int
    traders: int


@dataclass(frozen=True, slots=True)
class CellDepth:
    """One side of a product."""

    quality: int
    window: int
    side: int
    """0 buys, 1 sells."""
    levels: tuple[Level, ...]
    """Best price first; none if too few trade."""


class _Tick:
    """What is at one price of a cell."""

    __slots__ = ("traders", "wh")

    def __init__(self) -> None:
        self.traders: set[bytes] = set()
        self.wh = 0


def depth(given: Iterable[Order]) -> list[CellDepth]:
    """The depth of all cells that somebody trades in, by quality, window and side."""
    cells: dict[Cell, dict[int, _Tick]] = {}
    for order in given:
        for (window, wh), limit in zip(asked(order), _limits(order), strict=True):
            if wh:
                ticks = cells.setdefault((order.quality, window, order.side), {})
                found = ticks.setdefault(_tick(order.side, limit), _Tick())
                found.traders.add(order.trader)
                found.wh += wh
    return [CellDepth(*cell, _levels(cells[cell], cell[2])) for cell in sorted(cells)]


def _tick(side: int, limit: int) -> int:
    return TICK * (floor_div(limit, TICK) if side == BUY else -floor_div(-limit, TICK))


def _limits(order: Order) -> Iterable[int]:
    if isinstance(order, FlexibleSchedule):
        return (order.limit_micro_per_kwh,) * order.windows
    return order.limit_micro_per_kwh


def _levels(ticks: dict[int, _Tick], side: int) -> tuple[Level, ...]:
    """The ticks, joined from the best price on until enough traders stand behind each level."""
    groups: list[list[int]] = []
    for group in _groups(ticks, sorted(ticks, reverse=side == BUY)):
        if _traders(ticks, group) >= LEAST_TRADERS:
            groups.append(group)
        elif groups:
            groups[-1] += group
    shown = groups[:MOST_LEVELS]
    return tuple(
        Level(group[-1], sum(ticks[one].wh for one in group), _traders(ticks, group)) for group in shown
    )


def _groups(ticks: dict[int, _Tick], prices: Iterable[int]) -> Iterator[list[int]]:
    group: list[int] = []
    for one in prices:
        group.append(one)
        if _traders(ticks, group) >= LEAST_TRADERS:
            yield group
            group = []
    if group:
        yield group


def _traders(ticks: dict[int, _Tick], group: Iterable[int]) -> int:
    """Different ones: nobody counts twice."""
    return len(set[bytes]().union(*(ticks[one].traders for one in group)))
