"""Gifts: what a trader's sales as produced of one session will earn for its beneficiary, once they are
delivered (docs/settlement.md, Donated sales).
"""

from dataclasses import dataclass, replace

from settlement.reference.record import NO_ADDRESS


@dataclass(frozen=True)
class Gift:
    """One trader's in one session."""

    beneficiary: bytes = NO_ADDRESS
    """Who gets it; of the trader's other sales too."""
    nano: int = 0
    """Worth of its donated sales as produced, less what was given."""


def promise(gift: Gift, worth: int) -> Gift:
    """The gift with one more sale as produced, whose fills are worth `worth` nano. A loss is the trader's
    own.
    """
    return replace(gift, nano=gift.nano + max(0, worth))


def give(gift: Gift, credit: int) -> tuple[Gift, int]:
    """What is left of a gift, and what of a credit for delivered energy goes to the beneficiary, nano."""
    given = max(0, min(gift.nano, credit))
    return replace(gift, nano=gift.nano - given), given
