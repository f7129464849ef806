"""Evidence where a day is more than one book and one run: trees, flexible orders, claims, later runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import index_world  # noqa: F401  (puts tests/chain on the path)
import pytest
from chain_world import PROSUMERS, World, running_world
from claims_world import fund_operator, open_bonded
from index_world import Index, indexed
from metered_world import LATE, SELLER, meter_of, post_and_settle, read_of, stake, traded_world
from sqlalchemy import select
from test_evidence import ABSENCES, trusting, unchecked

from api.db.market_models import Order
from api.evidence.bundles import Bundles
from api.services.cast import make_cast
from api.services.community import CommunityDay, MeasuredChain, Plan
from oracle.challenge_files import opening_json
from oracle.commitments import open_reading
from oracle.homes import load_homes
from oracle.messages import EXPORT, IMPORT, ReadingKey
from settlement.chain.anvil import Anvil
from settlement.chain.client import AnvilClock
from settlement.chain.rpc import to_bytes
from settlement.cli import main
from settlement.reference.schedule import SELL

pytestmark = pytest.mark.anyio


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path / 'later.db'}"


async def bundles_of(index: Index, hashes: Iterable[str] | None = None) -> dict[str, dict[str, Any]]:
    """Whole bundles of orders, all by default, by hash."""
    async with index.store.sessions() as db:
        rows = list(await db.scalars(select(Order)))
    made = Bundles(index.store.sessions, index.indexer.source.chain)
    found = {}
    for row in rows:
        if hashes is None or row.hash in hashes:
            bundle = await made.make(to_bytes(row.trader), to_bytes(row.hash), whole=True)
            assert bundle is not None
            found[row.hash] = json.loads(bundle.model_dump_json())
    return found


def assert_holds(document: dict[str, Any], but_for: Iterable[str] = ()) -> None:
    """Everything that is told of the market's part is checked."""
    report = trusting(document)
    assert [one for one in report.checks if one.status == "fails"] == []
    assert unchecked(document, report) <= {*ABSENCES, "/order/receipt", *but_for}


async def test_orders_of_streets_below_a_substation_and_cars_that_charge(database: str) -> None:
    """Zones that are closed and joined, flexible orders whose split the operator posts."""
    plan = Plan(date(2017, 6, 14), seed=5, imbalance_margin=10_000, streets=2, cars=3, line_capacity_wh=5_000)
    cast = make_cast(plan.seed, range(1, 7), plan.streets, plan.cars)
    with Anvil(timestamp=plan.opens_at) as anvil:
        chain = MeasuredChain(str(anvil.ipc_path))
        day = CommunityDay(plan, cast, load_homes(6), chain, AnvilClock(chain), anvil.rpc_url)
        for step in (day.deploy, day.register, day.order, day.clear, day.deliver, day.settle):
            await asyncio.to_thread(step)
        parts = {"deployment": day.exchange.deployment, "chain": chain, "exchange": day.exchange}
        world: Any = SimpleNamespace(anvil=anvil, **parts)
        async with indexed(world, database) as index:
            await index.catch_up()
            found = await bundles_of(index)
        party = day.exchange.view("balancingParty")[0]
    settled = [one for one in found.values() if to_bytes(one["account"]) != party]
    assert len(settled) > 12
    for document in settled:
        assert_holds(document)
        assert document["settlement"] is not None
    for document in found.values():
        assert trusting(document).ok


async def test_a_submitted_order_and_a_claim_for_one_that_was_left_out(database: str) -> None:
    with running_world() as world:
        fund_operator(world)
        bonded = open_bonded(world)
        seller, buyer = PROSUMERS[0], PROSUMERS[2]
        forced = bonded.order(buyer, quantity_wh=(500,))
        sold = bonded.order(seller, side=SELL, quality=15, limit_micro_per_kwh=(90_000,))
        bonded.both("submit", 0, bonded.record(forced))
        left_out = bonded.order(buyer, nonce=9)
        cleared = [bonded.world.sign(forced.schedule), sold]
        _clear(world, bonded, cleared)
        receipt = bonded.receipt_of(left_out)
        bonded.both("claim_omission", 0, bonded.record(left_out), receipt, bonded.absence(left_out))
        bonded.pass_defence()
        bonded.both("pay_claim", bonded.hash(left_out))
        async with indexed(world, database) as index:
            await index.catch_up()
            hashes = ["0x" + bonded.hash(one).hex() for one in (forced, sold)]
            found = await bundles_of(index, hashes)
    without_day = ("/settlement", "/delivery")
    for document in found.values():
        assert_holds(document, without_day)
    changed = json.loads(json.dumps(found[hashes[0]]))
    record = bytearray(to_bytes(changed["order"]["record"]))
    record[20] ^= 32  # the mark of an order that was submitted
    changed["order"]["record"] = "0x" + record.hex()
    assert not trusting(changed).ok


def _clear(world: World, bonded: Any, book: list[Any]) -> None:
    from dataclasses import replace

    marked = [replace(book[0], submitted=True), *book[1:]]
    bonded.hashes = sorted(bonded.hash(one) for one in marked)
    world.orders |= {bonded.hash(one): one.schedule for one in marked}
    world.clear(bonded.session, marked)


async def test_later_runs_and_a_disclosed_reading(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with traded_world() as world:
        stake(world)
        day = post_and_settle(world)
        computed, first = day.computed, day.signed.posting.first_window
        opening, neighbour_s = (
            open_reading(computed.commitments, computed.readings, computed.salts, ReadingKey(*which, first))
            for which in ((meter_of(SELLER.address), EXPORT), (meter_of(LATE.address), IMPORT))
        )
        day.correct(read_of(LATE.address, 0, 650, sequence=2))
        day.correct(read_of(SELLER.address, 1, 640, sequence=3))
        async with indexed(world, database) as index:
            await index.catch_up()
            found = await bundles_of(index)
    (document,) = [one for one in found.values() if to_bytes(one["account"]) == SELLER.address]
    assert [one["run"] for one in document["corrections"]] == ["2"]
    assert_holds(document)
    for name in ("imbalance_wh", "cash_nano"):
        changed = json.loads(json.dumps(document))
        changed["corrections"][0][name] = "1"
        assert not trusting(changed).ok
    _check_opening(document, opening_json(opening), tmp_path, capsys)
    assert reading_of(document, opening_json(neighbour_s), tmp_path, capsys) != "holds"


def reading_of(
    document: dict[str, Any], opening: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> str:
    """What the command says of a reading."""
    bundle, file = folder / "bundle.json", folder / "opening.json"
    bundle.write_text(json.dumps(document))
    file.write_text(json.dumps({"opening": opening}))
    main(["evidence", "verify", str(bundle), "--opening", str(file), "--json"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    (status,) = (one["status"] for one in checks if one["name"] == "reading")
    return str(status)


def _check_opening(
    document: dict[str, Any], opening: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reading of an oracle's file is checked with the bundle; another flag has another commitment."""
    bundle, file = folder / "bundle.json", folder / "opening.json"
    bundle.write_text(json.dumps(document))
    for flag, code in ((opening["flag"], 0), (1, 1)):
        file.write_text(json.dumps({"opening": {**opening, "flag": flag}}))
        assert main(["evidence", "verify", str(bundle), "--opening", str(file), "--json"]) == code
        checks = json.loads(capsys.readouterr().out)["checks"]
        assert [one["status"] for one in checks if one["name"] == "reading"] == ["fails" if code else "holds"]
