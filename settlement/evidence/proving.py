"""Making proofs: a block's header, and the paths of one of its transactions, from what a node answers.

The whole of a block is needed to prove one transaction of it. Nothing here is believed by whoever checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import rlp
from trie.hexary import HexaryTrie

from settlement.audit import envelope
from settlement.audit.envelope import Json
from settlement.chain.errors import ChainError
from settlement.chain.rpc import to_bytes
from settlement.evidence.bundle import BlockPart, TransactionPart


class Unprovable(ChainError):
    """The node's answers do not lead to the block's hash: its chain hashes otherwise, or they are wrong."""


class ProvedBlock:
    """A block, `eth_getBlockByNumber` with its transactions, and the receipts of all of them in order."""

    def __init__(self, block: Json, receipts: Sequence[Json]) -> None:
        """Unprovable unless headers, transactions and receipts hash to what the block says."""
        self.block, self._sent = block, [envelope.encode_transaction(one) for one in block["transactions"]]
        self._receipts = [envelope.encode_receipt(one) for one in receipts]
        self.part = BlockPart(hash=to_bytes(block["hash"]), header=envelope.encode_header(block))
        roots = to_bytes(block["transactionsRoot"]), to_bytes(block["receiptsRoot"])
        found = bytes(self._trees[0].root_hash), bytes(self._trees[1].root_hash)
        if envelope.header_hash(block) != self.part.hash or found != roots:
            raise Unprovable(f"block {self.number}: its header and transactions do not hash to what it says")

    @cached_property
    def _trees(self) -> tuple[HexaryTrie, HexaryTrie]:
        return tree_of(self._sent), tree_of(self._receipts)

    @property
    def number(self) -> int:
        return int(self.block["number"], 16)

    def prove(self, hash_: bytes) -> TransactionPart:
        """A transaction of the block, by its hash."""
        index = next(
            at for at, one in enumerate(self.block["transactions"]) if to_bytes(one["hash"]) == hash_
        )
        return TransactionPart(
            hash=hash_,
            block=self.part.hash,
            index=index,
            transaction=path_to(self._trees[0], index),
            receipt=path_to(self._trees[1], index),
        )


def tree_of(items: Sequence[bytes]) -> HexaryTrie:
    """A block's tree of transactions or receipts, by position (Ethereum Yellow Paper, section 4.3.2)."""
    tree = HexaryTrie({})
    for index, item in enumerate(items):
        tree[rlp.encode(index)] = item
    return tree


def path_to(tree: HexaryTrie, index: int) -> list[bytes]:
    """The nodes from the root down to a position, each as its RLP."""
    return [bytes(rlp.encode(node)) for node in tree.get_proof(rlp.encode(index))]  # type: ignore[no-untyped-call]
