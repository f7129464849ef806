"""A real server, killed with SIGKILL while orders come in: no receipt is ever lost, none given twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import KINDS, create_database

from api.bench import load, measure
from api.bench.load import Taken, request
from api.bench.market import Market, running_market
from api.bench.server import HOST, Server
from api.db.engine import open_engine, sessions_of
from api.intake.store import IntakeStore
from settlement.chain import packed
from settlement.reference import orders

pytestmark = pytest.mark.anyio

WALLETS, EACH, KILLS, CONNECTIONS = 8, 60, 4, 8
SEED = 7


@pytest.fixture(scope="module")
def market() -> Iterator[Market]:
    with running_market(WALLETS) as found:
        yield found


@pytest.fixture(params=KINDS)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'kills.db'}"
    return await create_database(request.getfixturevalue("postgres"))


async def test_what_a_killed_server_gave_a_receipt_for_is_in_the_sealed_book_once(
    market: Market, database: str, tmp_path: Path
) -> None:
    draw = random.Random(SEED)
    values = measure.server_settings(market, tmp_path, database)
    await measure.index(values)
    server, everything = Server(values, tmp_path), list[Taken]()
    given = [order for group in market.signed(EACH) for order in group]
    draw.shuffle(given)
    try:
        for part in range(KILLS):
            await _start(server)
            token = await load.login(HOST, server.port, market.wallets[0])
            bodies = [request("/v1/orders", measure.body_of(one), token) for one in given[part::KILLS]]
            everything.append(await _until_killed(server, bodies, draw.randint(1, len(bodies) // 2)))
        await _start(server)
        token = await load.login(HOST, server.port, market.wallets[0])
        bodies = [request("/v1/orders", measure.body_of(one), token) for one in given]
        again = await load.run(HOST, server.port, _dealt(bodies), 120)
    finally:
        server.kill()
    await _compare(market, database, everything, again, len(given))


async def _start(server: Server) -> None:
    """Until what the killed one held is free."""
    await asyncio.to_thread(server.start)
    await asyncio.sleep(1.1)


async def _until_killed(server: Server, bodies: list[bytes], answers: int) -> Taken:
    """What came back before the server was killed, so many answers on."""
    taken = Taken()
    running = asyncio.create_task(load.run(HOST, server.port, _dealt(bodies), 120, taken))
    while len(taken.seconds) < answers and not running.done():
        await asyncio.sleep(0.001)
    server.kill()
    return await running


async def _compare(market: Market, database: str, killed: list[Taken], again: Taken, count: int) -> None:
    found = {one["order"]: one["receipt"] for one in again.receipts}
    assert again.refused == [], f"seed {SEED}"
    assert len(found) == count
    assert sorted(int(one["sequence"]) for one in found.values()) == list(range(count))
    before = [one for taken in killed for one in taken.receipts]
    assert before
    assert all(found[one["order"]] == one["receipt"] for one in before), f"seed {SEED}"
    assert await measure.lost_receipts(market, database, [*killed, again]) == 0
    engine = open_engine(database)
    try:
        gate = market.session.params.gate
        sealed = await IntakeStore(sessions_of(engine)).seal(market.session, gate)
    finally:
        await engine.dispose()
    hashes = ["0x" + packed.order_hash(market.exchange.separator, one.schedule).hex() for one in sealed]
    assert sorted(hashes) == sorted(found)
    assert orders.order_hash(market.exchange.separator, sealed[0].schedule).hex() == hashes[0][2:]


def _dealt(bodies: list[bytes]) -> list[list[bytes]]:
    return [bodies[start::CONNECTIONS] for start in range(CONNECTIONS)]
