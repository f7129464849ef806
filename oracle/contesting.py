"""What a participant needs to challenge a posted reading, as the contracts take it.

A participant has its meter's signed message; a node opens the commitment for it (`oracle.commitments`).
"""

from __future__ import annotations

from oracle.commitments import Opening
from oracle.messages import SignedReading, normalise
from settlement.reference.challenge import ReadingChallenge, SignedRead

Point = tuple[int, int]
"""A public key on P-256."""


def signed_read(signed: SignedReading, key: Point) -> SignedRead:
    """A meter's message with its key, the signature in its lower form. BadMessage for a signature of another
    length.
    """
    signature = normalise(signed.signature)
    x, y = (number.to_bytes(32, "big") for number in key)
    return SignedRead(signed.message, signature[:32], signature[32:], x, y)


def contest(opening: Opening, signed: SignedReading, key: Point, zone: int, day: int) -> ReadingChallenge:
    """What was committed to beside what the meter said; `day` is the index of the day's first window. Not
    signed by the account yet.
    """
    return ReadingChallenge(
        committed=opening.message,
        flag=opening.flag,
        salt=opening.salt,
        index=opening.index,
        proof=opening.proof,
        read=signed_read(signed, key),
        zone=zone,
        day=day,
    )
