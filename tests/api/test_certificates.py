"""Certificates by product are what the chain says they are, whoever has them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import index_world  # noqa: F401  (puts tests/chain on the path)
import pytest
from chain_world import (
    DAY,
    PROSUMERS,
    QUALITIES,
    TRADERS,
    WINDOW_LENGTH,
    WINDOWS,
    World,
    running_world,
    settle_entries,
)
from index_world import Index, indexed
from sqlalchemy import select
from test_day import small_book

from api.db.market_models import Certificate, Settlement
from settlement.chain.rpc import to_bytes, to_hex
from settlement.reference import product_id
from settlement.reference.product_id import CERTIFICATE, ProductId

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def certified() -> Iterator[World]:
    with running_world() as world:
        session = world.open_session()
        world.clear(session, small_book(world, session), chunk=5)
        produced = ((2900, 2300, 0, 700), (1100, 900, 1300, -5), (-2600,) * 4, (-700, 9000, 9000, 0))
        metered = dict(zip((one.address for one in PROSUMERS), produced, strict=True))
        world.settle(world.sign_posting(settle_entries(metered), per_part=3))
        yield world


@pytest.fixture
async def index(certified: World, database_url: str) -> AsyncIterator[Index]:
    with certified.turned_back():
        async with indexed(certified, database_url) as found:
            await found.catch_up()
            yield found


async def rows_of(index: Index) -> list[Certificate]:
    async with index.store.sessions() as db:
        return list(await db.scalars(select(Certificate)))


async def assert_the_chain_s(index: Index) -> None:
    """Of every product of the day, and everybody."""
    kept = {(to_bytes(one.account), int(one.product, 16)): one.wh for one in await rows_of(index)}
    places = [(account, product) for account in TRADERS for product in every_product()]
    balances = index.world.exchange.views("balanceOf", places)
    found = {place: wh for place, (wh,) in zip(places, balances, strict=True) if wh}
    assert found == {place: wh for place, wh in kept.items() if wh}


def every_product() -> list[int]:
    windows = range(DAY, DAY + WINDOWS)
    products = [ProductId(w, WINDOW_LENGTH, 0, code, CERTIFICATE) for w in windows for code in QUALITIES]
    return [product_id.encode(product) for product in products]


async def test_certificates_by_product_are_the_chain_s_balances(index: Index) -> None:
    rows = await rows_of(index)
    assert len(rows) > 2
    await assert_the_chain_s(index)
    async with index.store.sessions() as db:
        totals = {one.account: one.certified_wh for one in await db.scalars(select(Settlement))}
    for account in {one.account for one in rows}:
        assert totals[account] == sum(one.minted_wh for one in rows if one.account == account)
    assert sum(totals.values()) == sum(one.minted_wh for one in rows)
    assert len({int(one.product, 16) for one in rows}) > 1


async def test_certificates_that_change_hands_are_the_chain_s_too(index: Index) -> None:
    rows = [one for one in await rows_of(index) if one.account == to_hex(PROSUMERS[2].address)]
    product = int(rows[0].product, 16)
    index.world.exchange.send(PROSUMERS[2], "transfer", PROSUMERS[0].address, product, rows[0].wh)
    await index.catch_up()
    await assert_the_chain_s(index)
    assert sum(one.wh - one.minted_wh for one in await rows_of(index)) == 0
    await index.assert_rebuilt_the_same()
