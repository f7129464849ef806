"""Cell: what is gathered of a window, zone and quality while its orders are read (docs/formats.md).

| 255..192 | 191..160 | 159..128 | 127..64    | 63..0     |
| net      | lb       | ub       | A of sells | A of buys |
"""

from dataclasses import dataclass

from settlement.reference.words import check_uint, field, signed_field, twos

NO_UPPER = 2**31 - 1
NO_LOWER = -(2**31)


@dataclass(frozen=True)
class Cell:
    """Running totals and bounds."""

    at_price: tuple[int, int] = (0, 0)
    """`A`: quantity at the price read so far, by side, Wh."""
    upper: int = NO_UPPER
    """`ub`: the cell's price is at most this, micro/kWh."""
    lower: int = NO_LOWER
    """`lb`: the cell's price is at least this, micro/kWh."""
    net: int = 0
    """Bought less sold, Wh."""


def pack(cell: Cell) -> int:
    """The carried word. ValueOutOfRange if a field does not fit."""
    return (
        check_uint("A", cell.at_price[0], 64)
        | check_uint("A", cell.at_price[1], 64) << 64
        | twos("ub", cell.upper, 32) << 128
        | twos("lb", cell.lower, 32) << 160
        | twos("net", cell.net, 64) << 192
    )


def unpack(word: int) -> Cell:
    """The cell of a carried word; every word is one."""
    check_uint("cell", word, 256)
    return Cell(
        at_price=(field(word, 0, 64), field(word, 64, 64)),
        upper=signed_field(word, 128, 32),
        lower=signed_field(word, 160, 32),
        net=signed_field(word, 192, 64),
    )
