"""Which of a node's reads answers a challenge best."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from oracle.messages import Reading, SignedReading, decode

if TYPE_CHECKING:
    from settlement.chain.statements import ChallengeState


class Answer(NamedTuple):
    """A signed read of the challenged meter, register and window."""

    signed: SignedReading
    reading: Reading
    defeats: bool
    """It says something else under no lower a sequence: the challenge falls. Otherwise it is what the
    oracles committed to, so that they pay nothing.
    """


def reads_of(found: ChallengeState, accepted: Iterable[SignedReading]) -> list[tuple[SignedReading, Reading]]:
    """Those of the challenged meter, register and window."""
    wanted = (found.meter, found.register, found.window)
    each = ((signed, decode(signed.message)) for signed in accepted)
    return [(signed, reading) for signed, reading in each if reading.key == wanted]


def answer_of(found: ChallengeState, accepted: Iterable[SignedReading]) -> Answer | None:
    """Among what a node accepted of the day: one that defeats the challenge, of those the latest, else what
    was committed to; None if there is neither. (What was refused, say for its signature, would fail on
    chain.)
    """
    same = reads_of(found, accepted)
    later = [(s, r) for s, r in same if r.wh != found.wh and r.sequence >= found.sequence]
    if later:
        return Answer(*max(later, key=lambda pair: pair[1].sequence), defeats=True)
    stood = (found.committed_sequence, found.committed_wh)
    stands = [(s, r) for s, r in same if (r.sequence, r.wh) == stood]
    return Answer(*stands[0], defeats=False) if stands else None
