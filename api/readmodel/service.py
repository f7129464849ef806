"""The indexer as a process of its own."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api import logs
from api.chain import ChainReader
from api.db.engine import open_engine, sessions_of
from api.db.migrate import upgrade
from api.readmodel.indexer import Indexer, Step
from api.readmodel.source import Source, first_block, watch
from api.readmodel.store import Store
from api.settings import Settings
from settlement.audit.cli import read_address


@asynccontextmanager
async def opened(settings: Settings, from_block: int | None = None) -> AsyncIterator[Indexer]:
    """An indexer of the settings' deployment, its database brought up to date. InputError if there is no
    Exchange, or the database is another's.
    """
    logs.configure(settings.log_level)
    chain = ChainReader(settings.rpc, read_address(settings.exchange), settings.chain_timeout_s)
    engine = open_engine(settings.database_url)
    try:
        watched = await watch(chain)
        await upgrade(engine)
        store = Store(sessions_of(engine), watched)
        first = await store.adopt(await first_block(chain) if from_block is None else from_block)
        yield Indexer(
            Source(chain, watched), store, first, batch=settings.index_batch, undo=settings.index_undo_blocks
        )
    finally:
        await chain.close()
        await engine.dispose()


async def follow(indexer: Indexer, poll_s: float) -> Step:
    """Until SIGTERM or SIGINT; where it stands then."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, stop.set)
    await indexer.run(stop, poll_s)
    head = await indexer.store.head()
    number = indexer.first_block - 1 if head is None else head.number
    return Step(number, latest=await indexer.source.latest())
