"""What the read model has of one order, and which transactions told of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.db.chain_models import Event, Transaction
from api.db.market_models import (
    Book,
    Certificate,
    Claim,
    Day,
    GridVersion,
    Order,
    Position,
    Reading,
    Session,
)

OF_SESSION = ("SessionOpened", "HeaderPosted", "SessionProved")
OF_ZONE = ("BookCommitted", "ZoneJoined")
OF_ORDER = (
    *("OrderSubmitted", "SubmissionReplaced", "ScheduleCleared", "ScheduleIneligible"),
    *("ClaimOpened", "ClaimDefeated", "ClaimPaid"),
)
OF_DAY = ("MeteringPosted", "CorrectionPosted", "PartSettled", "PartCertified", "PartCorrected")
OF_ACCOUNT = ("AccountSettled", "AccountDelivered", "AccountCorrected")


@dataclass(frozen=True)
class Market:
    """The order's session and what was committed to."""

    session: Session
    book: Book | None
    order: Order | None
    """None if the chain has not seen it."""
    others: tuple[str, ...]
    """Hashes of all orders of the book, `0x` hex, once the chain has read them."""
    claim: Claim | None
    qualities: tuple[int, ...]
    """Codes of the session's grid."""
    events: tuple[Event, ...]


@dataclass(frozen=True)
class DayRows:
    """What the account's day came to."""

    day: Day
    qualities: tuple[int, ...]
    sessions: tuple[Session, ...]
    """Proved, ascending by round."""
    positions: tuple[Position, ...]
    readings: tuple[Reading, ...]
    certificates: tuple[Certificate, ...]
    events: tuple[Event, ...]
    """Of the zone's day and the account's, in the chain's order; the first that are of other parts too."""


async def find_market(
    db: AsyncSession, account: str, epoch: int, zone: int, order: str, signer: str | None = None
) -> Market | None:
    """Everything up to the clearing; None without such a session. With the grants of the session key that
    signed the order, if its signer is known to be one.
    """
    session = await db.get(Session, epoch)
    if session is None:
        return None
    book, claim = await db.get(Book, (epoch, zone)), await db.get(Claim, (epoch, order))
    whole = book is not None and book.cleared == book.count
    query = select(Order.hash).where(Order.epoch == epoch, Order.zone == zone, Order.outcome.is_not(None))
    others = tuple(sorted(await db.scalars(query))) if whole else ()
    mine = await db.get(Order, order)
    about: list[ColumnElement[bool]] = [
        and_(Event.epoch == epoch, Event.name.in_(OF_SESSION)),
        and_(Event.epoch == epoch, Event.zone == zone, Event.name.in_(OF_ZONE)),
    ]
    events = await _events(db, or_(*about))
    events += await _of_order(db, epoch, order, mine)
    events += await _grid(db, session.params["grid_version"])
    events += await _events(db, and_(Event.name == "MemberRegistered", Event.account == account))
    if signer is not None and signer != account:
        grants = await _events(db, and_(Event.name == "KeyGranted", Event.account == account))
        events += [one for one in grants if _is(one, "key", signer)]
    codes = await _qualities(db, session.params["grid_version"])
    return Market(session, book, mine, others, claim, codes, tuple(events))


async def _of_order(db: AsyncSession, epoch: int, order: str, mine: Order | None) -> list[Event]:
    """Events that name the order."""
    claims = and_(Event.epoch == epoch, Event.name.in_(OF_ORDER))
    found = [one for one in await _events(db, claims) if _is(one, "order", order)]
    if mine is not None and mine.outcome is not None:
        cleared = and_(Event.tx_hash == mine.tx_hash, Event.name.in_(OF_ORDER))
        found += [one for one in await _events(db, cleared) if _is(one, "order", order)]
    return found


async def find_day(db: AsyncSession, account: str, zone: int, number: int) -> DayRows | None:
    """The account's day; None before it was settled."""
    day = await db.get(Day, number)
    events = await _events(db, and_(Event.zone == zone, Event.day == number, Event.name.in_(OF_DAY)))
    parts = {one.tx_hash for one in events if one.name in ("PartSettled", "PartCertified", "PartCorrected")}
    mine = await _events(db, and_(Event.account == account, Event.name.in_(OF_ACCOUNT)))
    mine = [one for one in mine if one.tx_hash in parts]
    mine += await _events(db, and_(Event.account == account, Event.name == "MeterRegistered"))
    if day is None or not any(one.name == "AccountSettled" for one in mine):
        return None
    sessions = await db.scalars(select(Session).where(Session.epoch.in_(day.sessions)))
    proved = sorted((one for one in sessions if one.proved_at is not None), key=lambda one: one.round)
    epochs = [one.epoch for one in proved]
    opened = await _events(
        db, and_(Event.epoch.in_(epochs), Event.name.in_(("SessionOpened", "SessionProved")))
    )
    opened += await _events(db, and_(Event.day == number, Event.name == "DayOpened"))
    grids = await _grid(db, day.grid_version)

    async def of(model: Any, *where: ColumnElement[bool]) -> tuple[Any, ...]:
        return tuple(await db.scalars(select(model).where(model.account == account, *where)))

    return DayRows(
        day=day,
        qualities=await _qualities(db, day.grid_version),
        sessions=tuple(proved),
        positions=await of(Position, Position.epoch.in_(epochs), Position.zone == zone),
        readings=await of(Reading, Reading.zone == zone, Reading.day == number),
        certificates=await of(Certificate, Certificate.zone == zone, Certificate.day == number),
        events=(*events, *mine, *opened, *grids),
    )


async def _qualities(db: AsyncSession, version: int) -> tuple[int, ...]:
    grid = await db.get(GridVersion, version)
    assert grid is not None, "sessions and days have a grid"
    return tuple(grid.terms["qualities"])


async def _grid(db: AsyncSession, version: int) -> list[Event]:
    """What told of a grid: it is large, and read only when it is the one."""
    grid = await db.get(GridVersion, version)
    assert grid is not None, "sessions and days have a grid"
    return await _events(db, and_(Event.tx_hash == grid.tx_hash, Event.name == "GridSet"))


async def _events(db: AsyncSession, where: ColumnElement[bool]) -> list[Event]:
    query = select(Event).where(where).order_by(Event.block_number, Event.log_index)
    return list(await db.scalars(query))


def _is(event: Event, name: str, value: object) -> bool:
    return (event.args or {}).get(name) == str(value)


async def transactions(db: AsyncSession, hashes: Iterable[str]) -> Sequence[Transaction]:
    """In the chain's order."""
    query = select(Transaction).where(Transaction.hash.in_(list(hashes)))
    order = (Transaction.block_number, Transaction.position)
    return list(await db.scalars(query.order_by(*order)))
