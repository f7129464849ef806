"""A chain whose storage or code was changed behind its contracts' back does not pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from audit_world import audited, finish_day, run_day
from chain_world import DAY, MEMBERS, ORACLES, PROSUMERS, RICH, STRANGER, World, running_world, settle_entries
from refusals import of_zone, with_posting
from tampering import (
    ALLOWS_EVERYTHING,
    REFUSES_EVERYTHING,
    code_of,
    find_slot,
    forwards_to,
    later,
    number,
    plant,
    read_slot,
    stored,
    tells,
    write_slot,
)
from test_day import small_book

from settlement.audit.findings import Difference
from settlement.chain import abi, closer, deploy, operator, prepared, settler
from settlement.chain.client import MOST_GAS
from settlement.chain.errors import ContractRevert
from settlement.chain.exchange import Stage
from settlement.chain.prepared import Prepared, prepare
from settlement.chain.progress import Progress
from settlement.chain.rpc import to_bytes, to_hex
from settlement.reference import accounts, packed_windows, product_id
from settlement.reference.product_id import ProductId

HOME = PROSUMERS[2].address


def difference(world: World) -> Difference:
    found = audited(world)
    assert found.difference is not None
    assert [one.name for one in found.checks.values() if not one.ok] == [found.difference.check]
    return found.difference


# After the day: storage ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def day() -> Iterator[World]:
    with running_world() as world:
        run_day(world)
        yield world


def cash_slot(world: World, account: bytes) -> bytes:
    stored = accounts.pack(world.model.state.cash[account])
    return find_slot(world, world.exchange.address, [account], stored)


def add_to(world: World, slot: bytes, amount: int, contract: bytes | None = None) -> None:
    at = contract or world.exchange.address
    write_slot(world, at, slot, read_slot(world, at, slot) + amount)


def one_nano(world: World) -> None:
    add_to(world, cash_slot(world, HOME), 1)


def a_nano_moved(world: World) -> None:
    """Between two members: the sum stays."""
    add_to(world, cash_slot(world, HOME), 1)
    add_to(world, cash_slot(world, PROSUMERS[0].address), -1)


def lane_slot(world: World, filled: bool) -> tuple[bytes, ProductId]:
    """A slot that holds something, or one beside it that nothing was ever in."""
    account, key = next(
        (account, key) for (account, key), wh in world.model.state.lanes.items() if wh and account == HOME
    )
    value = world.model.state.lanes[(account, key)]
    slot = find_slot(world, world.exchange.address, [account, number(key)], value)
    product = product_id.decode(key)
    if filled:
        return slot, product
    unused = product_id.encode(replace(product, quality=15))
    assert (account, unused) not in world.model.state.lanes
    base = next(b for b in range(64) if _mapped(b, account, key) == slot)
    return _mapped(base, account, unused), product


def _mapped(base: int, account: bytes, key: int) -> bytes:
    from tampering import mapped

    return mapped(base, [account, number(key)])


def a_lane(world: World) -> None:
    slot, product = lane_slot(world, filled=True)
    lanes = MEMBERS[HOME].lanes
    add_to(world, slot, packed_windows.add(0, lanes.of(DAY), lanes, 1))
    assert product.side == product_id.CLAIM


def an_unused_lane(world: World) -> None:
    add_to(world, lane_slot(world, filled=False)[0], 1)


def a_members_terms(world: World) -> None:
    (stored,) = world.exchange.view("memberOf", HOME)
    add_to(world, find_slot(world, world.exchange.address, [HOME], stored), 1 << 80)


def a_sessions_stage(world: World) -> None:
    plant(world, _sessions={1: stored(world)["_sessions"][1] | {"stage": Stage.POSTED}})


def a_sessions_deadline(world: World) -> None:
    session = stored(world)["_sessions"][1]
    plant(world, _sessions={1: session | {"proveBy": session["proveBy"] + 1}})


def a_book(world: World) -> None:
    book = stored(world)["_books"][1][0]
    plant(world, _books={1: {0: book | {"count": book["count"] - 1}}})


def an_oracle(world: World) -> None:
    slot = find_slot(world, world.exchange.address, [ORACLES[0].address], 1)
    write_slot(world, world.exchange.address, slot, 0)


def run_slot(world: World) -> bytes:
    carry = world.exchange.run(0, DAY).carry_hash
    return find_slot(world, world.exchange.address, [number(DAY)], int.from_bytes(carry, "big"), offset=1)


def a_runs_carry(world: World) -> None:
    add_to(world, later(run_slot(world), 1), 1)


def a_runs_stage(world: World) -> None:
    add_to(world, run_slot(world), -1)


NOBODY = bytes([0x11]) * 20
"""An account that no call ever named."""


def a_planted_oracle(world: World) -> None:
    plant(world, _oracles={NOBODY: True})


def a_planted_member(world: World) -> None:
    members = stored(world)["_members"]
    plant(world, _members={NOBODY: members[HOME]}, _cash={NOBODY: 10**12})


def a_planted_approval(world: World) -> None:
    plant(world, _operators={HOME: {NOBODY: True}})


def a_planted_submission(world: World) -> None:
    plant(world, _submitted={bytes(31) + b"\1": {"epoch": 1, "byKey": False}})


def a_planted_gift(world: World) -> None:
    """A beneficiary of sales that nobody donated."""
    plant(world, _gifts={1: {HOME: {"beneficiary": NOBODY, "nano": 10**12}}})


def a_statement(world: World) -> None:
    plant(world, _statements={0: {DAY: {0: NOBODY.rjust(32)}}})


def a_planted_statement(world: World) -> None:
    plant(world, _statements={0: {DAY + 1000: {0: NOBODY.rjust(32)}}})


def opened_corrections(world: World) -> None:
    """Of a run that nobody opened for corrections: its next could name any link."""
    blank = {"prices": bytes(32), "pending": bytes(32), "run": 0, "parts": 0, "open": 0, "since": 0}
    plant(world, _zoneDays={0: {DAY: blank | {"commitments": bytes(32), "link": NOBODY.rjust(32)}}})


def a_planted_hold(world: World) -> None:
    plant(world, _holds={HOME: 1})


def a_planted_pot(world: World) -> None:
    plant(world, _oracleBond=7)


def a_planted_key(world: World) -> None:
    key = {"from": 0, "until": DAY + 9}
    plant(world, _formerKeys={NOBODY.ljust(32): {NOBODY.ljust(32): key}})


def a_list_of_days(world: World) -> None:
    plant(world, _days=[*stored(world)["_days"], DAY + 1000])


def a_count_of_nodes(world: World) -> None:
    known = stored(world)
    plant(world, _quorum=known["_quorum"], _nodes=known["_nodes"] + 1)


def tokens_held(world: World) -> None:
    address = world.exchange.address
    balance = world.token.balance(address)
    slot = find_slot(world, world.token.address, [address], balance)
    add_to(world, slot, -1, world.token.address)


def tokens_added(world: World) -> None:
    address = world.exchange.address
    slot = find_slot(world, world.token.address, [address], world.token.balance(address))
    add_to(world, slot, 1, world.token.address)


def a_modules_code(world: World) -> None:
    module = world.deployment.modules[0]
    code = bytearray(world.chain.code(module))
    code[len(code) // 2] ^= 1
    world.chain.rpc("anvil_setCode", to_hex(module), to_hex(bytes(code)))


def another_module(world: World) -> None:
    """The Exchange's own code, with another address where it knows its module."""
    code = world.chain.code(world.exchange.address)
    other = code.replace(world.deployment.modules[0], STRANGER.address)
    assert other != code
    world.chain.rpc("anvil_setCode", to_hex(world.exchange.address), to_hex(other))


