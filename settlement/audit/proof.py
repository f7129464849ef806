"""The Exchange's account, proved against a block's state root: it stores what the replay left, to the last
word.

anvil's roots count words that were written and became zero again, as no other engine's do: it is asked for
all its words instead, and trusted with the answer.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping

import rlp
from trie.exceptions import BadTrieProof
from trie.hexary import HexaryTrie

from settlement.audit import storage
from settlement.audit.findings import Difference, Findings
from settlement.audit.layout import storage_words
from settlement.audit.node import Node, read
from settlement.chain.compile import compile_contracts
from settlement.chain.errors import NoAnswer, NodeError
from settlement.chain.rpc import to_bytes, to_hex
from settlement.reference.eip712 import keccak
from settlement.reference.exchange import Exchange
from settlement.reference.words import word

Words = Mapping[int, int]


def check(
    node: Node, address: bytes, authority: bytes, block: int, exchange: Exchange, findings: Findings
) -> None:
    """Difference unless all that the Exchange stores is what the replay left."""
    expected = storage_words(
        compile_contracts()["Exchange"].storage_layout, storage.values(exchange, authority)
    )
    try:
        if node.ask("web3_clientVersion").startswith("anvil"):
            _compare(expected, dumped_words(node, address))
        else:
            _compare_roots(root_of(expected), proved_root(node, address, block))
    except NoAnswer:
        raise
    except NodeError:
        findings.checks["storage"].note = "not checked: the node proves no accounts (eth_getProof)"
        return
    findings.add("storage", len(expected))


def _compare(expected: Words, found: Words) -> None:
    for slot in sorted(expected.keys() | found.keys()):
        if expected.get(slot, 0) != found.get(slot, 0):
            what = f"slot {hex(slot)} has another word than the calls wrote"
            raise Difference("storage", what, hex(expected.get(slot, 0)), hex(found.get(slot, 0)))


def _compare_roots(expected: bytes, found: bytes) -> None:
    if expected != found:
        raise Difference("storage", "it stores other words than its calls wrote", expected, found)


# Of one engine --------------------------------------------------------------------------------------------


def dumped_words(node: Node, address: bytes) -> dict[int, int]:
    """Every word of an account by slot, zeros too, as anvil tells them."""
    raw = node.ask("anvil_dumpState")
    state = read(lambda told: json.loads(gzip.decompress(to_bytes(told))), raw, "storage", "the dump")
    words = read(lambda told: told["accounts"][to_hex(address)]["storage"], state, "storage", "the dump")
    return {int(slot, 16): int(value, 16) for slot, value in words.items()}


# Of all others --------------------------------------------------------------------------------------------


def proved_root(node: Node, address: bytes, block: int) -> bytes:
    """Root of an account's storage, proved against the block's state root."""
    told = node.ask("eth_getProof", to_hex(address), [], hex(block))
    header = node.ask("eth_getBlockByNumber", hex(block), False)
    nodes = read(lambda raw: [to_bytes(one) for one in raw["accountProof"]], told, "storage", "the proof")
    return storage_root_of(to_bytes(header["stateRoot"]), address, nodes)


def storage_root_of(state_root: bytes, address: bytes, nodes: Iterable[bytes]) -> bytes:
    """Root of its storage, by the nodes of the state's tree that lead there; Difference if none do."""
    try:
        account = HexaryTrie.get_from_proof(  # type: ignore[no-untyped-call]
            state_root, keccak(address), [rlp.decode(one) for one in nodes]
        )
        _, _, storage_root, _ = rlp.decode(account)
    except (BadTrieProof, rlp.DecodingError, ValueError) as cause:
        raise Difference("storage", f"the account is not proved ({cause})", state_root) from cause
    return bytes(storage_root)


def root_of(words: Words) -> bytes:
    """Root of the tree over words by slot (Ethereum Yellow Paper, appendix D)."""
    tree = HexaryTrie({}, prune=True)
    for slot, value in words.items():
        tree[keccak(word(slot))] = rlp.encode(value)
    return bytes(tree.root_hash)
