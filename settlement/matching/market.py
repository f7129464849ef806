"""What a book is cleared under: windows, grid tree, qualities and their substitutions, floor and cap.

Zones, qualities and windows are dense indices here; names and codes belong to the callers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from settlement.errors import InputError
from settlement.units import POTENTIAL_LIMIT, PRICE_CAP, PRICE_FLOOR

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ROOT = -1
"""The parent of the root zone."""

UNLIMITED_WH = 2**62
"""The capacity of a line without a limit."""

CHARGE_LIMIT = 2**32
"""A line's charge lies strictly below (micro/kWh; a uint32 on chain)."""

CELL_LIMIT = 2**29
"""Windows x zones x qualities lie strictly below, so that a price level packs into one int64 key."""


@dataclass(frozen=True, eq=False)
class Market:
    """What is fixed before the orders: refused with `InputError` unless it can be cleared.

    windows        number of windows W, at least 1
    parent         [Z] int64, index of the parent zone, `ROOT` for exactly one
    charge         [Z] int64, micro/kWh over the line to the parent, at least 1 (the root's is ignored)
    capacity_wh    [Z] int64, Wh a window and direction over that line, `UNLIMITED_WH` for none
    qualities      number of qualities Q, at least 1; 0 is the least
    substitutions  [S, 2] int64 pairs (from, to): a unit of `from` may serve demand for `to`
    floor, cap     the range of limits, micro/kWh
    """

    windows: int
    parent: Ints
    charge: Ints
    capacity_wh: Ints
    qualities: int
    substitutions: Ints
    floor: int = PRICE_FLOOR
    cap: int = PRICE_CAP

    def __post_init__(self) -> None:
        _refuse_bad_sizes(self)
        _refuse_bad_lines(self)
        _refuse_bad_tree(self.parent)
        _refuse_bad_substitutions(self.qualities, self.substitutions)

    @property
    def zones(self) -> int:
        return len(self.parent)

    @property
    def cell_shape(self) -> tuple[int, int, int]:
        """[Z, Q, W]: the shape of everything kept per cell (zone, quality, window)."""
        return self.zones, self.qualities, self.windows

    @property
    def cells(self) -> int:
        return self.zones * self.qualities * self.windows


def make_market(
    windows: int = 1,
    *,
    parent: ArrayLike = (ROOT,),
    charge: ArrayLike = (0,),
    capacity_wh: ArrayLike = (UNLIMITED_WH,),
    qualities: int = 1,
    substitutions: Sequence[tuple[int, int]] | None = None,
    floor: int = PRICE_FLOOR,
    cap: int = PRICE_CAP,
) -> Market:
    """A market from plain sequences; by default one zone, and each quality serving the next lower."""
    pairs = [(q + 1, q) for q in range(qualities - 1)] if substitutions is None else list(substitutions)
    return Market(
        windows=int(windows),
        parent=frozen(parent),
        charge=frozen(charge),
        capacity_wh=frozen(capacity_wh),
        qualities=int(qualities),
        substitutions=frozen(pairs).reshape(-1, 2),
        floor=int(floor),
        cap=int(cap),
    )


def frozen(values: Any) -> Ints:
    """A read-only int64 copy; integers only, so that nothing is rounded on the way in."""
    given = np.asarray(values)
    if given.size and given.dtype.kind not in "iub":
        raise InputError(f"integers are needed here, not {given.dtype}")
    array = np.array(given, dtype=np.int64)
    array.flags.writeable = False
    return array


def _refuse_bad_sizes(market: Market) -> None:
    if market.windows < 1 or market.zones < 1 or market.qualities < 1:
        raise InputError("a market needs at least one window, one zone and one quality")
    if market.cells >= CELL_LIMIT:
        raise InputError(f"windows x zones x qualities, {market.cells}, must stay below 2^29")
    if not -POTENTIAL_LIMIT <= market.floor <= market.cap <= POTENTIAL_LIMIT:
        raise InputError(f"floor {market.floor} and cap {market.cap} must be ordered and within 2^29")


def _refuse_bad_lines(market: Market) -> None:
    if not len(market.parent) == len(market.charge) == len(market.capacity_wh):
        raise InputError("every zone needs a parent, a charge and a capacity")
    line = market.parent != ROOT
    charge, capacity = market.charge[line], market.capacity_wh[line]
    if ((charge < 1) | (charge >= CHARGE_LIMIT)).any():
        raise InputError("a line's charge must be at least 1 micro/kWh and below 2^32")
    if ((capacity < 0) | (capacity > UNLIMITED_WH)).any():
        raise InputError("a line's capacity must be a non-negative number of Wh")


def _refuse_bad_tree(parent: Ints) -> None:
    """One root, and every zone reaches it: each step replaces a zone's pointer by its pointer's pointer."""
    zones = len(parent)
    if ((parent < ROOT) | (parent >= zones)).any():
        raise InputError("a zone's parent is not a zone of the grid")
    if (parent == ROOT).sum() != 1:
        raise InputError("a grid needs exactly one root")
    ancestor = np.where(parent == ROOT, np.arange(zones), parent)
    for _ in range(zones.bit_length()):
        ancestor = ancestor[ancestor]
    if (parent[ancestor] != ROOT).any():
        raise InputError("the zones' parents form a ring: every zone must lead to the root")


def _refuse_bad_substitutions(qualities: int, substitutions: Ints) -> None:
    """Every quality must reach 0: otherwise its premium could have no lower bound to be supported by."""
    if ((substitutions < 0) | (substitutions >= qualities)).any():
        raise InputError("a substitution names a quality that is not in the market")
    if (substitutions[:, 0] == substitutions[:, 1]).any():
        raise InputError("a quality cannot substitute itself")
    pairs = [(int(giver), int(taker)) for giver, taker in substitutions]
    if len(set(pairs)) != len(pairs):
        raise InputError("a substitution is listed twice")
    reaches = {0}
    for _ in range(qualities):
        reaches |= {giver for giver, taker in pairs if taker in reaches}
    missing = sorted(set(range(qualities)) - reaches)
    if missing:
        raise InputError(f"qualities {missing} cannot serve quality 0 by any chain of substitutions")
