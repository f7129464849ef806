"""Orders over HTTP: what is taken, what its receipt is worth, what is refused and why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_client import Api, bearer
from api_world import AUDITOR, OPERATOR, STRANGER
from claims_world import BIG, BUYER, POOR, RECEIPTS, SELLER, Bonded
from databases import KINDS, create_database
from eth_account.messages import encode_typed_data
from orders_world import GATE, body_of, bonded_world, hash_of, hex_of, index, taking_orders

from api.intake import wire
from api.intake.store import IntakeStore
from api.schemas.orders import RECORDS
from settlement.chain.receipts import check_receipt
from settlement.chain.rpc import to_bytes
from settlement.chain.sign import Signer, sign_flexible, sign_schedule
from settlement.errors import InputError
from settlement.reference import eip712
from settlement.reference.flexible import FlexibleSchedule
from settlement.reference.orders import SignedOrder
from settlement.reference.receipts import SignedReceipt
from settlement.reference.schedule import SELL

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def bonded() -> Iterator[Bonded]:
    with bonded_world() as found:
        yield found


@pytest.fixture(params=KINDS)
async def database(request: pytest.FixtureRequest, bonded: Bonded, tmp_path: Path) -> str:
    """Indexed, without orders, of each kind."""
    if request.param == "sqlite":
        address = f"sqlite+aiosqlite:///{tmp_path / 'orders.db'}"
    else:
        address = await create_database(request.getfixturevalue("postgres"))
    await index(bonded.world, address)
    return address


@pytest.fixture
async def api(bonded: Bonded, database: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with taking_orders(bonded, tmp_path, database, RECEIPTS) as found:
        yield found


async def send(api: Api, order: SignedOrder, signer: Signer = BUYER, **headers: str) -> httpx.Response:
    return await api.http.post("/v1/orders", json=body_of(order), headers=await api.as_(signer) | headers)


async def take(api: Api, order: SignedOrder, signer: Signer = BUYER) -> dict[str, Any]:
    answer = await send(api, order, signer)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def send_cancel(api: Api, order: str, signature: bytes, signer: Signer = BUYER) -> httpx.Response:
    body = {"order": order, "signature": hex_of(signature)}
    return await api.http.post("/v1/cancels", json=body, headers=await api.as_(signer))


def believe(bonded: Bonded, receipt: dict[str, str]) -> None:
    """The operator would have to pay for it."""
    signed = SignedReceipt(int(receipt["sequence"]), to_bytes(receipt["signature"]))
    check_receipt(bonded.separator, bonded.session.params, to_bytes(receipt["hash"]), signed)


def flexible(bonded: Bonded, trader: Signer, **changes: Any) -> SignedOrder:
    session = bonded.session
    one = FlexibleSchedule(
        trader.address, session.id, 0, 0, 0, session.params.day, 4, 1, 4_000, 2_000, 250_000
    )
    return sign_flexible(trader, bonded.separator, replace(one, **changes))


def sealing(api: Api) -> IntakeStore:
    return IntakeStore(api.services.sessions)


async def test_an_order_has_a_receipt_that_its_trader_can_claim_on(api: Api, bonded: Bonded) -> None:
    order = bonded.order(BUYER)
    found = await take(api, order)
    assert found["order"] == found["receipt"]["hash"] == hash_of(bonded, order)
    believe(bonded, found["receipt"])


async def test_a_flexible_order_has_a_receipt_too(api: Api, bonded: Bonded) -> None:
    order = flexible(bonded, BUYER)
    believe(bonded, (await take(api, order))["receipt"])


async def test_the_same_order_again_has_the_same_receipt_whoever_brings_it_and_after_the_gate(
    api: Api, bonded: Bonded
) -> None:
    order = bonded.order(BUYER)
    first = await take(api, order)
    assert await take(api, order) == first
    assert await take(api, order, SELLER) == first
    api.clock.now = GATE + 1
    assert await take(api, order) == first


async def test_what_a_wallet_signs_is_what_the_order_is(api: Api, bonded: Bonded) -> None:
    order = bonded.order(BUYER, quantity_wh=(100, 200), limit_micro_per_kwh=(-5, 200_000))
    for one in (order, flexible(bonded, BUYER)):
        body = body_of(one)
        del body["signature"], body["message"]["kind"]
        del body["message"]["trader"], body["message"]["zone"]
        answer = await api.http.post("/v1/orders/typed-data", json=body, headers=await api.as_(BUYER))
        assert answer.status_code == 200, answer.text
        found = answer.json()
        signable = encode_typed_data(full_message=found["typed_data"])
        digest = eip712.keccak(b"\x19" + signable.version + signable.header + signable.body)
        assert found["order"] == found["digest"] == hex_of(digest) == hash_of(bonded, one)
        signature = hex_of(BUYER.sign_digest(digest))
        message = {"primary_type": body["primary_type"], "message": found["typed_data"]["message"]}
        sent = {**message, "signature": signature}
        answer = await api.http.post("/v1/orders", json=sent, headers=await api.as_(BUYER))
        assert answer.status_code == 200, answer.text


async def test_an_order_that_no_session_could_clear_is_not_offered_for_signing(
    api: Api, bonded: Bonded
) -> None:
    body = body_of(bonded.order(BUYER, limit_micro_per_kwh=(2**31 - 1,)))
    del body["signature"]
    answer = await api.http.post("/v1/orders/typed-data", json=body, headers=await api.as_(BUYER))
    assert answer.json()["errors"][0]["pointer"] == "/message/limitMicroPerKWh"
    body["message"]["limitMicroPerKWh"] = ["many"]
    answer = await api.http.post("/v1/orders/typed-data", json=body, headers=await api.as_(BUYER))
    assert answer.json()["errors"][0]["pointer"] == "/message/limitMicroPerKWh/0"


async def test_a_cancel_takes_an_order_out_once_and_for_all(api: Api, bonded: Bonded) -> None:
    order = bonded.order(BUYER)
    hash_, headers = (await take(api, order))["order"], await api.as_(BUYER)
    answer = await api.http.post("/v1/cancels/typed-data", json={"order": hash_}, headers=headers)
    found = answer.json()
    signable = encode_typed_data(full_message=found["typed_data"])
    digest = eip712.keccak(b"\x19" + signable.version + signable.header + signable.body)
    assert found["digest"] == hex_of(digest)
    first = await send_cancel(api, hash_, BUYER.sign_digest(digest))
    assert first.status_code == 200, first.text
    believe(bonded, first.json()["receipt"])
    assert (await send_cancel(api, hash_, bonded.cancel(order))).json() == first.json()
    refused = await send(api, order)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/message/nonce")
    assert (await api.http.get(f"/v1/orders/{hash_}", headers=headers)).json()["state"] == "cancelled"


async def test_the_receipt_of_a_cancel_is_for_who_signed_it(api: Api, bonded: Bonded) -> None:
    """Before the gate and after it: another's signature, or none, gets nothing out of the service."""
    order = bonded.order(BUYER)
    hash_ = (await take(api, order))["order"]
    first = await send_cancel(api, hash_, bonded.cancel(order))
    assert first.status_code == 200
    for now in (api.clock.now, GATE + 5):
        api.clock.now = now
        assert (await send_cancel(api, hash_, bonded.cancel(order))).json() == first.json()
        for signature in (bytes(65), bonded.cancel(order, SELLER)):
            assert (await send_cancel(api, hash_, signature, SELLER)).status_code == 422
    assert (await send(api, order)).status_code == 422


