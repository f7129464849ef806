"""The record an order travels in: the head that every kind of order shares (docs/formats.md, Records).

A record omits what the call already says: the session, its kind and the zone. Exactly one record stands for
one order, its signature and what the operator says about it; every other byte string is refused.
"""

from dataclasses import dataclass

from settlement.reference.errors import MalformedRecord
from settlement.reference.words import check_uint

BUY, SELL = 0, 1
MOST_ENTRIES = 128

NO_HASH = bytes(32)
NO_ADDRESS = bytes(20)

HEAD_BYTES = 99
SIDE_FLAG, V_FLAG, REPLACES_FLAG, BENEFICIARY_FLAG, FLEXIBLE_FLAG, SUBMITTED_FLAG = 1, 2, 4, 8, 16, 32
KNOWN_FLAGS = 63


@dataclass(frozen=True)
class Head:
    """What every record begins with."""

    trader: bytes
    side: int
    quality: int
    first_window: int
    windows: int
    nonce: int
    signature: bytes
    """`r ‖ s ‖ v`."""
    replaces: bytes = NO_HASH
    beneficiary: bytes = NO_ADDRESS
    flexible: bool = False
    submitted: bool = False
    """Whether the order was submitted on chain; the operator says so, the Exchange knows."""


class Reader:
    """Takes bytes from the front of the records; MalformedRecord where they end."""

    def __init__(self, data: bytes, offset: int) -> None:
        self.data, self.start, self.at = data, offset, offset

    def take(self, length: int) -> bytes:
        if self.at + length > len(self.data):
            raise MalformedRecord(self.start)
        self.at += length
        return bytes(self.data[self.at - length : self.at])

    def uint(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def nonzero(self, length: int) -> bytes:
        value = self.take(length)
        if not any(value):
            raise MalformedRecord(self.start)
        return value


def read_head(reader: Reader) -> Head:
    """MalformedRecord if the head is truncated, has an unknown flag, a flagged field of zeros, no window or
    more than 128, or if a flexible order names a quality.
    """
    trader, flags = reader.take(20), reader.uint(1)
    quality, first_window, windows, nonce = (reader.uint(length) for length in (1, 4, 1, 8))
    r_and_s = reader.take(64)
    flexible = bool(flags & FLEXIBLE_FLAG)
    if flags & ~KNOWN_FLAGS or not 1 <= windows <= MOST_ENTRIES or (flexible and quality):
        raise MalformedRecord(reader.start)
    return Head(
        trader=trader,
        side=flags & SIDE_FLAG,
        quality=quality,
        first_window=first_window,
        windows=windows,
        nonce=nonce,
        signature=r_and_s + bytes([28 if flags & V_FLAG else 27]),
        replaces=reader.nonzero(32) if flags & REPLACES_FLAG else NO_HASH,
        beneficiary=reader.nonzero(20) if flags & BENEFICIARY_FLAG else NO_ADDRESS,
        flexible=flexible,
        submitted=bool(flags & SUBMITTED_FLAG),
    )


def encode_head(head: Head) -> bytes:
    """The head's bytes. ValueOutOfRange unless `r` and `s` are 32 bytes each and `v` is 27 or 28."""
    check_uint("signature", len(head.signature) - 65, 0)
    flags = head.side * SIDE_FLAG + check_uint("v", head.signature[64] - 27, 1) * V_FLAG
    flags |= head.flexible * FLEXIBLE_FLAG | head.submitted * SUBMITTED_FLAG
    tail = b""
    if head.replaces != NO_HASH:
        flags, tail = flags | REPLACES_FLAG, head.replaces
    if head.beneficiary != NO_ADDRESS:
        flags, tail = flags | BENEFICIARY_FLAG, tail + head.beneficiary
    return (
        head.trader
        + bytes([flags, head.quality])
        + head.first_window.to_bytes(4, "big")
        + bytes([head.windows])
        + head.nonce.to_bytes(8, "big")
        + head.signature[:64]
        + tail
    )
