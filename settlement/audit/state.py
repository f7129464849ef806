"""What the chain stores, question by question, and what the replay says it should answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.exceptions import DecodingError

from settlement.audit.findings import Difference, Findings, located
from settlement.audit.node import Node
from settlement.audit.replay import Replay
from settlement.chain.abi import exchange_interface
from settlement.chain.errors import ChainError, NoAnswer
from settlement.chain.exchange import (
    FLAG_DONOR,
    FLAG_SUSPENDED,
    FLAG_WIDE,
    FLAG_WITHDRAWING,
    RunStage,
    Stage,
)
from settlement.reference import product_id, session
from settlement.reference.accounts import PROSUMER
from settlement.reference.exchange import Exchange
from settlement.reference.exchange.state import Challenge, ClaimStage, SessionRecord, ZoneDay
from settlement.reference.product_id import CLAIM, ENERGY, OBLIGATION, ProductId

NO_HASH, NO_ADDRESS = bytes(32), bytes(20)


@dataclass(frozen=True)
class Question:
    """A view of the Exchange, and what it should return."""

    check: str
    view: str
    arguments: tuple[Any, ...]
    expected: tuple[Any, ...]
    counts: int = 0
    """How often its check held with it, if it is the last of several about one thing."""


def questions(replay: Replay, now: int) -> Iterator[Question]:
    """Everything that there is to ask, as of a time."""
    yield from _accounts(replay, now)
    yield from _session_keys(replay.exchange, now)
    yield from _lanes(replay.exchange)
    yield from _sessions(replay.exchange, now)
    yield from _grids(replay.exchange)
    yield from _days(replay.exchange)
    yield from _claims(replay)
    yield from _later(replay)
    yield from _registers(replay, now)
    yield from _debts(replay.exchange)


# Accounts -----------------------------------------------------------------------------------------------


def _accounts(replay: Replay, now: int) -> Iterator[Question]:
    exchange, held = replay.exchange, held_bits(replay.exchange)
    for account in sorted(replay.seen | set(exchange.state.members)):
        cash = exchange.cash(now, account)
        request = exchange.state.requests.get(account)
        withdrawal = (request.amount_nano, request.epoch) if request else None
        yield Question(
            "accounts", "memberOf", (account,), (member_word(exchange, account) | held[account] << 112,)
        )
        yield Question("accounts", "cashOf", (account,), (cash.free, cash.reserved, cash.net, cash.epoch))
        if withdrawal:
            yield Question("accounts", "withdrawalOf", (account,), withdrawal)
        nonce = exchange.state.nonces.get(account, 0)
        yield Question("accounts", "nonces", (account,), (nonce,), counts=1)


def _session_keys(exchange: Exchange, now: int) -> Iterator[Question]:
    for place, key in exchange.state.keys.items():
        scope, use = key.scope, exchange.key_use(now, *place)
        terms = (scope.kinds, scope.max_wh, scope.max_spend, scope.expiry)
        yield Question("session keys", "keyOf", place, (*terms, key.granted_at, key.revoked_at))
        used = (use.day, use.epoch, use.wh, use.pending, use.spent)
        yield Question("session keys", "keyUseOf", place, used, counts=1)


def member_word(exchange: Exchange, account: bytes) -> int:
    """As contracts/libraries/Member.sol draws it, without the products it ever had."""
    member = exchange.state.members.get(account)
    if member is None:
        return 0
    flags = (
        FLAG_WIDE * member.wide
        + FLAG_SUSPENDED * member.suspended
        + FLAG_WITHDRAWING * (account in exchange.state.requests)
        + FLAG_DONOR * (account in exchange.state.donors)
    )
    word = member.zone | member.role << 56 | flags << 64 | member.max_quality << 72
    return word | member.capacity_wh << 80


def held_bits(exchange: Exchange) -> dict[bytes, int]:
    """Bit `side * 16 + quality` of every energy product an account ever had: its lanes stay when empty."""
    bits: dict[bytes, int] = defaultdict(int)
    for holder, key in exchange.state.lanes:
        product = product_id.decode(key)
        if product.kind == ENERGY:
            bits[holder] |= 1 << (product.side * 16 + product.quality)
    return bits


# Lanes --------------------------------------------------------------------------------------------------


def _lanes(exchange: Exchange) -> Iterator[Question]:
    """Every slot that a session could have filled, touched or not."""
    touched: dict[bytes, set[int]] = {}
    for holder, key in exchange.state.lanes:
        touched.setdefault(holder, set()).add(key)
    records = exchange.state.sessions.values()
    places = {(member.zone, member.lanes.count) for member in exchange.state.members.values()}
    filled = {at: {key for one in records for key in _keys(exchange, one, *at)} for at in places}
    for account, member in exchange.state.members.items():
        keys = touched.get(account, set()) | filled[(member.zone, member.lanes.count)]
        for key in sorted(keys):
            word = exchange.state.lanes.get((account, key), 0)
            yield Question("lanes", "lanesOf", (account, key), (word,), counts=1)


def _keys(exchange: Exchange, record: SessionRecord, zone: int, lanes: int) -> Iterator[int]:
    params = record.params
    grid = exchange.state.grids[params.grid_version - 1]
    for code in grid.qualities:
        for side in (CLAIM, OBLIGATION):
            for window in range(params.first_window, params.first_window + params.windows):
                product = ProductId(
                    window, exchange.window_length, zone, code, params.kind, params.round, side
                )
                yield product_id.group_key(product, lanes)


# Sessions and days --------------------------------------------------------------------------------------


def _sessions(exchange: Exchange, now: int) -> Iterator[Question]:
    count = len(exchange.state.epochs)
    yield Question("sessions", "latestEpoch", (), (count,))
    for epoch, id_ in enumerate(exchange.state.epochs, start=1):
        record = exchange.session(id_)
        stage = Stage[exchange.stage(now, id_).name]
        yield Question("sessions", "sessionParams", (epoch,), (tuple(vars(record.params).values()),))
        for zone in range(exchange.grid_of(record.params.day).zones):
            books = record.commitments[zone : zone + 1]
            told = (books[0].count, books[0].root) if books else (0, NO_HASH)
            yield Question("sessions", "bookOf", (epoch, zone), told)
        committed = (len(record.commitments), sum(book.count for book in record.commitments))
        yield Question("sessions", "commitmentOf", (epoch,), committed)
        yield Question("sessions", "deadlineOf", (epoch,), (exchange.deadline(now, record),))
        yield Question("sessions", "sessionOf", (epoch,), (id_, int(stage)), counts=1)
    yield Question("sessions", "sessionOf", (count + 1,), (NO_HASH, int(Stage.NONE)))


def _grids(exchange: Exchange) -> Iterator[Question]:
    for version, grid in enumerate(exchange.state.grids, start=1):
        codes, pairs = bytes(grid.qualities), bytes(giver << 4 | taker for giver, taker in grid.pairs())
        shape = (codes.ljust(16, b"\0"), len(grid.pairs()), grid.deepest_charge, pairs.ljust(32, b"\0"))
        info = (session.grid_hash(grid), grid.zones, len(codes), *shape)
        yield Question("grids", "gridOf", (version,), (info,), counts=1)
        for zone in range(grid.zones):
            below = grid.children(zone)
            line = (grid.parents[zone], grid.charges[zone], grid.capacities[zone], below.start, len(below))
            yield Question("grids", "lineOf", (version, zone), (line,))


def _days(exchange: Exchange) -> Iterator[Question]:
    for day, record in exchange.state.days.items():
        codes = exchange.state.grids[record.grid_version - 1].qualities
        info = (record.windows, record.grid_version, bytes(codes).ljust(16, b"\0"), len(codes))
        yield Question("days", "dayOf", (day,), info)
        yield from _run(exchange, day)


def _run(exchange: Exchange, day: int) -> Iterator[Question]:
    run = exchange.state.runs.get(day)
    stage = RunStage[run.stage.name] if run else RunStage.NONE
    for zone in range(exchange.grid_of(day).zones):
        message = exchange.state.postings.get((zone, day))
        sequence = message.sequence if message else 0
        told = (int(stage), sequence, run.carry_hash or NO_HASH if run else NO_HASH)
        yield Question("days", "runOf", (zone, day), told)
    under_way = (exchange.zone_under_way(day), run.parts) if run else (exchange.next_metered(day, 0), 0)
    yield Question("days", "zoneUnderWay", (day,), under_way, counts=1)


# Claims -------------------------------------------------------------------------------------------------


def _claims(replay: Replay) -> Iterator[Question]:
    exchange = replay.exchange
    for epoch, id_ in enumerate(exchange.state.epochs, start=1):
        yield Question("claims", "bondOf", (epoch,), (_bond(exchange, epoch),), counts=1)
        for zone in range(exchange.market(id_).grid.zones):
            count = exchange.state.submissions.get((epoch, zone), 0)
            yield Question("claims", "submissionsOf", (epoch, zone), (count,))
    for order in replay.submitted:
        told = (exchange.state.submitted.get(order, 0),)
        yield Question("claims", "submittedIn", (order,), told, counts=1)
    for order, claim in exchange.state.claims.items():
        found = (claim.trader, claim.epoch, claim.kind.value, claim.stage.value, claim.by_receipt)
        yield Question("claims", "claimOf", (order,), (found,), counts=1)


def _bond(exchange: Exchange, epoch: int) -> tuple[bytes, int, int, int, int]:
    bond = exchange.state.bonds.get(epoch)
    if bond is None:
        return (NO_ADDRESS, 0, 0, 0, 0)
    standing = exchange.standing(epoch).values()
    paid = sum(claim.stage is ClaimStage.PAID for claim in standing)
    traders = {claim.trader for claim in standing}
    return (bond.operator, bond.locked_nano, len(standing), paid, len(traders))


# Statements, later runs and challenges ------------------------------------------------------------------


def _later(replay: Replay) -> Iterator[Question]:
    state = replay.exchange.state
    for part, hash_ in state.statements.items():
        yield Question("statements", "statementOf", part, (hash_,), counts=1)
    nothing = ZoneDay(NO_HASH, NO_HASH, NO_HASH, 0)
    for place in state.postings:
        one = state.zone_days.get(place, nothing)
        told = (one.run, one.link, one.pending, one.parts, one.open, one.since)
        yield Question("later days", "zoneDayOf", place, told, counts=1)
    for id_, found in state.challenges.items():
        values = tuple(challenge_values(found).values())
        yield Question("later days", "challengeOf", (id_,), (values,))
    for account in sorted(replay.seen | set(state.members)):
        yield Question("later days", "holdsOf", (account,), (state.holds.get(account, 0),))
    terms = (state.pot, state.challenge_bond, state.challengeable_until)
    yield Question("later days", "challengeTerms", (), terms)


def challenge_values(one: Challenge) -> dict[str, Any]:
    """What is kept of a challenge, in the contract's order (contracts/interfaces/IChallenges.sol)."""
    return {
        "account": one.account,
        "zone": one.zone,
        "day": one.day,
        "stage": one.stage.value,
        "actual": one.actual,
        "answered": one.answered,
        "meterId": one.read.meter,
        "register": one.read.register,
        "window": one.read.window_index,
        "committedWh": one.standing.wh,
        "committedSequence": one.standing.sequence,
        "wh": one.read.wh,
        "sequence": one.read.sequence,
        "answerBy": one.answer_by,
        "bondNano": one.bond_nano,
    }


