"""The whole of a bundle checked, and what its block hashes are held against."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import rlp

from settlement.audit.node import Node
from settlement.chain.errors import NoAnswer
from settlement.chain.rpc import to_bytes, to_hex
from settlement.evidence import clearing, ordering, settling
from settlement.evidence.bundle import BlockPart, Bundle
from settlement.evidence.proved import NUMBER, prove
from settlement.evidence.report import Missing, Report, Wrong, require
from settlement.evidence.subject import Subject
from settlement.reference.eip712 import keccak


def verify(
    bundle: Bundle,
    *,
    trusted: Collection[bytes] = (),
    nodes: Sequence[Node] = (),
    exchange: bytes | None = None,
) -> Report:
    """Every check. `trusted` are hashes of blocks and `exchange` an address that the caller knows; each of
    `nodes` must have all of the bundle's blocks.
    """
    report = Report()
    _place(bundle, report, exchange)
    subject = Subject(bundle, prove(bundle, report))
    ordering.check(subject, report)
    clearing.check(subject, report)
    settling.check(subject, report)
    _anchors(bundle, report, trusted, nodes)
    return report


def _place(bundle: Bundle, report: Report, exchange: bytes | None) -> None:
    report.add("format", "holds", "a bundle of this version", "/format", "/version")
    if exchange is None:
        name = f"Exchange {to_hex(bundle.exchange)} on chain {bundle.chain_id}"
        why = f"the evidence is of {name}: give --address to have it compared with yours"
        report.add("exchange", "unchecked", why)
        return
    with report.check("exchange", "the one that was asked for", "/exchange"):
        require(bundle.exchange, exchange, "the Exchange")


def _anchors(bundle: Bundle, report: Report, trusted: Collection[bytes], nodes: Sequence[Node]) -> None:
    """Without these a whole chain could be made up: everything else rests on the hashes of blocks."""
    for node in nodes:
        with report.check(f"chain of {node.url}", "the bundle's", "/chain_id"):
            require(bundle.chain_id, _chain_id(node), "the chain's id")
    for place, part in enumerate(bundle.blocks):
        name, at = f"block hash {to_hex(part.hash)[:10]}", f"/blocks/{place}/hash"
        if part.hash in trusted:
            report.add(name, "holds", "one that you trust", at)
        elif not nodes:
            why = "confirm it: with --rpc of a node that you trust, or --trusted-block"
            report.add(name, "unchecked", why, at)
        else:
            with report.check(name, f"the hash that {len(nodes)} nodes have", at):
                for node in nodes:
                    _check_node(part, node)


def _chain_id(node: Node) -> int:
    try:
        return node.chain_id()
    except NoAnswer as cause:
        raise Missing(f"{node.url} does not answer") from cause


def _check_node(part: BlockPart, node: Node) -> None:
    number = int.from_bytes(_fields(part)[NUMBER], "big")
    try:
        found = node.ask("eth_getBlockByNumber", hex(number), False)
    except NoAnswer as cause:
        raise Missing(f"{node.url} does not answer") from cause
    if found is None:
        raise Wrong(f"{node.url} has no block {number}")
    require(part.hash, to_bytes(found["hash"]), f"the hash of block {number} at {node.url}")


def _fields(part: BlockPart) -> list[bytes]:
    require(part.hash, keccak(part.header), "the header's hash")
    return list(rlp.decode(part.header))
