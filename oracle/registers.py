"""Register reads beside a day's windows: what a meter's total counter showed at some of the windows' bounds.

Between two neighbouring reads the counter's *advance* is known, which the windows in between must sum to.
That checks them, and says what missing ones come to together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oracle.day import Mask, Wh, frozen
from oracle.errors import WrongShape
from oracle.split import Ints


@dataclass(frozen=True, eq=False)
class RegisterReads:
    """Cumulative Wh of S registers at the W + 1 bounds of a day's W windows."""

    wh: Wh
    """(S, W + 1); column w is the start of window w, the last the end of the day. Whatever the meter said:
    a counter that ran backwards is no error here, but fails the sum check.
    """
    known: Mask
    """(S, W + 1), where there is a read. Anything may stand elsewhere."""

    def __post_init__(self) -> None:
        if self.wh.ndim != 2 or self.wh.shape[1] < 2:
            raise WrongShape("register reads", f"{self.wh.shape} instead of (S, W + 1)")
        object.__setattr__(self, "wh", frozen("register reads", self.wh, self.wh.shape, np.int64))
        object.__setattr__(self, "known", frozen("register reads", self.known, self.wh.shape, np.bool_))


@dataclass(frozen=True, eq=False)
class Stretches:
    """G stretches between neighbouring reads of one register, ascending by row and start."""

    row: Ints
    start: Ints
    """(G,) first window, and"""
    stop: Ints
    """(G,) the one after the last."""
    advance_wh: Ints
    """(G,) what the register advanced by; negative if it ran backwards."""

    def sums(self, values: Wh | Mask) -> Ints:
        """(G,) sums of `values` (S, W) over each stretch."""
        upto = np.zeros((values.shape[0], values.shape[1] + 1), np.int64)
        np.cumsum(values, axis=1, out=upto[:, 1:])
        sums: Ints = upto[self.row, self.stop] - upto[self.row, self.start]
        return sums

    def cover(self, chosen: Mask, shape: tuple[int, ...]) -> Mask:
        """(S, W) the windows of the stretches that are `chosen` (G,)."""
        edges = np.zeros((shape[0], shape[1] + 1), np.int8)
        edges[self.row[chosen], self.start[chosen]] += 1
        edges[self.row[chosen], self.stop[chosen]] -= 1
        covered: Mask = np.cumsum(edges, axis=1, dtype=np.int8)[:, :-1] > 0
        return covered


def stretches(reads: RegisterReads, shape: tuple[int, ...]) -> Stretches:
    """What lies between the reads of each register of a day of `shape` (S, W); WrongShape."""
    if reads.wh.shape != (shape[0], shape[1] + 1):
        raise WrongShape("register reads", f"{reads.wh.shape} for a day of {shape}")
    row, bound = np.nonzero(reads.known)
    same = row[1:] == row[:-1]
    start, stop, row = bound[:-1][same], bound[1:][same], row[1:][same]
    return Stretches(row, start, stop, reads.wh[row, stop] - reads.wh[row, start])