# The rest -----------------------------------------------------------------------------------------------


def _registers(replay: Replay, now: int) -> Iterator[Question]:
    state = replay.exchange.state
    for node in sorted(replay.nodes | replay.seen):
        counts = int(node in replay.nodes)
        yield Question("registers", "isOracle", (node,), (node in state.oracles,), counts=counts)
    yield Question("registers", "quorum", (), (state.quorum,), counts=1)
    for id_, meter in state.meters.items():
        key = meter.key or (NO_HASH, NO_HASH)
        yield Question("registers", "meterOf", (id_,), (meter.account, *key), counts=1)
    for (owner, spender, id_number), amount in state.allowances.items():
        arguments = (owner, spender, id_number)
        yield Question("registers", "allowance", arguments, (amount,), counts=1)
    for owner, spender in sorted(replay.operators):
        approved = (owner, spender) in state.operators
        yield Question("registers", "isOperator", (owner, spender), (approved,), counts=1)
    yield Question("registers", "paused", (), (replay.exchange.is_paused(now),), counts=1)
    yield Question("registers", "authority", (), (replay.manager.address,), counts=1)


def _debts(exchange: Exchange) -> Iterator[Question]:
    members = exchange.state.members.values()
    for zone in sorted({member.zone for member in members}):
        count = sum(member.role == PROSUMER and member.zone == zone for member in members)
        yield Question("debts", "meteredIn", (zone,), (count,))
    yield Question("debts", "balancingParty", (), (exchange.balancing_party() or NO_ADDRESS,))
    yield Question("debts", "networkOperator", (), (exchange.network_operator() or NO_ADDRESS,))
    yield Question("debts", "totalNegative", (), (exchange.state.total_negative,), counts=1)


# Asking -------------------------------------------------------------------------------------------------


def check(asked: Sequence[Question], node: Node, address: bytes, block: int, findings: Findings) -> None:
    """Asks a node. Difference at the first answer that is another."""
    abi = exchange_interface()
    calls = [(address, abi.encode(one.view, *one.arguments)) for one in asked]
    done = 0
    with located(node.url, block):
        try:
            for one, answer in zip(asked, node.calls(calls, block), strict=True):
                _check_answer(one, answer, findings)
                done += 1
        except NoAnswer:
            raise
        except ChainError as cause:
            one = asked[done]
            raise Difference(one.check, f"{one.view} does not answer: {cause}", one.expected) from cause


def _check_answer(one: Question, answer: bytes, findings: Findings) -> None:
    try:
        found = exchange_interface().decode(one.view, answer)
    except DecodingError as cause:
        raise Difference(
            one.check, f"{one.view} answers nothing of its type", one.expected, answer
        ) from cause
    if found != one.expected:
        shown = {"view": one.view, "arguments": one.arguments}
        raise Difference(
            one.check, f"{one.view} answers otherwise", shown | {"is": one.expected}, shown | {"is": found}
        )
    findings.add(one.check, one.counts)
