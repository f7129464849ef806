"""Flexibility: what was delivered of an instruction, and what is paid for it.

Delivered is how far metered moved from the baseline in the instructed direction: never negative, and never
more than was instructed. A service turns the delivered share into a paid share by its scale, and charges what
is missing beyond its tolerance. Injection is positive: `up` is more injection or less use.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from settlement.errors import InputError
from settlement.rules.baselines import BL01, Method
from settlement.rules.configuration import KNOWN_KEYS_ONLY, PPM, check_ppm
from settlement.units import POTENTIAL_LIMIT, WH_LIMIT, floor_div


class Direction(StrEnum):
    """Of an instruction."""

    UP = "up"
    """Inject more, or use less."""
    DOWN = "down"
    """Inject less, or use more."""


class Between(StrEnum):
    """What holds between two points of a scale."""

    LINEAR = "linear"
    """The straight line."""
    STEP = "step"
    """The paid share of the point below."""


@dataclass(frozen=True)
class Point:
    """So much delivered, so much paid; both in parts per million of the whole."""

    delivered_ppm: int
    paid_ppm: int

    __pydantic_config__ = KNOWN_KEYS_ONLY

    def __post_init__(self) -> None:
        check_ppm("delivered_ppm", self.delivered_ppm)
        check_ppm("paid_ppm", self.paid_ppm)


@dataclass(frozen=True)
class Scale:
    """From the delivered share to the paid share, point by point from 0 to 1."""

    points: tuple[Point, ...] = (Point(0, 0), Point(PPM, PPM))
    """Ascending in what is delivered, from 0 to 1,000,000; never descending in what is paid."""
    between: Between = Between.LINEAR

    __pydantic_config__ = KNOWN_KEYS_ONLY

    def __post_init__(self) -> None:
        delivered = [point.delivered_ppm for point in self.points]
        if len(delivered) < 2 or delivered[0] != 0 or delivered[-1] != PPM:
            raise InputError(f"a scale runs from 0 to {PPM} delivered_ppm, not over {delivered}")
        for one, two in pairwise(self.points):
            if two.delivered_ppm <= one.delivered_ppm or two.paid_ppm < one.paid_ppm:
                raise InputError(f"a scale ascends: {two} may not follow {one}")

    def paid(self, delivered_wh: int, instructed_wh: int) -> tuple[int, int]:
        """The paid share as a fraction (numerator, denominator), exact; of 0 <= delivered <= instructed,
        instructed above 0.
        """
        done = delivered_wh * PPM
        below = [point for point in self.points if point.delivered_ppm * instructed_wh <= done]
        at = below[-1]
        if self.between is Between.STEP or len(below) == len(self.points):
            return at.paid_ppm, PPM
        above = self.points[len(below)]
        run = (above.delivered_ppm - at.delivered_ppm) * instructed_wh
        beyond = done - at.delivered_ppm * instructed_wh
        return at.paid_ppm * run + beyond * (above.paid_ppm - at.paid_ppm), PPM * run


PROPORTIONAL = Scale()
"""What is delivered is paid."""


@dataclass(frozen=True)
class Service:
    """Terms of one flexibility service."""

    name: str
    method: Method = BL01
    """How its baselines are made."""
    scale: Scale = PROPORTIONAL
    tolerance_ppm: int = 0
    """Of what was instructed: so much may be missing without a penalty."""
    penalty_micro_per_kwh: int = 0
    """For what is missing beyond the tolerance, 0 or more."""

    __pydantic_config__ = KNOWN_KEYS_ONLY

    def __post_init__(self) -> None:
        check_ppm(f"tolerance_ppm of the service {self.name}", self.tolerance_ppm)
        if not 0 <= self.penalty_micro_per_kwh <= POTENTIAL_LIMIT:
            raise InputError(f"penalty_micro_per_kwh of the service {self.name} is not within 0 to 2^29")


@dataclass(frozen=True)
class Dispatch:
    """One site's instruction in one window, and what came of it."""

    direction: Direction
    instructed_wh: int
    """0 to 2^30 - 1."""
    price_micro_per_kwh: int
    """For delivered energy, within plus and minus 2^29."""
    metered_wh: int
    baseline_wh: int | None
    """None if the basis is none."""

    def __post_init__(self) -> None:
        if not 0 <= self.instructed_wh < WH_LIMIT:
            raise InputError(f"instructed_wh is {self.instructed_wh}: from 0 to 2^30 - 1 Wh")
        if abs(self.price_micro_per_kwh) > POTENTIAL_LIMIT:
            raise InputError(f"price_micro_per_kwh is {self.price_micro_per_kwh}: within +/- 2^29")


@dataclass(frozen=True)
class Delivery:
    """What a dispatch comes to."""

    delivered_wh: int
    """0 to instructed."""
    missing_wh: int
    """Instructed less delivered."""
    payment_nano: int
    """For what was delivered: rounded down, once; negative at a negative price."""
    penalty_nano: int
    """Owed, 0 or more; exact."""
    judged: bool
    """False if there was no baseline: then nothing is paid and nothing charged."""

    @property
    def cash_nano(self) -> int:
        """In favour of the site where positive."""
        return self.payment_nano - self.penalty_nano


def delivered_wh(direction: Direction, instructed_wh: int, metered_wh: int, baseline_wh: int) -> int:
    """|metered - baseline| if it went the instructed way, capped at what was instructed; else 0."""
    moved = metered_wh - baseline_wh
    return min(max(0, moved if direction is Direction.UP else -moved), instructed_wh)


def settle(service: Service, dispatch: Dispatch) -> Delivery:
    """Delivery, payment and penalty of one dispatch.

    Without a baseline nothing can be shown, either way: the site is neither paid nor charged.
    """
    instructed = dispatch.instructed_wh
    if dispatch.baseline_wh is None or instructed == 0:
        return Delivery(0, instructed, 0, 0, judged=dispatch.baseline_wh is not None)
    delivered = delivered_wh(dispatch.direction, instructed, dispatch.metered_wh, dispatch.baseline_wh)
    paid, whole = service.scale.paid(delivered, instructed)
    payment = floor_div(instructed * dispatch.price_micro_per_kwh * paid, whole)
    missing = instructed - delivered
    tolerated = floor_div(instructed * service.tolerance_ppm, PPM)
    penalty = max(0, missing - tolerated) * service.penalty_micro_per_kwh
    return Delivery(delivered, missing, payment, penalty, judged=True)
