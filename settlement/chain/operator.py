"""What the market operator does with a session, from its opening to its proof.

Each step is a function of what the chain says and of the sealed book, so that whoever restarts with the same
book goes on where the chain is:

    OPEN        commit       after the gate: counts and roots of the zones' books
    COMMITTED   post_header  accounts as of the commitment are judged, the books are cleared off chain
    POSTED      clear_next   zone by zone and chunk by chunk, each bringing what the one before left
                close_all    from the leaves up, each zone with those below it; the root's is the proof
    PROVED      nothing is left

`run` goes through all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from settlement.chain import abi, books, claims, prepared
from settlement.chain.books import Named, SealedBook, Session
from settlement.chain.chunks import Limits, plan_books, plan_chunks
from settlement.chain.client import MOST_GAS
from settlement.chain.closer import close_all, require_joined
from settlement.chain.errors import OutOfGas, WrongProgress
from settlement.chain.events import BookCommitted, GridSet, ZoneAdvanced, ZoneJoined, decode
from settlement.chain.exchange import Exchange, Stage
from settlement.chain.prepared import Prepared
from settlement.chain.progress import Progress
from settlement.chain.rpc import Receipt
from settlement.chain.sign import Signer
from settlement.chain.steps import Step, logs_of, step
from settlement.reference import clearing, orders
from settlement.reference.clearing import Carry
from settlement.reference.closing import Commitment
from settlement.reference.orders import SignedOrder
from settlement.reference.session import Grid, SessionParams


@dataclass(frozen=True)
class ClearedSession:
    """What became of a session's orders."""

    epoch: int
    session: bytes
    fills: dict[bytes, tuple[int, ...]]
    """Wh of each order's entries or windows, by order hash."""
    ineligible: dict[bytes, int]
    """Why an order filled zero, by order hash."""
    prices: tuple[tuple[tuple[int, ...], ...], ...]
    """By zone, dense quality and window, micro/kWh."""
    welfare_nano: int
    steps: tuple[Step, ...]
    """What was sent, in order; a restarted operator's begin where it restarted."""

    @property
    def gas_used(self) -> int:
        return sum(step.gas_used for step in self.steps)


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


# From the gate to the header ----------------------------------------------------------------------------


def seal(exchange: Exchange, session: Session, given: Sequence[SignedOrder]) -> SealedBook:
    """The session's books, with the orders submitted on chain: seal once the gate has closed.

    UnacceptableOrder for an order that would make the session unprovable.
    """
    named = _with_submitted(exchange, session, given)
    traders = sorted({one.order.schedule.trader for one in named})
    members = {address: account.member for address, account in exchange.accounts(traders).items()}
    ring = exchange.session_keys(sorted({one.place for one in named if one.by_key}))
    return books.seal_named(session, named, members, ring)


def _with_submitted(exchange: Exchange, session: Session, given: Sequence[SignedOrder]) -> list[Named]:
    """Those that the session cannot be proved without, flagged, and the others."""
    flagged = [replace(one, submitted=True) for one in claims.submitted(exchange, session)]
    submitted = [books.name(exchange.separator, one) for one in flagged]
    forced = {one.hash for one in submitted}
    others = (books.name(exchange.separator, replace(one, submitted=False)) for one in given)
    return [*(one for one in others if one.hash not in forced), *submitted]


def commit(
    exchange: Exchange, operator: Signer, session: Session, sealed: SealedBook, limits: Limits | None = None
) -> list[Step]:
    """Commits to the books that are left, once the gate has closed."""
    steps, found = [], sealed.commitments
    for zones in plan_books(range(_committed(exchange, session, found), len(found)), limits):
        batch = found[zones.start : zones.stop]
        receipt = exchange.send_data(operator, abi.commit_books(session.epoch, batch))
        steps.append(step("commitBooks", receipt, len(batch)))
    return steps


def _committed(exchange: Exchange, session: Session, wanted: Sequence[Commitment]) -> int:
    """How many zones' books are committed already. WrongProgress if they are others than these."""
    told = [decode(log) for log in logs_of(exchange, "BookCommitted", session.epoch)]
    for event in told:
        assert isinstance(event, BookCommitted)
        mine = wanted[event.zone] if event.zone < len(wanted) else None
        if mine is None or (event.count, event.root) != (mine.count, mine.root):
            raise WrongProgress(
                f"session {session.epoch} is not committed to this book: bring the sealed one"
            )
    return len(told)


def prepare(exchange: Exchange, session: Session, sealed: SealedBook) -> Prepared:
    """Judges the committed orders by the accounts as of the commitment, and clears the books."""
    if _committed(exchange, session, sealed.commitments) < session.grid.zones:
        raise WrongProgress(f"session {session.epoch} is not committed: commit to its books first")
    block = logs_of(exchange, "BookCommitted", session.epoch)[-1].block
    accounts = exchange.accounts(sealed.accounts(), block=block)
    ring = exchange.session_keys(sealed.session_keys(), block=block)
    return prepared.prepare(session, sealed, books.judge(session, sealed, accounts, ring))


def post_header(exchange: Exchange, operator: Signer, ready: Prepared) -> Step:
    """Posts the potentials of the qualities."""
    data = abi.post_header(ready.session.epoch, ready.header)
    return step("postHeader", exchange.send_data(operator, data))


# Where the chain is -------------------------------------------------------------------------------------


