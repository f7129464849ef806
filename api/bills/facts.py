"""What a bill says, gathered from the read model: whole numbers, each of which can be checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from api.db.market_models import CashMovement, Order, Position, Reading, Session, Settlement
from api.db.market_models import Day as DeliveryDay
from api.readmodel.query import Clockwork, Queries

BUY = 0


@dataclass(frozen=True, slots=True)
class Traded:
    """What was filled of an order."""

    order: str
    """Its hash."""
    sold: bool
    quality: int | None
    """None of a flexible order, which takes any."""
    filled_wh: int
    asked_wh: int
    """What it asked for, or offered."""


@dataclass(frozen=True, slots=True)
class Bill:
    """A delivery day of one account."""

    account: str
    day: int
    starts_at: int
    """Unix seconds."""
    window_s: int
    settled: bool
    certified: bool
    contracted_wh: tuple[int, ...]
    """Sold less bought, by window."""
    metered_wh: tuple[int, ...] | None
    """Export less import, by window, with all corrections; None before the first reading."""
    estimated: int
    """Windows whose reading is not of a meter."""
    imbalance_wh: int
    certified_wh: int
    orders: tuple[Traded, ...]
    lines: tuple[CashMovement, ...]

    @property
    def total_nano(self) -> int:
        return sum(line.amount_nano for line in self.lines)

    @property
    def sold_wh(self) -> int:
        return sum(one.filled_wh for one in self.orders if one.sold)

    @property
    def bought_wh(self) -> int:
        return sum(one.filled_wh for one in self.orders if not one.sold)


async def gather(
    queries: Queries, account: str, found: DeliveryDay, clock: Clockwork, lines: Sequence[CashMovement]
) -> Bill:
    """The bill of a day that was opened."""
    day = found.day
    proved = select(Session.epoch).where(
        Session.day == day, Session.kind == 0, Session.proved_at.is_not(None)
    )
    own = (Position.account == account, Position.epoch.in_(proved))
    of_day = (Settlement.account == account, Settlement.day == day)
    async with queries.sessions() as db:
        positions = list(await db.scalars(select(Position).where(*own)))
        orders = select(Order).where(Order.trader == account, Order.epoch.in_(proved)).order_by(Order.hash)
        traded = [one for one in map(_traded, await db.scalars(orders)) if one is not None]
        readings = select(Reading).where(Reading.account == account, Reading.day == day)
        read = list(await db.scalars(readings.order_by(Reading.run)))
        results = list(await db.scalars(select(Settlement).where(*of_day)))
    return Bill(
        account=account,
        day=day,
        starts_at=day * clock.window_length,
        window_s=clock.window_length,
        settled=found.settled,
        certified=found.certified,
        contracted_wh=_contracted(positions, day, found.windows),
        metered_wh=_metered(read, found.windows) if read else None,
        estimated=sum(flag != 0 for flag in read[0].flags) if read else 0,
        imbalance_wh=sum(one.imbalance_wh + one.delivered_wh for one in results),
        certified_wh=sum(one.certified_wh for one in results),
        orders=tuple(traded),
        lines=tuple(lines),
    )


def _traded(row: Order) -> Traded | None:
    """None of an order that got nothing, or that only its hash is known of."""
    terms = row.terms
    if not terms or not row.filled_wh or not sum(row.filled_wh):
        return None
    asked = sum(terms["quantity_wh"]) if "quantity_wh" in terms else int(terms.get("energy_wh") or 0)
    flexible = "quantity_wh" not in terms
    quality = None if flexible else terms.get("quality")
    return Traded(row.hash, terms["side"] != BUY, quality, sum(row.filled_wh), asked)


def _contracted(positions: Iterable[Position], first: int, windows: int) -> tuple[int, ...]:
    total = [0] * windows
    for row in positions:
        for at, wh in enumerate(row.wh, row.first_window - first):
            if 0 <= at < windows:
                total[at] += wh if row.side else -wh
    return tuple(total)


def _metered(readings: Iterable[Reading], windows: int) -> tuple[int, ...]:
    total = [0] * windows
    for row in readings:
        for at, wh in enumerate(row.wh[:windows]):
            total[at] += wh
    return tuple(total)
