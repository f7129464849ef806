"""Credit cover: how much of what a member has deposited its open positions use.

Two warnings, strictly above 80 and 90 per cent of cover, as the credit cover percentage of the Balancing and
Settlement Code has two levels of default; and a breach, where the reserve exceeds the cover. Compared by
products of integers, so that exactly 80 per cent is never a warning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction

from settlement.errors import InputError
from settlement.rules.configuration import KNOWN_KEYS_ONLY, PPM, check_ppm
from settlement.units import floor_div


class Level(IntEnum):
    """How far a member has gone, ascending."""

    COVERED = 0
    FIRST_WARNING = 1
    SECOND_WARNING = 2
    BREACH = 3
    """The reserve exceeds the cover: nothing more may be reserved."""


@dataclass(frozen=True)
class Thresholds:
    """Shares of cover above which members are warned; being equal to one is still within it."""

    first_ppm: int = 800_000
    second_ppm: int = 900_000

    __pydantic_config__ = KNOWN_KEYS_ONLY

    def __post_init__(self) -> None:
        if check_ppm("first_ppm", self.first_ppm) > check_ppm("second_ppm", self.second_ppm):
            raise InputError(
                f"first_ppm {self.first_ppm} exceeds second_ppm {self.second_ppm}: exchange them"
            )


@dataclass(frozen=True)
class Position:
    """What one member has and what of it is reserved."""

    member: str
    """Address or other identifier, each once."""
    reserve_nano: int
    """Kept for open orders and filled energy, 0 or more."""
    cover_nano: int
    """Cash that reserves may use, what is reserved included; negative after unpaid imbalances."""


@dataclass(frozen=True)
class Standing:
    """A position, judged."""

    member: str
    level: Level
    used_ppm: int | None
    """Reserve in parts per million of cover, rounded down; None if there is no cover."""
    headroom_nano: int
    """What may still be reserved; negative in a breach."""


def level_of(reserve_nano: int, cover_nano: int, thresholds: Thresholds = Thresholds()) -> Level:
    """Without cover, any reserve is a breach and none is covered; a negative cover is always a breach."""
    if reserve_nano > cover_nano:
        return Level.BREACH
    if reserve_nano * PPM > cover_nano * thresholds.second_ppm:
        return Level.SECOND_WARNING
    if reserve_nano * PPM > cover_nano * thresholds.first_ppm:
        return Level.FIRST_WARNING
    return Level.COVERED


def assess(positions: Iterable[Position], thresholds: Thresholds = Thresholds()) -> tuple[Standing, ...]:
    """Every member's standing: gravest level first, within it the larger share of cover used, then by member.

    InputError for a negative reserve or a member given twice.
    """
    held = list(positions)
    seen = set[str]()
    for position in held:
        if position.reserve_nano < 0:
            raise InputError(f"{position.member} has a reserve of {position.reserve_nano}: it is 0 or more")
        if position.member in seen:
            raise InputError(f"{position.member} is given twice: add its positions up first")
        seen.add(position.member)
    held.sort(key=lambda each: (_gravest(each, thresholds), each.member))
    return tuple(_standing(position, thresholds) for position in held)


def _gravest(position: Position, thresholds: Thresholds) -> tuple[int, bool, Fraction]:
    """Ascends from the gravest. Without cover there is no share: such a breach comes before any with one, by
    what is missing.
    """
    reserve, cover = position.reserve_nano, position.cover_nano
    used = Fraction(reserve, cover) if cover > 0 else Fraction(reserve - cover)
    return -level_of(reserve, cover, thresholds), cover > 0, -used


def _standing(position: Position, thresholds: Thresholds) -> Standing:
    reserve, cover = position.reserve_nano, position.cover_nano
    used = floor_div(reserve * PPM, cover) if cover > 0 else None
    return Standing(position.member, level_of(reserve, cover, thresholds), used, cover - reserve)
