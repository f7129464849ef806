"""Clients have messages relayed: only what they asked for is signed. A session key trades for its owner."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from api_world import REGULATOR
from chain_world import PROSUMERS, World, key, make_schedule
from claims_world import RECEIPTS, Bonded, fund_operator, open_bonded
from client_world import Market, running_market

from api.client import Client
from api.client.errors import BadTypedData, ContractRefused, NotFound, OrderRefused
from api.client.messages import checked_message
from api.client.trading import draft_of
from api.schemas.cash import TypedDataAnswer
from settlement.chain.exchange import Token
from settlement.chain.keystore import write_throwaway
from settlement.errors import InputError
from settlement.reference.orders import keyed_hash, order_hash

HOME, NEIGHBOUR, OWNER = PROSUMERS[0], PROSUMERS[1], PROSUMERS[3]
RELAY, AGENT = key(301), key(302)
LONG = 2**40 - 1


@pytest.fixture(scope="module")
def opened() -> list[Bonded]:
    return []


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory, opened: list[Bonded]) -> Iterator[Market]:
    folder = tmp_path_factory.mktemp("messages")

    def prepare(world: World) -> None:
        fund_operator(world)
        opened.append(open_bonded(world))

    keys = {"receipt_key_file": RECEIPTS, "relay_key_file": RELAY}
    files = {name: write_throwaway(folder, signer) for name, signer in keys.items()}
    secrets = folder / "identity.keys"
    secrets.write_text(f"first {base64.b64encode(bytes(range(32))).decode()}\n")
    with running_market(folder, prepare, identity_key_file=secrets, **files) as found:
        yield found


@pytest.fixture
def home(market: Market) -> Iterator[Client]:
    with market.client(HOME) as found:
        yield found


def test_a_withdrawal_is_announced_without_gas(market: Market, home: Client) -> None:
    done = home.wait_for_relay(home.withdraw(1_000))
    assert (done.state, done.kind, done.account) == ("mined", "withdrawal", HOME.address)
    pending = home.pending_withdrawal(HOME.address)
    assert (pending.amount_nano, pending.after_epoch, pending.ready) == (1_000, 1, False)
    with pytest.raises(ContractRefused) as refused:
        home.pay_out(HOME.address)
    assert refused.value.members["error"] == pending.error
    home.wait_for_relay(home.withdraw(0))
    assert home.pending_withdrawal(HOME.address).amount_nano == 0


def test_what_the_exchange_would_refuse_is_said_before_anything_is_sent(home: Client) -> None:
    with pytest.raises(ContractRefused):
        home.transfer(NEIGHBOUR.address, 2**200 + 5, 7)
    with pytest.raises(ContractRefused):
        home.withdraw(2**100)


def test_an_acceptance_is_relayed(home: Client) -> None:
    assert home.wait_for_relay(home.accept(NEIGHBOUR.address, 12, 7)).state == "mined"


def test_a_deposit_is_the_wallet_s_own_to_send(market: Market, home: Client) -> None:
    token = Token(market.world.chain, market.world.deployment)
    token.mint(market.world.admin, HOME.address, 500)
    told = home.deposit_transactions(HOME.address, 500)
    assert told.balance_nano >= 500
    assert [(one.purpose, one.sender) for one in told.transactions] == [
        ("approve", HOME.address),
        ("deposit", HOME.address),
    ]
    assert told.transactions[1].to == market.api.service.exchange


def test_identities_are_kept_by_the_registrar_and_told_to_regulators(market: Market, home: Client) -> None:
    points = ["MP-0001"]
    with market.client(market.world.admin) as registrar:
        registrar.keep_identity(HOME.address, "Registered name", "a postal address", points)
        assert home.identity(HOME.address).metering_points == points
        with market.client(REGULATOR) as regulator:
            told = regulator.disclose(HOME.address, "an article", "a case")
            assert told.identity == home.identity(HOME.address)
            assert [one.hash for one in regulator.disclosures()] == [told.hash]
        assert [one.number for one in home.disclosures()] == [told.number]
        registrar.erase_identity(HOME.address)
        with pytest.raises(NotFound):
            home.identity(HOME.address)


# What is signed -----------------------------------------------------------------------------------------


def told_withdrawal(home: Client) -> TypedDataAnswer:
    return home.withdrawal_to_sign(HOME.address, 5)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("account", "0x" + "11" * 20),
        ("amountNano", "6"),
        ("deadline", str(2**50)),
        ("nonce", "x"),
        ("to", "0"),
    ],
)
def test_a_message_that_says_something_else_is_not_signed(
    market: Market, home: Client, field: str, value: str
) -> None:
    told, service, wanted = told_withdrawal(home), market.api.service, (HOME.address, 5)
    latest = market.api.time() + 3_700
    assert checked_message("withdrawal", told, wanted, service, latest) == told.digest
    data = told.typed_data
    changed = {**data, "message": {**data["message"], field: value}}
    with pytest.raises(BadTypedData):
        checked_message(
            "withdrawal", told.model_copy(update={"typed_data": changed}), wanted, service, latest
        )


def test_a_message_of_another_domain_kind_or_digest_is_not_signed(market: Market, home: Client) -> None:
    told, service, wanted = told_withdrawal(home), market.api.service, (HOME.address, 5)
    data, latest = told.typed_data, market.api.time() + 3_700
    changes: list[dict[str, Any]] = [
        {"digest": bytes(32)},
        {"kind": "transfer"},
        {"typed_data": {**data, "domain": {**data["domain"], "chainId": "1"}}},
        {"typed_data": {**data, "domain": {**data["domain"], "verifyingContract": "0x" + "22" * 20}}},
        {"typed_data": {**data, "primaryType": "Transfer"}},
        {"typed_data": {**data, "message": []}},
        {"typed_data": {}},
    ]
    for update in changes:
        with pytest.raises(BadTypedData):
            checked_message("withdrawal", told.model_copy(update=update), wanted, service, latest)


# Session keys -------------------------------------------------------------------------------------------


def test_an_agent_logs_in_and_trades_with_a_key_that_its_owner_granted(
    market: Market, opened: list[Bonded]
) -> None:
    session = opened[0].session
    with market.client(OWNER) as owner:
        granted = owner.wait_for_relay(owner.grant_key(AGENT.address, 0, ["energy"], 100_000, 10**15, LONG))
        assert granted.state == "mined"
        owner.wait_for_block(granted.block_number or 0)
        assert [(one.key, one.kinds) for one in owner.keys(OWNER.address)] == [(AGENT.address, ["energy"])]
    wanted = make_schedule(session, OWNER.address, quantity_wh=(10,), limit_micro_per_kwh=(200_000,))
    with market.client(AGENT) as agent:
        assert agent.me().roles == []
        order = agent.complete(draft_of(replace(wanted, nonce=7)))
        with pytest.raises(InputError, match="a session key that is told whose it is"):
            agent.submit(order)
        accepted = agent.submit(order, trader=OWNER.address)
        digest = order_hash(agent.core.service.separator, order)
        assert accepted.hash == keyed_hash(digest, AGENT.address)
        assert agent.accepted_order(accepted.hash).trader == OWNER.address
        assert agent.cancel(accepted.hash, session.epoch).sequence > accepted.receipt.sequence
    with market.client(OWNER) as owner:
        owner.wait_for_relay(owner.revoke_key(AGENT.address))
        with pytest.raises(OrderRefused), market.client(AGENT) as agent:
            agent.submit(replace(order, nonce=8, trader=NEIGHBOUR.address), trader=NEIGHBOUR.address)


@pytest.mark.anyio
async def test_the_async_client_has_messages_relayed_too(market: Market) -> None:
    async with market.async_client(NEIGHBOUR) as client:
        done = await client.wait_for_relay(await client.withdraw(77))
        assert done.state == "mined"
        assert (await client.pending_withdrawal(NEIGHBOUR.address)).amount_nano == 77