async def test_only_its_trader_cancels_an_order(api: Api, bonded: Bonded) -> None:
    order = bonded.order(BUYER)
    hash_ = (await take(api, order))["order"]
    answer = await send_cancel(api, hash_, bonded.cancel(order, SELLER), SELLER)
    assert answer.json()["errors"] == [
        {"pointer": "/signature", "detail": "its trader or who signed the order cancels it"}
    ]
    answer = await send_cancel(api, "0x" + "ab" * 32, bonded.cancel(order))
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:trellis:problem:order-refused")


async def test_a_replacement_leaves_the_order_it_names_out_of_the_book(api: Api, bonded: Bonded) -> None:
    order = bonded.order(BUYER)
    after = bonded.replacing(order, quantity_wh=(700,))
    await take(api, order)
    await take(api, after)
    again = bonded.replacing(order, quantity_wh=(800,))
    assert (await send(api, again)).json()["errors"][0]["pointer"] == "/message/replaces"
    assert await sealing(api).seal(bonded.session, GATE) == [after]


async def test_the_sealed_book_is_what_was_taken_and_nothing_is_taken_behind_it(
    api: Api, bonded: Bonded
) -> None:
    taken = [bonded.order(BUYER), bonded.order(SELLER, side=SELL), flexible(bonded, POOR)]
    for order in taken:
        await take(api, order)
    with pytest.raises(InputError, match="wait"):
        await sealing(api).seal(bonded.session, GATE - 1)
    assert await sealing(api).seal(bonded.session, GATE) == taken
    late = await send(api, bonded.order(BUYER, nonce=9))
    assert late.json()["detail"] == "the order is not taken: the gate has closed"
    assert await sealing(api).seal(bonded.session, GATE + 5) == taken
    assert (await take(api, taken[0]))["order"] == hash_of(bonded, taken[0])


