"""Proofs of transactions, asked of the node and kept: a block is read once for all that is asked of it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool

from api.chain import ChainReader
from settlement.chain.rpc import to_bytes, to_hex
from settlement.evidence.bundle import BlockPart, TransactionPart
from settlement.evidence.proving import ProvedBlock, Unprovable

MOST_KEPT = 256
"""Proved transactions in memory: one of a chunk takes up to 128 KiB."""
MOST_IN_BLOCK = 2000
"""Transactions of a block that is read to prove one of them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a transaction is."""

    tx_hash: str
    block_hash: str


Proof = tuple[BlockPart, TransactionPart]


class Prover:
    """Proves transactions of one node's chain, one block at a time."""

    def __init__(self, chain: ChainReader) -> None:
        self._chain, self._turn = chain, asyncio.Semaphore(1)
        self._kept: OrderedDict[Place, Proof] = OrderedDict()

    async def prove(self, places: Sequence[Place]) -> dict[Place, Proof]:
        """Of those that can be proved: not of blocks that are too large, hash otherwise or are gone."""
        found = {place: self._kept[place] for place in places if place in self._kept}
        missing: dict[str, list[Place]] = {}
        for place in places:
            if place not in found:
                missing.setdefault(place.block_hash, []).append(place)
        for block_hash, of_block in missing.items():
            async with self._turn:
                found |= await self._of_block(block_hash, of_block)
        self._keep(found.items())
        return found

    async def _of_block(self, block_hash: str, places: Sequence[Place]) -> dict[Place, Proof]:
        block = await self._chain.rpc("eth_getBlockByHash", block_hash, True)
        if block is None or len(block["transactions"]) > MOST_IN_BLOCK:
            return {}
        asked = [("eth_getTransactionReceipt", (one["hash"],)) for one in block["transactions"]]
        receipts = await self._chain.rpc_many(asked)
        if any(one is None or one["blockHash"] != block["hash"] for one in receipts):
            return {}
        try:
            return await run_in_threadpool(_prove, block, receipts, places)
        except Unprovable:
            return {}

    def _keep(self, found: Iterable[tuple[Place, Proof]]) -> None:
        for place, proof in found:
            self._kept[place] = proof
            self._kept.move_to_end(place)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)


def _prove(block: Any, receipts: Sequence[Any], places: Sequence[Place]) -> dict[Place, Proof]:
    proved = ProvedBlock(block, receipts)
    assert to_hex(proved.part.hash) == places[0].block_hash, "the block was asked for by its hash"
    return {place: (proved.part, proved.prove(to_bytes(place.tx_hash))) for place in places}
