"""Random small days on an embedded chain and in the reference model: equal in every fill, cash, token, id
and event, bit for bit; and what one refuses the other refuses by the same name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chain"))

from chain_world import (
    COMMIT_BY,
    DAY,
    DAY_END,
    GATE,
    MEMBERS,
    OUTSIDER,
    PROSUMERS,
    PROVE_BY,
    QUALITIES,
    RICH,
    SIGNERS,
    TRADERS,
    WINDOW_LENGTH,
    WINDOWS,
    World,
    make_schedule,
    remember,
    running_world,
)

from settlement.chain import operator
from settlement.chain.books import Session
from settlement.chain.errors import ContractRevert, UnacceptableOrder
from settlement.chain.sign import sign_message
from settlement.reference import product_id
from settlement.reference.errors import Refused
from settlement.reference.messages import Acceptance, Transfer, Withdrawal
from settlement.reference.posting import Entry
from settlement.reference.product_id import ProductId
from settlement.reference.schedule import Schedule, SignedSchedule
from settlement.units import WH_LIMIT

SETTINGS = settings(
    max_examples=30,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

LIMITS = st.sampled_from([-50_000, 0, 100_000, 150_000, 150_001, 200_000, 250_000, 6_000_000, -2_000_000])
"""Few, so that many orders meet at the price."""

QUANTITIES = st.one_of(
    st.sampled_from([0, 1, 3, 700, 1000, 5_000, 8_001, 20_001, 65_535]), st.integers(0, 3_000)
)
"""Some beyond a seller's capacity; the largest fills a home's lane."""

METERED = st.one_of(
    st.integers(-4_000, 4_000), st.sampled_from([0, 1, -1, 65_536, WH_LIMIT - 1, 1 - WH_LIMIT])
)

ROUNDS = (
    {"round": 0},
    {
        "round": 1,
        "first_window": DAY + 1,
        "windows": 2,
        "gate": GATE + 10_000,
        "commit_by": COMMIT_BY + 10_000,
        "prove_by": PROVE_BY + 10_000,
        "buy_reserve": 33_333,
        "sell_reserve": 7,
    },
)
"""The second is of some of the day's windows only, and keeps other reserves."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running_world() as found:
        yield found


# Orders -------------------------------------------------------------------------------------------------


@st.composite
def schedules(draw: st.DrawFn, session: Session, nonce: int) -> Schedule:
    """An order that fits its session; its trader may lack the right, the capacity or the cash."""
    windows = session.params.windows
    first = draw(st.integers(0, windows - 1))
    entries = draw(st.integers(1, windows - first))
    return make_schedule(
        session,
        draw(st.sampled_from(TRADERS)),
        side=draw(st.integers(0, 1)),
        quality=draw(st.sampled_from(QUALITIES)),
        first_window=session.params.first_window + first,
        nonce=nonce,
        quantity_wh=tuple(draw(QUANTITIES) for _ in range(entries)),
        limit_micro_per_kwh=tuple(draw(LIMITS) for _ in range(entries)),
        replaces=draw(st.sampled_from([bytes(32), b"\x05" * 32])),
    )


def acceptable(world: World, session: Session, orders: Sequence[SignedSchedule]) -> list[SignedSchedule]:
    """Without those that a sealing operator leaves out."""
    kept = {world.hash_of(order): order for order in orders}
    while True:
        try:
            operator.seal(world.exchange, session, list(kept.values()))
        except UnacceptableOrder as refusal:
            del kept[refusal.order_hash]
        else:
            return list(kept.values())


def draw_book(world: World, session: Session, data: st.DataObject) -> list[SignedSchedule]:
    count = data.draw(st.integers(0, 12), label="orders")
    told = [data.draw(schedules(session, nonce)) for nonce in range(count)]
    orders = acceptable(world, session, [world.sign(order) for order in told])
    remember(world, orders)
    return orders


# Members before a session -------------------------------------------------------------------------------


def draw_changes(world: World, data: st.DataObject) -> None:
    """Some members are suspended, may sell less, or ask nearly all their cash back."""
    for signer in data.draw(st.lists(st.sampled_from(PROSUMERS), max_size=2, unique=True), label="changed"):
        terms = data.draw(st.tuples(st.sampled_from([0, 5, 15]), st.sampled_from([0, 900]), st.booleans()))
        world.exchange.send(world.admin, "changeMember", signer.address, *terms)
        world.model.change_member(world.now(), signer.address, *terms)
    for signer in data.draw(st.lists(st.sampled_from(PROSUMERS), max_size=3, unique=True), label="poor"):
        left = data.draw(st.sampled_from([0, 1, 10**8, 10**9, 10**10]))
        ask_back(world, signer.address, RICH - left)


def ask_back(world: World, account: bytes, amount: int) -> None:
    nonce = world.model.state.nonces.get(account, 0)
    message = Withdrawal(account, amount, nonce, DAY_END)
    signature = sign_message(SIGNERS[account], world.exchange.separator, message)
    fields = (message.account, message.amount_nano, message.nonce, message.deadline)
    both(
        world,
        lambda: world.exchange.send(world.operator, "relayWithdrawal", fields, signature),
        lambda now: world.model.request_withdrawal_signed(now, message, signature),
    )