async def test_after_the_gate_nothing_is_taken_even_if_nobody_has_sealed(api: Api, bonded: Bonded) -> None:
    api.clock.now = GATE
    answer = await send(api, bonded.order(BUYER))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/message/session")
    assert await sealing(api).seal(bonded.session, GATE) == []


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "limit": ({"limit_micro_per_kwh": (6_000_001,)}, "/message/limitMicroPerKWh"),
    "window": ({"first_window": 1}, "/message/firstWindow"),
    "quality": ({"quality": 3}, "/message/quality"),
    "zone": ({"zone": 7}, "/message/zone"),
    "kind": ({"kind": 1}, "/message/zone"),
    "lane": ({"quantity_wh": (65_536,)}, "/message/quantityWh"),
    "half a lane": ({"quantity_wh": (32_768,)}, "/message/quantityWh"),
    "replaces": ({"replaces": b"\7" * 32}, "/message/replaces"),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_refusal_names_the_field(api: Api, bonded: Bonded, name: str) -> None:
    changes, pointer = CHANGES[name]
    answer = await send(api, bonded.order(BUYER, **changes))
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer], answer.text


async def test_an_order_for_a_session_that_nobody_opened_is_refused(api: Api, bonded: Bonded) -> None:
    order = bonded.order(BUYER)
    lost = replace(order, schedule=replace(order.schedule, session=b"\7" * 32))
    assert (await send(api, lost)).json()["errors"][0]["pointer"] == "/message/session"


async def test_an_order_in_another_s_name_is_refused(api: Api, bonded: Bonded) -> None:
    order = bonded.order(BUYER)
    forged = replace(order, signature=bonded.order(SELLER).signature)
    assert (await send(api, forged, SELLER)).json()["errors"][0]["pointer"] == "/signature"
    stranger = replace(order, schedule=replace(order.schedule, trader=STRANGER.address))
    assert (await send(api, stranger)).json()["errors"][0]["pointer"] == "/signature"
    signed = sign_schedule(STRANGER, bonded.world.exchange.separator, stranger.schedule)
    own = (await send(api, signed, STRANGER)).json()
    assert own["errors"][0]["pointer"] == "/message/trader"


async def test_who_is_a_member_is_told_to_nobody_else(api: Api, bonded: Bonded) -> None:
    """Without a signature or a session key of an account, what the service says does not depend on it."""
    headers = await api.as_(STRANGER)
    told = []
    for account in (BUYER.address, bytes(19) + b"\7"):
        message = {"session": hex_of(bonded.session.id), "side": 0, "quality": 0, "trader": hex_of(account)}
        message |= {"firstWindow": str(bonded.session.params.first_window)}
        message |= {"quantityWh": ["1"], "limitMicroPerKWh": ["1"]}
        body = {"primary_type": "Schedule", "message": message}
        answer = await api.http.post("/v1/orders/typed-data", json=body, headers=headers)
        forged = replace(bonded.order(BUYER), signature=bonded.order(SELLER).signature)
        forged = replace(forged, schedule=replace(forged.schedule, trader=account))
        told.append((answer.status_code, answer.json()["errors"], (await send(api, forged)).json()["errors"]))
    assert told[0] == told[1]
    assert told[0][0] == 422


