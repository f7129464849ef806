"""What the intake promised, in the database: one row a session that says who takes its orders, one an order,
one a cancel.

Everything is fenced by the session's row. Whoever writes changes it first, and only if it still holds the
session, the session is not sealed, and no sequence was given by anyone else; so of two processes that both
believe they take a session's orders, one commits and the other learns that it lost. Until when a session is
held says only from when on another may step in, by the wall clock; it keeps nothing safe.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, Table, insert, literal, or_, select, tuple_, union_all, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.db.engine import Sessions
from api.db.intake_models import AcceptedCancel, AcceptedOrder, IntakeSession
from api.pages import Key
from settlement.chain import packed
from settlement.chain.books import Named, Session
from settlement.chain.intake import Booked, Entry
from settlement.chain.rpc import to_bytes, to_hex
from settlement.errors import InputError
from settlement.reference.orders import SignedOrder
from settlement.reference.receipts import SignedReceipt

TAKEN, REPLACED, CANCELLED = "taken", "replaced", "cancelled"
_ROWS = 2_000
"""Read at once, so that others get a turn."""
_KEYS = 500
"""Hashes named in one statement."""


class NotHeld(Exception):
    """Another process takes the session's orders."""


class Sealed(Exception):
    """The session takes no more."""


@dataclass(frozen=True, slots=True)
class Written:
    """One promise with its receipt, as it is written down."""

    booked: Booked
    receipt: SignedReceipt
    brought_by: bytes
    order: SignedOrder | None
    """None of a cancel."""
    signature: bytes = b""
    """Of a cancel."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise as it is read back."""

    booked: Booked
    receipt: SignedReceipt
    is_in: bool


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """A receipt of an account."""

    epoch: int
    sequence: int
    session: str
    hash: str
    """Of the order, or of its cancel."""
    order: str
    what: str
    """order or cancel."""
    receipt: bytes
    accepted_at: int


