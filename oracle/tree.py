"""The positional Merkle tree of `settlement.reference.merkle`, over many leaves and with many proofs.

Each level is one blob of its nodes, 32 bytes each; empty subtrees are not kept. Tests hold root and proofs
equal to the reference's.
"""

from __future__ import annotations

from dataclasses import dataclass

from oracle.errors import OutOfRange
from settlement.reference import merkle
from settlement.reference.eip712 import keccak

HASH_BYTES = 32


@dataclass(frozen=True)
class Tree:
    """The nodes over up to 2^20 - 1 leaves."""

    levels: tuple[bytes, ...]
    """Blobs from the leaves up to the root's level."""

    @property
    def root(self) -> bytes:
        return self.levels[-1] or merkle.ZEROS[merkle.DEPTH]

    def leaf(self, index: int) -> bytes:
        """The leaf at a position; OutOfRange if there is none."""
        if not 0 <= index < len(self.levels[0]) // HASH_BYTES:
            raise OutOfRange(index, "the tree has no such leaf")
        return self._node(0, index)

    def proof(self, index: int) -> tuple[bytes, ...]:
        """The 20 siblings of a position, lowest first; OutOfRange if there is no leaf."""
        self.leaf(index)
        return tuple(self._node(height, (index >> height) ^ 1) for height in range(merkle.DEPTH))

    def _node(self, height: int, index: int) -> bytes:
        node = self.levels[height][HASH_BYTES * index : HASH_BYTES * (index + 1)]
        return node or merkle.ZEROS[height]


def grow(leaves: bytes) -> Tree:
    """The tree over a blob of leaves; OutOfRange above 2^20 - 1 of them."""
    if len(leaves) > HASH_BYTES * merkle.MOST_LEAVES:
        raise OutOfRange(len(leaves) // HASH_BYTES, f"a tree has at most {merkle.MOST_LEAVES} leaves")
    levels, pair = [leaves], 2 * HASH_BYTES
    for height in range(merkle.DEPTH):
        nodes = levels[-1] + (merkle.ZEROS[height] if len(levels[-1]) % pair else b"")
        above = (keccak(b"\x01" + nodes[i : i + pair]) for i in range(0, len(nodes), pair))
        levels.append(b"".join(above))
    return Tree(tuple(levels))
