"""Signed messages are sent once, for whoever signed them, and only if the chain would take them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from api_client import Api
from api_world import AUDITOR, NEIGHBOUR, PROSUMER_KEY, STRANGER, World
from eth_account import Account
from eth_account.messages import encode_typed_data
from relay_world import CASH, HOME, OTHER, RELAY, cash_world, post, relaying, signed, to_sign, withdrawal

from api.db.engine import open_engine, sessions_of
from api.db.migrate import upgrade
from api.relays import relayer
from api.relays.kinds import KINDS
from api.relays.store import RelayStore
from settlement.chain.abi import exchange_interface
from settlement.chain.errors import NodeError
from settlement.chain.exchange import Token
from settlement.chain.rpc import to_bytes
from settlement.reference import messages
from settlement.reference.eip712 import keccak

pytestmark = pytest.mark.anyio

EXECUTE = f"/v1/accounts/{HOME}/withdrawals/pending/execution"
PENDING = f"/v1/accounts/{HOME}/withdrawals/pending"


@pytest.fixture
def rich(world: World) -> Iterator[World]:
    with cash_world(world) as found:
        yield found


@pytest.fixture
async def api(rich: World, tmp_path: Path) -> AsyncIterator[Api]:
    async with relaying(rich, tmp_path) as found:
        yield found


async def state_of(api: Api, tx: str) -> Any:
    """Once it is no longer pending."""
    headers = await api.as_(PROSUMER_KEY)
    for _ in range(100):
        answer = await api.http.get(f"/v1/relays/{tx}", headers=headers)
        if answer.json().get("state") != "pending":
            break
        await asyncio.sleep(0.05)
    return answer.json()


async def sent_by_relay(api: Api) -> int:
    return int(api.world.chain.rpc("eth_getTransactionCount", "0x" + RELAY.address.hex(), "latest"), 16)


# The table ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_what_reference_and_contract_have(name: str) -> None:
    kind = KINDS[name]
    encoded = ",".join(f"{type_} {field}" for type_, field in kind.fields)
    hashes = [value for key, value in vars(messages).items() if key.endswith("_TYPE_HASH")]
    assert keccak(f"{kind.primary_type}({encoded})".encode()) in hashes
    types = ",".join(type_ for type_, _ in kind.fields)
    assert exchange_interface().function(kind.function).signature == f"{kind.function}(({types}),bytes)"
    assert [field for _, field in kind.fields][-2:] == ["nonce", "deadline"]


TERMS: dict[str, dict[str, Any]] = {
    "withdrawals": {"amount_nano": "5"},
    "transfers": {"to": OTHER, "product": str(2**255), "amount_wh": "7"},
    "acceptances": {"sender": OTHER, "product": "12", "amount_wh": "7"},
    "key-grants": {
        "key": "0x" + "77" * 20,
        "zone": "0",
        "kinds": ["energy", "flexibility_down"],
        "max_wh_per_window": "900",
        "max_spend_nano_per_day": "1000000000",
        "expires_at": "1900000000",
    },
    "key-revocations": {"key": "0x" + "77" * 20},
}


@pytest.mark.parametrize("what", TERMS)
async def test_a_wallet_signs_the_typed_data_to_the_digest_that_is_told(api: Api, what: str) -> None:
    data = await to_sign(api, what, TERMS[what])
    signable = encode_typed_data(full_message=data["typed_data"])
    found = Account.sign_message(signable, PROSUMER_KEY.secret)
    assert bytes(found.signature) == PROSUMER_KEY.sign_digest(to_bytes(data["digest"]))


# Sent ---------------------------------------------------------------------------------------------------


async def test_a_withdrawal_is_announced_and_paid_out_without_gas_of_the_member(api: Api) -> None:
    token = Token(api.world.chain, api.world.deployment)
    before = token.balance(PROSUMER_KEY.address)
    answer = await post(api, "/v1/relays", PROSUMER_KEY, await withdrawal(api, 1_000))
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/relays/{answer.json()['tx_hash']}"
    assert (await state_of(api, answer.json()["tx_hash"]))["state"] == "mined"
    headers = await api.as_(PROSUMER_KEY)
    found = (await api.http.get(PENDING, headers=headers)).json()
    assert (found["amount_nano"], found["free_nano"], found["ready"]) == ("1000", str(CASH), True)
    paid = await post(api, EXECUTE, PROSUMER_KEY)
    assert (await state_of(api, paid.json()["tx_hash"]))["state"] == "mined"
    assert token.balance(PROSUMER_KEY.address) == before + 1_000
    found = (await api.http.get(PENDING, headers=headers)).json()
    assert (found["amount_nano"], found["ready"]) == ("0", False)


async def test_the_same_withdrawal_can_be_announced_and_paid_out_again(api: Api) -> None:
    for count in (2, 4):
        answer = await post(api, "/v1/relays", PROSUMER_KEY, await withdrawal(api, 1_000))
        assert (await state_of(api, answer.json()["tx_hash"]))["state"] == "mined"
        paid = await post(api, EXECUTE, PROSUMER_KEY)
        assert (await state_of(api, paid.json()["tx_hash"]))["state"] == "mined"
        assert await sent_by_relay(api) == count


async def test_a_key_is_granted_and_revoked(api: Api) -> None:
    for what in ("key-grants", "key-revocations"):
        answer = await post(api, "/v1/relays", PROSUMER_KEY, signed(await to_sign(api, what, TERMS[what])))
        assert (await state_of(api, answer.json()["tx_hash"]))["state"] == "mined"
    kinds, *_, revoked = api.world.exchange.view("keyOf", PROSUMER_KEY.address, b"\x77" * 20)
    assert kinds == 0b101
    assert revoked > 0


async def test_an_acceptance_is_sent_and_a_transfer_of_nothing_refused_by_name(api: Api) -> None:
    accepted = signed(await to_sign(api, "acceptances", TERMS["acceptances"]))
    answer = await post(api, "/v1/relays", PROSUMER_KEY, accepted)
    assert (await state_of(api, answer.json()["tx_hash"]))["state"] == "mined"
    refused = await post(
        api, "/v1/relays", PROSUMER_KEY, signed(await to_sign(api, "transfers", TERMS["transfers"]))
    )
    assert (refused.status_code, refused.json()["error"]) == (422, "InsufficientBalance")
    assert refused.json()["arguments"] == [HOME, "0", "7", str(2**255)]


async def test_deposits_are_transactions_of_the_wallet_s_own(api: Api) -> None:
    path = f"/v1/accounts/{HOME}/deposits/transactions"
    answer = (await post(api, path, PROSUMER_KEY, {"amount_nano": "700"})).json()
    assert [one["purpose"] for one in answer["transactions"]] == ["approve", "deposit"]
    for one in answer["transactions"]:
        assert (one["from"], one["value"]) == (HOME, "0x0")
        api.world.chain.send(PROSUMER_KEY, to_bytes(one["to"]), to_bytes(one["data"]))
    assert api.world.exchange.cash(PROSUMER_KEY.address).free == CASH + 700
    short = await post(api, path, PROSUMER_KEY, {"amount_nano": str(CASH)})
    assert (short.status_code, short.json()["errors"][0]["pointer"]) == (422, "/amount_nano")


# Once ---------------------------------------------------------------------------------------------------


async def test_the_same_message_at_the_same_moment_and_later_is_one_transaction(api: Api) -> None:
    body, headers = await withdrawal(api), await api.as_(PROSUMER_KEY)
    answers = await asyncio.gather(
        *(api.http.post("/v1/relays", json=body, headers=headers) for _ in range(6))
    )
    (tx,) = {one.json()["tx_hash"] for one in answers}
    assert (await state_of(api, tx))["state"] == "mined"
    again = await api.http.post("/v1/relays", json=body, headers=headers)
    assert (again.json()["tx_hash"], again.json()["state"]) == (tx, "mined")
    assert await sent_by_relay(api) == 1


async def test_messages_of_several_members_at_once_are_all_sent(api: Api) -> None:
    bodies = [(one, await withdrawal(api, 10, one)) for one in (PROSUMER_KEY, NEIGHBOUR)]
    answers = await asyncio.gather(*(post(api, "/v1/relays", one, body) for one, body in bodies))
    assert {one.status_code for one in answers} == {202}
    for one in answers:
        api.world.chain.wait(to_bytes(one.json()["tx_hash"]))


async def test_what_was_kept_but_not_sent_is_sent_by_the_next_start(
    rich: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def died(*_: object) -> None:
        return None

    with monkeypatch.context() as patched:
        patched.setattr(relayer.Relayer, "_send", died)
        async with relaying(rich, tmp_path) as api:
            tx = (await post(api, "/v1/relays", PROSUMER_KEY, await withdrawal(api))).json()["tx_hash"]
    monkeypatch.setattr(relayer, "FOLLOW_S", 0.02)
    async with relaying(rich, tmp_path) as api:
        assert (await state_of(api, tx))["state"] == "mined"
        assert await sent_by_relay(api) == 1


async def test_a_copy_that_somebody_else_sent_first_makes_ours_fail_by_name_and_nothing_happens_twice(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_early(*_: object) -> int:  # asked before the copy was mined
        return 500_000

    body = await withdrawal(api)
    values = KINDS["withdrawal"].read(body["message"])
    call = KINDS["withdrawal"].calldata(values, to_bytes(body["signature"]))
    api.world.chain.send(api.world.admin, api.world.deployment.exchange, call)
    monkeypatch.setattr(relayer.Relayer, "_gas", too_early)
    tx = (await post(api, "/v1/relays", PROSUMER_KEY, body)).json()["tx_hash"]
    found = await state_of(api, tx)
    assert (found["state"], found["error"]) == ("failed", "InvalidAccountNonce")
    assert found["arguments"] == [HOME, "1"]
    assert api.world.exchange.view("nonces", PROSUMER_KEY.address) == (1,)


async def test_a_transaction_that_the_node_does_not_take_may_be_sent_anew(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, real = api.services.chain, api.services.chain.rpc

    async def refusing(method: str, *params: Any) -> Any:
        if method == "eth_sendRawTransaction":
            raise NodeError(method, "pool is full")
        return await real(method, *params)

    body = await withdrawal(api)
    monkeypatch.setattr(chain, "rpc", refusing)
    first = (await post(api, "/v1/relays", PROSUMER_KEY, body)).json()
    assert (first["state"], first["error"]) == ("failed", "NotTaken")
    monkeypatch.setattr(chain, "rpc", real)
    again = (await post(api, "/v1/relays", PROSUMER_KEY, body)).json()
    assert again["tx_hash"] == first["tx_hash"]  # the same bytes come out again, and count anew
    assert (await state_of(api, again["tx_hash"]))["state"] == "mined"


# Refused ------------------------------------------------------------------------------------------------


async def test_without_a_relay_key_nothing_is_sent(rich: World, tmp_path: Path) -> None:
    async with relaying(rich, tmp_path, relay_key_file=None) as api:
        for path, body in (("/v1/relays", await withdrawal(api)), (EXECUTE, None)):
            answer = await post(api, path, PROSUMER_KEY, body)
            assert (answer.status_code, answer.json()["type"]) == (
                503,
                "urn:trellis:problem:relay_unavailable",
            )


async def test_what_the_chain_would_refuse_is_told_by_the_contract_s_error_and_costs_nothing(
    api: Api,
) -> None:
    answer = await post(api, "/v1/relays", PROSUMER_KEY, await withdrawal(api, CASH + 1))
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "urn:trellis:problem:contract-refused")
    assert (problem["error"], problem["arguments"]) == (
        "InsufficientCash",
        [HOME, str(CASH), str(CASH + 1)],
    )
    not_ready = await post(api, EXECUTE, PROSUMER_KEY)
    assert not_ready.json()["error"] == "WithdrawalNotReady"
    assert await sent_by_relay(api) == 0


async def test_only_the_signer_sends_its_message(api: Api) -> None:
    mine, theirs = await withdrawal(api), await withdrawal(api, 5, NEIGHBOUR)
    assert (await post(api, "/v1/relays", NEIGHBOUR, mine)).status_code == 403
    assert (await post(api, "/v1/relays", PROSUMER_KEY, theirs)).status_code == 403
    assert (await post(api, "/v1/relays", AUDITOR, mine)).status_code == 403
    other = {**mine, "signature": theirs["signature"]}
    answer = await post(api, "/v1/relays", PROSUMER_KEY, other)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/signature")
    assert await sent_by_relay(api) == 0


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "a field too many": ({"more": "1"}, "/message/more"),
    "no amount": ({"amountNano": None}, "/message/amountNano"),
    "a negative amount": ({"amountNano": "-1"}, "/message/amountNano"),
    "an amount beyond 256 bits": ({"amountNano": str(2**256)}, "/message/amountNano"),
    "an amount with a leading zero": ({"amountNano": "01"}, "/message/amountNano"),
    "an amount in hex": ({"amountNano": "0x10"}, "/message/amountNano"),
    "an amount in other digits": ({"amountNano": "\u0661"}, "/message/amountNano"),
    "an account in other letters": ({"account": "0x" + "\uff11" * 40}, "/message/account"),
    "another amount than was signed": ({"amountNano": "999"}, "/signature"),
    "another nonce than was signed": ({"nonce": "1"}, "/signature"),
    "a deadline that has passed": ({"deadline": "1"}, "/message/deadline"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_message_that_was_changed_is_refused_and_says_where(api: Api, name: str) -> None:
    changes, pointer = FAULTS[name]
    body = await withdrawal(api)
    message = {key: value for key, value in {**body["message"], **changes}.items() if value is not None}
    answer = await post(api, "/v1/relays", PROSUMER_KEY, {**body, "message": message})
    assert answer.status_code == 422, answer.text
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]


async def test_a_message_signed_for_another_kind_is_refused(api: Api) -> None:
    accepted = signed(await to_sign(api, "acceptances", TERMS["acceptances"]))
    message = {**accepted["message"], "from": HOME, "to": HOME}
    answer = await post(api, "/v1/relays", PROSUMER_KEY, {**accepted, "kind": "transfer", "message": message})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/signature")


async def test_another_s_relay_is_invisible_and_an_auditor_sees_it(api: Api) -> None:
    """Own and foreign of `/v1/relays/{tx}`."""
    tx = (await post(api, "/v1/relays", PROSUMER_KEY, await withdrawal(api))).json()["tx_hash"]
    seen = {}
    for signer in (PROSUMER_KEY, NEIGHBOUR, AUDITOR, STRANGER):
        answer = await api.http.get(f"/v1/relays/{tx}", headers=await api.as_(signer))
        seen[signer.address] = answer.status_code
    assert list(seen.values()) == [200, 404, 200, 403]


async def test_a_wallet_has_so_many_transactions_sent(rich: World, tmp_path: Path) -> None:
    async with relaying(rich, tmp_path, relays_burst=1, relays_per_s=0.001) as api:
        first = await withdrawal(api)
        assert (await post(api, "/v1/relays", PROSUMER_KEY, first)).status_code == 202
        assert (await post(api, "/v1/relays", PROSUMER_KEY, first)).status_code == 202
        assert (await post(api, EXECUTE, PROSUMER_KEY)).status_code == 429


async def test_a_row_is_one_claim_even_for_two_processes(database_url: str) -> None:
    """On each database: of rows with one claim, or one nonce of the sender, the first one counts."""
    engine = open_engine(database_url)
    await upgrade(engine)
    store = RelayStore(sessions_of(engine))
    fields = {"kind": "withdrawal", "account": HOME, "claim": "0xa", "sender": "0x1"}
    rest = {"raw": b"\x00\xff", "created_at": 0}
    assert await store.add(**fields, **rest, tx_hash="0x1", sender_nonce=0)
    assert not await store.add(**fields, **rest, tx_hash="0x2", sender_nonce=1)
    assert not await store.add(**{**fields, "claim": "0xb"}, **rest, tx_hash="0x3", sender_nonce=0)
    assert await store.add(**{**fields, "claim": "0xc"}, **rest, tx_hash="0x4", sender_nonce=2)
    assert [await store.next_nonce("0x1", first) for first in (0, 1, 2)] == [1, 1, 3]
    await store.finish("0x1", "failed", claim=None, sender_nonce=None, error="NotTaken")
    await store.finish("0x1", "mined")
    kept = await store.of_hash("0x1")
    assert kept is not None
    assert (kept.state, kept.error, kept.raw) == ("failed", "NotTaken", b"\x00\xff")
    assert await store.add(**fields, **rest, tx_hash="0x2", sender_nonce=0)
    assert not await store.add(**fields, **rest, tx_hash="0x1", sender_nonce=5)
    assert [one.tx_hash for one in await store.pending()] == ["0x2", "0x4"]
    await engine.dispose()
