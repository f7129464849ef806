"""Splitting whole Wh so that the parts sum exactly: cumulative rounding.

    part_k = floor(A_k T / M) - floor(A_(k-1) T / M)

T is what is split, M the sum of the weights, A_k that of the first k of them. No part is negative or more
than 1 Wh from its exact share, and the last floor is T itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oracle.errors import OutOfRange, WrongShape

Ints = npt.NDArray[np.int64]

PRODUCT_BOUND = 1 << 62


def split(totals: Ints, weights: Ints, counts: Ints) -> Ints:
    """(N,) parts: `totals` (G,) each split over its run of `counts` (G,) neighbouring `weights` (N,), evenly
    where those of a run are all zero.

    WrongShape if the counts do not sum to N or one is not positive, OutOfRange for a negative total or
    weight.
    """
    if counts.shape != totals.shape or counts.sum() != len(weights) or (counts < 1).any():
        raise WrongShape("counts", f"{counts.shape} runs of {len(weights)} weights for {totals.shape}")
    if (totals < 0).any() or (weights < 0).any():
        raise OutOfRange("weights", "neither what is split nor a weight is negative")
    if not len(totals):
        return np.zeros(0, np.int64)
    starts = np.cumsum(counts) - counts
    even = np.repeat(np.add.reduceat(weights, starts) == 0, counts)
    weights = np.where(even, 1, weights)
    whole = np.add.reduceat(weights, starts)
    upto = np.cumsum(weights)
    reached = upto - np.repeat(upto[starts] - weights[starts], counts)
    shares = _floors(reached, np.repeat(totals, counts), np.repeat(whole, counts))
    before = np.concatenate(([0], shares[:-1]))
    before[starts] = 0
    parts: Ints = shares - before
    return parts


def _floors(reached: Ints, totals: Ints, whole: Ints) -> Ints:
    """floor(reached x totals / whole): in int64 where the product is sure to fit, in Python's integers where
    not.
    """
    if int(whole.max()) * int(totals.max()) < PRODUCT_BOUND:
        return reached * totals // whole
    exact = reached.astype(object) * totals.astype(object) // whole.astype(object)
    return np.asarray(exact, np.int64)
