"""The chain's blocks in order, each consistent with itself and with the one before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from settlement.audit import envelope
from settlement.audit.envelope import Json, number
from settlement.audit.findings import Difference, Findings, located
from settlement.audit.node import Node, read
from settlement.chain.errors import NodeError
from settlement.chain.rpc import Log, to_bytes
from settlement.reference.eip712 import keccak

BLOCKS = 50
"""Asked for at once: a full one may take megabytes."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction and what became of it."""

    hash: bytes
    sender: bytes
    to: bytes | None
    data: bytes
    value: int
    """Wei sent along; the Exchange takes none."""
    gas: int
    gas_used: int
    succeeded: bool
    created: bytes | None
    """Address of the contract it created."""
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A block whose transactions and receipts are the ones its header commits to."""

    number: int
    hash: bytes
    time: int
    """Unix seconds."""
    sent: tuple[Sent, ...]


class History:
    """Blocks `first` to `last` as one node tells them."""

    def __init__(self, node: Node, chain_id: int, first: int, last: int, findings: Findings) -> None:
        self.node, self.chain_id, self.first, self.last = node, chain_id, first, last
        self.findings = findings
        self.hashes: dict[int, bytes] = {}
        self.hashes_headers: bool | None = None
        """Whether this chain's block hashes are those of Ethereum's headers; known after one block."""

    def __iter__(self) -> Iterator[Block]:
        for start in range(self.first, self.last + 1, BLOCKS):
            numbers = range(start, min(start + BLOCKS, self.last + 1))
            questions = [("eth_getBlockByNumber", [hex(one), True]) for one in numbers]
            raws = list(self.node.ask_many(questions))
            busy = [raw for raw in raws if isinstance(raw, dict) and raw.get("transactions")]
            receipts = dict(zip((raw["number"] for raw in busy), self._receipts(busy), strict=True))
            for one, raw in zip(numbers, raws, strict=True):
                with located(self.node.url, one):
                    yield self._block(one, raw, receipts)

    def _receipts(self, blocks: Sequence[Json]) -> list[list[Json]]:
        """Of each block; one by one where the node has no question for a whole block's."""
        try:
            return list(self.node.ask_many(("eth_getBlockReceipts", [raw["number"]]) for raw in blocks))
        except NodeError:
            return [self._receipts_of(raw) for raw in blocks]

    def _receipts_of(self, block: Json) -> list[Json]:
        hashes = [raw["hash"] for raw in block["transactions"]]
        return list(self.node.ask_many(("eth_getTransactionReceipt", [one]) for one in hashes))

    # One block ------------------------------------------------------------------------------------------

    def _block(self, wanted: int, raw: Any, receipts: dict[str, list[Json]]) -> Block:
        if raw is None:
            raise Difference("blocks", f"block {wanted} is missing")
        found, time, own, parent = read(
            lambda one: (number(one, "number"), number(one, "timestamp"), one["hash"], one["parentHash"]),
            raw,
            "blocks",
            f"block {wanted}",
        )
        if found != wanted:
            raise Difference("blocks", "another block than asked for", wanted, found)
        before = self.hashes.get(wanted - 1)
        if before is not None and to_bytes(parent) != before:
            raise Difference("blocks", "the block does not follow the one before", before, to_bytes(parent))
        self.findings.add("blocks")
        self._check_hash(raw)
        self.hashes[wanted] = to_bytes(own)
        told = receipts.get(raw["number"]) or []
        sent = read(lambda one: self._sent(one, told), raw, "transactions", f"block {wanted}")
        return Block(wanted, to_bytes(own), time, sent)

    def _check_hash(self, raw: Json) -> None:
        """Chains that hash headers otherwise are noted as such; then nothing binds a header to its hash."""
        computed = read(envelope.header_hash, raw, "block hashes", "the block's header")
        same = computed == to_bytes(raw["hash"])
        if self.hashes_headers is None:
            self.hashes_headers = same
            if not same:
                self.findings.checks["block hashes"].note = "not checked: this chain hashes headers otherwise"
        if self.hashes_headers:
            hash_ = to_bytes(raw["hash"])
            self.findings.require(same, "block hashes", "the header has another hash", computed, hash_)

    def _sent(self, block: Json, receipts: Sequence[Json]) -> tuple[Sent, ...]:
        raws = block.get("transactions") or []
        if len(raws) != len(receipts):
            raise Difference("receipts", "not one receipt a transaction", len(raws), len(receipts))
        root = envelope.root_of([self._encoded(raw) for raw in raws])
        told = to_bytes(block["transactionsRoot"])
        self.findings.require(
            root == told, "transaction roots", "the block has other transactions", told, root
        )
        self._check_receipts(block, receipts)
        used = [0, *(number(one, "cumulativeGasUsed") for one in receipts)]
        each = zip(raws, receipts, pairwise(used), strict=True)
        return tuple(self._one(raw, receipt, after - before) for raw, receipt, (before, after) in each)

    def _encoded(self, raw: Json) -> bytes:
        data = read(envelope.encode_transaction, raw, "transactions", "a transaction")
        told = to_bytes(raw["hash"])
        with located(transaction=told):
            if keccak(data) != told:
                raise Difference("transactions", "the transaction has another hash", keccak(data), told)
            sender = read(envelope.sender_of, raw, "transactions", "the transaction's signature")
            if sender != to_bytes(raw["from"]):
                raise Difference("transactions", "another sender signed", sender, to_bytes(raw["from"]))
            chain = envelope.chain_of(raw)
            if chain not in (None, self.chain_id):
                raise Difference("transactions", "signed for another chain", self.chain_id, chain)
        self.findings.add("transactions")
        return data

    def _check_receipts(self, block: Json, receipts: Sequence[Json]) -> None:
        encoded = [read(envelope.encode_receipt, raw, "receipts", "a receipt") for raw in receipts]
        root, told = envelope.root_of(encoded), to_bytes(block["receiptsRoot"])
        if root != told:
            raise Difference("receipts", "the block has other receipts", told, root)
        bloom = envelope.bloom_of([one for raw in receipts for one in envelope.logs_of(raw)])
        if bloom != to_bytes(block["logsBloom"]):
            raise Difference("receipts", "the block's filter is of other logs", bloom, block["logsBloom"])
        self.findings.add("receipts", len(receipts))

    def _one(self, raw: Json, receipt: Json, gas_used: int) -> Sent:
        own = to_bytes(raw["hash"])
        with located(transaction=own):
            if to_bytes(receipt["transactionHash"]) != own:
                raise Difference("receipts", "the receipt of another transaction", own, receipt)
            return read(lambda _: _sent(raw, receipt, gas_used), raw, "receipts", "the receipt")


def _sent(raw: Json, receipt: Json, gas_used: int) -> Sent:
    """Of the receipt only what its block's root binds."""
    sender, to = envelope.sender_of(raw), to_bytes(raw.get("to")) or None
    created = None if to else envelope.created_by(raw, sender)
    succeeded = number(receipt, "status") == 1
    return Sent(
        hash=to_bytes(raw["hash"]),
        sender=sender,
        to=to,
        data=to_bytes(raw["input"]),
        value=number(raw, "value"),
        gas=number(raw, "gas"),
        gas_used=gas_used,
        succeeded=succeeded,
        created=created if succeeded else None,
        logs=envelope.logs_of(receipt),
    )