def both(world: World, on_chain: Any, in_model: Any) -> bool:
    """Does the same on both sides; what one refuses the other does by the same name. True if done."""
    refused = expected = ""
    try:
        on_chain()
    except ContractRevert as revert:
        refused = revert.name
    try:
        in_model(world.now())
    except Refused as refusal:
        expected = type(refusal).__name__
    assert refused == expected
    return not refused


# Between sessions and delivery --------------------------------------------------------------------------


def draw_transfers(world: World, data: st.DataObject) -> None:
    """Claims change hands, with their reserves; sometimes more than there is, or than was agreed."""
    for _ in range(data.draw(st.integers(0, 3), label="transfers")):
        sender, to = (data.draw(st.sampled_from(TRADERS)) for _ in range(2))
        product = ProductId(
            DAY + data.draw(st.integers(0, WINDOWS - 1)),
            WINDOW_LENGTH,
            0,
            data.draw(st.sampled_from(QUALITIES)),
            round=data.draw(st.integers(0, 1)),
        )
        held = world.model.held(sender, product)
        amount = data.draw(st.sampled_from([held, held // 2, held + 1, 1]))
        if sender != to:
            hand_over(world, sender, to, product_id.encode(product), amount, agreed=data.draw(st.booleans()))


def hand_over(world: World, sender: bytes, to: bytes, id_: int, amount: int, agreed: bool) -> None:
    separator, exchange = world.exchange.separator, world.exchange
    accepted = Acceptance(to, sender, id_, amount if agreed else 0, _nonce(world, to), DAY_END)
    signature = sign_message(SIGNERS[to], separator, accepted)
    both(
        world,
        lambda: exchange.send(world.operator, "relayAcceptance", _fields(accepted), signature),
        lambda now: world.model.accept_signed(now, accepted, signature),
    )
    moved = Transfer(sender, to, id_, amount, _nonce(world, sender), DAY_END)
    proof = sign_message(SIGNERS[sender], separator, moved)
    both(
        world,
        lambda: exchange.send(world.operator, "relayTransfer", _fields(moved), proof),
        lambda now: world.model.transfer_signed(now, moved, proof),
    )


def _nonce(world: World, account: bytes) -> int:
    return world.model.state.nonces.get(account, 0)


def _fields(message: Transfer | Acceptance) -> tuple[Any, ...]:
    return tuple(vars(message).values())


# The end of the day -------------------------------------------------------------------------------------


def draw_entries(data: st.DataObject) -> list[Entry]:
    return [
        Entry(
            signer.address,
            tuple(data.draw(st.integers(0, 2)) for _ in range(WINDOWS)),
            tuple(data.draw(METERED) for _ in range(WINDOWS)),
        )
        for signer in PROSUMERS
    ]


def draw_prices(data: st.DataObject) -> dict[str, tuple[int, ...]]:
    pairs = [sorted(data.draw(st.tuples(*[st.integers(-500_000, 900_000)] * 2))) for _ in range(WINDOWS)]
    return {"surplus": tuple(low for low, _ in pairs), "deficit": tuple(high for _, high in pairs)}


# Days ---------------------------------------------------------------------------------------------------


@SETTINGS
@given(st.data())
def test_a_random_day_is_the_same_on_chain_and_in_the_reference(world: World, data: st.DataObject) -> None:
    with world.turned_back():
        draw_changes(world, data)
        for changes in ROUNDS[: data.draw(st.integers(1, 2), label="rounds")]:
            session = world.open_session(**changes)
            orders = draw_book(world, session, data)
            world.clear(session, orders, chunk=data.draw(st.integers(1, 6), label="chunk"))
            world.assert_same()
        draw_transfers(world, data)
        world.assert_same()
        per_part = data.draw(st.integers(1, 4), label="accounts a part")
        world.settle(world.sign_posting(draw_entries(data), per_part=per_part, **draw_prices(data)))
        world.assert_same()
        note(f"the day had {len(world.model.events)} events")


@settings(SETTINGS, max_examples=8)
@given(st.data())
def test_a_session_that_is_not_proved_leaves_nothing_but_returned_reserves(
    world: World, data: st.DataObject
) -> None:
    with world.turned_back():
        session = world.open_session()
        before = {address: world.model.cash(world.now(), address).free for address in TRADERS}
        _, prepared = world.commit(session, draw_book(world, session, data))
        if data.draw(st.booleans(), label="header") and prepared.sealed.orders:
            operator.post_header(world.exchange, world.operator, prepared)
            world.model.post_header(world.now(), session.id, prepared.header)
            cleared = data.draw(st.integers(1, len(prepared.sealed.orders)), label="cleared")
            world.clear_chunk(prepared, operator.Progress(), range(cleared))
        world.clock.advance_to(PROVE_BY + 1)
        world.assert_same()
        for address, account in world.exchange.accounts(TRADERS).items():
            assert (account.cash.free, account.cash.reserved) == (before[address], 0)
        world.settle(world.sign_posting(draw_entries(data)))
        world.assert_same()


def test_the_days_members_are_of_every_kind() -> None:
    assert {member.wide for member in MEMBERS.values()} == {True, False}
    assert MEMBERS[OUTSIDER.address].zone != 0
    assert replace(MEMBERS[OUTSIDER.address], zone=0) != MEMBERS[OUTSIDER.address]
