"""Small sessions over trees of two and of four zones, from a few orders each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import reference_world as world
import tree_world
from reference_world import DAY, GATE, QUALITIES
from tree_world import (
    TreeSession,
    home,
    make_exchange,
)

from settlement.reference.closing import ClosedZone
from settlement.reference.exchange import Exchange
from settlement.reference.flexible import FlexibleSchedule
from settlement.reference.orders import Order
from settlement.reference.schedule import Schedule
from settlement.reference.session import NO_PARENT, UNLIMITED_WH, Grid

LINE = Grid(QUALITIES, (1, 0, 2, 1), (NO_PARENT, 0), (0, 10_000), (UNLIMITED_WH, 600))
FORK = Grid((0,), (), (NO_PARENT, 0, 0, 1), (0, 5, 7, 9), (UNLIMITED_WH,) * 4)


Ordered = Callable[[bytes], Order]
"""An order of a session that is not open yet."""


def session_of(grid: Grid, *orders: Ordered, **changes: Any) -> TreeSession:
    """A session of these orders, over the whole day."""
    exchange = make_exchange(grid, world.WINDOWS)
    session = tree_world.open_session(exchange, grid, **changes)
    signed = [tree_world.sign(exchange.separator, order(session.id)) for order in orders]
    return TreeSession(exchange, session, tree_world.prepare(exchange, session, signed))


def plain(trader: bytes, zone: int, side: int, wh: int, limit: int, **changes: Any) -> Ordered:
    def order(session: bytes) -> Schedule:
        terms = {"quantity_wh": (wh,), "limit_micro_per_kwh": (limit,)} | changes
        return world.make_schedule(session, trader, zone=zone, side=side, **terms)

    return order


def flexible(trader: bytes, zone: int, side: int, **changes: Any) -> Ordered:
    def order(session: bytes) -> FlexibleSchedule:
        terms = {
            "kind": 0,
            "first_window": DAY,
            "windows": world.WINDOWS,
            "nonce": 1,
            "energy_wh": 1000,
            "max_wh_per_window": 400,
            "limit_micro_per_kwh": 200_000,
        }
        return FlexibleSchedule(trader=trader, session=session, zone=zone, side=side, **terms | changes)

    return order


def across_the_line() -> TreeSession:
    """The home of zone 1 sells to the root's more than the line carries."""
    return session_of(
        LINE,
        plain(home(0, 0), 0, 0, 1000, 200_000),
        plain(home(1, 0), 1, 1, 1000, 100_000),
    )


def free(exchange: Exchange, account: bytes) -> int:
    return exchange.cash(GATE, account).free


def posted(grid: Grid = FORK, *orders: Ordered) -> TreeSession:
    """A session up to its header."""
    found = session_of(grid, *orders)
    found.commit()
    found.post_header()
    return found


def leaf(found: TreeSession, zone: int) -> ClosedZone:
    return found.close_zone(zone, found.clear_zone(zone), (), last=False)
