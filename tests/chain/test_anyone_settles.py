"""Whoever sends it, and however they cut or wrap it, a day is settled alike, and can be told afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from audit_world import audited, counts
from chain_world import (
    DAY,
    DAY_END,
    PROSUMERS,
    STRANGER,
    WINDOWS,
    World,
    make_schedule,
    running_world,
    settle_entries,
)
from tampering import ALLOWS_EVERYTHING, code_of, forwards_to
from test_day import small_book

from settlement.chain import abi, settler, statements
from settlement.chain.errors import ContractRevert
from settlement.chain.events import AccountSettled, DeliveryDonated, RunCertified, events_of
from settlement.chain.rpc import to_hex
from settlement.chain.settler import by_default
from settlement.reference.schedule import SELL

DEFAULT_AFTER_S = 10 * 86_400
METERED = {
    one.address: row
    for one, row in zip(
        PROSUMERS,
        ((600, 900, -10, 800), (500, 0, 900, -5), (-2600, -2400, -2000, -2100), (-700, 9000, 1, 0)),
        strict=True,
    )
}


@pytest.fixture(scope="module")
def morning() -> Iterator[World]:
    with running_world() as world:
        yield world


@pytest.fixture
def traded(morning: World) -> Iterator[World]:
    """A day that was traded and is over."""
    with morning.turned_back():
        session = morning.open_session()
        morning.clear(session, small_book(morning, session))
        morning.clock.advance_to(DAY_END)
        yield morning


def holds(world: World) -> dict[str, int]:
    found = audited(world)
    assert found.difference is None, found.difference.as_json()
    return counts(found)


def test_a_stranger_settles_and_certifies_what_the_quorum_signed(traded: World) -> None:
    signed = traded.sign_posting(settle_entries(METERED))
    settler.post(traded.exchange, traded.node, signed)
    settler.run(traded.exchange, STRANGER, signed)
    assert holds(traded)["escrow"] == 1


def test_a_day_by_default_is_settled_by_nobody_without_the_role(traded: World) -> None:
    exchange = traded.exchange
    traded.clock.advance_to(DAY_END + DEFAULT_AFTER_S)
    ours = by_default(0, DAY, WINDOWS, list(METERED))
    settler.post(exchange, STRANGER, ours)
    message, prices = abi.posting_tuple(ours.posting), abi.prices_array(traded.prices(ours.posting))
    last = max(METERED)  # settled first, all others could never be
    data = abi.settle(message, last, abi.run_carry_tuple(None), prices)
    with pytest.raises(ContractRevert, match="AccessManagedUnauthorized"):
        exchange.send_data(STRANGER, data)
    settler.run(exchange, traded.node, ours)
    assert holds(traded)["escrow"] == 1


def test_the_audit_finds_a_day_by_default_that_a_stranger_settled(traded: World) -> None:
    traded.clock.advance_to(DAY_END + DEFAULT_AFTER_S)
    ours = by_default(0, DAY, WINDOWS, list(METERED))
    settler.post(traded.exchange, STRANGER, ours)
    with code_of(traded, traded.deployment.authority, ALLOWS_EVERYTHING):
        settler.run(traded.exchange, STRANGER, ours)
    found = audited(traded).difference
    assert found is not None
    assert (found.check, found.found) == ("permissions", to_hex(STRANGER.address))


def test_a_day_by_default_is_settled_on_from_where_another_cut_it(traded: World) -> None:
    exchange = traded.exchange
    traded.clock.advance_to(DAY_END + DEFAULT_AFTER_S)
    ours = by_default(0, DAY, WINDOWS, list(METERED))
    settler.post(exchange, STRANGER, ours)
    message, prices = abi.posting_tuple(ours.posting), abi.prices_array(traded.prices(ours.posting))
    one_account = abi.settle(message, ours.parts[0][:20], abi.run_carry_tuple(None), prices)
    exchange.send_data(traded.node, one_account)
    steps = settler.run(exchange, traded.node, ours).steps
    assert [(one.name, one.count) for one in steps] == [("settle", 3), ("certify", 1), ("certify", 3)]
    assert holds(traded)["escrow"] == 1
    told = [event for event in events_of(exchange) if isinstance(event, RunCertified)]
    assert [event.rest_nano for event in told] == [0]  # everything counts as delivered


def test_what_a_contract_settled_is_told_from_a_nodes_traces(traded: World) -> None:
    exchange, signed = traded.exchange, traded.sign_posting(settle_entries(METERED))
    settler.post(exchange, traded.node, signed)
    wallet, data = b"\x77" * 20, traded.settle_data(signed, 0, None)
    with code_of(traded, wallet, forwards_to(exchange.address)):
        traded.chain.send(STRANGER, wallet, data)
    settler.run(exchange, traded.node, signed)
    found = statements.current(exchange, 0, DAY)
    assert found.parts[0] == tuple(signed.accounts(0))


def test_a_donated_sale_as_produced_is_given_away_as_far_as_it_is_delivered(morning: World) -> None:
    seller, beneficiary, buyer = PROSUMERS[0], PROSUMERS[1], PROSUMERS[2]
    with morning.turned_back() as world:
        session = world.open_session()
        sale = {"quality": 5, "limit_micro_per_kwh": (50_000,), "beneficiary": beneficiary.address}
        orders = [
            make_schedule(session, seller.address, side=SELL, **sale),
            make_schedule(session, buyer.address, limit_micro_per_kwh=(150_000,)),
        ]
        world.clear(session, [world.sign(order) for order in orders])
        world.settle(world.sign_posting(settle_entries(METERED)))
        price = world.prices(world.sign_posting(settle_entries(METERED)).posting)[0].price(1, 0)
        told = events_of(world.exchange)
        gifts = [event for event in told if isinstance(event, DeliveryDonated)]
        assert gifts == [DeliveryDonated(beneficiary.address, seller.address, session.epoch, 600 * price)]
        (settled,) = (e for e in told if isinstance(e, AccountSettled) and e.account == seller.address)
        assert settled.imbalance_wh == 900 - 10 + 800  # what is missing is out of nobody's balance
        assert holds(world)["gifts"] == 1