def progress(exchange: Exchange, ready: Prepared) -> list[Progress]:
    """How far each zone is. WrongProgress if what the chain keeps does not follow from these books."""
    epoch, zones = ready.session.epoch, range(ready.session.grid.zones)
    told = map(decode, logs_of(exchange, "ZoneAdvanced", epoch))
    advanced = {one.zone: one for one in told if isinstance(one, ZoneAdvanced)}
    told = map(decode, logs_of(exchange, "ZoneJoined", epoch))
    joined = {one.zone: one for one in told if isinstance(one, ZoneJoined)}
    found = [_cleared(ready, zone, advanced.get(zone)) for zone in zones]
    for zone in reversed(zones):
        if zone in joined:
            found[zone] = require_joined(ready, found, zone, joined[zone])
    return found


def _cleared(ready: Prepared, zone: int, event: ZoneAdvanced | None) -> Progress:
    if event is None:
        return Progress(zone)
    carry = prepared.advance(ready, zone, None, range(event.count))
    if clearing.carry_hash(ready.zones[zone].posting, carry) != event.carry_hash:
        raise WrongProgress(f"session {ready.session.epoch} was advanced with another book or posting")
    return Progress(zone, event.count, carry)


# Clearing -----------------------------------------------------------------------------------------------


def clear_all(
    exchange: Exchange, operator: Signer, ready: Prepared, at: Progress, limits: Limits | None = None
) -> tuple[Progress, list[Step]]:
    """Clears the orders of a zone that are left, chunk by chunk. A chunk that runs out of gas is halved."""
    steps: list[Step] = []
    chunks = plan_chunks(ready, at.zone, _lanes(exchange, ready, at), at.count, limits)
    while chunks:
        chunk = chunks.pop(0)
        try:
            at, done = clear_next(exchange, operator, ready, at, chunk)
        except OutOfGas:
            if len(chunk) == 1:
                raise
            half = chunk.start + (len(chunk) >> 1)
            chunks[:0] = [range(chunk.start, half), range(half, chunk.stop)]
        else:
            steps.append(done)
    return at, steps


def _lanes(exchange: Exchange, ready: Prepared, at: Progress) -> dict[bytes, int]:
    left = ready.zones[at.zone].orders[at.count :]
    found = exchange.accounts(sorted({order.schedule.trader for order in left}))
    return {address: one.member.lanes.count for address, one in found.items() if one.member}


def clear_next(
    exchange: Exchange, operator: Signer, ready: Prepared, at: Progress, chunk: range
) -> tuple[Progress, Step]:
    """Clears one chunk. Its gas is not estimated, which would take ten times as long as clearing it."""
    data = clear_data(ready, at.carry, chunk, at.zone)
    tx_hash = exchange.chain.submit(operator, exchange.address, data, gas=MOST_GAS)
    carry = prepared.advance(ready, at.zone, at.carry, chunk)  # while the chain derives the same
    receipt = exchange.chain.wait(tx_hash)
    _require_same_carry(ready, at.zone, carry, receipt)
    return Progress(at.zone, chunk.stop, carry), step("clear", receipt, len(chunk))


def clear_data(ready: Prepared, carry: Carry | None, chunk: range, zone: int = 0) -> bytes:
    """Calldata of a chunk."""
    own = ready.zones[zone]
    posted = abi.posted_tuple(ready.header, own.posting)
    records = orders.encode_all(own.orders[chunk.start : chunk.stop])
    return abi.clear(ready.session.epoch, zone, posted, abi.carry_tuple(carry), records)


def _require_same_carry(ready: Prepared, zone: int, carry: Carry, receipt: Receipt) -> None:
    """The chain's word for what the chunk left is ours; else the two implementations differ."""
    event = decode(receipt.logs[-1])
    mine = clearing.carry_hash(ready.zones[zone].posting, carry)
    if not isinstance(event, ZoneAdvanced) or event.carry_hash != mine:
        raise WrongProgress(f"session {ready.session.epoch}: the contract derived other fills than we did")


# All of it ----------------------------------------------------------------------------------------------


def run(
    exchange: Exchange, operator: Signer, session: Session, sealed: SealedBook, limits: Limits | None = None
) -> ClearedSession:
    """Takes a session from where it is to its proof. WrongProgress if it is void or was never opened."""
    stage, steps = exchange.session(session.epoch)[1], []
    if stage is Stage.OPEN:
        steps += commit(exchange, operator, session, sealed, limits)
        stage = Stage.COMMITTED
    if stage not in (Stage.COMMITTED, Stage.POSTED, Stage.PROVED):
        raise WrongProgress(f"session {session.epoch} is {stage.name.lower()}: nothing can be cleared")
    ready = prepare(exchange, session, sealed)
    if stage is Stage.COMMITTED:
        steps.append(post_header(exchange, operator, ready))
    if stage is not Stage.PROVED:
        steps += clear_and_close(exchange, operator, ready, progress(exchange, ready), limits)
    return outcome(ready, steps)


def clear_and_close(
    exchange: Exchange,
    operator: Signer,
    ready: Prepared,
    found: Sequence[Progress],
    limits: Limits | None = None,
) -> list[Step]:
    """What is left to do after the header: every zone's chunks, then all zones from the leaves up."""
    places, steps = list(found), []
    for at in found:
        if at.closed is None:
            places[at.zone], done = clear_all(exchange, operator, ready, at, limits)
            steps += done
    return steps + close_all(exchange, operator, ready, places, limits)


def outcome(ready: Prepared, steps: Sequence[Step]) -> ClearedSession:
    """What became of the orders of a proved session."""
    hashes = ready.sealed.hashes
    return ClearedSession(
        epoch=ready.session.epoch,
        session=ready.session.id,
        fills=dict(zip(hashes, ready.fills, strict=True)),
        ineligible={one: why for one, why in zip(hashes, ready.reasons, strict=True) if why},
        prices=tuple(tuple(map(tuple, ready.prices(one.zone))) for one in ready.zones),
        welfare_nano=ready.welfare_nano,
        steps=tuple(steps),
    )
