"""Keeps the read model where the chain is: forward, and back where the chain was reorganised."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from sqlalchemy.exc import InterfaceError, OperationalError

from api import logs
from api.readmodel.source import Moved, Source
from api.readmodel.store import Stale, Store, TooDeep
from settlement.chain.errors import ChainError

BATCH = 50
"""Blocks read and written at once."""
UNDO_BLOCKS = 10_000
"""How far back blocks can be taken back without reading everything again."""
AGAIN_S = 0.05
SEARCH = 64
"""Blocks compared at once while the last common one is looked for."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did."""

    head: int
    """Where the read model stands; below the first block if it is empty."""
    applied: int = 0
    """Blocks added."""
    taken_back: bool = False
    latest: int = 0
    """Where the chain is."""

    @property
    def idle(self) -> bool:
        return not self.applied and not self.taken_back


class Indexer:
    """One process that writes the read model. Several may run: a block is written once."""

    def __init__(
        self, source: Source, store: Store, first_block: int, *, batch: int = BATCH, undo: int = UNDO_BLOCKS
    ) -> None:
        self.source, self.store, self.first_block = source, store, first_block
        self.batch, self.undo = batch, undo
        self._forgotten = first_block

    async def step(self, up_to: int | None = None) -> Step:
        """Adds the next blocks, or takes back those that are not the chain's any more. Moved if the chain
        changes meanwhile, NodeError if the node does not answer.
        """
        latest = await self.source.latest()
        wanted = latest if up_to is None else min(latest, up_to)
        head = await self.store.head()
        if head is None:
            return await self._forward(self.first_block, wanted, None, latest)
        if latest < head.number or wanted == head.number:
            (found,) = await self.source.hashes([head.number])
            if found != head.hash:
                return await self._back(head.number, latest)
            return Step(head.number, latest=latest)
        return await self._forward(head.number + 1, wanted, head.hash, latest)

    async def _forward(self, first: int, wanted: int, parent: bytes | None, latest: int) -> Step:
        last = min(wanted, first + self.batch - 1)
        if last < first:
            return Step(first - 1, latest=latest)
        blocks = await self.source.blocks(first, last)
        if parent is not None and blocks[0].head.parent != parent:
            return await self._back(first - 1, latest)
        await self.store.apply(blocks)
        if last - self.undo >= self._forgotten + self.batch:
            self._forgotten = last - self.undo
            await self.store.forget_undo(self._forgotten)
        return Step(last, len(blocks), latest=latest)

    async def _back(self, head: int, latest: int) -> Step:
        ancestor = await self._common(head)
        try:
            await self.store.take_back(ancestor)
        except TooDeep:
            logs.event("reorganised further back than undone: reading everything again", block=ancestor)
            await self.store.wipe(ancestor)
            return Step(self.first_block - 1, taken_back=True, latest=latest)
        return Step(ancestor, taken_back=True, latest=latest)

    async def _common(self, head: int) -> int:
        """The last block that is the chain's and the read model's; below the first if there is none."""
        for top in range(head, self.first_block - 1, -SEARCH):
            numbers = range(top, max(top - SEARCH, self.first_block - 1), -1)
            kept = await self.store.hashes(numbers)
            found = await self.source.hashes(sorted(kept, reverse=True))
            for number, hash_ in zip(sorted(kept, reverse=True), found, strict=True):
                if kept[number] == hash_:
                    return number
        return self.first_block - 1

    async def catch_up(self, up_to: int | None = None) -> Step:
        """Steps until the read model is where the chain is."""
        while True:
            try:
                step = await self.step(up_to)
            except (Moved, Stale):  # the chain moved, or another process was faster: look again
                await asyncio.sleep(AGAIN_S)
                continue
            if step.idle:
                return step

    async def run(self, stop: asyncio.Event, poll_s: float) -> None:
        """Until told to stop; a node that does not answer is asked again."""
        told = None
        while not stop.is_set():
            try:
                step = await self.catch_up()
                if step.head != told:
                    logs.event("indexed", block=step.head, latest=step.latest)
                    told = step.head
            except ChainError as error:
                logs.event("the chain cannot be read", logging.WARNING, reason=str(error))
            except (OperationalError, InterfaceError, OSError) as error:
                logs.event("the database does not answer", logging.WARNING, reason=type(error).__name__)
            try:
                await asyncio.wait_for(stop.wait(), poll_s)
            except TimeoutError:
                continue
