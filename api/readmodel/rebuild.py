"""The read model made again from the chain, to compare or to replace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from api.db.engine import open_engine, sessions_of
from api.db.migrate import upgrade
from api.readmodel.digest import digests
from api.readmodel.indexer import Indexer
from api.readmodel.source import Source
from api.readmodel.store import Store
from settlement.errors import TrellisError


class NotTheChain(TrellisError):
    """The read model is of blocks that are not the chain's any more."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The kept read model against one made from nothing."""

    block: int
    """Up to which both are."""
    tables: int
    different: tuple[str, ...]
    """Tables whose rows are not the same."""

    @property
    def same(self) -> bool:
        return not self.different


async def verify(source: Source, store: Store, first_block: int) -> Comparison:
    """Reads the chain again, up to where the kept read model stands, into an empty database of its own."""
    head = await store.head()
    if head is None:
        return Comparison(first_block - 1, 0, ())
    kept = await digests(store.sessions)
    async with scratch(source) as fresh:
        await fresh.adopt(first_block)
        await Indexer(source, fresh, first_block).catch_up(head.number)
        reached, again = await fresh.head(), await store.head()
        if reached is None or again != head or reached.hash != head.hash:
            raise NotTheChain(
                f"block {head.number} moved while it was compared: stop the indexer or the chain, and repeat"
            )
        made = await digests(fresh.sessions)
    different = tuple(name for name in kept if kept[name] != made[name])
    return Comparison(head.number, len(kept), different)


@asynccontextmanager
async def scratch(source: Source) -> AsyncIterator[Store]:
    """An empty database that is gone afterwards."""
    with TemporaryDirectory(prefix="trellis-rebuild-") as folder:
        engine = open_engine(f"sqlite+aiosqlite:///{Path(folder) / 'again.db'}", durable=False)
        try:
            await upgrade(engine)
            yield Store(sessions_of(engine), source.watched)
        finally:
            await engine.dispose()


async def rebuild(indexer: Indexer) -> int:
    """Empties the read model and reads everything again; where it stands then. The stream does not repeat
    what it said.
    """
    head = await indexer.store.head()
    await indexer.store.wipe(indexer.first_block - 1 if head is None else head.number)
    return (await indexer.catch_up()).head