class IntakeStore:
    """The intake's tables."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    # Who takes orders ---------------------------------------------------------------------------------------

    async def hold(self, session: Session, holder: str, now: float, until: float) -> None:
        """Makes `holder` the one that takes the session's orders until then (wall clock). NotHeld if another
        does; Sealed.
        """
        await self._know(session)
        free = or_(
            IntakeSession.holder == holder, IntakeSession.holder.is_(None), IntakeSession.held_until < now
        )
        mine = update(IntakeSession).where(_is(session), IntakeSession.sealed_at.is_(None), free)
        async with self.sessions.begin() as db:
            if await _changed(db, mine.values(holder=holder, held_until=until)) == 1:
                return
            row = await db.get_one(IntakeSession, to_hex(session.id))
            raise Sealed if row.sealed_at is not None else NotHeld

    async def _know(self, session: Session) -> None:
        async with self.sessions() as db:
            if await db.get(IntakeSession, to_hex(session.id)) is not None:
                return
        values = {
            "session": to_hex(session.id),
            "epoch": session.epoch,
            "kind": session.params.kind,
            "gate": session.params.gate,
            "next_sequence": 0,
            "held_until": 0,
        }
        try:
            async with self.sessions.begin() as db:
                await db.execute(insert(IntakeSession).values(values))
        except IntegrityError:
            return  # another process was first

    async def renew(self, holder: str, until: float) -> None:
        """Keeps all that is held for longer."""
        mine = (IntakeSession.holder == holder, IntakeSession.sealed_at.is_(None))
        async with self.sessions.begin() as db:
            await _changed(db, update(IntakeSession).where(*mine).values(held_until=until))

    async def release(self, holder: str) -> None:
        """Lets another process take orders at once."""
        mine = update(IntakeSession).where(IntakeSession.holder == holder)
        async with self.sessions.begin() as db:
            await _changed(db, mine.values(holder=None, held_until=0))

    # Promises -----------------------------------------------------------------------------------------------

    async def write(
        self,
        session: Session,
        holder: str,
        first: int,
        written: Sequence[Written],
        forced_out: Iterable[bytes],
        at: int,
    ) -> None:
        """All of it or nothing, durable when this returns. `first` is the sequence of the first receipt.
        NotHeld if another process takes the session's orders; Sealed.
        """
        mine = update(IntakeSession).where(
            _is(session),
            IntakeSession.holder == holder,
            IntakeSession.sealed_at.is_(None),
            IntakeSession.next_sequence == first,
        )
        async with self.sessions.begin() as db:
            if await _changed(db, mine.values(next_sequence=first + len(written))) != 1:
                row = await db.get(IntakeSession, to_hex(session.id))
                raise Sealed if row is not None and row.sealed_at is not None else NotHeld
            orders = [_order_row(session, one, at) for one in written if one.order is not None]
            cancels = [_cancel_row(session, one, at) for one in written if one.order is None]
            if orders:
                await db.execute(_INSERT_ORDER, orders)
            if cancels:
                await db.execute(_INSERT_CANCEL, cancels)
            replaced = [one.booked.leaves for one in written if one.order and any(one.booked.leaves)]
            await _leave(db, [*replaced, *forced_out], REPLACED)
            await _leave(db, [one.booked.leaves for one in written if one.order is None], CANCELLED)

    async def promises(self, session: Session) -> AsyncIterator[list[Promise]]:
        """All that was promised for a session, some at a time."""
        async for row in self._all(AcceptedOrder, session):
            yield [_order_promise(one) for one in row]
        async for row in self._all(AcceptedCancel, session):
            yield [_cancel_promise(one) for one in row]

    async def _all(self, model: Any, session: Session) -> AsyncIterator[list[Any]]:
        after = -1
        while True:
            query = select(model).where(model.session == to_hex(session.id), model.sequence > after)
            async with self.sessions() as db:
                rows = list(await db.scalars(query.order_by(model.sequence).limit(_ROWS)))
            if not rows:
                return
            yield rows
            after = rows[-1].sequence

    async def receipts_of(self, hashes: Sequence[bytes]) -> dict[bytes, SignedReceipt]:
        """Receipts of those of these orders that are in."""
        found = {}
        async with self.sessions() as db:
            for start in range(0, len(hashes), _KEYS):
                part = [to_hex(one) for one in hashes[start : start + _KEYS]]
                query = select(AcceptedOrder).where(
                    AcceptedOrder.hash.in_(part), AcceptedOrder.state == TAKEN
                )
                for row in await db.scalars(query):
                    found[to_bytes(row.hash)] = SignedReceipt(row.sequence, row.receipt)
        return found

    async def order(self, order_hash: bytes) -> AcceptedOrder | None:
        """An accepted order, whatever became of it."""
        async with self.sessions() as db:
            return await db.get(AcceptedOrder, to_hex(order_hash))

    async def cancel_of(self, order_hash: bytes) -> AcceptedCancel | None:
        """The cancel of an order, if it has one."""
        query = select(AcceptedCancel).where(AcceptedCancel.order_hash == to_hex(order_hash))
        async with self.sessions() as db:
            found: AcceptedCancel | None = await db.scalar(query)
            return found

    async def receipts(self, trader: str, after: Key | None, limit: int) -> list[ReceiptLine]:
        """Receipts of an account behind an epoch and sequence, ascending; one more than the limit if there
        are more.
        """
        both = union_all(
            _line(AcceptedOrder, AcceptedOrder.hash, AcceptedOrder.hash, "order", trader),
            _line(AcceptedCancel, AcceptedCancel.digest, AcceptedCancel.order_hash, "cancel", trader),
        ).subquery()
        query = select(both).order_by(both.c.epoch, both.c.sequence).limit(limit + 1)
        if after is not None:
            query = query.where(tuple_(both.c.epoch, both.c.sequence) > tuple_(*after))
        async with self.sessions() as db:
            return [ReceiptLine(*row) for row in await db.execute(query)]

    async def in_zone(self, session: Session, zone: int) -> list[bytes]:
        """Records of the taken orders of a zone."""
        mine = (AcceptedOrder.session == to_hex(session.id), AcceptedOrder.zone == zone)
        query = select(AcceptedOrder.record).where(*mine, AcceptedOrder.state == TAKEN)
        async with self.sessions() as db:
            return list(await db.scalars(query))

    # The gate -----------------------------------------------------------------------------------------------

    async def seal(self, session: Session, at: int, submitted: Iterable[Named] = ()) -> list[SignedOrder]:
        """Closes the session for orders, for ever, and returns what its books must hold besides the orders
        submitted on chain: taken orders by sequence, the same list every time.

        `at` is the time by the operator's clock, Unix seconds: InputError before the gate. Taken orders that
        one of `submitted` replaces leave the book; they only count the first time.
        """
        if at < session.params.gate:
            raise InputError(f"session {session.epoch} closes at {session.params.gate}, not at {at}: wait")
        await self._know(session)
        first = update(IntakeSession).where(_is(session), IntakeSession.sealed_at.is_(None))
        async with self.sessions.begin() as db:
            if await _changed(db, first.values(sealed_at=at, holder=None, held_until=0)) == 1:
                await _leave(db, await _replaced(db, submitted), REPLACED)
        taken: list[SignedOrder] = []
        async for rows in self._all(AcceptedOrder, session):
            taken += [_signed(session, row) for row in rows if row.state == TAKEN]
        return taken


async def _replaced(db: AsyncSession, submitted: Iterable[Named]) -> list[bytes]:
    """The orders that others take back which were submitted on chain."""
    by = {one.order.schedule.replaces: one for one in submitted if any(one.order.schedule.replaces)}
    hashes, found = list(by), []
    for start in range(0, len(hashes), _KEYS):
        part = [to_hex(one) for one in hashes[start : start + _KEYS]]
        rows = await db.scalars(select(AcceptedOrder).where(AcceptedOrder.hash.in_(part)))
        found += [hash_ for row in rows if _entry(row).goes_by(by[hash_ := to_bytes(row.hash)])]
    return found


def _entry(row: AcceptedOrder) -> Entry:
    return Entry(to_bytes(row.trader), to_bytes(row.signer), row.zone, row.record)


def _line(model: Any, hash_: Any, order: Any, what: str, trader: str) -> Any:
    named = (hash_.label("hash"), order.label("order"), literal(what).label("what"))
    columns = (model.epoch, model.sequence, model.session, *named, model.receipt, model.accepted_at)
    return select(*columns).where(model.trader == trader)


# Of the tables, not the classes: their bulk inserts take half as long.
_INSERT_ORDER = insert(cast(Table, AcceptedOrder.__table__))
_INSERT_CANCEL = insert(cast(Table, AcceptedCancel.__table__))


def _is(session: Session) -> Any:
    return IntakeSession.session == to_hex(session.id)


async def _changed(db: AsyncSession, statement: Any) -> int:
    result = await db.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return int(result.rowcount)


async def _leave(db: AsyncSession, hashes: Sequence[bytes], state: str) -> None:
    """Orders that are in go out of the book."""
    for start in range(0, len(hashes), _KEYS):
        part = [to_hex(one) for one in hashes[start : start + _KEYS]]
        mine = (AcceptedOrder.hash.in_(part), AcceptedOrder.state == TAKEN)
        await _changed(db, update(AcceptedOrder).where(*mine).values(state=state))


def _order_row(session: Session, one: Written, at: int) -> dict[str, Any]:
    assert one.order is not None
    assert one.booked.entry is not None
    schedule = one.order.schedule
    return {
        "hash": to_hex(one.booked.hash),
        "session": to_hex(session.id),
        "epoch": session.epoch,
        "trader": to_hex(one.booked.trader),
        "signer": to_hex(one.booked.entry.signer),
        "zone": schedule.zone,
        "side": schedule.side,
        "quality": schedule.quality,
        "kind": schedule.kind,
        "record": one.booked.entry.record,
        "sequence": one.receipt.sequence,
        "receipt": one.receipt.signature,
        "state": TAKEN,
        "brought_by": to_hex(one.brought_by),
        "accepted_at": at,
    }


def _cancel_row(session: Session, one: Written, at: int) -> dict[str, Any]:
    return {
        "digest": to_hex(one.booked.hash),
        "order_hash": to_hex(one.booked.leaves),
        "session": to_hex(session.id),
        "epoch": session.epoch,
        "trader": to_hex(one.booked.trader),
        "signature": one.signature,
        "sequence": one.receipt.sequence,
        "receipt": one.receipt.signature,
        "brought_by": to_hex(one.brought_by),
        "accepted_at": at,
    }


def _order_promise(row: AcceptedOrder) -> Promise:
    entry = _entry(row)
    booked = Booked(to_bytes(row.hash), row.sequence, entry.trader, entry, bytes(32))
    return Promise(booked, SignedReceipt(row.sequence, row.receipt), row.state == TAKEN)


def _cancel_promise(row: AcceptedCancel) -> Promise:
    trader, leaves = to_bytes(row.trader), to_bytes(row.order_hash)
    booked = Booked(to_bytes(row.digest), row.sequence, trader, None, leaves)
    return Promise(booked, SignedReceipt(row.sequence, row.receipt), is_in=False)


def _signed(session: Session, row: AcceptedOrder) -> SignedOrder:
    return packed.decode(row.record, 0, session.id, session.params.kind, row.zone)[0]
