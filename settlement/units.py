"""Units, their bounds, and the two integer divisions.

Energy is counted in Wh per window, price in micro-currency per kWh (signed), cash in nano-currency:
Wh x micro/kWh is exactly nano, so nothing is rounded on the way from an order to a payment.

The EVM's signed division truncates towards zero; Python's and numpy's `//` floors. Signed money is divided
only by one of the two functions below, so that every place says which of them it means.
"""

from __future__ import annotations

from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

WH_LIMIT = 2**30
"""Every quantity of an order, and every contracted or metered total, lies strictly below (1 GWh)."""

POTENTIAL_LIMIT = 2**29
"""Energy prices lie within plus and minus this, quality premiums within 0 and this (micro/kWh)."""

PRICE_FLOOR = -2_000_000
"""Default lowest limit an order may name (micro/kWh)."""

PRICE_CAP = 6_000_000
"""Default highest limit an order may name (micro/kWh)."""

Ints = NDArray[np.int64]


def furthest_potential(floor: int, cap: int, qualities: int, zones: int, deepest_charge: int) -> int:
    """How far from 0 any book of a session can push its potentials, micro/kWh (docs/clearing.md, Floor and
    cap). `deepest_charge` is the most that the lines from a zone up to the root charge together.
    """
    stops, span = min(qualities, zones), cap - floor
    return 2 * (stops - 1) * span + max(span, -floor, cap) + 2 * stops * deepest_charge


@overload
def floor_div(numerator: int, denominator: int) -> int: ...
@overload
def floor_div(numerator: Ints, denominator: Ints | int) -> Ints: ...
def floor_div(numerator: Any, denominator: Any) -> Any:
    """Quotient rounded towards minus infinity, as Python and numpy divide: floor_div(-7, 2) == -4."""
    return numerator // denominator


@overload
def trunc_div(numerator: int, denominator: int) -> int: ...
@overload
def trunc_div(numerator: Ints, denominator: Ints | int) -> Ints: ...
def trunc_div(numerator: Any, denominator: Any) -> Any:
    """Quotient rounded towards zero, as the EVM's `sdiv` divides: trunc_div(-7, 2) == -3."""
    quotient = abs(numerator) // abs(denominator)
    negative = (numerator < 0) != (denominator < 0)
    return quotient * (1 - 2 * negative)
