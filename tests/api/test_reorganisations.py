"""The read model after the chain took blocks back, after its processes died, and beside another process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import index_world  # noqa: F401  (puts tests/chain on the path)
import pytest
from audit_world import finish_day
from chain_world import PROSUMERS, World, running_world
from index_world import Index, indexed
from sqlalchemy import func, select, update
from test_day import small_book

from api import stream
from api.db.chain_models import Block, Event, Notice
from api.db.market_models import CashMovement, Member
from api.readmodel.store import TooDeep
from settlement.cli import main

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def morning() -> Iterator[World]:
    with running_world() as world:
        yield world


@pytest.fixture
def open_day(morning: World) -> Iterator[World]:
    with morning.turned_back():
        yield morning


@pytest.fixture
async def index(open_day: World, database_url: str) -> AsyncIterator[Index]:
    async with indexed(open_day, database_url) as found:
        yield found


def deposit_times(world: World, count: int, amount: int) -> None:
    """So many blocks, each with a deposit."""
    world.token.mint(world.admin, world.admin.address, count * amount)
    world.token.approve(world.admin, world.exchange.address, count * amount)
    for _ in range(count - 2):
        world.exchange.send(world.admin, "deposit", PROSUMERS[0].address, amount)


async def standing(index: Index) -> list[tuple[str, int, str | None]]:
    """What the stream said and did not take back, in its order."""
    found: list[tuple[str, int, str | None]] = []
    async with index.store.sessions() as db:
        for one in await db.scalars(select(Notice).order_by(Notice.id)):
            place = (one.block_hash, one.log_index, one.account)
            if one.removed:
                assert found.pop() == place, "the last thing said is taken back first"
            else:
                found.append(place)
    return found


@pytest.mark.parametrize("depth", [*range(3, 21), 40])
async def test_a_reorganisation_of_any_depth_leaves_what_the_chain_has(index: Index, depth: int) -> None:
    world = index.world
    snapshot = world.clock.snapshot()
    deposit_times(world, depth, 7)
    await index.catch_up()
    world.clock.revert(snapshot)
    if depth % 2:
        world.clock.advance_to(world.now() + 5)
        deposit_times(world, depth + 1, 11)
    else:  # a shorter chain
        world.exchange.send(world.admin, "changeMember", PROSUMERS[1].address, 3, 500, False)
    await index.catch_up()
    await index.assert_cash_is_the_chain_s()
    await index.assert_rebuilt_the_same()
    said = await standing(index)
    assert len(said) == len(set(said))


@pytest.mark.parametrize("depth", [1, 2])
async def test_a_block_is_taken_back_also_if_nothing_follows(index: Index, depth: int) -> None:
    world = index.world
    await index.catch_up()
    snapshot, before = world.clock.snapshot(), await standing(index)
    for _ in range(depth):
        world.exchange.send(world.admin, "setChallengeBond", 1)
    await index.catch_up()
    world.clock.revert(snapshot)
    await index.catch_up()
    await index.assert_rebuilt_the_same()
    assert await standing(index) == before


async def test_a_reorganisation_across_a_whole_day(index: Index) -> None:
    world = index.world
    with world.turned_back():
        session = world.open_session()
        world.clear(session, small_book(world, session), chunk=5)
        finish_day(world)
        await index.catch_up()
    await index.catch_up()
    async with index.store.sessions() as db:
        assert (
            await db.scalar(select(func.count()).select_from(CashMovement).where(CashMovement.epoch > 0)) == 0
        )
    await index.assert_rebuilt_the_same()
    session = world.open_session()
    world.clear(session, small_book(world, session), chunk=3)
    await index.catch_up()
    await index.assert_positions_are_the_chain_s()
    await index.assert_rebuilt_the_same()


async def test_deeper_than_what_is_kept_everything_is_read_again(open_day: World, database_url: str) -> None:
    async with indexed(open_day, database_url, batch=5, undo=4) as index:
        world = index.world
        await index.catch_up()
        snapshot = world.clock.snapshot()
        deposit_times(world, 30, 7)
        await index.catch_up()
        async with index.store.sessions() as db:
            kept = await db.scalar(select(func.count()).select_from(Block))
        assert kept is not None
        assert kept <= world.chain.block_number()
        with pytest.raises(TooDeep):
            await index.store.take_back(world.chain.block_number() - 20)
        world.clock.revert(snapshot)
        deposit_times(world, 5, 9)
        await index.catch_up()
        await index.assert_cash_is_the_chain_s()
        await index.assert_rebuilt_the_same()
        said = await standing(index)
        assert len(said) == len(set(said))


async def test_two_indexers_write_every_block_once(open_day: World, database_url: str) -> None:
    async with (
        indexed(open_day, database_url, batch=3) as one,
        indexed(open_day, database_url, batch=4) as other,
    ):
        deposit_times(open_day, 12, 7)
        await asyncio.gather(one.catch_up(), other.catch_up())
        await one.assert_cash_is_the_chain_s()
        await one.assert_rebuilt_the_same()
        said = await standing(other)
        assert len(said) == len(set(said))


async def test_verification_names_the_table_that_differs(index: Index) -> None:
    await index.catch_up()
    async with index.store.sessions.begin() as db:
        await db.execute(update(Member).values(zone=99).where(Member.account == _hex(PROSUMERS[0].address)))
    from api.readmodel.rebuild import rebuild, verify

    found = await verify(index.indexer.source, index.store, index.indexer.first_block)
    assert found.different == ("members",)
    said = await standing(index)
    await rebuild(index.indexer)
    await index.assert_rebuilt_the_same()
    assert await standing(index) == said


def _hex(account: bytes) -> str:
    return "0x" + account.hex()


async def test_who_listens_hears_of_a_block_and_of_its_end(index: Index) -> None:
    """Over a connection that stays open."""
    world, account = index.world, _hex(PROSUMERS[0].address)
    await index.catch_up()
    snapshot, sessions = world.clock.snapshot(), index.store.sessions

    async def judge() -> stream.Wanted:
        return stream.Wanted(account, False, ())

    heard = stream.events(sessions, judge, await stream.latest(sessions), 30)
    assert (await anext(heard)).startswith(b"retry")
    deposit_times(world, 3, 7)
    waiting = asyncio.ensure_future(anext(heard))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await index.catch_up()
    assert _said(await waiting) == ("Deposited", False, account)
    world.clock.revert(snapshot)
    await index.catch_up()
    assert _said(await anext(heard)) == ("Deposited", True, account)
    await heard.aclose()  # type: ignore[attr-defined]


def _said(event: bytes) -> tuple[str, bool, str]:
    data = json.loads(event.decode().split("data: ")[1])
    return data["name"], data["removed"], data["account"]


# The command --------------------------------------------------------------------------------------------


def options(world: World, database_url: str) -> list[str]:
    address = "0x" + world.exchange.address.hex()
    return ["--rpc", world.anvil.rpc_url, "--address", address, "--database", database_url, "--json"]


def start(world: World, database_url: str, **settings: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "settlement.cli", "index", "run", *options(world, database_url)]
    environment = {**os.environ, "TRELLIS_INDEX_POLL_S": "0.02", **settings}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)


async def _events(index: Index) -> int:
    async with index.store.sessions() as db:
        return await db.scalar(select(func.count()).select_from(Event)) or 0


async def test_killed_anywhere_it_goes_on_from_there(index: Index) -> None:
    """SIGKILL at moments spread over reading a day in batches of two blocks, then a start that is let
    finish.
    """
    world = index.world
    session = world.open_session()
    world.clear(session, small_book(world, session), chunk=3)
    finish_day(world)
    url = index.store.sessions.kw["bind"].url.render_as_string(hide_password=False)
    seen: set[int] = set()
    for attempt in range(4):
        process = start(world, url, TRELLIS_INDEX_BATCH="2")
        known, deadline = await _events(index), time.monotonic() + 30
        while await _events(index) == known and time.monotonic() < deadline and process.poll() is None:
            await asyncio.sleep(0.003 * (attempt + 1))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        seen.add(await _events(index))
    assert len(seen) > 1
    await index.catch_up()
    await index.assert_cash_is_the_chain_s()
    await index.assert_rebuilt_the_same()
    said = await standing(index)
    assert len(said) == len(set(said))


def test_the_command_follows_and_stops_in_order(
    open_day: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'index.db'}"
    given = options(open_day, url)
    process = start(open_day, url)
    try:
        wait_until(lambda: behind(given, capsys) == 0)
        deposit_times(open_day, 4, 7)
        wait_until(lambda: behind(given, capsys) == 0)
    finally:
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert json.loads(out)["head"] == open_day.chain.block_number()
    assert main(["index", "rebuild", "--verify", *given]) == 0
    assert json.loads(capsys.readouterr().out)["different"] == []
    assert main(["index", "rebuild", *given]) == 0
    assert json.loads(capsys.readouterr().out)["block"] == open_day.chain.block_number()


def behind(given: list[str], capsys: pytest.CaptureFixture[str]) -> int:
    assert main(["index", "status", *given]) == 0
    return int(json.loads(capsys.readouterr().out)["behind"])


def wait_until(holds: object) -> None:
    assert callable(holds)
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_database_of_another_deployment_is_refused(
    open_day: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = options(open_day, f"sqlite+aiosqlite:///{tmp_path / 'index.db'}")
    assert main(["index", "run", "--once", *given]) == 0
    assert main(["index", "run", "--once", "--from-block", "-1", *given]) == 2
    assert "--from-block" in capsys.readouterr().err
    given[3] = "0x" + open_day.token.address.hex()
    assert main(["index", "run", "--once", *given]) == 2
    assert "trellis: error:" in capsys.readouterr().err
