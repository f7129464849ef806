"""Whether an order is in a committed book (docs/formats.md, Proofs of membership).

A book is in strictly ascending order and positions are part of a proof, so an order is missing if its
neighbours are next to each other: the last before it and the first behind it, or only one of them at an end.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from settlement.reference import merkle
from settlement.reference.errors import InvalidProof
from settlement.reference.merkle import DEPTH, ZERO, leaf_hash

NO_SIBLINGS = (ZERO,) * DEPTH


@dataclass(frozen=True)
class Inclusion:
    """Where an order is."""

    index: int
    siblings: tuple[bytes, ...]


@dataclass(frozen=True)
class Neighbour:
    """An order of the book and its way to the root; zeros where there is none."""

    hash: bytes = ZERO
    siblings: tuple[bytes, ...] = NO_SIBLINGS


@dataclass(frozen=True)
class Absence:
    """Between which orders another would be."""

    index: int
    """How many orders of the book have lower hashes."""
    left: Neighbour = Neighbour()
    """The order at `index - 1`; not read at the start of the book."""
    right: Neighbour = Neighbour()
    """The order at `index`; not read at its end."""


def includes(count: int, root: bytes, order_hash: bytes, proof: Inclusion) -> bool:
    """Whether the order is at that place of the book."""
    return _is_at(count, root, order_hash, proof.index, proof.siblings)


def lacks(count: int, root: bytes, order_hash: bytes, proof: Absence) -> bool:
    """Whether the neighbours show that the order is not in the book."""
    before = [(proof.left, proof.index - 1)] if proof.index > 0 else []
    behind = [(proof.right, proof.index)] if proof.index != count else []
    if not 0 <= proof.index <= count:
        return False
    ascending = [*(one.hash for one, _ in before), order_hash, *(one.hash for one, _ in behind)]
    if any(lower >= higher for lower, higher in pairwise(ascending)):
        return False
    return all(_is_at(count, root, one.hash, at, one.siblings) for one, at in before + behind)


def _is_at(count: int, root: bytes, order_hash: bytes, index: int, siblings: Sequence[bytes]) -> bool:
    if not 0 <= index < count:
        return False
    try:
        return merkle.verify(root, leaf_hash(order_hash), index, siblings)
    except InvalidProof:
        return False


# Making proofs ------------------------------------------------------------------------------------------


def prove_inclusion(hashes: Sequence[bytes], order_hash: bytes) -> Inclusion | None:
    """The order's place in a book of ascending hashes; None if it is not there."""
    index = bisect_left(hashes, order_hash)
    if index == len(hashes) or hashes[index] != order_hash:
        return None
    return Inclusion(index, merkle.proof([leaf_hash(one) for one in hashes], index))


def prove_absence(hashes: Sequence[bytes], order_hash: bytes) -> Absence | None:
    """Its neighbours in a book of ascending hashes; None if the order is there."""
    index = bisect_left(hashes, order_hash)
    if index < len(hashes) and hashes[index] == order_hash:
        return None
    leaves = [leaf_hash(one) for one in hashes]

    def at(place: int) -> Neighbour:
        return Neighbour(hashes[place], merkle.proof(leaves, place))

    left = at(index - 1) if index else Neighbour()
    right = at(index) if index < len(hashes) else Neighbour()
    return Absence(index, left, right)
