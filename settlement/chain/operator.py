"""What the market operator does with a session, from its opening to its proof.

Each step is a function of what the chain says and of the sealed book, so that whoever restarts with the same
book goes on where the chain is:

    OPEN        commit       after the gate: count and root of the book
    COMMITTED   post_header  accounts as of the commitment are judged, the book is cleared off chain
    POSTED      clear_next   chunk by chunk, each bringing what the one before left
                close        the proof
    PROVED      nothing is left

`run` goes through all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from settlement.chain import abi, books
from settlement.chain.books import ZONE, Prepared, SealedBook, Session
from settlement.chain.chunks import Limits, plan_chunks
from settlement.chain.client import MOST_GAS
from settlement.chain.errors import OutOfGas, WrongProgress
from settlement.chain.events import BookCommitted, GridSet, ZoneAdvanced, decode
from settlement.chain.exchange import Exchange, Stage
from settlement.chain.rpc import Log, Receipt
from settlement.chain.sign import Signer
from settlement.reference import clearing, schedule
from settlement.reference.clearing import Carry
from settlement.reference.schedule import SignedSchedule
from settlement.reference.session import Grid, SessionParams


@dataclass(frozen=True)
class Step:
    """One transaction of the operator's or the settler's."""

    name: str
    tx_hash: bytes
    block: int
    gas_used: int
    count: int = 0
    """Schedules or accounts it was about."""


@dataclass(frozen=True)
class ClearedSession:
    """What became of a session's orders."""

    epoch: int
    session: bytes
    fills: dict[bytes, tuple[int, ...]]
    """Wh of each order's entries, by order hash."""
    ineligible: dict[bytes, int]
    """Why an order filled zero, by order hash."""
    prices: tuple[tuple[int, ...], ...]
    """By dense quality and window, micro/kWh."""
    welfare_nano: int
    steps: tuple[Step, ...]
    """What was sent, in order; a restarted operator's begin where it restarted."""

    @property
    def gas_used(self) -> int:
        return sum(step.gas_used for step in self.steps)


def step(name: str, receipt: Receipt, count: int = 0) -> Step:
    return Step(name, receipt.tx_hash, receipt.block, receipt.gas_used, count)


# Opening ------------------------------------------------------------------------------------------------


def open_session(exchange: Exchange, operator: Signer, params: SessionParams) -> Session:
    """Opens a session for orders."""
    fields = tuple(vars(params).values())
    receipt = exchange.send(operator, "openSession", fields)
    epoch = int.from_bytes(receipt.logs[0].topics[1], "big")
    return Session(epoch, params, grid_of(exchange, params.grid_version))


def find_session(exchange: Exchange, epoch: int) -> Session:
    """A session that was opened before. WrongProgress if there is none of this number."""
    if exchange.session(epoch)[1] is Stage.NONE:
        raise WrongProgress(f"no session has number {epoch}: open it first")
    params = exchange.params(epoch)
    return Session(epoch, params, grid_of(exchange, params.grid_version))


def grid_of(exchange: Exchange, version: int) -> Grid:
    """The grid of a version, as it was told when it was set."""
    for log in logs_of(exchange, "GridSet", version):
        event = decode(log)
        assert isinstance(event, GridSet)
        return event.grid
    raise WrongProgress(f"no grid has version {version}: set it first")


def logs_of(exchange: Exchange, name: str, *indexed: int) -> list[Log]:
    """An event's logs with these first indexed values."""
    topic = next(topic for topic, entry in exchange.abi.events.items() if entry.name == name)
    topics = [topic, *(value.to_bytes(32, "big") for value in indexed)]
    return exchange.chain.logs(exchange.address, exchange.deployment.block, topics=topics)


# From the gate to the proof -----------------------------------------------------------------------------


def seal(exchange: Exchange, session: Session, orders: Sequence[SignedSchedule]) -> SealedBook:
    """The session's book. UnacceptableOrder for an order that would make it unprovable."""
    traders = sorted({order.schedule.trader for order in orders})
    members = {address: account.member for address, account in exchange.accounts(traders).items()}
    return books.seal(exchange.separator, session, orders, members)


def commit(exchange: Exchange, operator: Signer, session: Session, sealed: SealedBook) -> Step:
    """Commits to the book, once the gate has closed."""
    found = sealed.commitment
    receipt = exchange.send(operator, "commitBook", session.epoch, ZONE, found.count, found.root)
    return step("commitBook", receipt, found.count)


def prepare(exchange: Exchange, session: Session, sealed: SealedBook) -> Prepared:
    """Judges the committed orders by the accounts as of the commitment, and clears the book."""
    logs = logs_of(exchange, "BookCommitted", session.epoch, ZONE)
    event = decode(logs[0]) if logs else None
    found = sealed.commitment
    if not isinstance(event, BookCommitted) or (event.count, event.root) != (found.count, found.root):
        raise WrongProgress(f"session {session.epoch} is not committed to this book: bring the sealed one")
    traders = sorted({order.schedule.trader for order in sealed.orders})
    accounts = exchange.accounts(traders, block=logs[0].block)
    return books.prepare(session, sealed, books.judge(session, sealed, accounts))


def post_header(exchange: Exchange, operator: Signer, prepared: Prepared) -> Step:
    """Posts the potentials of the qualities."""
    session = prepared.session
    data = abi.post_header(session.epoch, prepared.header, session.grid)
    return step("postHeader", exchange.send_data(operator, data))


