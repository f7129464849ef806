"""Random small days on an embedded chain and in the reference model: equal in every fill, cash, token, id
and event, bit for bit; and what one refuses the other refuses by the same name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chain"))

from chain_world import (
    COMMIT_BY,
    DAY,
    DAY_END,
    GATE,
    MEMBERS,
    PROSUMERS,
    PROVE_BY,
    QUALITIES,
    RICH,
    SIGNERS,
    TRADERS,
    WINDOW_LENGTH,
    WINDOWS,
    World,
    all_products,
    make_params,
    make_schedule,
    remember,
    running_world,
)
from key_draws import draw_keys, sign_by_some

from settlement.chain import operator
from settlement.chain.books import Session
from settlement.chain.errors import ContractRevert, UnacceptableOrder
from settlement.chain.prepared import Prepared
from settlement.chain.progress import Progress
from settlement.chain.sign import sign_message
from settlement.reference import product_id, quality
from settlement.reference.errors import Refused
from settlement.reference.messages import Acceptance, Transfer, Withdrawal
from settlement.reference.posting import Entry
from settlement.reference.product_id import ENERGY, ProductId
from settlement.reference.schedule import Schedule, SignedSchedule
from settlement.units import WH_LIMIT

SETTINGS = settings(
    max_examples=30,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

LIMITS = (100_000, 150_000, 150_000, 150_001, 200_000, 250_000)
RARE_LIMITS = (-50_000, 0, 6_000_000, -2_000_000)
"""Few, so that many orders meet at the price."""

QUANTITIES = (0, 1, 3, 700, 700, 1000, 2_999)
RARE_QUANTITIES = (5_000, 8_001, 20_001, 65_535)
"""Some beyond a seller's capacity; the largest fills a home's lane."""

SEEDS = st.integers(0, 2**32 - 1)
"""Of a book's orders: hypothesis by itself draws books in which nobody trades."""

DEADLINE = DAY_END + 10**6
"""Of every message: far from any time that matters."""

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
        "floor": -50_000,
        "cap": 200_000,
        "buy_reserve": 33_333,
        "sell_reserve": 7,
    },
)
"""The second is of some of the day's windows only, has a narrow floor and cap, and keeps other reserves."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running_world() as found:
        yield found


# Orders -------------------------------------------------------------------------------------------------


def random_order(rng: Random, session: Session, nonce: int) -> Schedule:
    """An order that fits its session; its trader may lack the right, the capacity or the cash."""
    windows = session.params.windows
    first = rng.randrange(windows)
    entries = rng.randint(1, windows - first)
    trader, side = rng.choice(TRADERS), rng.randrange(2)
    served = [code for code in QUALITIES if quality.serves(MEMBERS[trader].max_quality, code)]
    return make_schedule(
        session,
        trader,
        side=side,
        quality=rng.choice(served if side and rng.random() < 0.9 else QUALITIES),
        first_window=session.params.first_window + first,
        nonce=nonce,
        quantity_wh=tuple(_mostly(rng, QUANTITIES, RARE_QUANTITIES) for _ in range(entries)),
        limit_micro_per_kwh=tuple(_limit(rng, session) for _ in range(entries)),
        replaces=rng.choice([bytes(32), b"\x05" * 32]),
    )


def _limit(rng: Random, session: Session) -> int:
    floor, cap = session.params.floor, session.params.cap
    return max(floor, min(cap, _mostly(rng, LIMITS, RARE_LIMITS)))


def _mostly(rng: Random, usual: Sequence[int], rare: Sequence[int]) -> int:
    return rng.choice(rare if rng.random() < 0.07 else usual)


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
    rng = Random(data.draw(SEEDS, label="seed"))
    count = data.draw(st.sampled_from([16, 24, 24, 5, 0]), label="orders")
    told = [random_order(rng, session, nonce) for nonce in range(count)]
    draw_keys(world, rng, both, session.params.gate, DEADLINE)
    orders = acceptable(world, session, [sign_by_some(world, rng, order) for order in told])
    remember(world, orders)
    draw_keys(world, rng, both, session.params.gate, DEADLINE)
    return orders


# Members before a session -------------------------------------------------------------------------------


def draw_changes(world: World, data: st.DataObject) -> None:
    """Some members are suspended, may sell less, or ask nearly all their cash back."""
    for signer in data.draw(st.lists(st.sampled_from(PROSUMERS), max_size=2, unique=True), label="changed"):
        terms = data.draw(st.tuples(st.sampled_from([0, 5, 15]), st.sampled_from([0, 900]), st.booleans()))
        world.exchange.send(world.admin, "changeMember", signer.address, *terms)
        world.model.change_member(world.now(), signer.address, *terms)
    for signer in data.draw(st.lists(st.sampled_from(PROSUMERS), max_size=2, unique=True), label="poor"):
        left = data.draw(st.sampled_from([10**9, 10**8, 10**10, 0]))
        ask_back(world, signer.address, RICH - left)


def ask_back(world: World, account: bytes, amount: int) -> None:
    nonce = world.model.state.nonces.get(account, 0)
    message = Withdrawal(account, amount, nonce, DEADLINE)
    signature = sign_message(SIGNERS[account], world.exchange.separator, message)
    fields = (message.account, message.amount_nano, message.nonce, message.deadline)
    both(
        world,
        lambda: world.exchange.send(world.operator, "relayWithdrawal", fields, signature),
        lambda now: world.model.request_withdrawal_signed(now, message, signature),
    )


def both(world: World, on_chain: Any, in_model: Any) -> None:
    """Does the same on both sides; what one refuses the other does by the same name."""
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
    event(refused or "done")


# Between sessions and delivery --------------------------------------------------------------------------


def draw_transfers(world: World, data: st.DataObject) -> None:
    """Claims change hands, with their reserves; sometimes more than there is, or than was agreed."""
    for _ in range(data.draw(st.integers(0, 3), label="transfers")):
        sender, product, held = draw_claim(world, data)
        to = data.draw(st.sampled_from(TRADERS))
        amount = data.draw(st.sampled_from([1, held // 2, held, held + 1, 0]))
        if sender != to:
            agreed = data.draw(st.sampled_from([amount, 2 * amount, 0]))
            hand_over(world, sender, to, product_id.encode(product), amount, agreed)


def draw_claim(world: World, data: st.DataObject) -> tuple[bytes, ProductId, int]:
    """Somebody's claim, or once in a while one that nobody has; and how much is held."""
    held = [
        (address, product, wh)
        for address in TRADERS
        for product in all_products()
        if product.kind == ENERGY and (wh := world.model.held(address, product))
    ]
    nobodys = (TRADERS[0], ProductId(DAY, WINDOW_LENGTH, 0, 8, round=1), 0)
    return data.draw(st.sampled_from([*held, nobodys]))