TAMPERINGS = [
    (one_nano, "accounts", "cashOf"),
    (a_nano_moved, "accounts", "cashOf"),
    (a_lane, "lanes", "lanesOf"),
    (an_unused_lane, "lanes", "lanesOf"),
    (a_members_terms, "accounts", "memberOf"),
    (a_sessions_stage, "sessions", "sessionOf"),
    (a_book, "sessions", "bookOf"),
    (an_oracle, "registers", "isOracle"),
    (a_runs_carry, "days", "runOf"),
    (a_runs_stage, "days", "runOf"),
    (a_planted_oracle, "storage", "another word"),
    (a_planted_member, "storage", "another word"),
    (a_planted_approval, "storage", "another word"),
    (a_planted_submission, "storage", "another word"),
    (a_planted_gift, "storage", "another word"),
    (a_statement, "statements", "statementOf"),
    (a_planted_statement, "storage", "another word"),
    (opened_corrections, "later days", "zoneDayOf"),
    (a_planted_hold, "later days", "holdsOf"),
    (a_planted_pot, "later days", "challengeTerms"),
    (a_planted_key, "storage", "another word"),
    (a_list_of_days, "storage", "another word"),
    (a_count_of_nodes, "storage", "another word"),
    (tokens_held, "cash", "settlement tokens"),
    (tokens_added, "cash", "settlement tokens"),
    (a_modules_code, "code", "other code runs as ClearingModule"),
    (another_module, "code", "says it was built otherwise"),
]


