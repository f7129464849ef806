"""Marginal: how much is at the price in a cell, and how much of it fills, by side (docs/formats.md).

| 255..192   | 191..128   | 127..64   | 63..0     |
| R of sells | M of sells | R of buys | M of buys |
"""

from dataclasses import dataclass

from settlement.reference.words import check_uint, field


@dataclass(frozen=True)
class Marginal:
    """Wh by side, buys first."""

    at_price: tuple[int, int] = (0, 0)
    """`M`: the quantity whose limit is the price."""
    filled: tuple[int, int] = (0, 0)
    """`R`: how much of it fills."""


def pack(marginal: Marginal) -> int:
    """The posted word. ValueOutOfRange if a quantity is not a uint64."""
    word = 0
    for side in (0, 1):
        word |= check_uint("M", marginal.at_price[side], 64) << 128 * side
        word |= check_uint("R", marginal.filled[side], 64) << 128 * side + 64
    return word


def unpack(word: int) -> Marginal:
    """The cell of a posted word; every word is one."""
    check_uint("marginal", word, 256)
    at_price = (field(word, 0, 64), field(word, 128, 64))
    return Marginal(at_price, (field(word, 64, 64), field(word, 192, 64)))
