"""Quality: a carbon band and firmness, a small lattice (docs/formats.md, Quality).

| 3        | 2..0        |
| firmness | carbon band |
"""

from collections.abc import Iterable

from settlement.reference.errors import UnknownQuality

CODES = 16
CAPS_G_PER_KWH = (None, 500, 350, 200, 100, 50, 20, 0)
"""Most gCO2e/kWh by band, location-based, generation only; band 0 has no cap."""


def check(code: int) -> int:
    """`code`, or UnknownQuality."""
    if not 0 <= code < CODES:
        raise UnknownQuality(code)
    return code


def band(code: int) -> int:
    """Carbon band; higher is greener."""
    return check(code) & 7


def firm(code: int) -> int:
    """1 firm, 0 as produced."""
    return check(code) >> 3


def serves(giver: int, taker: int) -> bool:
    """Whether a unit of `giver` may be delivered where `taker` was bought: greener for browner, firm for
    loose.
    """
    return band(giver) >= band(taker) and firm(giver) >= firm(taker)


def best_first(codes: Iterable[int]) -> list[int]:
    """By band, then firmness, both descending: the order in which delivery is allotted and certified."""
    return sorted(codes, key=lambda code: (-band(code), -firm(code)))
