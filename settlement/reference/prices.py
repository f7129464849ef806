"""Prices that settlement reads again: what a round posted for one zone (docs/formats.md, Settlement).

They are the words of `closeZone` and `postHeader` as they were, and price a token as clearing priced its
fill.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from settlement.reference import potential as potentials_
from settlement.reference import quality
from settlement.reference.eip712 import keccak
from settlement.reference.potential import GROUND, Potential
from settlement.reference.words import words

FIRM = 8
"""The bit of a quality code that says firm."""


@dataclass(frozen=True)
class RoundPrices:
    """Posted potentials of one proved round in one zone."""

    energy: tuple[Potential, ...]
    """One for each window of the round's session."""
    qualities: tuple[Potential, ...]
    """Index `(q - 1) * W + w`, q the dense quality from 1, W the session's windows."""

    def premium(self, dense: int, window: int) -> int:
        """`g` of a dense quality, micro/kWh; 0 of quality 0. Windows count from the session's first."""
        entry = GROUND if dense == 0 else self.qualities[(dense - 1) * len(self.energy) + window]
        return -entry.mid

    def price(self, dense: int, window: int) -> int:
        """`e + g`, micro/kWh: what a fill of the quality was priced at."""
        return self.energy[window].mid + self.premium(dense, window)

    def green_premium(self, codes: Sequence[int], code: int, window: int) -> int:
        """`G`, micro/kWh: what the quality costs above the grid's band 0 of the same firmness, or above
        quality 0 where the grid has none. 0 of band 0 itself.
        """
        if quality.band(code) == 0:
            return 0
        plain = code & FIRM
        below = self.premium(codes.index(plain), window) if plain in codes else 0
        return self.premium(codes.index(code), window) - below


def energy_hash(energy: Sequence[Potential]) -> bytes:
    """What the Exchange keeps of a zone's energy potentials."""
    return keccak(words(potentials_.pack(entry) for entry in energy))


def quality_hash(prices: RoundPrices) -> bytes:
    """What the session keeps of its header."""
    return keccak(words(potentials_.pack(entry) for entry in prices.qualities))
