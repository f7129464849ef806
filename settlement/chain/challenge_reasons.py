"""Why the Exchange refuses a challenge, an answer or an end, in words that say what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from settlement.chain.errors import ContractRevert
from settlement.errors import CheckFailed
from settlement.reference.errors import Refused

Arguments = tuple[Any, ...]


class ChallengeRefused(CheckFailed):
    """The Exchange does not take it: the contract's error in `reason`, what to do in the message."""

    def __init__(self, reason: str, told: str) -> None:
        super().__init__(f"{told} ({reason})")
        self.reason = reason


def _at(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


REASONS: dict[str, Callable[[Arguments], str]] = {
    "CorrectionsNotOpen": lambda a: (
        f"zone {a[0]}, day {a[1]} is not open to challenges: wait until it is certified"
    ),
    "WrongRunStage": lambda a: f"zone {a[0]}, day {a[1]} is not certified yet: challenge it once it is",
    "TooLateToChallenge": lambda a: (
        f"the latest run of zone {a[0]}, day {a[1]} could be challenged until {_at(a[2])}: send the read to "
        "the oracles, for their next run"
    ),
    "CorrectionUnderWay": lambda a: (
        f"a correction of zone {a[0]}, day {a[1]} is being applied: challenge what it leaves"
    ),
    "NotCommitted": lambda _: (
        "the opening is not of a reading under the root of the latest run: ask an oracle node for one of "
        "that run"
    ),
    "NotTheSameReading": lambda _: (
        "the read is not of the opening's meter, register and window, or that window is not of the day: give "
        "the meter's read of the same window"
    ),
    "BadMeterKey": lambda a: (
        f"meter {_hex(a[0])} does not sign this window with that key, or is revoked: give the key that it "
        "had then; a revoked meter proves nothing any more"
    ),
    "BadReadSignature": lambda a: (
        f"meter {_hex(a[0])} did not sign this read: give it as the meter signed it"
    ),
    "NotTheAccount": lambda a: (
        f"the meter is account {_hex(a[0])}'s, which neither sends nor signs this: give "
        "its key as --account-key"
    ),
    "StaleRead": lambda a: (
        f"the read has sequence {a[0]}, and what stands has {a[1]}: give a read that is not older"
    ),
    "NothingContradicted": lambda a: (
        f"the read says {a[0]} Wh, which is what stands: there is nothing to challenge"
    ),
    "AlreadyChallenged": lambda a: (
        f"this read was brought before against this run, or its reading is under challenge: see {_hex(a[0])}"
    ),
    "CannotBond": lambda a: (
        f"account {_hex(a[0])} has {a[1]} nano free, less than the bond of {a[2]}: deposit the rest first"
    ),
    "NoChallenge": lambda a: f"challenge {_hex(a[0])} is not open: there is nothing to answer or to end",
    "AnswerClosed": lambda a: (
        f"challenge {_hex(a[0])} could be answered until {_at(a[1])}: correct it in the next run"
    ),
    "AnswerOpen": lambda a: f"challenge {_hex(a[0])} cannot be ended until {_at(a[1])} has passed: wait",
    "IrrelevantAnswer": lambda _: (
        "the read neither defeats the challenge nor is what the oracles committed to as actual: a later read "
        "that says something else would defeat it"
    ),
    "ClearingInProgress": lambda _: "a session is between its gate and its end: try again when it is proved",
    "ExchangePaused": lambda a: f"the Exchange is paused until {_at(a[0])} at most: try again then",
    "ImbalanceOutOfRange": lambda a: (
        f"account {_hex(a[0])}'s imbalance would leave its range: drop the challenge in the end (--drop)"
    ),
}
"""By the contract's error, from its arguments."""


def explained(refusal: ContractRevert | Refused) -> ChallengeRefused:
    """The refusal, the chain's or foreseen, in words; in the contract's where it is none of a challenge's."""
    if isinstance(refusal, Refused):
        refusal = ContractRevert(type(refusal).__name__, refusal.args)
    words = REASONS.get(refusal.name)
    if words is None:
        return ChallengeRefused(refusal.name or "no reason", str(refusal))
    return ChallengeRefused(refusal.name, words(refusal.arguments))
