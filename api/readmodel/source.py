"""Blocks from a node, each consistent in itself.

Logs are asked for by the hash of their block, never by its number: what a node says of another block in its
place can then not slip in between. Blocks whose filter (`logsBloom`) excludes the watched contracts are not
asked for logs at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from api.chain import ChainReader
from api.readmodel.blocks import Head, ReadBlock, Sent, Watched
from settlement.chain.abi import exchange_interface
from settlement.chain.errors import ChainError, NodeError
from settlement.chain.rpc import Call, log, to_bytes, to_hex
from settlement.errors import InputError
from settlement.reference.eip712 import keccak

BLOOM_BITS = 2048
HEAVY = 20
"""Answers of up to 128 KiB of calldata each, hex, that fit one answer over HTTP."""


class Moved(ChainError):
    """The chain was reorganised while it was read: ask again."""


class Source:
    """One deployment as its node tells it."""

    def __init__(self, chain: ChainReader, watched: Watched) -> None:
        self.chain, self.watched = chain, watched
        self._masks = [bloom_mask(one) for one in watched.contracts]
        self._contracts = [to_hex(one) for one in watched.contracts]

    async def latest(self) -> int:
        """Number of the node's latest block."""
        return await self.chain.block_number()

    async def hashes(self, numbers: Sequence[int]) -> list[bytes | None]:
        """Hashes of blocks; None for those that are not there."""
        raws = await self.chain.rpc_many([("eth_getBlockByNumber", (hex(one), False)) for one in numbers])
        return [None if raw is None else to_bytes(raw["hash"]) for raw in raws]

    async def blocks(self, first: int, last: int) -> list[ReadBlock]:
        """Blocks `first` to `last` with what they told. Moved if they do not follow one another."""
        asked = [("eth_getBlockByNumber", (hex(one), False)) for one in range(first, last + 1)]
        raws = await self.chain.rpc_many(asked)
        if any(raw is None for raw in raws):
            raise Moved(f"blocks {first} to {last} are not all there any more")
        heads = [_head(raw) for raw in raws]
        for before, after in pairwise(heads):
            if after.parent != before.hash:
                raise Moved(f"block {after.number} does not follow block {before.number}")
        told = [head for head, raw in zip(heads, raws, strict=True) if self._may_tell(raw)]
        logs = await self._logs(told)
        sent = await self._sent([raw for each in logs.values() for raw in each])
        return [ReadBlock(head, _of_block(logs.get(head.hash, []), sent)) for head in heads]

    def _may_tell(self, raw: Any) -> bool:
        bloom = int(raw["logsBloom"], 16)
        return any(bloom & mask == mask for mask in self._masks)

    async def _logs(self, heads: Sequence[Head]) -> dict[bytes, list[Any]]:
        """Raw logs by the hash of their block."""
        queries = [{"blockHash": to_hex(one.hash), "address": self._contracts} for one in heads]
        try:
            answers = await self.chain.rpc_many([("eth_getLogs", (one,)) for one in queries], HEAVY)
        except NodeError as error:
            if error.__cause__ is not None:
                raise
            raise Moved("a block is not there any more") from error
        for head, answer in zip(heads, answers, strict=True):
            if any(to_bytes(one["blockHash"]) != head.hash for one in answer):
                raise Moved(f"the node told logs of another block {head.number}")
        return dict(zip((one.hash for one in heads), answers, strict=True))

    async def _sent(self, logs: Sequence[Any]) -> dict[str, Any]:
        """Raw transactions of raw logs, by hash."""
        hashes = list(dict.fromkeys(one["transactionHash"] for one in logs))
        asked = [("eth_getTransactionByHash", (one,)) for one in hashes]
        found = await self.chain.rpc_many(asked, HEAVY)
        if any(raw is None for raw in found):
            raise Moved("a transaction is not there any more")
        return dict(zip(hashes, found, strict=True))


def _head(raw: Any) -> Head:
    number, time = int(raw["number"], 16), int(raw["timestamp"], 16)
    return Head(number, to_bytes(raw["hash"]), to_bytes(raw["parentHash"]), time)


def _of_block(logs: Sequence[Any], sent: dict[str, Any]) -> tuple[Sent, ...]:
    by_tx: dict[str, list[Any]] = {}
    for one in sorted(logs, key=lambda raw: int(raw["logIndex"], 16)):
        by_tx.setdefault(one["transactionHash"], []).append(one)
    found = [_transaction(sent[hash_], each) for hash_, each in by_tx.items()]
    return tuple(sorted(found, key=lambda one: one.position))


def _transaction(raw: Any, logs: Sequence[Any]) -> Sent:
    return Sent(
        hash=to_bytes(raw["hash"]),
        position=int(logs[0]["transactionIndex"], 16),
        sender=to_bytes(raw["from"]),
        to=to_bytes(raw.get("to")) or None,
        data=to_bytes(raw["input"]),
        logs=tuple(map(log, logs)),
    )


def bloom_mask(address: bytes) -> int:
    """The bits of a block's filter that an event of the address sets (Yellow Paper, 4.3.1)."""
    digest, mask = keccak(address), 0
    for at in (0, 2, 4):
        mask |= 1 << (int.from_bytes(digest[at : at + 2], "big") % BLOOM_BITS)
    return mask


async def watch(chain: ChainReader) -> Watched:
    """The deployment at the reader's address. InputError if nothing answers there."""
    abi = exchange_interface()
    names = ("settlementToken", "authority", "windowLength", "maxPause")
    answers = await chain.call_many([Call(chain.exchange, abi.encode(one)) for one in names])
    if not all(answers):
        raise InputError(f"no Exchange at {to_hex(chain.exchange)}: give its address on this chain")
    token, authority, length, pause = (
        abi.decode(name, answer)[0] for name, answer in zip(names, answers, strict=True)
    )
    return Watched(await chain.chain_id(), chain.exchange, token, authority, length, pause)


async def first_block(chain: ChainReader) -> int:
    """The block that created the Exchange, by halving; 0 where the node keeps no old state."""
    low, high = 0, await chain.block_number()
    try:
        while low < high:
            middle = (low + high) >> 1
            answer = await chain.rpc("eth_getCode", to_hex(chain.exchange), hex(middle))
            low, high = (low, middle) if to_bytes(answer) else (middle + 1, high)
    except NodeError as error:
        if error.__cause__ is not None:
            raise
        return 0
    return low
