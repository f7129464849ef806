"""What the independent check judges, and how it says what fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from settlement.matching.book import Book
from settlement.matching.clear import Clearing
from settlement.matching.flexible import FlexibleOrders
from settlement.matching.market import Ints, Market


class Violation(NamedTuple):
    """A condition that fails, and the first index at which it does."""

    name: str
    where: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """A clearing, and the orders and market it is judged by."""

    book: Book
    flexible: FlexibleOrders
    market: Market
    clearing: Clearing

    @cached_property
    def cell(self) -> Ints:
        """[N] the cell of each row, as an index into [Z, Q, W]."""
        book = self.book
        return np.ravel_multi_index((book.zone, book.quality, book.window), self.market.cell_shape)

    @cached_property
    def price(self) -> Ints:
        """[N] the price of each row's cell."""
        return self.clearing.prices.ravel()[self.cell]


def fails(name: str, wrong: Any) -> Iterator[Violation]:
    """The condition, if it is wrong anywhere."""
    if np.any(wrong):
        yield Violation(name, tuple(int(i) for i in np.argwhere(wrong)[0]))