async def test_a_batch_is_answered_order_by_order_as_json_and_as_records(api: Api, bonded: Bonded) -> None:
    good, flex = bonded.order(BUYER), flexible(bonded, POOR)
    bad = bonded.order(SELLER, quality=3)
    given, headers = [good, bad, flex, good], await api.as_(STRANGER)
    answers = [
        await api.http.post(
            "/v1/orders/batch", json={"orders": [body_of(one) for one in given]}, headers=headers
        ),
        await api.http.post(
            "/v1/orders/batch",
            content=wire.encode_batch(bonded.session.id, given),
            headers=headers | {"Content-Type": RECORDS},
        ),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
    found = answers[0].json()
    assert answers[1].json() == found
    assert (found["accepted"], found["refused"]) == (3, 1)
    assert [one["index"] for one in found["items"]] == [0, 1, 2, 3]
    assert found["items"][1]["error"]["errors"][0]["pointer"] == "/orders/1/message/quality"
    assert found["items"][0]["receipt"] == found["items"][3]["receipt"]
    believe(bonded, found["items"][2]["receipt"])
    assert await sealing(api).seal(bonded.session, GATE) == [good, flex]


async def test_of_a_batch_that_cannot_be_read_nothing_is_taken(api: Api, bonded: Bonded) -> None:
    good, headers = bonded.order(BUYER), await api.as_(BUYER)
    broken = body_of(good)
    broken["message"]["zone"] = -1
    answer = await api.http.post(
        "/v1/orders/batch", json={"orders": [body_of(good), broken]}, headers=headers
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("/orders/1/")
    for content in (wire.encode_batch(bonded.session.id, [good])[:-1], b"\7" * 40, b""):
        records = headers | {"Content-Type": RECORDS}
        answer = await api.http.post("/v1/orders/batch", content=content, headers=records)
        assert answer.status_code in (400, 422), answer.text
    answer = await api.http.post(
        "/v1/orders/batch", content=b"x", headers=headers | {"Content-Type": "text/plain"}
    )
    assert answer.status_code == 415
    assert await sealing(api).seal(bonded.session, GATE) == []


async def test_many_at_once_have_sequences_without_a_gap(api: Api, bonded: Bonded) -> None:
    given = [bonded.order(who, nonce=n, quantity_wh=(1,)) for n in range(20) for who in (BUYER, BIG)]
    token = (await api.login(BUYER))["access_token"]

    async def one(order: SignedOrder) -> int:
        answer = await api.http.post("/v1/orders", json=body_of(order), headers=bearer(token))
        return int(answer.json()["receipt"]["sequence"])

    assert sorted(await asyncio.gather(*map(one, given))) == list(range(40))


async def test_a_receipt_is_shown_to_its_trader_to_who_brought_it_and_to_whom_the_role_shows_it(
    api: Api, bonded: Bonded
) -> None:
    hash_ = (await take(api, bonded.order(BUYER), STRANGER))["order"]
    for signer, status in ((BUYER, 200), (STRANGER, 200), (OPERATOR, 200), (AUDITOR, 200), (SELLER, 404)):
        answer = await api.http.get(f"/v1/orders/{hash_}", headers=await api.as_(signer))
        assert answer.status_code == status
    missing = await api.http.get("/v1/orders/0x" + "00" * 32, headers=await api.as_(SELLER))
    assert missing.status_code == 404


async def test_an_account_s_receipts_come_page_by_page(api: Api, bonded: Bonded) -> None:
    first = bonded.order(BUYER, quantity_wh=(5,))
    for order in (first, bonded.order(BUYER, nonce=2, quantity_wh=(5,)), bonded.order(POOR)):
        await take(api, order)
    await send_cancel(api, hash_of(bonded, first), bonded.cancel(first))
    headers, found, cursor = await api.as_(BUYER), [], None
    while True:
        asked = {"limit": 1} | ({} if cursor is None else {"cursor": cursor})
        path = f"/v1/accounts/{hex_of(BUYER.address)}/receipts"
        page = (await api.http.get(path, headers=headers, params=asked)).json()
        found, cursor = found + page["items"], page["next_cursor"]
        if cursor is None:
            break
    assert [(one["what"], one["receipt"]["sequence"]) for one in found] == [
        ("order", "0"),
        ("order", "1"),
        ("cancel", "3"),
    ]
    for one in found:
        believe(bonded, one["receipt"])


async def test_a_wallet_brings_so_many_orders_and_no_more(
    bonded: Bonded, database: str, tmp_path: Path
) -> None:
    limits = {"orders_per_s": 0.001, "orders_burst": 2}
    async with taking_orders(bonded, tmp_path, database, RECEIPTS, **limits) as api:
        for nonce in range(2):
            await take(api, bonded.order(BUYER, nonce=nonce, quantity_wh=(5,)))
        assert (await send(api, bonded.order(BUYER, nonce=3, quantity_wh=(5,)))).status_code == 429
        await take(api, bonded.order(BUYER, nonce=3, quantity_wh=(5,)), SELLER)


async def test_orders_are_taken_by_one_process_at_a_time(
    bonded: Bonded, database: str, tmp_path: Path
) -> None:
    order, other = bonded.order(BUYER), bonded.order(POOR)
    (tmp_path / "two").mkdir()
    async with taking_orders(bonded, tmp_path / "two", database, RECEIPTS) as second:
        async with taking_orders(bonded, tmp_path, database, RECEIPTS) as first:
            receipt = await take(first, order)
            refused = await send(second, other)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
            assert await take(second, order) == receipt  # what was promised is told by any
        await take(second, other)  # it stopped, and let go
        assert await sealing(second).seal(bonded.session, GATE) == [order, other]


async def test_a_process_that_lost_the_session_while_it_slept_promises_nothing(
    bonded: Bonded, database: str, tmp_path: Path
) -> None:
    (tmp_path / "two").mkdir()
    async with (
        taking_orders(bonded, tmp_path, database, RECEIPTS) as first,
        taking_orders(bonded, tmp_path / "two", database, RECEIPTS) as second,
    ):
        receipt = await take(first, bonded.order(BUYER))
        await sealing(first).renew(first.services.intake._holder, 0)  # type: ignore[union-attr]
        await take(second, bonded.order(POOR))
        assert (await send(first, bonded.order(BIG))).status_code == 503
        assert await take(first, bonded.order(BUYER)) == receipt


async def test_where_no_key_signs_receipts_no_order_is_taken(
    bonded: Bonded, database: str, tmp_path: Path
) -> None:
    async with taking_orders(bonded, tmp_path, database, SELLER) as api:
        assert (await send(api, bonded.order(BUYER))).status_code == 503
    async with taking_orders(bonded, tmp_path, database, SELLER, receipt_key_file=None) as api:
        assert "TRELLIS_RECEIPT_KEY_FILE" in (await send(api, bonded.order(BUYER))).json()["detail"]


async def test_an_idempotency_key_replays_the_answer(api: Api, bonded: Bonded) -> None:
    order, key = bonded.order(BUYER), {"Idempotency-Key": "one"}
    first, again = await send(api, order, BUYER, **key), await send(api, order, BUYER, **key)
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"


async def depth_of(api: Api, **asked: int) -> dict[str, Any]:
    path = "/v1/sessions/1/depth"
    answer = await api.http.get(path, params={"zone": 0, **asked}, headers=await api.as_(STRANGER))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_depth_is_what_three_traders_ask_for_together_and_some_seconds_old(
    api: Api, bonded: Bonded
) -> None:
    day = str(bonded.session.params.day)
    for trader in (BUYER, SELLER):
        await take(api, bonded.order(trader, quantity_wh=(5,)))
    found = await depth_of(api)
    assert (found["source"], found["cells"]) == (
        "accepted",
        [{"quality": 0, "window": day, "side": "buy", "levels": []}],
    )
    await take(api, bonded.order(POOR, quantity_wh=(5,), limit_micro_per_kwh=(123_456,)))
    assert (await depth_of(api))["cells"] == found["cells"]
    api.clock.now += 10
    assert (await depth_of(api))["cells"][0]["levels"] == [
        {"limit_micro_per_kwh": "120000", "quantity_wh": "15"}
    ]
    assert (await depth_of(api, quality=5))["cells"] == []
    for asked in ({"zone": 7}, {"zone": -1}, {}):
        answer = await api.http.get("/v1/sessions/1/depth", params=asked, headers=await api.as_(STRANGER))
        assert answer.status_code in (404, 422)
