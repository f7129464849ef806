"""Audits of all that can happen in a day: every function, every stage, random books."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from audit_world import audited, counts, run_day
from chain_world import (
    DAY,
    DAY_END,
    GATE,
    GRID,
    MEMBERS,
    ORACLES,
    OUTSIDER,
    PROSUMERS,
    PROVE_BY,
    SIGNERS,
    STRANGER,
    SUPPLIER,
    WINDOW_LENGTH,
    World,
    running_world,
    settle_entries,
)
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from test_day import small_book

from settlement.audit.replay import HANDLERS
from settlement.chain import abi, closer, deploy, operator, settler
from settlement.chain.abi import exchange_interface
from settlement.chain.errors import ContractRevert
from settlement.chain.progress import Progress
from settlement.chain.rpc import to_bytes
from settlement.chain.sign import Signer, sign_message
from settlement.reference import product_id, quality
from settlement.reference.messages import Acceptance, Transfer, Withdrawal
from settlement.reference.product_id import CERTIFICATE, CLAIM, ProductId

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "differential"))

import test_exchange_day as random_day

LATER = DAY_END + 10**6


@pytest.fixture(scope="module")
def morning() -> Iterator[World]:
    with running_world() as world:
        yield world


@pytest.fixture
def open_day(morning: World) -> Iterator[World]:
    with morning.turned_back():
        yield morning


def holds(world: World) -> dict[str, int]:
    found = audited(world)
    assert found.difference is None, found.difference.as_json()
    return counts(found)


# Stage by stage -----------------------------------------------------------------------------------------


def test_a_session_is_audited_at_every_stage(open_day: World) -> None:
    world = open_day
    session = world.open_session()
    holds(world)
    _, prepared = world.commit(session, small_book(world, session))
    holds(world)
    operator.post_header(world.exchange, world.operator, prepared)
    holds(world)
    at = Progress()
    for part in (range(5), range(5, 12)):
        at, _ = operator.clear_next(world.exchange, world.operator, prepared, at, part)
        assert holds(world)["orders"] == part.stop
    closer.close(world.exchange, world.operator, prepared, at)
    assert holds(world)["proofs"] == 1


def test_a_run_is_audited_at_every_stage(open_day: World) -> None:
    world = open_day
    session = world.open_session()
    world.clear(session, small_book(world, session))
    world.clock.advance_to(DAY_END)
    metered = {one.address: (700, -900, 0, 3) for one in PROSUMERS}
    signed = world.sign_posting(settle_entries(metered), per_part=2)
    settler.post(world.exchange, world.node, signed)
    holds(world)
    day = settler.DayRun(world.exchange, world.node, [signed])
    for part in range(2):
        day.send_next()
        assert holds(world)["runs"] == part
    for _ in range(2):
        day.send_next()
        holds(world)


@pytest.mark.parametrize("cleared", [None, 0, 5])
def test_a_session_that_was_not_proved_in_time_is_audited(open_day: World, cleared: int | None) -> None:
    world = open_day
    session = world.open_session()
    _, prepared = world.commit(session, small_book(world, session))
    if cleared is not None:
        operator.post_header(world.exchange, world.operator, prepared)
    if cleared:
        operator.clear_next(world.exchange, world.operator, prepared, Progress(), range(cleared))
    holds(world)
    world.clock.advance_to(PROVE_BY + 1)
    assert holds(world)["proofs"] == 0


def test_a_session_without_orders_is_audited(open_day: World) -> None:
    session = open_day.open_session()
    open_day.clear(session, [])
    assert holds(open_day)["proofs"] == 1


# Every function -----------------------------------------------------------------------------------------


def fields(message: Any) -> tuple[Any, ...]:
    return tuple(vars(message).values())


def claim_of(world: World, account: bytes) -> ProductId:
    """A claim that the account has, of the first window."""
    for code in GRID.qualities:
        product = ProductId(DAY, WINDOW_LENGTH, 0, code, side=CLAIM)
        if world.model.held(account, product) > 10:
            return product
    raise AssertionError("no claim")


def test_claims_change_hands_in_every_way(open_day: World) -> None:
    world, exchange = open_day, open_day.exchange
    session = world.open_session()
    world.clear(session, small_book(world, session))
    giver, taker = PROSUMERS[2], PROSUMERS[0]
    id_ = product_id.encode(claim_of(world, giver.address))
    exchange.send(taker, "accept", giver.address, id_, 9)
    exchange.send(giver, "transfer", taker.address, id_, 1)
    exchange.send(giver, "approve", STRANGER.address, id_, 2)
    exchange.send(STRANGER, "transferFrom", giver.address, taker.address, id_, 1)
    exchange.send(giver, "approve", OUTSIDER.address, id_, 2**256 - 1)
    exchange.send(OUTSIDER, "transferFrom", giver.address, taker.address, id_, 1)
    exchange.send(giver, "setOperator", SUPPLIER.address, True)
    exchange.send(SUPPLIER, "transferFrom", giver.address, taker.address, id_, 1)
    exchange.send(giver, "setOperator", SUPPLIER.address, False)
    exchange.send(giver, "transfer", taker.address, id_, 0)
    nobodys = product_id.encode(ProductId(DAY, WINDOW_LENGTH, 0, 15, side=CLAIM))
    exchange.send(taker, "transfer", giver.address, nobodys, 0)
    agreed = Acceptance(taker.address, giver.address, id_, 3, 0, LATER)
    proof = sign_message(taker, exchange.separator, agreed)
    exchange.send(world.operator, "relayAcceptance", fields(agreed), proof)
    moved = Transfer(giver.address, taker.address, id_, 2, 0, LATER)
    exchange.send(STRANGER, "relayTransfer", fields(moved), sign_message(giver, exchange.separator, moved))
    told = holds(world)
    assert told["registers"] > 6
    with pytest.raises(ContractRevert):  # more than was agreed
        exchange.send(giver, "transfer", taker.address, id_, 9, gas=300_000)
    assert holds(world)["refusals"] == 1


def test_certificates_change_hands(open_day: World) -> None:
    world = open_day
    run_day(world)
    state, day = world.model.state, world.model
    holder, product = next(
        (account, product_id.decode(key))
        for (account, key), wh in state.lanes.items()
        if wh and quality.band(product_id.decode(key).quality) > 0
    )
    lanes = MEMBERS[holder].lanes
    window = next(w for w in range(DAY, DAY + 4) if day.held(holder, _at(product, w)))
    assert lanes.count in (8, 16)
    id_ = product_id.encode(ProductId(window, WINDOW_LENGTH, 0, product.quality, CERTIFICATE))
    other = next(one for one in PROSUMERS if one.address != holder)
    world.exchange.send(SIGNERS[holder], "transfer", other.address, id_, 1)
    holds(world)


def _at(product: ProductId, window: int) -> ProductId:
    return ProductId(window, product.window_length, product.zone, product.quality)


def test_money_comes_and_goes(open_day: World) -> None:
    world, exchange, home = open_day, open_day.exchange, PROSUMERS[0]
    world.token.mint(world.admin, world.admin.address, 100)
    world.token.approve(world.admin, exchange.address, 100)
    exchange.send(world.admin, "deposit", home.address, 60)
    message = Withdrawal(home.address, 50, 0, LATER)
    proof = sign_message(home, exchange.separator, message)
    exchange.send(STRANGER, "relayWithdrawal", fields(message), proof)
    holds(world)
    exchange.send(STRANGER, "executeWithdrawal", home.address)
    exchange.send(home, "requestWithdrawal", 5)
    exchange.send(home, "requestWithdrawal", 0)
    with pytest.raises(ContractRevert):
        exchange.send(world.admin, "deposit", home.address, 10**20, gas=300_000)
    told = holds(world)
    assert told["settlement token"] == 6 + 2
    assert told["refusals"] == 1


def test_a_call_that_sends_money_along_is_rightly_refused(open_day: World) -> None:
    """Anyone can send it: it must not make an honest chain fail its audit."""
    world = open_day
    data = exchange_interface().encode("approve", STRANGER.address, 1, 1)
    rich = world.anvil.rpc("eth_accounts")[0]
    call = {"from": rich, "to": "0x" + world.exchange.address.hex(), "data": "0x" + data.hex()}
    sent = world.anvil.rpc(
        "eth_sendTransaction", {**call, "value": "0x1", "gas": "0x30d40", "gasPrice": "0x0"}
    )
    with pytest.raises(ContractRevert):
        world.chain.wait(to_bytes(sent))
    assert holds(world)["refusals"] == 1


def test_a_gift_is_nobodys_cash(open_day: World) -> None:
    world = open_day
    world.token.mint(world.admin, world.exchange.address, 77)
    assert holds(world)["settlement token"] == 6 + 1


def point_of(secret: int) -> tuple[bytes, bytes]:
    point = ec.derive_private_key(secret, ec.SECP256R1()).public_key().public_numbers()
    return point.x.to_bytes(32, "big"), point.y.to_bytes(32, "big")


def test_meters_and_oracles_come_and_go(open_day: World) -> None:
    world, exchange = open_day, open_day.exchange
    x, y = point_of(7)
    for number in range(2):
        exchange.send(world.admin, "registerMeter", bytes([number] * 32), PROSUMERS[0].address, x, y)
    for number in range(2):
        exchange.send(world.admin, "rotateMeter", bytes([number] * 32), *point_of(8), DAY)
    exchange.send(world.admin, "revokeMeter", bytes(32))
    exchange.send(world.admin, "setOracle", STRANGER.address, True)
    exchange.send(world.admin, "setOracle", STRANGER.address, True)
    exchange.send(world.admin, "setQuorum", 4)
    exchange.send(world.admin, "setQuorum", 1)
    exchange.send(world.admin, "setOracle", ORACLES[0].address, False)
    with pytest.raises(ContractRevert):
        exchange.send(world.admin, "registerMeter", b"\x09" * 32, PROSUMERS[0].address, x, x, gas=300_000)
    exchange.send(world.admin, "changeMember", PROSUMERS[1].address, 8, 1234, True)
    assert holds(world)["refusals"] == 1


def test_a_pause_is_given_back_to_the_session_it_held_up(open_day: World) -> None:
    world, exchange = open_day, open_day.exchange
    session = world.open_session()
    _, prepared = world.commit(session, small_book(world, session))
    exchange.send(world.admin, "pause")
    holds(world)
    with pytest.raises(ContractRevert, match="ExchangePaused"):
        operator.post_header(world.exchange, world.operator, prepared)
    world.clock.advance_to(PROVE_BY)
    holds(world)
    exchange.send(world.admin, "unpause")
    holds(world)
    world.clock.advance_to(PROVE_BY + 600)  # late, but for the pause
    operator.post_header(world.exchange, world.operator, prepared)
    at, _ = operator.clear_all(world.exchange, world.operator, prepared, Progress())
    closer.close(world.exchange, world.operator, prepared, at)
    assert holds(world)["proofs"] == 1


def test_a_pause_that_ends_by_itself_is_audited(open_day: World) -> None:
    world, exchange = open_day, open_day.exchange
    world.open_session()
    exchange.send(world.admin, "pause")
    for after in (GATE, deploy.MAX_PAUSE_S, 2 * deploy.MAX_PAUSE_S):
        world.clock.advance_to(max(world.now() + 1, world.now() + after if after != GATE else GATE))
        holds(world)
    exchange.send(world.admin, "pause")
    holds(world)


def test_administration_is_followed(open_day: World) -> None:
    """Roles granted, delayed, taken away; calls that the manager makes itself, alone and several at once."""
    world, exchange = open_day, open_day.exchange
    manager, authority = abi.interface("Administration"), world.deployment.authority

    def administer(name: str, *arguments: Any, signer: Signer = world.admin) -> None:
        world.chain.send(signer, authority, manager.encode(name, *arguments))

    administer("grantRole", deploy.GUARDIAN, STRANGER.address, 0)
    exchange.send(STRANGER, "pause")
    exchange.send(STRANGER, "unpause")
    administer("revokeRole", deploy.GUARDIAN, STRANGER.address)
    with pytest.raises(ContractRevert):
        exchange.send(STRANGER, "pause", gas=200_000)
    quorum = exchange.abi.encode("setQuorum", 3)
    administer("execute", exchange.address, quorum)
    calls = [manager.encode("execute", exchange.address, exchange.abi.encode("setQuorum", n)) for n in (1, 2)]
    administer("multicall", calls)
    administer("grantRole", deploy.REGISTRAR, STRANGER.address, 60)
    administer("schedule", exchange.address, quorum, 0, signer=STRANGER)
    world.clock.advance_to(world.now() + 61)
    exchange.send(STRANGER, "setQuorum", 3)
    administer("setTargetClosed", exchange.address, True)
    with pytest.raises(ContractRevert):
        exchange.send(world.admin, "setQuorum", 1, gas=200_000)
    administer("setTargetClosed", exchange.address, False)
    told = holds(world)
    assert told["refusals"] == 2


def test_every_function_of_the_exchange_is_replayed() -> None:
    """What changes anything returns nothing, or is one of these; all else is read."""
    functions = abi.exchange_interface().functions
    answers = {"setGrid", "openSession", "approve", "setOperator", "transfer", "transferFrom"}
    changing = {name for name, entry in functions.items() if not entry.outputs} | answers
    assert changing - HANDLERS.keys() == {"setAuthority"}  # only the manager itself can call it
    assert HANDLERS.keys() <= functions.keys()


# Random days --------------------------------------------------------------------------------------------


@settings(random_day.SETTINGS, max_examples=6)
@given(st.data())
def test_random_days_pass(morning: World, data: st.DataObject) -> None:
    world = morning
    with world.turned_back():
        random_day.draw_changes(world, data)
        for changes in random_day.ROUNDS[: data.draw(st.integers(1, 2), label="rounds")]:
            session = world.open_session(**changes)
            world.clear(session, random_day.draw_book(world, session, data), chunk=6)
        random_day.draw_transfers(world, data)
        random_day.draw_settlement(world, data)
        random_day.draw_aftermath(world, data)
        holds(world)
