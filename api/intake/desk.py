"""Where orders and cancels come in: judged as they arrive, booked by one task, promised after the commit.

    take, cancel   each request judges its own orders: hash, terms, signature
    _work          one task books what is pending, signs the receipts, writes all of it in one transaction,
                   and only then answers: the commit is shared, so it costs little

What is in memory follows from the database. When a transaction fails, whatever became of it, what is in
memory is forgotten and read again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from api import logs
from api.chain import ChainReader
from api.errors import ApiError, Unavailable
from api.intake.markets import Markets
from api.intake.members import Keys, Members
from api.intake.store import IntakeStore, NotHeld, Sealed, Written
from settlement.chain.abi import exchange_interface
from settlement.chain.books import Named, Session, name
from settlement.chain.errors import ChainError, UnacceptableOrder
from settlement.chain.intake import Inspected, Intake, inspect, require_canceller
from settlement.chain.receipts import cancel_hash
from settlement.chain.rpc import to_bytes
from settlement.chain.sign import Signer
from settlement.reference import eip712
from settlement.reference.errors import Refused
from settlement.reference.orders import SignedOrder
from settlement.reference.receipts import SignedReceipt
from settlement.reference.record import NO_HASH

GROUP = 256
"""Booked and written at once."""
SHARE = 64
"""Of a group, what one request gets before others had their turn."""
MOST_PENDING = 20_000
AT_ONCE = 32
"""Orders judged before others get a turn."""


@dataclass(frozen=True, slots=True)
class Promised:
    """An order or a cancel that is written down."""

    epoch: int
    session: bytes
    order: bytes
    """The order's hash."""
    hash: bytes
    """What the receipt is for: the order, or its cancel."""
    receipt: SignedReceipt


@dataclass(frozen=True, slots=True)
class Declined:
    """An order or a cancel that is not, and why."""

    order: bytes | None
    """The order's hash; None if it has none."""
    reason: str


Outcome = Promised | Declined | ApiError
"""An error is no fault of the order: it may be sent again."""


@dataclass(frozen=True, slots=True)
class Work:
    """One order or cancel that waits to be booked."""

    session: Session
    order_hash: bytes
    found: Inspected | None
    """None of a cancel."""
    signature: bytes
    """Of a cancel."""
    brought_by: bytes


@dataclass
class Job:
    """What one request waits for."""

    works: deque[tuple[int, Work]]
    left: int
    done: asyncio.Future[None]
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    def settle(self, index: int, outcome: Outcome) -> None:
        self.outcomes[index] = outcome
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)


Group = list[tuple[Job, int, Work]]


