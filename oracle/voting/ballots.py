"""What oracle nodes tell each other of a run: bytes (docs/oracle.md, Ballots). Pure.

    trellis/v1/oracles/<name>/ballots      a node publishes; every node reads (`oracle.live.wire`)

    payload   signature(65) ‖ body
    signature the node's, over keccak256("trellis/ballot" ‖ separator ‖ body)
    body      JSON: slot, offers (digests of what it computed, with what they are made of), vote

An *offer* says "this is what I get"; nothing can be posted with it. A *vote* is the signature that the
contract takes. No reading, entry or account is in either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oracle.errors import BadBallot, BadNodeSignature
from oracle.posting import signer_of
from settlement.reference import eip712
from settlement.reference.eip712 import keccak

DOMAIN = b"trellis/ballot"
SIGNATURE_BYTES = 65
MOST_OFFERS = 8
"""Of one ballot: the latest."""
MOST_BYTES = 8_192

_HEX = re.compile(r"0x(?:[0-9a-f]{2})*", re.ASCII)
_PLACE = re.compile(r"[0-9]{1,10}|0x[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, order=True)
class Slot:
    """What a node signs at most once: of two messages for one slot the contract would take either."""

    zone: int
    day: int
    """Index of the first window."""
    run: int
    """0 is the first, the posting; later ones are corrections."""
    place: str
    """Of a posting its sequence; of a correction the link that it follows, 0x and 64 digits."""


@dataclass(frozen=True)
class Offer:
    """What a node computed, as far as it is told."""

    digest: bytes
    """What it would sign, 32 bytes."""
    prices: bytes
    """Hash of the day's prices."""
    commitments: bytes
    """Root of the salted readings."""
    metered: bytes
    """Hash of the packed parts."""
    flags: tuple[int, int, int]
    """Windows of accounts that are actual, estimated, default."""

    def differs(self, other: Offer) -> list[str]:
        """Which of what they are made of is not the same."""
        return [
            name
            for name in ("prices", "commitments", "metered", "flags")
            if getattr(self, name) != getattr(other, name)
        ]


@dataclass(frozen=True)
class Signature:
    """A vote."""

    digest: bytes
    signature: bytes
    """65 bytes."""


@dataclass(frozen=True)
class Ballot:
    """All that a node says of a slot."""

    slot: Slot
    offers: tuple[Offer, ...]
    """The latest last."""
    vote: Signature | None


def signed_hash(body: bytes, separator: bytes) -> bytes:
    """What the node signs of a body, under the Exchange's domain separator."""
    return keccak(DOMAIN + separator + body)


def digest_of(struct: bytes, separator: bytes) -> bytes:
    """What a vote for a message with this struct hash signs."""
    return eip712.digest(separator, struct)


def encode(ballot: Ballot, separator: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """A payload; `sign` gives 65 bytes of a digest."""
    slot, vote = ballot.slot, ballot.vote
    told = {
        "slot": [slot.zone, slot.day, slot.run, slot.place],
        "offers": [
            [_hex(o.digest), _hex(o.prices), _hex(o.commitments), _hex(o.metered), *o.flags]
            for o in ballot.offers[-MOST_OFFERS:]
        ],
        "vote": None if vote is None else [_hex(vote.digest), _hex(vote.signature)],
    }
    body = json.dumps(told, separators=(",", ":")).encode("ascii")
    return sign(signed_hash(body, separator)) + body


def decode(payload: bytes, separator: bytes) -> tuple[bytes, Ballot]:
    """Who signed it, and what it says. BadBallot for anything that is none; a vote in it must be by the same
    node.
    """
    if not SIGNATURE_BYTES < len(payload) <= MOST_BYTES:
        raise BadBallot(payload[:16], f"it has {len(payload)} bytes")
    signature, body = payload[:SIGNATURE_BYTES], payload[SIGNATURE_BYTES:]
    try:
        node = signer_of(signed_hash(body, separator), signature)
        ballot = _ballot(json.loads(body))
        signer = node if ballot.vote is None else signer_of(ballot.vote.digest, ballot.vote.signature)
    except (ValueError, KeyError, TypeError, RecursionError, BadNodeSignature) as cause:
        raise BadBallot(payload[:16], str(cause) or "its fields are none") from None
    if signer != node:
        raise BadBallot(node, "it brings another's vote")
    return node, ballot


def _ballot(told: dict[str, Any]) -> Ballot:
    zone, day, run, place = told["slot"]
    if not _PLACE.fullmatch(place):
        raise ValueError("its place is none")
    slot = Slot(_uint(zone, 32), _uint(day, 32), _uint(run, 8), place)
    if len(told["offers"]) > MOST_OFFERS:
        raise ValueError("it has too many offers")
    offers = tuple(_offer(*each) for each in told["offers"])
    vote = told["vote"]
    return Ballot(slot, offers, None if vote is None else _vote(*vote))


def _offer(digest: str, prices: str, commitments: str, metered: str, *flags: int) -> Offer:
    actual, estimated, default = (_uint(one, 64) for one in flags)
    counts = (actual, estimated, default)
    return Offer(_bytes(digest, 32), _bytes(prices, 32), _bytes(commitments, 32), _bytes(metered, 32), counts)


def _vote(digest: str, signature: str) -> Signature:
    return Signature(_bytes(digest, 32), _bytes(signature, SIGNATURE_BYTES))


def _uint(value: int, bits: int) -> int:
    if type(value) is not int or not 0 <= value < 1 << bits:
        raise ValueError("a number is out of range")
    return value


def _bytes(text: str, size: int) -> bytes:
    if not _HEX.fullmatch(text) or len(text) != 2 + 2 * size:
        raise ValueError(f"{size} bytes are not hex")
    return bytes.fromhex(text[2:])


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
