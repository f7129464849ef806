"""Imbalances of many accounts at once: the rule of `settlement.reference.settlement`, over arrays.

Injection is positive: contracted = sold - bought, metered = export - import, and imbalance = metered -
contracted. Who sold 1 MWh and injected 0.9 at a price of 80 a MWh owes 8; at -50 it earns 5. Cash is in
favour of the account where positive. The balancing party takes the other side of all of it, so every run
nets to zero.

Shapes: A accounts, W windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from settlement.reference.errors import EnergyNotConserved, ValueOutOfRange, WrongLength
from settlement.reference.settlement import imbalance_cash
from settlement.units import POTENTIAL_LIMIT, WH_LIMIT, Ints

HALF_WORD = 32


@dataclass(frozen=True)
class ImbalancePrices:
    """What an imbalance is worth in each window, micro/kWh within plus and minus 2^29."""

    surplus: tuple[int, ...]
    """(W), of positive imbalances."""
    deficit: tuple[int, ...]
    """(W), of negative ones; never below the surplus price, or erring would pay."""

    def __post_init__(self) -> None:
        if len(self.surplus) != len(self.deficit):
            raise WrongLength("deficit", len(self.deficit), len(self.surplus))
        for low, high in zip(self.surplus, self.deficit, strict=True):
            if not -POTENTIAL_LIMIT <= low <= high <= POTENTIAL_LIMIT:
                raise ValueOutOfRange("surplus and deficit price", (low, high))


def single(prices: tuple[int, ...]) -> ImbalancePrices:
    """One price for either sign."""
    return ImbalancePrices(prices, prices)


@dataclass(frozen=True, eq=False)
class ImbalanceRun:
    """What a run does to its accounts and to the balancing party."""

    imbalance_wh: Ints
    """(A, W)."""
    cash_nano: Ints
    """(A, W), earned where positive."""
    account_nano: tuple[int, ...]
    """(A), each account's cash over all windows; exact, of any size."""
    balancing_wh: tuple[int, ...]
    """(W), minus everyone else's imbalance."""
    balancing_nano: tuple[int, ...]
    """(W), minus everyone else's cash."""


def cash_of(imbalance_wh: int, surplus: int, deficit: int) -> int:
    """Nano for one imbalance, earned where positive; one rule with the chain's reference."""
    return imbalance_cash(imbalance_wh, surplus, deficit)


def settle(
    contracted_wh: Ints, metered_wh: Ints, prices: ImbalancePrices, balancing_contracted_wh: Ints
) -> ImbalanceRun:
    """The run of a day: `contracted_wh` and `metered_wh` (A, W) of all accounts but the balancing party, of
    which (W) contracts are known and which is not metered.

    ValueOutOfRange unless every quantity is within plus and minus 2^30; WrongLength where shapes differ;
    EnergyNotConserved, with the first window, if contracts of all do not sum to zero.
    """
    windows = len(prices.surplus)
    _check_shapes(contracted_wh, metered_wh, balancing_contracted_wh, windows)
    for name, array in (("contracted", contracted_wh), ("metered", metered_wh)):
        _check_range(name, array)
    _check_conserved(contracted_wh, balancing_contracted_wh)
    imbalance = metered_wh - contracted_wh
    surplus, deficit = (np.array(each, np.int64) for each in (prices.surplus, prices.deficit))
    # Below 2^31 x 2^29 = 2^60 in each cell; only sums of many cells may need more than 64 bits.
    cash = imbalance * np.where(imbalance > 0, surplus, deficit)
    return ImbalanceRun(
        imbalance,
        cash,
        exact_sums(cash),
        tuple(-wh for wh in exact_sums(imbalance.T)),
        tuple(-nano for nano in exact_sums(cash.T)),
    )


def exact_sums(array: Ints) -> tuple[int, ...]:
    """The sum of each row, whatever its size.

    High and low halves of the words are summed apart: neither sum leaves 64 bits before 2^31 columns.
    """
    high = (array >> HALF_WORD).sum(axis=1).tolist()
    low = (array & ((1 << HALF_WORD) - 1)).sum(axis=1).tolist()
    return tuple((upper << HALF_WORD) + lower for upper, lower in zip(high, low, strict=True))


def _check_shapes(contracted: Ints, metered: Ints, balancing: Ints, windows: int) -> None:
    if contracted.ndim != 2 or contracted.shape[1] != windows:
        raise WrongLength("contracted", contracted.shape[-1] if contracted.ndim else 0, windows)
    if metered.shape != contracted.shape:
        raise WrongLength("metered", metered.size, contracted.size)
    if balancing.shape != (windows,):
        raise WrongLength("contracted of the balancing party", balancing.size, windows)


def _check_range(name: str, array: Ints) -> None:
    if not np.issubdtype(array.dtype, np.int64):
        raise ValueOutOfRange(name, str(array.dtype))
    outside = array[(array <= -WH_LIMIT) | (array >= WH_LIMIT)]
    if outside.size:
        raise ValueOutOfRange(name, int(outside[0]))


def _check_conserved(contracted: Ints, balancing: Ints) -> None:
    for window, (settled, own) in enumerate(zip(exact_sums(contracted.T), balancing.tolist(), strict=True)):
        if settled + own != 0:
            raise EnergyNotConserved(window, settled + own)
