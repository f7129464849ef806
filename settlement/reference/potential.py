"""Potential: a posted entry's lowest and highest value with the ranks that support them (docs/formats.md).

| 255..128 | 127..96 | 95..64 | 63..32 | 31..0 |
| zero     | rankHi  | rankLo | hi     | lo    |
"""

from dataclasses import dataclass

from settlement.reference.errors import NotCanonical
from settlement.reference.words import check_uint, field, signed_field, twos
from settlement.units import floor_div


@dataclass(frozen=True)
class Potential:
    """Lowest and highest value, micro/kWh; a rank is how many tight constraints away an outer bound is."""

    lo: int
    hi: int
    rank_lo: int
    rank_hi: int

    @property
    def mid(self) -> int:
        """The value that prices use: the floor of the average."""
        return floor_div(self.lo + self.hi, 2)


GROUND = Potential(0, 0, -1, -1)
"""Quality 0 of every window: fixed, never posted, below every rank."""


def pack(potential: Potential) -> int:
    """The posted word. ValueOutOfRange if a field does not fit (the ground has no word)."""
    return (
        twos("lo", potential.lo, 32)
        | twos("hi", potential.hi, 32) << 32
        | check_uint("rankLo", potential.rank_lo, 32) << 64
        | check_uint("rankHi", potential.rank_hi, 32) << 96
    )


def unpack(word: int) -> Potential:
    """The entry of a posted word. NotCanonical if its upper half is not zero."""
    if word < 0 or word >> 128:
        raise NotCanonical(word)
    return Potential(
        signed_field(word, 0, 32), signed_field(word, 32, 32), field(word, 64, 32), field(word, 96, 32)
    )
