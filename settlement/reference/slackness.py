"""Slackness: both posted vectors satisfy every constraint, and every entry is held where it is
(proof/README.md).

A constraint reads `y_b <= y_a + c`. Where it is tight, in the highest vector b is held by a if a's rank is
lower; in the lowest vector a is held by b likewise. An entry at its outer bound is held by it. If all are
held, the vectors are the extreme ones, and so the price is the rule's and nobody's choice.

The constraints here are those of cells (`lower <= e - y <= upper`) and of substitutions (`y_from <=
y_to`, equal where something flows); `split` and `line` have the others.
"""

from settlement.reference.cell import Cell
from settlement.reference.errors import (
    CellViolated,
    PotentialOutOfRange,
    SubstitutionViolated,
)
from settlement.reference.potential import Potential
from settlement.units import POTENTIAL_LIMIT

Flags = tuple[bool, bool]
"""Whether the lowest and the highest value are held."""


def either(one: Flags, other: Flags) -> Flags:
    """Held by the one or by the other."""
    return one[0] or other[0], one[1] or other[1]


def check_energy_range(entry: int, energy: Potential) -> None:
    """PotentialOutOfRange unless both values are within plus and minus 2^29."""
    if not all(-POTENTIAL_LIMIT <= value <= POTENTIAL_LIMIT for value in (energy.lo, energy.hi)):
        raise PotentialOutOfRange(entry)


def check_quality_range(entry: int, quality: Potential) -> None:
    """PotentialOutOfRange unless both values are within -2^29 and 0: a premium is never negative."""
    if not all(-POTENTIAL_LIMIT <= value <= 0 for value in (quality.lo, quality.hi)):
        raise PotentialOutOfRange(entry)


def check_cell(index: int, energy: Potential, quality: Potential, cell: Cell) -> None:
    """CellViolated unless the cell's price in either vector is within the bounds its orders gave."""
    for price in (energy.lo - quality.lo, energy.hi - quality.hi):
        if not cell.lower <= price <= cell.upper:
            raise CellViolated(index)


def check_substitution(index: int, giver: Potential, taker: Potential) -> None:
    """SubstitutionViolated unless `y_from <= y_to`: what serves more is worth no less."""
    if giver.lo > taker.lo or giver.hi > taker.hi:
        raise SubstitutionViolated(index)


def check_flow(index: int, giver: Potential, taker: Potential, flow: int) -> None:
    """SubstitutionViolated if something flows between qualities of different premium, or beyond a uint64."""
    unequal = (giver.lo, giver.hi) != (taker.lo, taker.hi)
    if flow > 0 and (unequal or flow >> 64):
        raise SubstitutionViolated(index)


# What holds an entry ------------------------------------------------------------------------------------


def energy_by_bound(energy: Potential) -> Flags:
    """A zone's entry, held by its outer bounds."""
    return energy.lo == -POTENTIAL_LIMIT, energy.hi == POTENTIAL_LIMIT


def quality_by_bound(quality: Potential) -> Flags:
    """A quality's entry, held by its outer bounds."""
    return quality.lo == -POTENTIAL_LIMIT, quality.hi == 0


def energy_by_cell(energy: Potential, quality: Potential, cell: Cell) -> Flags:
    """A zone's entry, held by a quality through their cell: `e <= y + upper`, `e >= y + lower`."""
    lo = energy.lo - quality.lo == cell.lower and quality.rank_lo < energy.rank_lo
    hi = energy.hi - quality.hi == cell.upper and quality.rank_hi < energy.rank_hi
    return lo, hi


def quality_by_cell(energy: Potential, quality: Potential, cell: Cell) -> Flags:
    """A quality's entry, held by the zone through their cell: `y <= e - lower`, `y >= e - upper`."""
    lo = energy.lo - quality.lo == cell.upper and energy.rank_lo < quality.rank_lo
    hi = energy.hi - quality.hi == cell.lower and energy.rank_hi < quality.rank_hi
    return lo, hi


def giver_by_taker(giver: Potential, taker: Potential, flow: int) -> Flags:
    """What gives, held by what takes: `y_from <= y_to`; from below only where something flows."""
    lo = flow > 0 and giver.lo == taker.lo and taker.rank_lo < giver.rank_lo
    hi = giver.hi == taker.hi and taker.rank_hi < giver.rank_hi
    return lo, hi


def taker_by_giver(giver: Potential, taker: Potential, flow: int) -> Flags:
    """What takes, held by what gives: `y_to >= y_from`; from above only where something flows."""
    lo = giver.lo == taker.lo and giver.rank_lo < taker.rank_lo
    hi = flow > 0 and giver.hi == taker.hi and giver.rank_hi < taker.rank_hi
    return lo, hi