def hand_over(world: World, sender: bytes, to: bytes, id_: int, amount: int, agreed: int) -> None:
    separator, exchange = world.exchange.separator, world.exchange
    accepted = Acceptance(to, sender, id_, agreed, _nonce(world, to), DEADLINE)
    signature = sign_message(SIGNERS[to], separator, accepted)
    both(
        world,
        lambda: exchange.send(world.operator, "relayAcceptance", _fields(accepted), signature),
        lambda now: world.model.accept_signed(now, accepted, signature),
    )
    moved = Transfer(sender, to, id_, amount, _nonce(world, sender), DEADLINE)
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
    ordered = sorted(signer.address for signer in PROSUMERS)
    return [
        Entry(
            address,
            tuple(data.draw(st.integers(0, 2)) for _ in range(WINDOWS)),
            tuple(data.draw(METERED) for _ in range(WINDOWS)),
        )
        for address in ordered
    ]


def draw_settlement(world: World, data: st.DataObject) -> None:
    """Settles the day, sometimes corrected after its first part."""
    per_part, prices = data.draw(st.integers(1, 4), label="accounts a part"), draw_prices(data)
    entries, corrected = draw_entries(data), None
    if per_part < len(entries) and data.draw(st.booleans(), label="corrected"):
        later = entries[:per_part] + draw_entries(data)[per_part:]
        corrected = world.sign_posting(later, per_part=per_part, sequence=2, **prices)
    world.settle(world.sign_posting(entries, per_part=per_part, **prices), corrected)


def draw_aftermath(world: World, data: st.DataObject) -> None:
    """Who asked is paid if possible; then another day opens, if what members owe is carried."""
    for account in TRADERS:
        if data.draw(st.booleans(), label="asks now"):
            ask_back(world, account, data.draw(st.sampled_from([1, RICH // 2, RICH])))
        both(
            world,
            lambda account=account: world.exchange.send(world.operator, "executeWithdrawal", account),
            lambda now, account=account: world.model.execute_withdrawal(now, account),
        )
    day = DAY + WINDOWS + 9
    world.exchange.open_day(world.operator, day, WINDOWS, 1)
    world.model.open_day(day, WINDOWS, 1)
    gate = DAY_END + 50_000
    params = make_params(day=day, first_window=day, gate=gate, commit_by=gate + 1, prove_by=gate + 2)
    both(
        world,
        lambda: operator.open_session(world.exchange, world.operator, params),
        lambda now: world.model.open_session(now, params),
    )


def draw_prices(data: st.DataObject) -> dict[str, tuple[int, ...]]:
    pairs = [sorted(data.draw(st.tuples(*[st.integers(-500_000, 900_000)] * 2))) for _ in range(WINDOWS)]
    return {"surplus": tuple(low for low, _ in pairs), "deficit": tuple(high for _, high in pairs)}


def _tell(prepared: Prepared) -> None:
    """For --hypothesis-show-statistics: whether the days are worth their time."""
    for reason in set(prepared.reasons):
        event(f"reason {reason}")
    event("trades" if any(map(any, prepared.fills)) else "no trade")
    event("substitutes" if any(prepared.flows) else "no substitution")
    limits = [one.filled for one in prepared.root.posting.marginals]
    event("shared at the price" if any(map(any, limits)) else "none at the price")


# Days ---------------------------------------------------------------------------------------------------


@SETTINGS
@given(st.data())
def test_a_random_day_is_the_same_on_chain_and_in_the_reference(world: World, data: st.DataObject) -> None:
    with world.turned_back():
        draw_changes(world, data)
        for changes in ROUNDS[: data.draw(st.integers(1, 2), label="rounds")]:
            session = world.open_session(**changes)
            orders = draw_book(world, session, data)
            prepared = world.clear(session, orders, chunk=data.draw(st.integers(1, 6), label="chunk"))
            world.assert_same()
            _tell(prepared)
        draw_transfers(world, data)
        world.assert_same()
        draw_settlement(world, data)
        world.assert_same()
        draw_aftermath(world, data)
        world.assert_same()


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
            world.clear_chunk(prepared, Progress(), range(cleared))
        world.clock.advance_to(PROVE_BY + 1)
        world.assert_same()
        for address, account in world.exchange.accounts(TRADERS).items():
            assert (account.cash.free, account.cash.reserved) == (before[address], 0)
        world.settle(world.sign_posting(draw_entries(data)))
        world.assert_same()
