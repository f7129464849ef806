"""Fill: how much of an entry the posted price fills, and what the entry says about the price
(proof/README.md).

Strictly better than the price fills in full, strictly worse not at all. At the price, the cell's at-price
orders share `R` of their total `M` by cumulative rounding in ascending order of hash, so that fills sum to
`R` exactly.
"""

from dataclasses import dataclass, replace

from settlement.reference.cell import Cell
from settlement.reference.errors import MarginalExceeded
from settlement.reference.marginal import Marginal
from settlement.reference.record import BUY
from settlement.units import floor_div


def pro_rata(before: int, quantity: int, total: int, shared: int) -> int:
    """The part of `shared` that falls on `quantity` of `total`, `before` of which came earlier; Wh.

    floor((before + quantity) x shared / total) - floor(before x shared / total). Nothing falls on nothing.
    """
    if total == 0:
        return 0
    return floor_div((before + quantity) * shared, total) - floor_div(before * shared, total)


@dataclass(frozen=True)
class Quote:
    """What a cell's posted potentials say about it, micro/kWh."""

    price: int
    below: int
    """The smaller of `e - y` in the lowest and in the highest potentials; the price is not below it."""
    above: int
    """The greater of the two; the price is not above it."""


def fill_entry(
    cell: Cell, marginal: Marginal, quote: Quote, side: int, quantity: int, limit: int
) -> tuple[Cell, int]:
    """The cell after an entry is read, and how much of the entry fills, Wh.

    Quantities Wh, limit micro/kWh. An entry of no quantity changes nothing, and a limit beyond the quote can
    neither bind nor be violated: it is not gathered. MarginalExceeded if more is at the price than posted.
    """
    if quantity == 0:
        return cell, 0
    if limit == quote.price:
        cell, filled = _at_price(cell, marginal, side, quantity, limit)
    else:
        better = limit > quote.price
        filled = quantity if better == (side == BUY) else 0
        if quote.below <= limit <= quote.above:
            cell = _bound(cell, limit, above=better, below=not better)
    net = filled if side == BUY else -filled
    return replace(cell, net=cell.net + net), filled


def _at_price(cell: Cell, marginal: Marginal, side: int, quantity: int, limit: int) -> tuple[Cell, int]:
    """The bound is the group's, not the entry's, which may round to nothing."""
    total, shared, before = marginal.at_price[side], marginal.filled[side], cell.at_price[side]
    if before + quantity > total:
        raise MarginalExceeded
    some_fill, some_wait = shared > 0, shared < total
    above, below = (some_fill, some_wait) if side == BUY else (some_wait, some_fill)
    at_price = list(cell.at_price)
    at_price[side] += quantity
    cell = replace(cell, at_price=(at_price[0], at_price[1]))
    return _bound(cell, limit, above=above, below=below), pro_rata(before, quantity, total, shared)


def _bound(cell: Cell, limit: int, *, above: bool, below: bool) -> Cell:
    """A limit that a higher price would betray bounds it from above; one a lower price would, from below."""
    return replace(
        cell,
        upper=min(cell.upper, limit) if above else cell.upper,
        lower=max(cell.lower, limit) if below else cell.lower,
    )
