"""Salted commitments to a day's readings, and proofs of one of them (docs/formats.md, Metering).

    commitment = keccak(0x00 ‖ salt(32) ‖ message(52) ‖ flag(1))

Commitments are the leaves, in ascending (meter id, register, window) order, of the positional tree of depth
20; its root is the posting's `commitments`. Estimated readings are committed too, under the oracle's own
message with sequence 0, so that any signed read can take their place.

Who knows a salt can prove its reading; who does not learns nothing from the commitment. The tree keeps
commitments, not salts, so erasing a salt changes no root and no other proof. See `oracle.salts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oracle.cells import RECORD_BYTES, Cells, cells_of, records
from oracle.day import FLAGS, MeterDay
from oracle.errors import BadMessage, ErasedSalt, OutOfRange, WrongShape
from oracle.messages import Reading, ReadingKey, decode, encode
from oracle.salts import SALT_BYTES, Salts
from oracle.tree import Tree, grow
from settlement.reference import merkle
from settlement.reference.eip712 import keccak
from settlement.reference.errors import Refused


@dataclass(frozen=True)
class Commitments:
    """The leaves of one posting. Holds nothing that must be erased."""

    keys: Cells
    """What each leaf commits to, ascending."""
    tree: Tree

    @property
    def root(self) -> bytes:
        return self.tree.root

    @property
    def leaves(self) -> tuple[bytes, ...]:
        """All leaves, 32 bytes each."""
        return tuple(self.tree.leaf(index) for index in range(len(self.keys)))

    def index(self, key: ReadingKey) -> int:
        """The position of a reading's leaf; UnknownReading."""
        return self.keys.place(key)

    def leaf(self, key: ReadingKey) -> bytes:
        """Its commitment, which outlives its salt; UnknownReading."""
        return self.tree.leaf(self.index(key))

    def proof(self, key: ReadingKey) -> tuple[bytes, ...]:
        """The 20 siblings of its leaf, lowest first. Needs no salt."""
        return self.tree.proof(self.index(key))


@dataclass(frozen=True)
class Opening:
    """Everything that proves one reading against a root."""

    message: bytes
    flag: int
    salt: bytes
    index: int
    proof: tuple[bytes, ...]


def commitment(salt: bytes, reading: Reading, flag: int) -> bytes:
    """The 32-byte leaf of one reading; OutOfRange if the salt or flag has not its form."""
    if len(salt) != SALT_BYTES:
        raise OutOfRange(len(salt), f"a salt is {SALT_BYTES} bytes")
    if flag not in FLAGS:
        raise OutOfRange(flag, "a flag is 0, 1 or 2")
    return keccak(b"\x00" + salt + encode(reading) + bytes((flag,)))


def commit(readings: MeterDay, salts: Salts) -> Commitments:
    """Commit to every cell of the day that is in service: the leaves that `commitment` makes of each.

    ErasedSalt if a cell has no salt, UnknownReading if one is still missing, WrongShape for the salts of
    another day, OutOfRange above 2^20 - 1 cells (a zone that large is split).
    """
    cells = cells_of(readings)
    if len(cells) > merkle.MOST_LEAVES:
        raise OutOfRange(len(cells), f"a posting commits to at most {merkle.MOST_LEAVES} readings")
    if not cells.same_as(salts.cells):
        raise WrongShape("salts", "they are of another day or other registers")
    blob, salted = records(readings, cells), salts.whole()
    leaves = [
        keccak(
            b"\x00"
            + salted[SALT_BYTES * place : SALT_BYTES * (place + 1)]
            + blob[RECORD_BYTES * place : RECORD_BYTES * (place + 1)]
        )
        for place in range(len(cells))
    ]
    return Commitments(cells, grow(b"".join(leaves)))


def open_reading(commitments: Commitments, readings: MeterDay, salts: Salts, key: ReadingKey) -> Opening:
    """What discloses one reading; UnknownReading, or ErasedSalt once it was erased."""
    index = commitments.index(key)
    if key not in salts:
        raise ErasedSalt(key)
    row, column = commitments.keys.cell(index)
    flag = int(readings.flags[row, column])
    message = encode(readings.reading(row, column))
    return Opening(message, flag, salts[key], index, commitments.proof(key))


def check_opening(root: bytes, opening: Opening) -> bool:
    """Whether the opening is of a reading under `root`; False for anything malformed."""
    try:
        leaf = commitment(opening.salt, decode(opening.message), opening.flag)
    except (OutOfRange, BadMessage):
        return False
    return verify_leaf(root, leaf, opening.index, opening.proof)


def verify_leaf(root: bytes, leaf: bytes, index: int, proof: Sequence[bytes]) -> bool:
    """Whether a commitment is at `index` under `root`, its reading unknown; False for a malformed proof."""
    try:
        return merkle.verify(root, leaf, index, proof)
    except Refused:
        return False
