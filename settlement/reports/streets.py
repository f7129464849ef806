"""What crossed the lines of a day's streets, what it paid, and what stayed at home.

In each window a street imports what its homes bought less what they sold. What is paid for that above what
the substation's price comes to is the line's: its charge, and congestion rent on top where it is full. Both
go to the network operator.
"""

from __future__ import annotations

from dataclasses import dataclass

from settlement.reports.facts import SELL, DayFacts, MarketFact, Series, StreetFact


@dataclass(frozen=True, slots=True)
class Street:
    """One street's day; by window unless it says otherwise."""

    fact: StreetFact
    homes: int
    """How many."""
    bought_wh: Series
    sold_wh: Series
    energy_prices: Series
    """micro/kWh."""
    sales_nano: int
    """What its homes were paid for what they sold, over the day."""
    rents_nano: Series
    """Of its line, congestion only."""

    @property
    def imports_wh(self) -> Series:
        """Negative where it exports."""
        return tuple(b - s for b, s in zip(self.bought_wh, self.sold_wh, strict=True))

    @property
    def stayed_wh(self) -> int:
        """Bought in the street from the street, over the day."""
        return sum(map(min, self.bought_wh, self.sold_wh))

    @property
    def inward_wh(self) -> int:
        """Over its line into the street, over the day."""
        return sum(max(0, wh) for wh in self.imports_wh)

    @property
    def outward_wh(self) -> int:
        return sum(max(0, -wh) for wh in self.imports_wh)

    @property
    def charge_nano(self) -> int:
        return (self.inward_wh + self.outward_wh) * self.fact.charge_micro_per_kwh

    @property
    def rent_nano(self) -> int:
        return sum(self.rents_nano)

    @property
    def full_windows(self) -> int:
        """In how many its line carried all that it may."""
        capacity = self.fact.capacity_wh
        return 0 if capacity is None else sum(abs(wh) == capacity for wh in self.imports_wh)

    @property
    def sale_price(self) -> float | None:
        """Mean of what its homes were paid, micro/kWh; None where they sold nothing."""
        sold = sum(self.sold_wh)
        return self.sales_nano / sold if sold else None


def streets_of(facts: DayFacts) -> tuple[Street, ...]:
    """Every street of the day; none where all live in one zone."""
    return tuple(_street(facts, street) for street in facts.streets)


def _street(facts: DayFacts, street: StreetFact) -> Street:
    market, zone = facts.market, street.zone
    bought, sold = _filled(facts, zone, False), _filled(facts, zone, True)
    imports = [b - s for b, s in zip(bought, sold, strict=True)]
    return Street(
        fact=street,
        homes=sum(member.zone == zone for member in facts.homes),
        bought_wh=bought,
        sold_wh=sold,
        energy_prices=tuple(market.energy_price(zone, window) for window in range(market.windows)),
        sales_nano=_sales_nano(facts, zone),
        rents_nano=tuple(_rent_nano(market, street, window, wh) for window, wh in enumerate(imports)),
    )


def _filled(facts: DayFacts, zone: int, sells: bool) -> Series:
    """One side of a zone, by window."""
    orders = [one for one in facts.orders if one.zone == zone and (one.side == SELL) == sells]
    return tuple(sum(order.filled_wh[w] for order in orders) for w in range(facts.market.windows))


def _sales_nano(facts: DayFacts, zone: int) -> int:
    """Only of windows in which something was sold: no price is asked for where nothing traded."""
    orders = [one for one in facts.orders if one.zone == zone and one.side == SELL]
    return sum(
        wh * facts.market.price(order.quality, window, zone)
        for order in orders
        for window, wh in enumerate(order.filled_wh)
        if wh
    )


def _rent_nano(market: MarketFact, street: StreetFact, window: int, imported_wh: int) -> int:
    """What the line earns in a window beyond its charge."""
    difference = market.energy_price(street.zone, window) - market.energy_price(0, window)
    return difference * imported_wh - street.charge_micro_per_kwh * abs(imported_wh)
