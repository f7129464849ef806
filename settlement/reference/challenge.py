"""Challenges: a participant shows what its meter said against what the oracles committed to (docs/formats.md,
Challenges).
"""

from dataclasses import dataclass

from settlement.reference.eip712 import keccak
from settlement.reference.errors import NotTheSameReading
from settlement.reference.reading import EXPORT, IMPORT, Reading, decode
from settlement.reference.words import check_hash, check_uint, word
from settlement.units import WH_LIMIT

TYPE = b"ReadingChallenge(uint32 zone,uint32 day,uint8 run,bytes32 commitment,bytes32 read)"
TYPE_HASH = keccak(TYPE)


@dataclass(frozen=True)
class SignedRead:
    """A meter's message with its signature and key, all big-endian, 32 bytes each."""

    message: bytes
    """52 bytes."""
    r: bytes
    s: bytes
    """In the lower half."""
    x: bytes
    y: bytes


@dataclass(frozen=True)
class ReadingChallenge:
    """What a challenge brings."""

    committed: bytes
    """The 52-byte message that the oracles committed to."""
    flag: int
    salt: bytes
    index: int
    """Position of the commitment."""
    proof: tuple[bytes, ...]
    """Its siblings, lowest first."""
    read: SignedRead
    """What the meter said instead."""
    zone: int
    day: int
    signature: bytes = b""
    """Of the meter's account, where another sends the challenge."""


def struct_hash(zone: int, day: int, run: int, commitment: bytes, read: bytes) -> bytes:
    """EIP-712 hash of what the account signs; `read` is the meter's message."""
    return keccak(
        TYPE_HASH
        + word(check_uint("zone", zone, 32))
        + word(check_uint("day", day, 32))
        + word(check_uint("run", run, 8))
        + check_hash("commitment", commitment)
        + keccak(read)
    )


def challenge_id(read: bytes, run: int) -> bytes:
    """A read is brought once against a run."""
    return keccak(read + check_uint("run", run, 8).to_bytes(1, "big"))


def well_formed(message: bytes) -> Reading:
    """The reading of a message; NotTheSameReading unless its register is import or export and its energy
    below 2^30 Wh.
    """
    read = decode(message)
    if read.register not in (IMPORT, EXPORT) or read.wh >= WH_LIMIT:
        raise NotTheSameReading
    return read


def same_reading(message: bytes, other: Reading, window_length: int) -> Reading:
    """What `message` says of the same meter, register and window as `other`.

    NotTheSameReading if it says nothing of it, is not well formed, or of windows of another length than the
    Exchange's.
    """
    read = well_formed(message)
    same = (read.meter, read.register, read.window_index) == (
        other.meter,
        other.register,
        other.window_index,
    )
    if not same or not read.window_length == other.window_length == window_length:
        raise NotTheSameReading
    return read
