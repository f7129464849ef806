"""What the API reads of a day that was traded, settled and certified: true, one's own, page by page."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import index_world  # noqa: F401  (puts tests/chain on the path)
import pyarrow.parquet as pq
import pytest
from api_client import Api, running_api
from api_world import AUDITOR, OPERATOR, REGULATOR, STRANGER
from audit_world import run_day
from chain_world import DAY, GATE, PROSUMERS, RICH, SUPPLIER, WINDOW_LENGTH, World, running_world
from databases import KINDS, create_database
from index_world import indexed

from api.routes import ledger
from api.schemas.common import rfc3339
from api.schemas.proofs import ProofAnswer
from settlement.chain import deploy
from settlement.chain.rpc import to_bytes
from settlement.chain.sign import Signer
from settlement.chain.traded import round_prices
from settlement.evidence.bundle import parse
from settlement.evidence.verify import verify
from settlement.reference import membership, product_id
from settlement.reference.exchange import events as told
from settlement.reference.membership import Absence, Inclusion, Neighbour
from settlement.reference.product_id import ProductId

pytestmark = pytest.mark.anyio

HOME, NEIGHBOUR = PROSUMERS[2], PROSUMERS[0]
AGENTS = {b"\x01" * 20: GATE, b"\x02" * 20: GATE, b"\x03" * 20: 2**40 - 1}
GRANTS = {deploy.OPERATOR: OPERATOR, deploy.AUDITOR: AUDITOR, deploy.REGULATOR: REGULATOR}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running_world() as found:
        for role, signer in GRANTS.items():
            deploy.grant(found.chain, found.admin, found.deployment, role, [signer.address])
        for agent, expiry in AGENTS.items():
            found.exchange.send(HOME, "grantKey", agent, 0, 5, 1500, 2**90, expiry)
        found.exchange.send(HOME, "revokeKey", b"\x01" * 20)
        run_day(found)
        yield found


@pytest.fixture(scope="module", params=KINDS)
def database(request: pytest.FixtureRequest, world: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of each kind; read from the chain once."""
    if request.param == "sqlite":
        address = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('read') / 'day.db'}"
    else:
        address = asyncio.run(create_database(request.getfixturevalue("postgres")))

    async def read() -> None:
        async with indexed(world, address) as index:
            await index.catch_up()

    asyncio.run(read())
    return address


