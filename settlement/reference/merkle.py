"""The positional Merkle tree that commits a book's orders or a day's readings (docs/formats.md, Book
commitment).

Its depth is 20. Leaves fill positions from 0 in their order; empty positions are the zero word. Because the
position is proved with the leaf, two neighbours in ascending order prove that nothing lies between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from settlement.reference.eip712 import keccak
from settlement.reference.errors import InvalidProof, TooManyLeaves
from settlement.reference.words import check_hash

DEPTH = 20
MOST_LEAVES = (1 << DEPTH) - 1
ZERO = bytes(32)


def leaf_hash(order_hash: bytes) -> bytes:
    """The leaf of an order: its hash, marked so that no node can pass for a leaf."""
    return keccak(b"\x00" + check_hash("order_hash", order_hash))


def node_hash(left: bytes, right: bytes) -> bytes:
    """The parent of two neighbours."""
    return keccak(b"\x01" + left + right)


def _zeros() -> tuple[bytes, ...]:
    zeros = [ZERO]
    for _ in range(DEPTH):
        zeros.append(node_hash(zeros[-1], zeros[-1]))
    return tuple(zeros)


ZEROS = _zeros()
"""`ZEROS[i]` is the root of an empty subtree of height i."""


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """The nodes of every level up to the root's, without those of empty subtrees."""
    if len(leaves) > MOST_LEAVES:
        raise TooManyLeaves(len(leaves))
    levels = [[check_hash("leaf", leaf) for leaf in leaves]]
    for height in range(DEPTH):
        nodes = levels[-1] + [ZEROS[height]] * (len(levels[-1]) % 2)
        levels.append([node_hash(nodes[i], nodes[i + 1]) for i in range(0, len(nodes), 2)])
    return levels


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over `leaves`; TooManyLeaves above 2^20 - 1 of them."""
    top = _levels(leaves)[DEPTH]
    return top[0] if top else ZEROS[DEPTH]


def proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The 20 siblings of position `index`, lowest first. The leaf of an empty position is the zero word."""
    if not 0 <= index <= MOST_LEAVES:
        raise InvalidProof(index)
    siblings = []
    for height, nodes in enumerate(_levels(leaves)[:DEPTH]):
        sibling = (index >> height) ^ 1
        siblings.append(nodes[sibling] if sibling < len(nodes) else ZEROS[height])
    return tuple(siblings)


def verify(root: bytes, leaf: bytes, index: int, proof: Sequence[bytes]) -> bool:
    """Whether `leaf` is at position `index` under `root`. InvalidProof if this tree has no such proof."""
    if len(proof) != DEPTH or not 0 <= index <= MOST_LEAVES:
        raise InvalidProof(index)
    node = check_hash("leaf", leaf)
    for height, sibling in enumerate(proof):
        check_hash("sibling", sibling)
        node = node_hash(sibling, node) if index >> height & 1 else node_hash(node, sibling)
    return node == root


@dataclass(frozen=True)
class Frontier:
    """A tree read from left to right, of which only what is still needed is kept."""

    count: int = 0
    """Leaves appended so far."""
    words: tuple[bytes, ...] = (ZERO,) * DEPTH
    """Word i is the left sibling that waits at level i, zero where none waits."""

    def append(self, leaf: bytes) -> "Frontier":
        """The frontier with one more leaf; TooManyLeaves at 2^20 - 1."""
        if self.count >= MOST_LEAVES:
            raise TooManyLeaves(self.count)
        words, node, height = list(self.words), check_hash("leaf", leaf), 0
        while self.count >> height & 1:
            node, words[height] = node_hash(words[height], node), ZERO
            height += 1
        words[height] = node
        return Frontier(self.count + 1, tuple(words))

    def root(self) -> bytes:
        """The root over the leaves appended so far, the rest empty."""
        node = ZEROS[0]
        for height in range(DEPTH):
            if self.count >> height & 1:
                node = node_hash(self.words[height], node)
            else:
                node = node_hash(node, ZEROS[height])
        return node
