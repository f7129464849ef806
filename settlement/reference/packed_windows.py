"""Packed windows: neighbouring windows of one account and product family in one slot (docs/formats.md).

A home has 16 lanes of 16 bits, anyone larger 8 lanes of 32; lane 0 is in the lowest bits. No lane reaches
into its neighbour: what does not fit is refused.
"""

from dataclasses import dataclass

from settlement.reference.errors import LaneOverflow, LaneUnderflow
from settlement.reference.words import field


@dataclass(frozen=True)
class Lanes:
    """How one account's slots are divided."""

    count: int
    bits: int

    def of(self, window_index: int) -> int:
        """The lane of a window."""
        return window_index % self.count


HOME = Lanes(count=16, bits=16)
WIDE = Lanes(count=8, bits=32)


def get(word: int, lane: int, lanes: Lanes) -> int:
    """What the lane holds, Wh."""
    return field(word, lane * lanes.bits, lanes.bits)


def add(word: int, lane: int, lanes: Lanes, wh: int) -> int:
    """The slot with `wh` more in the lane; LaneOverflow if it cannot hold the sum."""
    if wh < 0 or (get(word, lane, lanes) + wh) >> lanes.bits:
        raise LaneOverflow(word, lane, wh)
    return word + (wh << lane * lanes.bits)


def sub(word: int, lane: int, lanes: Lanes, wh: int) -> int:
    """The slot with `wh` less in the lane; LaneUnderflow if it holds less."""
    if not 0 <= wh <= get(word, lane, lanes):
        raise LaneUnderflow(word, lane, wh)
    return word - (wh << lane * lanes.bits)