@pytest.fixture
async def api(world: World, database: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(world, tmp_path, database_url=database) as found:  # type: ignore[arg-type]
        yield found


async def get(api: Api, path: str, signer: Signer = HOME, **params: Any) -> httpx.Response:
    return await api.http.get(path, headers=await api.as_(signer), params=params)


async def read(api: Api, path: str, signer: Signer = HOME, **params: Any) -> Any:
    answer = await get(api, path, signer, **params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def read_all(api: Api, path: str, signer: Signer = HOME, **params: Any) -> list[Any]:
    """Every item, two a page."""
    headers, items, cursor = await api.as_(signer), [], None
    while True:
        asked = {**params, "limit": 2} | ({} if cursor is None else {"cursor": cursor})
        page = (await api.http.get(path, headers=headers, params=asked)).json()
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


def of(signer: Signer, path: str) -> str:
    return f"/v1/accounts/0x{signer.address.hex()}/{path}"


async def test_readiness_says_where_the_read_model_stands(api: Api) -> None:
    last = str(api.world.chain.block_number())
    found = (await api.http.get("/readyz")).json()
    assert (found["status"], found["block_number"], found["indexed_block"]) == ("ready", last, last)
    assert f"trellis_indexed_block_number {float(last)}" in (await api.http.get("/metrics")).text


# The market ---------------------------------------------------------------------------------------------


async def test_a_session_says_when_and_how_far(api: Api) -> None:
    (found,) = (await read(api, "/v1/sessions", STRANGER, day=DAY))["items"]
    assert found == await read(api, "/v1/sessions/1", STRANGER)
    session, stage = api.world.exchange.session(1)
    assert (found["id"], found["stage"]) == ("0x" + session.hex(), stage.name.lower())
    assert (found["epoch"], found["day"], found["kind"]) == ("1", str(DAY), "energy")
    assert (found["gate"], found["starts_at"]) == (rfc3339(GATE), rfc3339(DAY * WINDOW_LENGTH))
    assert (await get(api, "/v1/sessions/2", STRANGER)).status_code == 404
    assert (await read(api, "/v1/sessions", STRANGER, day=DAY + 1))["items"] == []


async def test_an_answer_that_did_not_change_is_not_sent_again(api: Api) -> None:
    headers = await api.as_(HOME)
    first = await api.http.get("/v1/sessions/1", headers=headers)
    again = await api.http.get("/v1/sessions/1", headers=headers | {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_clearing_shows_the_prices_that_the_chain_proved(api: Api) -> None:
    found = await read(api, "/v1/sessions/1/clearing", STRANGER)
    prices = round_prices(api.world.exchange, 1, 0)  # type: ignore[arg-type]
    (zone,) = found["items"]
    assert [int(one["price_micro_per_kwh"]) for one in zone["energy"]] == [one.mid for one in prices.energy]
    premiums = [int(one["price_micro_per_kwh"]) for one in found["premiums"]]
    assert premiums == [-one.mid for one in prices.qualities]
    count, root = api.world.exchange.view("bookOf", 1, 0)
    assert (zone["orders"], zone["root"], zone["closed"]) == (str(count), "0x" + root.hex(), True)
    assert all(int(one["bid_filled_wh"]) <= int(one["bid_wh"]) for one in zone["at_price"])


async def test_a_product_is_read_from_its_id(api: Api) -> None:
    id_ = product_id.encode(ProductId(DAY + 1, WINDOW_LENGTH, 0, 13, side=1))
    found = await read(api, f"/v1/products/{id_}", STRANGER)
    assert (found["side"], found["firm"], found["most_g_per_kwh"], found["epoch"]) == (
        "obligation",
        True,
        50,
        "1",
    )
    assert (await get(api, "/v1/products/123", STRANGER)).status_code == 422


async def test_a_day_s_runs_sum_their_accounts(api: Api) -> None:
    (run,) = (await read(api, f"/v1/days/{DAY}/runs", STRANGER))["items"]
    results = [await read_all(api, of(one, "settlements"), AUDITOR) for one in PROSUMERS]
    total = sum(int(row["cash_nano"]) + int(row["delivered_nano"]) for rows in results for row in rows)
    assert int(run["cash_nano"]) == total


async def test_a_proof_says_whether_a_book_has_an_order(api: Api) -> None:
    count, root = api.world.exchange.view("bookOf", 1, 0)
    path = "/v1/sessions/1/books/0/proofs/0x"
    for order in [to_bytes(one["hash"]) for one in await read_all(api, of(HOME, "orders"))]:
        found = ProofAnswer.model_validate(await read(api, path + order.hex(), STRANGER))
        assert found.inclusion is not None
        shown = Inclusion(found.inclusion.index, tuple(found.inclusion.siblings))
        assert membership.includes(count, root, order, shown)
        assert (found.count, found.root, found.absence) == (count, root, None)
    for order in (bytes(32), b"\x80" * 32, b"\xff" * 32):
        found = ProofAnswer.model_validate(await read(api, path + order.hex(), STRANGER))
        assert found.absence is not None
        left, right = (
            Neighbour(one.hash, tuple(one.siblings)) for one in (found.absence.left, found.absence.right)
        )
        assert membership.lacks(count, root, order, Absence(found.absence.index, left, right))
    assert (await get(api, "/v1/sessions/1/books/1/proofs/0x" + "00" * 32, STRANGER)).status_code == 404


# One's own ----------------------------------------------------------------------------------------------


async def test_orders_with_their_fills_page_by_page(api: Api) -> None:
    world = api.world
    found = await read_all(api, of(HOME, "orders"))
    cleared = {
        "0x" + one.order.hex(): [str(wh) for wh in one.filled_wh]
        for one in world.model.events  # type: ignore[attr-defined]
        if isinstance(one, told.ScheduleCleared) and one.trader == HOME.address
    }
    assert {one["hash"]: one["filled_wh"] for one in found if one["outcome"] == "cleared"} == cleared
    (refused,) = [one for one in found if one["outcome"] == "ineligible"]
    assert (refused["reason"], refused["filled_wh"], refused["side"]) == ("quality", None, "sell")
    assert len(found) == len({one["hash"] for one in found}) == 3


async def test_session_keys_say_what_they_may_and_until_when(api: Api) -> None:
    found = await read_all(api, of(HOME, "keys"))
    assert [one["key"] for one in found] == ["0x" + agent.hex() for agent in AGENTS]
    assert [one["revoked_at"] is None for one in found] == [False, True, True]
    assert [one["expires_at"] for one in found] == [rfc3339(GATE), rfc3339(GATE), None]
    for one in found:
        assert one["kinds"] == ["energy", "flexibility_down"]
        assert (one["max_wh_per_window"], one["max_spend_nano_per_day"]) == ("1500", str(2**90))
    heard = [one["name"] for _, one in await streamed(api, HOME, after=0)]
    assert (heard.count("KeyGranted"), heard.count("KeyRevoked")) == (3, 1)


@pytest.mark.parametrize(
    "path",
    [
        *("orders", "keys", "positions", "readings", "settlements", "certificates", "certificates/products"),
        *("cash", f"bills/{DAY}"),
    ],
)
async def test_another_s_is_invisible(api: Api, path: str) -> None:
    assert (await get(api, of(NEIGHBOUR, path), HOME)).status_code == 404
    assert (await get(api, of(NEIGHBOUR, path), AUDITOR)).status_code == 200
    assert (await get(api, of(NEIGHBOUR, path), REGULATOR)).status_code == 403
    assert (await get(api, of(NEIGHBOUR, path), STRANGER)).status_code == 403


async def test_evidence_of_an_order_verifies_and_is_nobody_else_s(api: Api) -> None:
    order = (await read_all(api, of(HOME, "orders")))[0]["hash"]
    for signer, withheld in ((HOME, 3), (AUDITOR, 0)):
        answer = await get(api, of(HOME, f"orders/{order}/evidence"), signer)
        bundle = parse(answer.content, "the answer")
        assert verify(bundle).ok
        assert len(bundle.withheld) == withheld
        assert answer.headers["etag"]
    for signer in (NEIGHBOUR, OPERATOR, REGULATOR):
        assert (await get(api, of(HOME, f"orders/{order}/evidence"), signer)).status_code in (403, 404)
    for path in (of(NEIGHBOUR, f"orders/{order}/evidence"), of(HOME, f"orders/0x{'11' * 32}/evidence")):
        assert (await get(api, path, AUDITOR)).status_code == 404


async def test_positions_are_what_was_filled(api: Api) -> None:
    orders = await read_all(api, of(HOME, "orders"))
    positions = await read_all(api, of(HOME, "positions"), epoch=1)
    filled = sum(int(wh) for one in orders for wh in one["filled_wh"] or ())
    assert sum(int(each["wh"]) for one in positions for each in one["windows"]) == filled > 0
    assert {one["state"] for one in positions} == {"settled"}
    product = product_id.decode(int(positions[0]["windows"][0]["product"]))
    assert (product.zone, product.quality) == (0, positions[0]["quality"])


async def test_readings_results_and_certificates(api: Api) -> None:
    (reading,) = await read_all(api, of(HOME, "readings"), day=DAY)
    assert reading["wh"] == ["-2600", "-2400", "-2000", "-2100"]
    assert set(reading["flags"]) <= {"actual", "estimated", "default"}
    (result,) = await read_all(api, of(HOME, "settlements"))
    certified = [one for one in api.world.model.events if isinstance(one, told.AccountCertified)]  # type: ignore[attr-defined]
    mine = [one.certified_wh for one in certified if one.account == HOME.address]
    assert [int(one["certified_wh"]) for one in await read_all(api, of(HOME, "certificates"))] == mine
    assert result["block_number"].isdigit()
    products = await read_all(api, of(HOME, "certificates/products"), day=DAY)
    assert sum(int(one["minted_wh"]) for one in products) == sum(mine)
    assert all(int(one["window"]) in range(DAY, DAY + 4) for one in products)


async def test_a_bill_is_what_the_day_cost_to_the_last_nano(api: Api) -> None:
    for signer in (*PROSUMERS, SUPPLIER):
        bill = await read(api, of(signer, f"bills/{DAY}"), AUDITOR)
        free = api.world.exchange.cash(signer.address).free
        assert int(bill["total_nano"]) == free - RICH == sum(int(one["amount_nano"]) for one in bill["lines"])
        assert (bill["settled"], bill["certified"]) == (True, True)
    answer = await get(api, of(HOME, f"bills/{DAY}"), format="csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    bill = await read(api, of(HOME, f"bills/{DAY}"))
    assert sum(int(row["amount_nano"]) for row in rows) == int(bill["total_nano"])
    assert (await get(api, of(HOME, "bills/1"))).status_code == 404


# The ledger ---------------------------------------------------------------------------------------------


async def test_the_ledger_is_searched_by_auditors_and_regulators_only(api: Api) -> None:
    account = "0x" + HOME.address.hex()
    for signer in (AUDITOR, REGULATOR):
        found = await read_all(api, "/v1/ledger/events", signer, name="ScheduleCleared", account=account)
        assert len(found) == 2
        assert all(one["args"]["trader"] == account for one in found)
    for signer in (HOME, OPERATOR, STRANGER):
        assert (await get(api, "/v1/ledger/events", signer)).status_code == 403
        assert (await get(api, "/v1/ledger/export", signer)).status_code == 403
    assert (await get(api, "/v1/ledger/events", AUDITOR, name="a;b")).status_code == 422


async def test_an_export_has_every_event_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "CHUNK", 7)
    paged = await read_all(api, "/v1/ledger/events", REGULATOR, from_block=20)
    text = (await get(api, "/v1/ledger/export", REGULATOR, from_block=20)).text
    rows = list(csv.DictReader(io.StringIO(text)))
    raw = (await get(api, "/v1/ledger/export", REGULATOR, from_block=20, format="parquet")).content
    table = pq.read_table(io.BytesIO(raw)).to_pylist()
    place = [(int(one["block_number"]), int(one["log_index"]), one["tx_hash"]) for one in paged]
    assert place == [(int(one["block_number"]), int(one["log_index"]), one["tx_hash"]) for one in rows]
    assert place == [(one["block_number"], one["log_index"], one["tx_hash"]) for one in table]
    assert len(place) > 40


async def test_aggregates_are_told_of_certified_days_and_hide_small_groups(
    api: Api, database: str, tmp_path: Path
) -> None:
    (zone,) = (await read(api, "/v1/ledger/aggregates", REGULATOR, day=DAY))["items"]
    assert (zone["level"], zone["cells"], zone["runs"]) == (None, [], [])
    prices = round_prices(api.world.exchange, 1, 0)  # type: ignore[arg-type]
    found = {(one["window"], one["quality"]): one for one in zone["prices"]}
    assert int(found[(str(DAY), 15)]["lowest_micro_per_kwh"]) == prices.price(3, 0)
    assert (await get(api, "/v1/ledger/aggregates", AUDITOR, day=DAY)).status_code == 200
    assert (await get(api, "/v1/ledger/aggregates", HOME, day=DAY)).status_code == 403
    assert (await get(api, "/v1/ledger/aggregates", REGULATOR, day=DAY + 4)).status_code == 404
    (tmp_path / "three").mkdir()
    settings = {"database_url": database, "aggregate_group": 3}
    async with running_api(api.world, tmp_path / "three", **settings) as small:
        (zone,) = (await read(small, "/v1/ledger/aggregates", REGULATOR, day=DAY))["items"]
    results = [await read_all(api, of(one, "settlements"), AUDITOR) for one in PROSUMERS]
    rows = [row for each in results for row in each]
    total = sum(int(row["imbalance_wh"]) + int(row["delivered_wh"]) for row in rows)
    assert [int(one["imbalance_wh"]) for one in zone["runs"]] in ([], [total])


# The stream ---------------------------------------------------------------------------------------------


def parsed(text: str) -> list[tuple[int, dict[str, Any]]]:
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in fields:
            found.append((int(fields["id"]), json.loads(fields["data"])))
    return found


async def streamed(api: Api, signer: Signer, **params: Any) -> list[tuple[int, dict[str, Any]]]:
    answer = await get(api, "/v1/stream", signer, **params)
    assert answer.headers["content-type"].startswith("text/event-stream")
    return parsed(answer.text)


async def test_everyone_hears_what_is_everybody_s_and_its_own(api: Api) -> None:
    mine = "0x" + HOME.address.hex()
    heard = await streamed(api, HOME, after=0)
    assert {one["account"] for _, one in heard} == {None, mine}
    assert {None} == {one["account"] for _, one in await streamed(api, STRANGER, after=0)}
    everything = await streamed(api, AUDITOR, after=0)
    assert len({one["account"] for _, one in everything}) > 5
    assert {"SessionOpened", "SessionProved", "MeteringPosted", "RunCertified"} <= {
        o["name"] for _, o in heard
    }


async def test_a_stream_goes_on_behind_any_of_its_events(api: Api) -> None:
    heard = await streamed(api, HOME, after=0)
    ids = [number for number, _ in heard]
    assert ids == sorted(set(ids))
    headers = await api.as_(HOME) | {"Last-Event-ID": str(ids[4])}
    again = await api.http.get("/v1/stream", headers=headers, params={"after": 0})
    assert parsed(again.text) == heard[5:]
    assert await streamed(api, HOME) == []
    cleared = await streamed(api, HOME, after=0, topic="clearing")
    assert cleared == [one for one in heard if one[1]["topic"] == "clearing"]
