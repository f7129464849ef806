"""The split of a flexible order: what it may be, and which energy potentials it holds (docs/clearing.md).

Think of a buy as a node between its windows and its limit. Where it takes something, the window's energy is
worth no more than to it (an upper window); where it could take more, no less (a lower one). A sell turns
both round. The limit stands at the other end: it caps the node if anything could be bought for less, and
floors it if anything is left unbought.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from settlement.reference import support
from settlement.reference.errors import SplitNotOptimal, SplitOutOfRange
from settlement.reference.flexible import FlexibleSchedule
from settlement.reference.potential import Potential
from settlement.reference.record import BUY


@dataclass(frozen=True)
class Split:
    """A split as constraints on energy potentials; windows count from the session's first."""

    lower: tuple[int, ...]
    """No dearer than the node: used by a buy, with room left to a sell."""
    upper: tuple[int, ...]
    """No cheaper than the node: with room left to a buy, used by a sell."""
    capped: bool
    """The node is worth at most the limit."""
    floored: bool
    """The node is worth at least the limit."""
    limit: int


def split_of(order: FlexibleSchedule, shares_wh: Sequence[int], first: int) -> Split:
    """The constraints of shares that begin in window `first`."""
    used = tuple(first + k for k, wh in enumerate(shares_wh) if wh > 0)
    room = tuple(first + k for k, wh in enumerate(shares_wh) if wh < order.max_wh_per_window)
    some, left = sum(shares_wh) > 0, sum(shares_wh) < order.energy_wh
    if order.side == BUY:
        return Split(used, room, capped=some, floored=left, limit=order.limit_micro_per_kwh)
    return Split(room, used, capped=left, floored=some, limit=order.limit_micro_per_kwh)


def check_range(order_hash: bytes, order: FlexibleSchedule, shares_wh: Sequence[int]) -> None:
    """SplitOutOfRange if a share is above the most a window may have, or all together above the energy."""
    if any(wh > order.max_wh_per_window for wh in shares_wh) or sum(shares_wh) > order.energy_wh:
        raise SplitOutOfRange(order_hash)


def check_optimal(order_hash: bytes, split: Split, energy: Sequence[Potential]) -> None:
    """SplitNotOptimal unless the lowest and the highest potentials both keep every constraint."""
    for values in ([one.lo for one in energy], [one.hi for one in energy]):
        lower, upper = [values[w] for w in split.lower], [values[w] for w in split.upper]
        ordered = not lower or not upper or max(lower) <= min(upper)
        capped = not split.capped or all(value <= split.limit for value in lower)
        floored = not split.floored or all(value >= split.limit for value in upper)
        if not (ordered and capped and floored):
            raise SplitNotOptimal(order_hash)


def supported(split: Split, energy: Sequence[Potential]) -> int:
    """Which entries the order holds: an upper window a lower one in the highest potentials, a lower an upper
    in the lowest, at equal value and by a lower rank; the limit either.
    """
    found = 0
    for window in split.lower:
        one = energy[window]
        by_limit = split.capped and one.hi == split.limit
        by_other = any(energy[u].hi == one.hi and energy[u].rank_hi < one.rank_hi for u in split.upper)
        found |= support.of(window, (False, by_limit or by_other))
    for window in split.upper:
        one = energy[window]
        by_limit = split.floored and one.lo == split.limit
        by_other = any(energy[v].lo == one.lo and energy[v].rank_lo < one.rank_lo for v in split.lower)
        found |= support.of(window, (by_limit or by_other, False))
    return found