@pytest.mark.parametrize(
    ("tamper", "check", "what"), TAMPERINGS, ids=[one.__name__ for one, *_ in TAMPERINGS]
)
def test_what_was_changed_after_the_day_is_found(
    day: World, tamper: Callable[[World], None], check: str, what: str
) -> None:
    with day.turned_back():
        tamper(day)
        found = difference(day)
    assert found.check == check
    assert what in found.what
    assert found.expected != found.found


# During the day -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def morning() -> Iterator[World]:
    with running_world() as world:
        yield world


@pytest.fixture
def open_day(morning: World) -> Iterator[World]:
    with morning.turned_back():
        yield morning


def test_fills_that_a_false_module_told_are_found(open_day: World) -> None:
    """The honest module clears, is turned back, and a false one tells the same with one Wh moved."""
    world = open_day
    session = world.open_session()
    _, prepared = world.commit(session, small_book(world, session))
    operator.post_header(world.exchange, world.operator, prepared)
    data = operator.clear_data(prepared, None, range(12))
    snapshot = world.clock.snapshot()
    logs = list(world.exchange.send_data(world.operator, data, gas=MOST_GAS).logs)
    world.clock.revert(snapshot)
    at = next(i for i, one in enumerate(logs) if len(one.data) > 96)
    changed = bytearray(logs[at].data)
    changed[-1] ^= 1
    logs[at] = replace(logs[at], data=bytes(changed))
    with code_of(world, world.deployment.modules[0], tells(logs)):
        world.exchange.send_data(world.operator, data, gas=MOST_GAS)
    found = difference(world)
    assert found.check == "events"
    assert found.what.startswith("ScheduleCleared.lanes")
    assert found.block == world.chain.block_number()
    assert found.transaction is not None


def test_events_left_out_by_a_false_module_are_found(open_day: World) -> None:
    world = open_day
    session = world.open_session()
    _, prepared = world.commit(session, small_book(world, session))
    with code_of(world, world.deployment.modules[1], b"\x00"):
        operator.post_header(world.exchange, world.operator, prepared)
    found = difference(world)
    assert (found.check, found.found) == ("events", None)
    assert found.expected[0] == "HeaderPosted"


def test_an_order_that_the_operator_leaves_out_is_found(open_day: World) -> None:
    """Committed to, but not cleared: the stored commitment is bent to the smaller book."""
    world = open_day
    session = world.open_session()
    sealed, ready = world.commit(session, small_book(world, session))
    fewer = of_zone(sealed.orders[1:], sealed.hashes[1:])
    root = fewer.commitments[0].root
    plant(world, _books={session.epoch: {0: {"count": 11, "through": 11, "root": root}}})
    smaller = prepare(session, fewer, (ready.reasons[1:],))
    operator.post_header(world.exchange, world.operator, smaller)
    at, _ = operator.clear_all(world.exchange, world.operator, smaller, Progress())
    closer.close(world.exchange, world.operator, smaller, at)
    found = difference(world)
    assert (found.check, found.found) == ("calls", "done")
    assert "BookMismatch" in found.expected


def test_a_posting_without_its_quorum_is_found(open_day: World) -> None:
    world = open_day
    session = world.open_session()
    world.clear(session, small_book(world, session))
    world.clock.advance_to((DAY + 4) * 1800)
    signed = world.sign_posting(settle_entries({one.address: (0,) * 4 for one in PROSUMERS}))
    alone = replace(signed, signatures=signed.signatures[:1])
    with pytest.raises(ContractRevert, match="QuorumNotReached"):
        settler.post(world.exchange, world.node, alone)
    add_to(world, packed_quorum(world), -1)
    settler.post(world.exchange, world.node, alone)
    found = difference(world)
    assert (found.check, found.found) == ("calls", "done")
    assert "QuorumNotReached" in found.expected


def packed_quorum(world: World) -> bytes:
    """The slot of 2 of 3: quorum, then nodes."""
    slots = (slot.to_bytes(32, "big") for slot in range(64))
    return next(slot for slot in slots if read_slot(world, world.exchange.address, slot) & 0xFFFF == 0x0302)


