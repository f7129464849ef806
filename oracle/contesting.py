"""What a participant needs to challenge a posted reading, as the contracts take it.

A participant has its meter's signed message; a node opens the commitment for it (`oracle.commitments`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from oracle.commitments import Opening
from oracle.messages import Reading, SignedReading, normalise
from settlement.reference.challenge import ReadingChallenge, SignedRead

if TYPE_CHECKING:
    from settlement.chain.statements import ChallengeState

Point = tuple[int, int]
"""A public key on P-256."""


def signed_read(signed: SignedReading, key: Point) -> SignedRead:
    """A meter's message with its key, the signature in its lower form. BadMessage for a signature of another
    length.
    """
    signature = normalise(signed.signature)
    x, y = (number.to_bytes(32, "big") for number in key)
    return SignedRead(signed.message, signature[:32], signature[32:], x, y)


def upheld_readings(found: Iterable[ChallengeState], window_length_s: int) -> tuple[Reading, ...]:
    """What challenges that held say, for the next run (`oracle.node.DayInputs.upheld`)."""
    return tuple(
        Reading(one.meter, one.register, window_length_s, one.window, one.wh, one.sequence) for one in found
    )


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
