"""Fills follow from prices: strictly better is filled, strictly worse is not, and at the price orders share.

The chain derives the same numbers from the signed orders, the prices and each cell's two marginal volumes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from settlement.matching.book import Book, Levels, cell_of
from settlement.matching.flexible import FlexibleOrders
from settlement.matching.market import Ints, Market
from settlement.units import floor_div

INT64_LIMIT = 2**63


@dataclass(frozen=True, eq=False)
class Marginal:
    """What is at the price in each cell and on each side: [Z, Q, W, 2] int64, Wh.

    total_wh   M, the quantity of the orders whose limit is the price
    filled_wh  R, how much of it fills, 0 <= R <= M
    """

    total_wh: Ints
    filled_wh: Ints


def marginal_of(levels: Levels, filled: Ints, prices: Ints, market: Market) -> Marginal:
    """The marginal volumes of an optimal flow over the levels [L] at the prices [Z, Q, W]."""
    at = np.flatnonzero(levels.limit == prices.ravel()[levels.cell])
    slot = levels.cell[at] * 2 + levels.side[at]
    total, taken = np.zeros((2, market.cells * 2), np.int64)
    total[slot], taken[slot] = levels.quantity_wh[at], filled[at]
    shape = (*market.cell_shape, 2)
    return Marginal(total.reshape(shape), taken.reshape(shape))


def fills_of(book: Book, market: Market, prices: Ints, marginal: Marginal) -> Ints:
    """[N] Wh each row fills."""
    cell = cell_of(book, market)
    price = prices.ravel()[cell]
    better = np.where(book.buys, book.limit > price, book.limit < price)
    fills = np.where(better, book.quantity_wh, 0)
    at = np.flatnonzero((book.limit == price) & (book.quantity_wh > 0))
    slot = cell[at] * 2 + book.side[at]
    by_order = np.lexsort((book.order[at], slot))
    at, slot = at[by_order], slot[by_order]
    fills[at] = pro_rata(book.quantity_wh[at], slot, marginal.total_wh.ravel(), marginal.filled_wh.ravel())
    return fills


def pro_rata(quantity_wh: Ints, slot: Ints, total_wh: Ints, filled_wh: Ints) -> Ints:
    """[K] the shares of rows sorted by slot, then order, Wh.

    With A the slot's total before a row of q, its share is floor((A + q) R / M) - floor(A R / M).
    """
    if not len(slot):
        return np.zeros(0, np.int64)
    after = np.cumsum(quantity_wh)
    first = np.flatnonzero(np.diff(slot, prepend=-1))
    rows = np.diff(first, append=len(slot))
    after -= np.repeat((after - quantity_wh)[first], rows)
    upto = _scaled(after, filled_wh[slot], total_wh[slot])
    before = np.concatenate([[0], upto[:-1]])
    before[first] = 0
    shares: Ints = upto - before
    return shares


def _scaled(amount: Ints, numerator: Ints, denominator: Ints) -> Ints:
    """floor(amount x numerator / denominator) of non-negative Wh.

    The product may need 128 bits; only then is it left to Python's integers, at a tenth of the speed.
    """
    if int(amount.max()) * int(numerator.max()) < INT64_LIMIT:
        product = amount * numerator
    else:
        product = amount.astype(object) * numerator
    scaled: Ints = floor_div(product, denominator).astype(np.int64)
    return scaled


def traded_wh(book: Book, market: Market, fills: Ints) -> Ints:
    """[Z, Q, W, 2] Wh bought and sold in each cell."""
    traded = np.zeros((*market.cell_shape, 2), np.int64)
    np.add.at(traded, (book.zone, book.quality, book.window, book.side), fills)
    return traded


def limits_nano(orders: Book | FlexibleOrders, fills: Ints) -> int:
    """Buyers' limits less sellers' limits, over fills [N] in Wh."""
    gain = fills * orders.limit
    return wide_sum(np.where(orders.buys, gain, -gain))


def charges_nano(flows_wh: Ints, market: Market) -> int:
    """What the lines charge for net imports [Z, W] in Wh."""
    return int(np.abs(flows_wh).sum(axis=1).astype(object) @ market.charge)


def wide_sum(values: Ints) -> int:
    """The exact sum of int64 values whose sum may need more than 64 bits: high and low halves apart."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())