def test_a_call_by_somebody_without_the_role_is_found(open_day: World) -> None:
    world = open_day
    with pytest.raises(ContractRevert):
        world.exchange.send(STRANGER, "pause")
    with code_of(world, world.deployment.authority, ALLOWS_EVERYTHING):
        world.exchange.send(STRANGER, "pause", gas=200_000)
    found = difference(world)
    assert found.check == "permissions"
    assert found.found == to_hex(STRANGER.address)


def test_a_call_by_way_of_another_contract_is_not_passed_over(open_day: World) -> None:
    world, wallet = open_day, b"\x77" * 20
    with code_of(world, wallet, forwards_to(world.exchange.address)):
        data = world.exchange.abi.encode("setOperator", STRANGER.address, True)
        world.chain.send(PROSUMERS[0], wallet, data, gas=200_000)
    found = difference(world)
    assert found.check == "calls"
    assert "another contract" in found.what


def test_a_call_refused_without_a_reason_is_found(open_day: World) -> None:
    world = open_day
    with code_of(world, world.exchange.address, REFUSES_EVERYTHING), pytest.raises(ContractRevert):
        world.exchange.send(PROSUMERS[0], "requestWithdrawal", 5, gas=200_000)
    found = difference(world)
    assert found.check == "refusals"


def test_money_from_nowhere_is_found_when_it_leaves(open_day: World) -> None:
    world, account = open_day, PROSUMERS[0].address
    add_to(world, cash_slot(world, account), 7)
    world.exchange.send(PROSUMERS[0], "requestWithdrawal", RICH + 7)
    found = difference(world)
    assert (found.check, found.found) == ("calls", "done")
    assert "InsufficientCash" in found.expected


def test_settlement_tokens_taken_out_of_the_exchange_are_found(open_day: World) -> None:
    """By the Exchange itself, made to: the token's own rules hold."""
    world = open_day
    exchange = to_hex(world.exchange.address)
    world.chain.rpc("anvil_impersonateAccount", exchange)
    world.chain.rpc("anvil_setBalance", exchange, hex(10**18))
    data = abi.interface("SettlementToken").encode("transfer", STRANGER.address, 1)
    sent = {"from": exchange, "to": to_hex(world.token.address), "data": to_hex(data), "gasPrice": "0x0"}
    world.chain.wait(to_bytes(world.chain.rpc("eth_sendTransaction", sent)))
    found = difference(world)
    assert found.check == "transactions"  # nobody signed it


def test_a_module_with_another_event_cannot_be_deployed_unseen(
    open_day: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = open_day
    compiled = dict(deploy.compile_contracts())
    module = compiled["DeliveryModule"]
    topic = next(t for t, e in abi.exchange_interface().events.items() if e.name == "AccountCertified").hex()
    assert topic in module.bytecode
    false = module.bytecode.replace(topic, topic[::-1])
    compiled["DeliveryModule"] = replace(module, bytecode=false)
    with monkeypatch.context() as patched:
        patched.setattr(deploy, "compile_contracts", lambda: compiled)
        other = deploy.deploy(world.chain, world.admin)
    from settlement.audit.audit import audit
    from settlement.audit.node import Node

    found = audit([Node(world.anvil.rpc_url)], other.exchange).difference
    assert found is not None
    assert found.check == "code"
    assert "DeliveryModule" in found.what


@pytest.mark.parametrize("name", ["sessions_price", "second_matcher"])
def test_the_matchers_second_opinion_is_heard(
    open_day: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Were proof and reference both wrong, the matcher would still tell: here its own answer is bent."""
    world = open_day
    session = world.open_session()
    world.clear(session, small_book(world, session))
    honest = prepared.prepare

    def bent(*args: object) -> Prepared:
        own = honest(*args)  # type: ignore[arg-type]
        energy = own.root.posting.energy
        if name == "second_matcher":
            raise ContractRevert("nothing")
        low = replace(energy[2], lo=energy[2].lo - 1)
        return with_posting(own, replace(own.root.posting, energy=(*energy[:2], low, *energy[3:])))

    monkeypatch.setattr(prepared, "prepare", bent)
    found = difference(world)
    assert found.check == "prices"
    assert found.block is not None


def test_the_day_itself_is_as_it_was(open_day: World) -> None:
    """The same world without tampering passes, at the end of its day."""
    session = open_day.open_session()
    open_day.clear(session, small_book(open_day, session))
    finish_day(open_day)
    assert audited(open_day).difference is None
