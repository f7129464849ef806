"""What cars charged and paid, against charging at once.

A car is assumed, not measured: its home signs one flexible order, and what that filled is what the car
charges. Without a market it would charge the same energy at once, from the order's first hour on, as much as
an hour allows, at the retail price.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from settlement.reports.facts import SELL, AccountFact, DayFacts, Flexible, MemberFact, OrderFact, Series


@dataclass(frozen=True, slots=True)
class Car:
    """One car's day."""

    member: MemberFact
    terms: Flexible
    limit_micro_per_kwh: int
    charged_wh: Series
    """By window."""
    at_once_wh: Series
    """The same energy, as it would have been charged without a market."""
    paid_nano: int
    at_once_nano: int
    """The same energy at once, at the retail price."""

    @property
    def energy_wh(self) -> int:
        return sum(self.charged_wh)

    @property
    def price(self) -> float | None:
        """Mean, micro/kWh; None where it charged nothing."""
        return self.paid_nano / self.energy_wh if self.energy_wh else None

    @property
    def at_once_price(self) -> float | None:
        return self.at_once_nano / self.energy_wh if self.energy_wh else None

    @property
    def saved_nano(self) -> int:
        return self.at_once_nano - self.paid_nano


def flexible_buys(orders: Sequence[OrderFact]) -> Iterator[tuple[OrderFact, Flexible]]:
    """The orders that charge a car."""
    for order in orders:
        if order.flexible and order.side != SELL:
            yield order, order.flexible


def cars_of(facts: DayFacts) -> tuple[Car, ...]:
    """Every car, in the order of the homes."""
    return tuple(
        _car(facts, member, order, terms)
        for member in facts.homes
        for order, terms in flexible_buys([one for one in facts.orders if one.trader == member.account])
    )


def _car(facts: DayFacts, member: MemberFact, order: OrderFact, terms: Flexible) -> Car:
    market, at_once = facts.market, charged_at_once(terms, sum(order.filled_wh), facts.market.windows)
    filled = [(window, wh) for window, wh in enumerate(order.filled_wh) if wh]
    return Car(
        member=member,
        terms=terms,
        limit_micro_per_kwh=order.limit_micro_per_kwh[terms.first_window],
        charged_wh=order.filled_wh,
        at_once_wh=at_once,
        paid_nano=sum(wh * market.price(order.quality, window, order.zone) for window, wh in filled),
        at_once_nano=sum(wh * price for wh, price in zip(at_once, market.retail, strict=True)),
    )


def charged_at_once(terms: Flexible, energy_wh: int, windows: int) -> Series:
    """So much energy from the first window on, as much in each as it may have."""
    found, left = [0] * windows, energy_wh
    for window in range(terms.first_window, terms.first_window + terms.windows):
        found[window] = min(left, terms.most_wh)
        left -= found[window]
    return tuple(found)


def at_once_wh(account: AccountFact, orders: Sequence[OrderFact]) -> Series:
    """What the home would have metered without a market: its car charged at once.

    Only what a meter told of the car moves: an estimate of a silent meter knows nothing of it.
    """
    metered = list(account.metered_wh)
    for order, terms in flexible_buys(orders):
        told = [0 if flag else wh for wh, flag in zip(order.filled_wh, account.flags, strict=True)]
        at_once = charged_at_once(terms, sum(told), len(metered))
        metered = [wh + a - b for wh, a, b in zip(metered, told, at_once, strict=True)]
    return tuple(metered)
