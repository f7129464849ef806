"""What a bundle only names, proved with the help of a node that has it."""

from __future__ import annotations

import rlp

from settlement.audit.node import Node
from settlement.chain.rpc import to_bytes, to_hex
from settlement.evidence.bundle import BlockPart, Bundle, TransactionPart, WithheldPart
from settlement.evidence.proved import NUMBER
from settlement.evidence.proving import ProvedBlock, Unprovable

Proof = tuple[BlockPart, TransactionPart]


def complete(bundle: Bundle, node: Node) -> Bundle:
    """The bundle with transactions that the node has in place of their names; the rest stays named. NodeError
    if it does not answer.
    """
    proofs = {one.hash: _proof(node, one) for one in bundle.withheld}
    found = [one for one in proofs.values() if one is not None]
    blocks = {one.hash: one for one in [*bundle.blocks, *(block for block, _ in found)]}
    numbers = {one.hash: _number(one) for one in blocks.values()}
    sent = [*bundle.transactions, *(one for _, one in found)]
    return bundle.model_copy(
        update={
            "blocks": sorted(blocks.values(), key=lambda one: numbers[one.hash]),
            "transactions": sorted(sent, key=lambda one: (numbers.get(one.block, 0), one.index)),
            "withheld": [one for one in bundle.withheld if proofs[one.hash] is None],
        }
    )


def _number(part: BlockPart) -> int:
    """As its header says; whether that is the block's is checked later."""
    try:
        return int.from_bytes(rlp.decode(part.header)[NUMBER], "big")
    except (rlp.DecodingError, IndexError, TypeError):
        return 0


def _proof(node: Node, named: WithheldPart) -> Proof | None:
    sent = node.ask("eth_getTransactionByHash", to_hex(named.hash))
    if sent is None or sent["blockHash"] is None:
        return None
    block = node.ask("eth_getBlockByHash", sent["blockHash"], True)
    asked = [("eth_getTransactionReceipt", (one["hash"],)) for one in block["transactions"]]
    try:
        proved = ProvedBlock(block, list(node.ask_many(asked)))
    except Unprovable:
        return None
    assert to_bytes(sent["blockHash"]) == proved.part.hash, "the block was asked for by its hash"
    return proved.part, proved.prove(named.hash)