class Desk:
    """Takes orders for every open session, in this process."""

    def __init__(
        self,
        store: IntakeStore,
        markets: Markets,
        chain: ChainReader,
        signer: Signer,
        now: Callable[[], float],
        lease_s: float,
    ) -> None:
        """`now` gives the Unix seconds that gates are judged by."""
        self.store, self.markets, self.signer = store, markets, signer
        self._chain = chain
        self.members = Members(chain, store.sessions, time.monotonic)
        self.keys = Keys(chain, time.monotonic)
        self._now, self._lease_s = now, lease_s
        self._holder = secrets.token_hex(16)
        self._separator = b""
        self._books: dict[bytes, Intake] = {}
        self._jobs: deque[Job] = deque()
        self._pending, self._wake = 0, asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    # Life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to book what comes in."""
        exchange_interface()  # read from its file now, not while somebody waits
        self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._keep())]

    async def stop(self) -> None:
        """Books what is pending, and lets another process go on at once."""
        while self._pending:
            await asyncio.sleep(0.005)
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._tasks = []
        if self._books:
            with suppress(SQLAlchemyError):
                await self.store.release(self._holder)

    @property
    def exchange(self) -> bytes:
        """The Exchange's address."""
        return self._chain.exchange

    async def domain(self) -> tuple[int, bytes]:
        """Chain and domain separator that orders are signed for. ChainError if the chain cannot be read."""
        chain_id = await self._chain.chain_id()
        self._separator = self._separator or eip712.domain_separator(chain_id, self._chain.exchange)
        return chain_id, self._separator

    # What comes in ------------------------------------------------------------------------------------------

    async def take(self, given: Sequence[SignedOrder], brought_by: bytes) -> list[Outcome]:
        """What became of each order, in their order; durable when this returns. ChainError if the registry
        cannot be read, Unavailable if too much is pending.
        """
        self._require_room(len(given))
        await self.domain()
        found: dict[int, Outcome] = {}
        works: deque[tuple[int, Work]] = deque()
        members = await self.members.of(one.schedule.trader for one in given)
        sessions = {one: await self.markets.by_id(one) for one in {one.schedule.session for one in given}}
        named = await self._named(given, found)
        ring = await self.keys.of({one.place for one in named.values() if one.by_key and any(one.signer)})
        for index, one in named.items():
            await _give_way(index)
            session = sessions[one.order.schedule.session]
            try:
                if session is None:
                    raise UnacceptableOrder(one.hash, "its session was not opened yet")
                judged = inspect(session, one, members[one.order.schedule.trader], ring)
            except UnacceptableOrder as error:
                found[index] = Declined(error.order_hash, error.reason)
            else:
                works.append((index, Work(session, one.hash, judged, b"", brought_by)))
        found |= await self._booked(works)
        return [found[index] for index in range(len(given))]

    async def _named(self, given: Sequence[SignedOrder], found: dict[int, Outcome]) -> dict[int, Named]:
        """Each order with its hash and signer; what has none is declined."""
        named = {}
        for index, order in enumerate(given):
            await _give_way(index)
            try:
                named[index] = name(self._separator, order)
            except Refused as error:
                found[index] = Declined(None, str(error))
        return named

    async def cancel(
        self, session: Session, order_hash: bytes, signature: bytes, brought_by: bytes
    ) -> Outcome:
        """What became of an order's cancel; durable when this returns."""
        self._require_room(1)
        await self.domain()
        work = Work(session, order_hash, None, signature, brought_by)
        return (await self._booked(deque([(0, work)])))[0]

    def _require_room(self, count: int) -> None:
        if self._pending + count > MOST_PENDING + GROUP:
            raise Unavailable("too many orders are waiting: try again")

    async def _booked(self, works: deque[tuple[int, Work]]) -> dict[int, Outcome]:
        if not works:
            return {}
        job = Job(works, len(works), asyncio.get_running_loop().create_future())
        self._pending += len(works)
        self._jobs.append(job)
        self._wake.set()
        await job.done
        return job.outcomes

    # Booking ------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            group = self._next_group()
            if not group:
                self._wake.clear()
                continue
            by_session: dict[bytes, Group] = {}
            for one in group:
                by_session.setdefault(one[2].session.id, []).append(one)
            for part in by_session.values():
                await self._settle(part)
            self._pending -= len(group)

    def _next_group(self) -> Group:
        """Some of each request, the ones that have waited longest first."""
        group: Group = []
        while self._jobs and len(group) < GROUP:
            job = self._jobs.popleft()
            for _ in range(min(SHARE, len(job.works))):
                group.append((job, *job.works.popleft()))
            if job.works:
                self._jobs.append(job)
        return group

    async def _settle(self, group: Group) -> None:
        """Answers everything in the group, all of one session."""
        session = group[0][2].session
        try:
            outcomes = await self._write(session, [work for _, _, work in group])
        except (NotHeld, Sealed, SQLAlchemyError, ChainError, OSError) as error:
            self._books.pop(session.id, None)
            outcomes = await self._without(error, [work for _, _, work in group])
        except ApiError as error:
            outcomes = [error] * len(group)
        except Exception:
            logs.LOG.exception("the intake failed")
            self._books.pop(session.id, None)
            outcomes = [Unavailable("the intake failed: try again")] * len(group)
        for (job, index, _), outcome in zip(group, outcomes, strict=True):
            job.settle(index, outcome)

    async def _write(self, session: Session, works: Sequence[Work]) -> list[Outcome]:
        """Books and writes. What is raised here leaves the book in memory unknown: it is forgotten."""
        now = int(self._now())
        if now >= session.params.gate:
            raise Sealed
        book = await self._book(session)
        forced_out: list[bytes] = []
        if any(one.found is None or one.found.named.order.schedule.replaces != NO_HASH for one in works):
            forced_out = book.force(await self.markets.submitted(session))
        first, written, outcomes = book.next_sequence, list[Written](), list[Outcome]()
        for work in works:
            outcomes.append(self._promise(book, work, written))
        if written or forced_out:
            await self.store.write(session, self._holder, first, written, forced_out, now)
        return outcomes

    def _promise(self, book: Intake, work: Work, written: list[Written]) -> Outcome:
        session, hash_ = book.session, self._answered(work)
        known = book.receipts.get(hash_)
        try:
            if work.found is None and known is not None:
                book.require_word(work.order_hash, work.signature)
            if known is None or (work.found is not None and hash_ in book.out):
                booked = (
                    book.withdraw(work.order_hash, work.signature)
                    if work.found is None
                    else book.admit(work.found)
                )
                known = book.sign(booked)
                order = None if work.found is None else work.found.named.order
                written.append(Written(booked, known, work.brought_by, order, work.signature))
        except UnacceptableOrder as error:
            return Declined(error.order_hash, error.reason)
        return Promised(session.epoch, session.id, work.order_hash, hash_, known)

    async def _book(self, session: Session) -> Intake:
        """The session's book in memory, read from the database where it is not. NotHeld, Sealed."""
        found = self._books.get(session.id)
        if found is not None:
            return found
        params = session.params
        if params.bond_nano and params.receipt_signer != self.signer.address:
            raise Unavailable("another key than this process has signs this session's receipts")
        now = time.time()
        await self.store.hold(session, self._holder, now, now + self._lease_s)
        found = Intake(self._separator, session, self.signer)
        async for promises in self.store.promises(session):
            for one in promises:
                found.restore(one.booked, one.receipt, is_in=one.is_in)
        self._books[session.id] = found
        return found

    # When it cannot be booked -------------------------------------------------------------------------------

    async def _without(self, error: Exception, works: Sequence[Work]) -> list[Outcome]:
        """What was promised before is promised; the rest is refused, or may be sent again."""
        kept: dict[bytes, SignedReceipt] = {}
        with suppress(Exception):  # then what was promised before is not known either
            kept = await self._kept(works)
        return [self._old_or(error, one, kept) for one in works]

    async def _kept(self, works: Sequence[Work]) -> dict[bytes, SignedReceipt]:
        """Receipts by what they are for; those of cancels for who signed them only."""
        orders = [one.order_hash for one in works if one.found is not None]
        found = await self.store.receipts_of(orders)
        for one in works:
            if one.found is None and (row := await self.store.cancel_of(one.order_hash)) is not None:
                digest = self._answered(one)
                allowed = {to_bytes(row.trader), eip712.recover(digest, row.signature)}
                with suppress(UnacceptableOrder):
                    require_canceller(one.order_hash, digest, one.signature, allowed)
                    found[digest] = SignedReceipt(row.sequence, row.receipt)
        return found

    def _answered(self, work: Work) -> bytes:
        """What the receipt is for: the order, or its cancel."""
        if work.found is not None:
            return work.order_hash
        return cancel_hash(self._separator, work.session.id, work.order_hash)

    def _old_or(self, error: Exception, work: Work, kept: dict[bytes, SignedReceipt]) -> Outcome:
        session, hash_ = work.session, self._answered(work)
        if hash_ in kept:
            return Promised(session.epoch, session.id, work.order_hash, hash_, kept[hash_])
        if isinstance(error, Sealed):
            return Declined(work.order_hash, "the gate has closed")
        if isinstance(error, NotHeld):
            return Unavailable("another process of this service takes this session's orders: try again there")
        return Unavailable("the database does not answer: try again")

    async def _keep(self) -> None:
        """Holds on to what is held, while the process lives."""
        while True:
            await asyncio.sleep(self._lease_s / 3)
            if self._books:
                with suppress(Exception):  # whatever it is, the next time may do
                    await self.store.renew(self._holder, time.time() + self._lease_s)


async def _give_way(index: int) -> None:
    """Lets others have their turn after some orders."""
    if index % AT_ONCE == AT_ONCE - 1:
        await asyncio.sleep(0)
