"""Support, 2 bits a window: whether something holds its lowest and its highest value (docs/formats.md).

Bit `2w` is of the lowest, bit `2w + 1` of the highest value of window w.
"""

from settlement.reference.slackness import Flags
from settlement.reference.words import field

HELD = 3
"""Both."""


def of(window: int, flags: Flags) -> int:
    """A window's two bits in their place."""
    lo, hi = flags
    return (int(lo) | int(hi) << 1) << 2 * window


def holds(word: int, window: int) -> bool:
    """Whether both values of a window are held."""
    return field(word, 2 * window, 2) == HELD
