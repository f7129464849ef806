"""A read model beside the chains of tests/chain, and what of the chain it is compared with."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chain"))

from chain_world import World
from sqlalchemy import select

from api.chain import ChainReader
from api.db.engine import open_engine, sessions_of
from api.db.market_models import CashMovement, Member, Order, Position, Session
from api.db.migrate import upgrade
from api.readmodel.indexer import Indexer
from api.readmodel.rebuild import verify
from api.readmodel.source import Source, watch
from api.readmodel.store import Store
from settlement.chain.rpc import to_bytes
from settlement.reference import packed_windows
from settlement.reference.packed_windows import HOME, WIDE


@dataclass
class Index:
    """An indexer of a world's chain."""

    world: World
    indexer: Indexer

    @property
    def store(self) -> Store:
        return self.indexer.store

    async def catch_up(self) -> None:
        step = await self.indexer.catch_up()
        assert step.head == self.world.chain.block_number()

    async def assert_rebuilt_the_same(self) -> None:
        """What is kept is what the chain gives from its first block on."""
        found = await verify(self.indexer.source, self.store, self.indexer.first_block)
        assert found.different == ()
        assert found.tables > 15

    # Against the chain ----------------------------------------------------------------------------------

    async def cash(self) -> dict[bytes, int]:
        """What movements that count leave each member."""
        async with self.store.sessions() as session:
            proved = set(await session.scalars(select(Session.epoch).where(Session.proved_at.is_not(None))))
            found = {to_bytes(one): 0 for one in await session.scalars(select(Member.account))}
            for one in await session.scalars(select(CashMovement)):
                if not one.pending or one.epoch in proved:
                    found[to_bytes(one.account)] += one.amount_nano
        return found

    async def assert_cash_is_the_chain_s(self) -> None:
        """Free cash of everyone, to the last nano. Sums only what is over: no session is being cleared."""
        found = await self.cash()
        on_chain = self.world.exchange.accounts(list(found))
        assert found == {account: one.cash.free for account, one in on_chain.items()}

    async def assert_positions_are_the_chain_s(self) -> int:
        """Slot by slot, before settlement burns them; how many."""
        async with self.store.sessions() as session:
            rows = list(await session.scalars(select(Position)))
        slots = [(to_bytes(one.account), int(one.slot, 16)) for one in rows]
        for row, (word,) in zip(rows, self.world.exchange.views("lanesOf", slots), strict=True):
            lanes = HOME if len(row.wh) == HOME.count else WIDE
            assert row.wh == [packed_windows.get(word, at, lanes) for at in range(lanes.count)]
        return len(rows)

    async def orders(self) -> dict[bytes, Order]:
        async with self.store.sessions() as session:
            return {to_bytes(one.hash): one for one in await session.scalars(select(Order))}


@asynccontextmanager
async def indexed(
    world: World, database_url: str, *, batch: int = 50, undo: int = 1000
) -> AsyncIterator[Index]:
    """An index of the world's chain in an empty database."""
    chain = ChainReader(world.anvil.rpc_url, world.deployment.exchange, timeout_s=10)
    engine = open_engine(database_url)
    try:
        await upgrade(engine)
        watched = await watch(chain)
        store = Store(sessions_of(engine), watched)
        first = await store.adopt(world.deployment.block)
        yield Index(world, Indexer(Source(chain, watched), store, first, batch=batch, undo=undo))
    finally:
        await chain.close()
        await engine.dispose()
