"""What the chain stores, question by question, and what the replay says it should answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.exceptions import DecodingError

from settlement.audit.findings import Difference, Findings, located
from settlement.audit.node import NoAnswer, Node
from settlement.audit.replay import ZONE, Replay
from settlement.chain.abi import exchange_interface
from settlement.chain.errors import ChainError
from settlement.chain.exchange import FLAG_SUSPENDED, FLAG_WIDE, FLAG_WITHDRAWING, RunStage, Stage
from settlement.reference import product_id
from settlement.reference.accounts import PROSUMER
from settlement.reference.exchange import Exchange
from settlement.reference.exchange.state import SessionRecord
from settlement.reference.product_id import CLAIM, OBLIGATION, ProductId

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
    yield from _lanes(replay.exchange)
    yield from _sessions(replay.exchange, now)
    yield from _days(replay.exchange)
    yield from _registers(replay, now)
    yield from _debts(replay.exchange)


# Accounts -----------------------------------------------------------------------------------------------


def _accounts(replay: Replay, now: int) -> Iterator[Question]:
    exchange, held = replay.exchange, _held_bits(replay.exchange)
    for account in sorted(replay.seen | set(exchange.state.members)):
        cash = exchange.cash(now, account)
        request = exchange.state.requests.get(account)
        withdrawal = (request.amount_nano, request.epoch) if request else None
        yield Question(
            "accounts", "memberOf", (account,), (_member_word(exchange, account) | held[account] << 112,)
        )
        yield Question("accounts", "cashOf", (account,), (cash.free, cash.reserved, cash.net, cash.epoch))
        if withdrawal:
            yield Question("accounts", "withdrawalOf", (account,), withdrawal)
        nonce = exchange.state.nonces.get(account, 0)
        yield Question("accounts", "nonces", (account,), (nonce,), counts=1)


def _member_word(exchange: Exchange, account: bytes) -> int:
    """As contracts/libraries/Member.sol draws it, without the products it ever had."""
    member = exchange.state.members.get(account)
    if member is None:
        return 0
    flags = (
        FLAG_WIDE * member.wide
        + FLAG_SUSPENDED * member.suspended
        + FLAG_WITHDRAWING * (account in exchange.state.requests)
    )
    word = member.zone | member.role << 56 | flags << 64 | member.max_quality << 72
    return word | member.capacity_wh << 80


def _held_bits(exchange: Exchange) -> dict[bytes, int]:
    """Bit `side * 16 + quality` of every product that an account ever had: its lanes stay when empty."""
    bits: dict[bytes, int] = defaultdict(int)
    for holder, key in exchange.state.lanes:
        product = product_id.decode(key)
        bits[holder] |= 1 << (product.side * 16 + product.quality)
    return bits


# Lanes --------------------------------------------------------------------------------------------------


def _lanes(exchange: Exchange) -> Iterator[Question]:
    """Every slot that a session could have filled, touched or not."""
    touched: dict[bytes, set[int]] = {}
    for holder, key in exchange.state.lanes:
        touched.setdefault(holder, set()).add(key)
    records = exchange.state.sessions.values()
    by_lanes = {n: {key for one in records for key in _keys(exchange, one, n)} for n in (16, 8)}
    for account, member in exchange.state.members.items():
        keys = touched.get(account, set()) | by_lanes[member.lanes.count]
        for key in sorted(keys):
            word = exchange.state.lanes.get((account, key), 0)
            yield Question("lanes", "lanesOf", (account, key), (word,), counts=1)


def _keys(exchange: Exchange, record: SessionRecord, lanes: int) -> Iterator[int]:
    params = record.params
    grid = exchange.state.grids[params.grid_version - 1]
    for code in grid.qualities:
        for side in (CLAIM, OBLIGATION):
            for window in range(params.first_window, params.first_window + params.windows):
                product = ProductId(
                    window, exchange.window_length, ZONE, code, params.kind, params.round, side
                )
                yield product_id.group_key(product, lanes)


# Sessions and days --------------------------------------------------------------------------------------


def _sessions(exchange: Exchange, now: int) -> Iterator[Question]:
    count = len(exchange.state.epochs)
    yield Question("sessions", "latestEpoch", (), (count,))
    for epoch, id_ in enumerate(exchange.state.epochs, start=1):
        record = exchange.session(id_)
        stage = Stage[exchange.stage(now, id_).name]
        book = record.commitment
        told = (book.count, book.root) if book else (0, NO_HASH)
        yield Question("sessions", "sessionParams", (epoch,), (tuple(vars(record.params).values()),))
        yield Question("sessions", "bookOf", (epoch, ZONE), told)
        yield Question("sessions", "deadlineOf", (epoch,), (exchange.deadline(now, record),))
        yield Question("sessions", "sessionOf", (epoch,), (id_, int(stage)), counts=1)
    yield Question("sessions", "sessionOf", (count + 1,), (NO_HASH, int(Stage.NONE)))


def _days(exchange: Exchange) -> Iterator[Question]:
    for day, record in exchange.state.days.items():
        codes = exchange.state.grids[record.grid_version - 1].qualities
        info = (record.windows, record.grid_version, bytes(codes).ljust(16, b"\0"), len(codes))
        yield Question("days", "dayOf", (day,), info)
        run = exchange.state.runs.get((ZONE, day))
        told = (int(RunStage.NONE), 0, NO_HASH)
        if run is not None:
            stage = RunStage[run.stage.name]
            told = (int(stage), run.posting.sequence, run.carry_hash or NO_HASH)
        yield Question("days", "runOf", (ZONE, day), told, counts=1)


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