@dataclass(frozen=True)
class Progress:
    """How many orders of a zone the chain has cleared, and what the next chunk brings."""

    count: int = 0
    carry: Carry | None = None


def progress(exchange: Exchange, prepared: Prepared) -> Progress:
    """Where the chain is. WrongProgress if what it keeps does not follow from this book."""
    logs = logs_of(exchange, "ZoneAdvanced", prepared.session.epoch, ZONE)
    if not logs:
        return Progress()
    event = decode(logs[-1])
    assert isinstance(event, ZoneAdvanced)
    carry = books.advance(prepared, None, range(event.count))
    if clearing.carry_hash(prepared.posting, carry) != event.carry_hash:
        raise WrongProgress(f"session {prepared.session.epoch} was advanced with another book or posting")
    return Progress(event.count, carry)


def clear_all(
    exchange: Exchange, operator: Signer, prepared: Prepared, at: Progress, limits: Limits | None = None
) -> tuple[Progress, list[Step]]:
    """Clears the orders that are left, chunk by chunk. A chunk that runs out of gas is halved."""
    steps: list[Step] = []
    chunks = plan_chunks(prepared, _lanes(exchange, prepared), at.count, limits)
    while chunks:
        chunk = chunks.pop(0)
        try:
            at, done = clear_next(exchange, operator, prepared, at, chunk)
        except OutOfGas:
            if len(chunk) == 1:
                raise
            half = chunk.start + (len(chunk) >> 1)
            chunks[:0] = [range(chunk.start, half), range(half, chunk.stop)]
        else:
            steps.append(done)
    return at, steps


def _lanes(exchange: Exchange, prepared: Prepared) -> dict[bytes, int]:
    traders = sorted({order.schedule.trader for order in prepared.sealed.orders})
    found = exchange.accounts(traders)
    return {address: one.member.lanes.count for address, one in found.items() if one.member}


def clear_next(
    exchange: Exchange, operator: Signer, prepared: Prepared, at: Progress, chunk: range
) -> tuple[Progress, Step]:
    """Clears one chunk. Its gas is not estimated, which would take ten times as long as clearing it."""
    data = clear_data(prepared, at.carry, chunk)
    tx_hash = exchange.chain.submit(operator, exchange.address, data, gas=MOST_GAS)
    carry = books.advance(prepared, at.carry, chunk)  # while the chain derives the same
    receipt = exchange.chain.wait(tx_hash)
    _require_same_carry(prepared, carry, receipt)
    return Progress(chunk.stop, carry), step("clear", receipt, len(chunk))


def clear_data(prepared: Prepared, carry: Carry | None, chunk: range) -> bytes:
    """Calldata of a chunk."""
    posted = abi.posted_tuple(prepared.header, prepared.posting)
    records = schedule.encode_all(prepared.sealed.orders[chunk.start : chunk.stop])
    return abi.clear(prepared.session.epoch, ZONE, posted, abi.carry_tuple(carry), records)


def _require_same_carry(prepared: Prepared, carry: Carry, receipt: Receipt) -> None:
    """The chain's word for what the chunk left is ours; else the two implementations differ."""
    event = decode(receipt.logs[-1])
    if not isinstance(event, ZoneAdvanced) or event.carry_hash != clearing.carry_hash(
        prepared.posting, carry
    ):
        raise WrongProgress(f"session {prepared.session.epoch}: the contract derived other fills than we did")


def close(exchange: Exchange, operator: Signer, prepared: Prepared, at: Progress) -> Step:
    """Closes the zone, which proves the session."""
    data = close_data(prepared, at.carry)
    return step("closeZone", exchange.send_data(operator, data))


def close_data(prepared: Prepared, carry: Carry | None) -> bytes:
    """Calldata of the close."""
    session = prepared.session
    posted = abi.posted_tuple(prepared.header, prepared.posting)
    return abi.close_zone(session.epoch, ZONE, posted, abi.carry_tuple(carry), prepared.flows, session.grid)


def run(exchange: Exchange, operator: Signer, session: Session, sealed: SealedBook) -> ClearedSession:
    """Takes a session from where it is to its proof. WrongProgress if it is void or was never opened."""
    stage, steps = exchange.session(session.epoch)[1], []
    if stage is Stage.OPEN:
        steps.append(commit(exchange, operator, session, sealed))
        stage = Stage.COMMITTED
    if stage not in (Stage.COMMITTED, Stage.POSTED, Stage.PROVED):
        raise WrongProgress(f"session {session.epoch} is {stage.name.lower()}: nothing can be cleared")
    prepared = prepare(exchange, session, sealed)
    if stage is Stage.COMMITTED:
        steps.append(post_header(exchange, operator, prepared))
    if stage is not Stage.PROVED:
        at, cleared = clear_all(exchange, operator, prepared, progress(exchange, prepared))
        steps += [*cleared, close(exchange, operator, prepared, at)]
    return outcome(prepared, steps)


def outcome(prepared: Prepared, steps: Sequence[Step]) -> ClearedSession:
    """What became of the orders of a proved session."""
    hashes = prepared.sealed.hashes
    return ClearedSession(
        epoch=prepared.session.epoch,
        session=prepared.session.id,
        fills=dict(zip(hashes, prepared.fills, strict=True)),
        ineligible={one: why for one, why in zip(hashes, prepared.reasons, strict=True) if why},
        prices=tuple(map(tuple, prepared.prices())),
        welfare_nano=prepared.welfare_nano,
        steps=tuple(steps),
    )
