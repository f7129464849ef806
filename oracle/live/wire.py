"""Topics, payloads and receipts as bytes (docs/oracle.md, Topics and payloads). Pure; nothing raises on what
others sent.

    trellis/v1/meters/<meter id, 64 hex digits>/readings             a meter publishes
    trellis/v1/meters/<meter id, 64 hex digits>/receipts/<oracle>    an oracle publishes

    trellis/v1/oracles/<oracle>/ballots     an oracle publishes what `oracle.voting.ballots` defines

    readings   1 to 512 records of 116 bytes, nothing else: message(52) ‖ signature(64)
    receipt    sha256(payload)(32) ‖ stored(2) ‖ refused(2), big-endian counts of its records
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from oracle.errors import OutOfRange
from oracle.messages import MESSAGE_BYTES, SIGNATURE_BYTES, SignedReading

ROOT = "trellis/v1/meters"
ALL_READINGS = f"{ROOT}/+/readings"
ALL_BALLOTS = "trellis/v1/oracles/+/ballots"
RECORD_BYTES = MESSAGE_BYTES + SIGNATURE_BYTES
MOST_RECORDS = 512
MOST_BYTES = RECORD_BYTES * MOST_RECORDS
RECEIPT_BYTES = 36

_READINGS = re.compile(rf"{ROOT}/([0-9a-f]{{64}})/readings", re.ASCII)
_RECEIPTS = re.compile(rf"{ROOT}/([0-9a-f]{{64}})/receipts/([^/]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an oracle has of a payload, on disk."""

    digest: bytes
    """SHA-256 of the payload, 32 bytes."""
    stored: int
    """Records that are in its store, those that were there before too."""
    refused: int
    """Records that it does not accept: sending them again is of no use."""


def readings_topic(meter_id: bytes) -> str:
    """Where a meter publishes."""
    return f"{ROOT}/{meter_id.hex()}/readings"


def receipts_topic(meter_id: bytes, oracle: str) -> str:
    """Where an oracle tells a meter what it has; `+` for every oracle."""
    return f"{ROOT}/{meter_id.hex()}/receipts/{oracle}"


def ballots_topic(oracle: str) -> str:
    """Where an oracle tells the others what it computed and signed."""
    return ALL_BALLOTS.replace("+", oracle)


def meter_of(topic: str) -> bytes | None:
    """The meter whose readings a topic carries; None for any other topic."""
    found = _READINGS.fullmatch(topic)
    return bytes.fromhex(found[1]) if found else None


def oracle_of(topic: str) -> str | None:
    """The oracle whose receipts a topic carries; None for any other topic."""
    found = _RECEIPTS.fullmatch(topic)
    return found[2] if found else None


def join(readings: Iterable[SignedReading]) -> bytes:
    """One payload of 1 to 512 readings; OutOfRange."""
    records = [signed.message + signed.signature for signed in readings]
    if not 1 <= len(records) <= MOST_RECORDS:
        raise OutOfRange(len(records), f"a payload has 1 to {MOST_RECORDS} readings")
    if any(len(record) != RECORD_BYTES for record in records):
        raise OutOfRange("a reading", f"message and signature have {RECORD_BYTES} bytes")
    return b"".join(records)


def split(payload: bytes) -> tuple[SignedReading, ...] | None:
    """The records of a payload; None unless it is 1 to 512 whole ones."""
    if not payload or len(payload) % RECORD_BYTES or len(payload) > MOST_BYTES:
        return None
    return tuple(cut(payload, start) for start in range(0, len(payload), RECORD_BYTES))


def cut(payload: bytes, start: int = 0) -> SignedReading:
    """What stands where a record from `start` would, however short."""
    middle, end = start + MESSAGE_BYTES, start + RECORD_BYTES
    return SignedReading(bytes(payload[start:middle]), bytes(payload[middle:end]))


def encode_receipt(receipt: Receipt) -> bytes:
    """36 bytes."""
    return receipt.digest + receipt.stored.to_bytes(2, "big") + receipt.refused.to_bytes(2, "big")


def decode_receipt(payload: bytes) -> Receipt | None:
    """None unless it has the length of one."""
    if len(payload) != RECEIPT_BYTES:
        return None
    return Receipt(payload[:32], int.from_bytes(payload[32:34], "big"), int.from_bytes(payload[34:], "big"))


def digest(payload: bytes) -> bytes:
    """What a receipt calls a payload."""
    return sha256(payload).digest()
