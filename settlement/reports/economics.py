"""What a day meant: bills, gains, the market's volumes, carbon, and the sums that must be zero.

All money and energy in integers. For each account and window, with injection positive:

    contracted  sold less bought
    metered     export less import
    T           cash from trades: fills at their prices
    I           cash for what is out of balance in the end, at the surplus price or the deficit price
    V(x)        cash at the tariff: feed-in for an export x, retail for an import
    D           what delivery makes of T: of sales as produced only what is delivered is paid, buyers of the
                rest are paid back, and green premium returns where nothing green was delivered

    bill             -(T + I + D)
    retail-only bill -V(metered)
    gain             retail-only bill - bill
    market gain      T - V(contracted)                      every trade against the tariff, if used as signed
    error cost       V(metered) - V(contracted) - I - D = market gain - gain: it was not

Where homes live in streets, prices differ by zone, and the network operator earns what buyers pay above what
sellers get (`settlement.reports.streets`). Where a home has a car, its retail-only bill has the same energy
charged at once (`settlement.reports.cars`), and the market gain is also that it was not.

Where imbalance prices are the tariff's, only energy bought and not drawn, or sold and not delivered, costs:
firm its seller, as produced its seller the gain and its buyers theirs.

The homes' gain is not made out of nothing: what the homes gain, the supplier no longer earns as the
difference of retail and feed-in on energy that neighbours now sell each other. All bills sum to zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from settlement.reference import quality
from settlement.reports import later, told
from settlement.reports.cars import Car, at_once_wh, cars_of
from settlement.reports.facts import (
    CLEAR,
    SELL,
    SETTLE,
    AccountFact,
    DayFacts,
    MemberFact,
    OrderFact,
    Role,
    Series,
)
from settlement.reports.streets import Street, streets_of


@dataclass(frozen=True, slots=True)
class Bill:
    """One account's day."""

    member: MemberFact
    bought_wh: int
    sold_wh: int
    surplus_wh: int
    """Imbalances above what was contracted, over the day."""
    deficit_wh: int
    """Imbalances below, positive."""
    import_wh: int
    export_wh: int
    certified_wh: int
    estimated_windows: int
    trade_nano: int
    """Earned in the market less paid."""
    imbalance_nano: int
    tariff_nano: int
    """What its metered energy would have earned at the tariff, a car's charged at once."""
    market_gain_nano: int
    chain_nano: int
    """What its account gained on chain."""
    lines_nano: int = 0
    """Charges and rent of the streets' lines that it was paid: the network operator's income."""
    proceeds_nano: int = 0
    """What of its sales as produced was paid, on delivery."""
    unpaid_nano: int = 0
    """What of them was not: their worth at the price less that. Part of `trade_nano`."""
    refund_nano: int = 0
    premium_nano: int = 0
    rest_nano: int = 0

    @property
    def delivery_nano(self) -> int:
        """`D`: refunds, green premiums and what was left over, less what was not paid."""
        return self.refund_nano + self.premium_nano + self.rest_nano - self.unpaid_nano

    @property
    def bill_nano(self) -> int:
        return -(self.trade_nano + self.imbalance_nano + self.delivery_nano + self.lines_nano)

    @property
    def retail_bill_nano(self) -> int:
        return -self.tariff_nano

    @property
    def gain_nano(self) -> int:
        return self.retail_bill_nano - self.bill_nano

    @property
    def error_cost_nano(self) -> int:
        return self.market_gain_nano - self.gain_nano


@dataclass(frozen=True, slots=True)
class Hour:
    """One window of the market, homes together, Wh."""

    window: int
    asked_wh: int
    offered_wh: int
    bought_wh: int
    sold_wh: int
    local_wh: int
    """Bought by homes from homes: the smaller of both, contracted."""
    from_supplier_wh: int
    """Bought by homes less local."""
    to_supplier_wh: int
    import_wh: int
    export_wh: int
    delivered_wh: int
    """Local energy that was both exported by sellers and drawn by buyers, as contracted."""
    low_carbon_wh: int
    """Bought in a band above 0."""
    sales_nano: int
    """What homes were paid for what they sold."""
    purchases_nano: int
    """What they paid for what they bought."""

    @property
    def price(self) -> float:
        """Mean of what homes were paid, micro/kWh; of what they paid where none sold; 0 without a trade."""
        if self.sold_wh:
            return self.sales_nano / self.sold_wh
        return self.purchases_nano / self.bought_wh if self.bought_wh else 0.0


@dataclass(frozen=True, slots=True)
class ZeroSum:
    """A sum that must be zero, exactly."""

    name: str
    terms: int
    total: int
    unit: str

    @property
    def holds(self) -> bool:
        return self.total == 0


@dataclass(frozen=True, slots=True)
class Carbon:
    """Grid average intensities of each hour; solar counts as zero (generation only). mg = Wh x g/kWh."""

    import_wh: int
    grid_mg: int
    """All that the homes drew, at the grid's average of the hour."""
    neighbours_wh: int
    neighbours_mg: int
    """The part of it that neighbours' solar stands for, hour by hour."""

    @property
    def grid_g_per_kwh(self) -> float:
        return self.grid_mg / self.import_wh if self.import_wh else 0.0

    @property
    def homes_g_per_kwh(self) -> float:
        return (self.grid_mg - self.neighbours_mg) / self.import_wh if self.import_wh else 0.0

    @property
    def attributed_kg(self) -> float:
        return self.neighbours_mg / 1e6


@dataclass(frozen=True)
class DayEconomics:
    """Everything derived from the facts of a day."""

    facts: DayFacts
    bills: tuple[Bill, ...]
    """Every account, in the order of the members."""
    hours: tuple[Hour, ...]
    carbon: Carbon
    zero_sums: tuple[ZeroSum, ...]
    streets: tuple[Street, ...] = ()
    """None where all live in one zone."""
    cars: tuple[Car, ...] = ()

    @cached_property
    def homes(self) -> tuple[Bill, ...]:
        return tuple(bill for bill in self.bills if bill.member.role is Role.HOME)

    @cached_property
    def others(self) -> tuple[Bill, ...]:
        return tuple(bill for bill in self.bills if bill.member.role is not Role.HOME)

    @cached_property
    def pays_for_delivery(self) -> bool:
        """Whether anything was sold as produced, or green premium returned."""
        return any(bill.proceeds_nano or bill.delivery_nano for bill in self.bills)

    @property
    def holds(self) -> bool:
        return all(row.holds for row in self.zero_sums)

    def total(self, name: str, bills: Iterable[Bill] | None = None) -> int:
        """The sum of one figure over the homes, or the bills given."""
        return sum(getattr(bill, name) for bill in (self.homes if bills is None else bills))

    def over_hours(self, name: str) -> int:
        return sum(getattr(hour, name) for hour in self.hours)

    def traded_wh(self, quality: int, window: int) -> int:
        """Filled of a product, both sides together; its price means something only if that is not zero."""
        return sum(order.filled_wh[window] for order in self.facts.orders if order.quality == quality)

    @property
    def local_share(self) -> float:
        """Of what homes bought, what came from homes."""
        bought = self.over_hours("bought_wh")
        return self.over_hours("local_wh") / bought if bought else 0.0

    @property
    def average_price(self) -> float | None:
        """Of local energy, micro/kWh, by volume: what homes with a surplus were paid by homes; or None."""
        volume = self.over_hours("local_wh")
        return sum(hour.local_wh * hour.price for hour in self.hours) / volume if volume else None

    @cached_property
    def order_windows(self) -> int:
        """Windows signed for: entries of all schedules, as the contract reads them."""
        return sum(order.signed_windows for order in self.facts.orders)

    @cached_property
    def orders_with_energy(self) -> int:
        """Entries that ask for or offer something."""
        return sum(sum(map(bool, order.quantity_wh)) for order in self.facts.orders)

    def gas(self, phase: str) -> int:
        return sum(each.gas for each in self.facts.phases if each.name == phase)

    @property
    def clear_gas_per_order_window(self) -> float:
        return self.gas(CLEAR) / self.order_windows if self.order_windows else 0.0

    @property
    def settle_gas_per_order_window(self) -> float:
        """The same orders', so that both can be added; certification is apart."""
        return self.gas(SETTLE) / self.order_windows if self.order_windows else 0.0

    @property
    def settle_gas_per_account_window(self) -> float:
        """Settling goes by account, not by order."""
        windows = len(self.homes) * self.facts.market.windows
        return self.gas(SETTLE) / windows if windows else 0.0


def economics(facts: DayFacts) -> DayEconomics:
    """All of it."""
    accounts = {account.account: account for account in facts.accounts}
    bills = tuple(_bill(facts, member, accounts[member.account]) for member in facts.members)
    hours = tuple(_hour(facts, accounts, window) for window in range(facts.market.windows))
    streets, cars = streets_of(facts), cars_of(facts)
    sums = (*_zero_sums(facts, bills, accounts, streets), *later.zero_sums(facts), *told.zero_sums(facts))
    return DayEconomics(facts, bills, hours, _carbon(facts, hours), sums, streets, cars)


# Positions ----------------------------------------------------------------------------------------------


def _of(facts: DayFacts, account: bytes) -> list[OrderFact]:
    return [order for order in facts.orders if order.trader == account]


def _net(orders: Sequence[OrderFact], windows: int, name: str) -> list[int]:
    """Sold less bought by window, of quantities signed (`quantity_wh`) or filled (`filled_wh`)."""
    net = [0] * windows
    for order in orders:
        for window, wh in enumerate(getattr(order, name)):
            net[window] += wh if order.side == SELL else -wh
    return net


def _priced(amounts: Sequence[int], if_positive: Series, if_negative: Series) -> int:
    prices = zip(amounts, if_positive, if_negative, strict=True)
    return sum(wh * (high if wh > 0 else low) for wh, high, low in prices)


def trade_nano(facts: DayFacts, orders: Sequence[OrderFact]) -> int:
    """Cash of fills at their prices: earned less paid."""
    cash = 0
    for order in orders:
        for window, wh in enumerate(order.filled_wh):
            value = wh * facts.market.price(order.quality, window, order.zone) if wh else 0
            cash += value if order.side == SELL else -value
    return cash


def _as_produced(orders: Sequence[OrderFact]) -> list[OrderFact]:
    """Sales that are paid on delivery, if a metered account made them."""
    return [order for order in orders if order.side == SELL and not quality.firm(order.quality)]


def _bill(facts: DayFacts, member: MemberFact, account: AccountFact) -> Bill:
    market, orders = facts.market, _of(facts, member.account)
    contracted, imbalance = _net(orders, market.windows, "filled_wh"), account.imbalance_wh
    trade = trade_nano(facts, orders)
    home = member.role is Role.HOME
    tariff = _priced(account.metered_wh, market.feed_in, market.retail) if home else 0
    at_once = _priced(at_once_wh(account, orders), market.feed_in, market.retail) if home else 0
    on_contract = _priced(contracted, market.feed_in, market.retail) if home else 0
    return Bill(
        member=member,
        bought_wh=sum(sum(order.filled_wh) for order in orders if order.side != SELL),
        sold_wh=sum(sum(order.filled_wh) for order in orders if order.side == SELL),
        surplus_wh=sum(max(0, wh) for wh in imbalance),
        deficit_wh=sum(max(0, -wh) for wh in imbalance),
        import_wh=sum(max(0, -wh) for wh in account.metered_wh),
        export_wh=sum(max(0, wh) for wh in account.metered_wh),
        certified_wh=account.certified_wh,
        estimated_windows=sum(map(bool, account.flags)),
        trade_nano=trade,
        imbalance_nano=account.imbalance_nano,
        tariff_nano=at_once,
        market_gain_nano=trade - on_contract + tariff - at_once if home else 0,
        chain_nano=account.final_nano - account.deposited_nano,
        lines_nano=account.lines_nano,
        proceeds_nano=account.proceeds_nano,
        unpaid_nano=(trade_nano(facts, _as_produced(orders)) if home else 0) - account.proceeds_nano,
        refund_nano=account.refund_nano,
        premium_nano=account.premium_nano,
        rest_nano=account.rest_nano,
    )


# The market ---------------------------------------------------------------------------------------------


def _hour(facts: DayFacts, accounts: dict[bytes, AccountFact], window: int) -> Hour:
    homes = {member.account for member in facts.homes}
    orders = [order for order in facts.orders if order.trader in homes]
    sells = [order for order in orders if order.side == SELL]
    buys = [order for order in orders if order.side != SELL]
    bought = sum(order.filled_wh[window] for order in buys)
    sold = sum(order.filled_wh[window] for order in sells)
    metered = {account: accounts[account].metered_wh[window] for account in homes}
    local = min(bought, sold)
    return Hour(
        window=window,
        asked_wh=sum(order.asked_wh[window] for order in buys),
        offered_wh=sum(order.asked_wh[window] for order in sells),
        bought_wh=bought,
        sold_wh=sold,
        local_wh=local,
        from_supplier_wh=bought - local,
        to_supplier_wh=sold - local,
        import_wh=sum(max(0, -wh) for wh in metered.values()),
        export_wh=sum(max(0, wh) for wh in metered.values()),
        delivered_wh=min(local, _kept(sells, metered, window, 1), _kept(buys, metered, window, -1)),
        low_carbon_wh=sum(order.filled_wh[window] for order in buys if order.quality & 7),
        sales_nano=_value(facts, sells, window),
        purchases_nano=_value(facts, buys, window),
    )


def _value(facts: DayFacts, orders: Sequence[OrderFact], window: int) -> int:
    """Nano that fills of one window come to."""
    filled = [order for order in orders if order.filled_wh[window]]
    return sum(
        order.filled_wh[window] * facts.market.price(order.quality, window, order.zone) for order in filled
    )


def _kept(orders: Sequence[OrderFact], metered: dict[bytes, int], window: int, sign: int) -> int:
    """How much of what homes contracted on one side they also metered."""
    contracted = dict.fromkeys(metered, 0)
    for order in orders:
        contracted[order.trader] += order.filled_wh[window]
    return sum(min(wh, max(0, sign * metered[account])) for account, wh in contracted.items())


def _carbon(facts: DayFacts, hours: Sequence[Hour]) -> Carbon:
    intensity = facts.market.carbon_g_per_kwh
    return Carbon(
        import_wh=sum(hour.import_wh for hour in hours),
        grid_mg=sum(hour.import_wh * intensity[hour.window] for hour in hours),
        neighbours_wh=sum(hour.delivered_wh for hour in hours),
        neighbours_mg=sum(hour.delivered_wh * intensity[hour.window] for hour in hours),
    )


# Sums that must be zero ---------------------------------------------------------------------------------


def _zero_sums(
    facts: DayFacts,
    bills: Sequence[Bill],
    accounts: dict[bytes, AccountFact],
    streets: Sequence[Street],
) -> tuple[ZeroSum, ...]:
    """Sums of absolute values where several must each be zero, so that none hides another."""
    windows = facts.market.windows
    contracted = _net(facts.orders, windows, "filled_wh")
    metered = [sum(account.metered_wh[w] for account in accounts.values()) for w in range(windows)]
    rows = (
        ZeroSum("sold less bought, each window", windows, sum(map(abs, contracted)), "Wh"),
        ZeroSum("metered, the supplier closing the balance", windows, sum(map(abs, metered)), "Wh"),
        *_trade_sums(bills, streets),
        *_delivery_sums(bills),
        ZeroSum(
            "bills: homes, supplier, network operator", len(bills), sum(b.bill_nano for b in bills), "nano"
        ),
        ZeroSum(
            "each bill against its account on chain",
            len(bills),
            sum(abs(bill.bill_nano + bill.chain_nano) for bill in bills),
            "nano",
        ),
    )
    if facts.vault_nano is None:
        return rows
    left = facts.vault_nano - sum(account.final_nano for account in accounts.values())
    return (*rows, ZeroSum("the vault less everybody's cash", len(accounts), left, "nano"))


def _delivery_sums(bills: Sequence[Bill]) -> Iterator[ZeroSum]:
    """What a run and its certification pay: imbalances and premiums the balancing party takes the other side
    of, everything else comes out of what sellers as produced were not paid.
    """
    balanced = sum(bill.imbalance_nano + bill.premium_nano for bill in bills)
    yield ZeroSum("payments for imbalances and green premiums", len(bills), balanced, "nano")
    out = sum(bill.refund_nano + bill.rest_nano - bill.unpaid_nano for bill in bills)
    yield ZeroSum("refunds, and what is left, of sales not delivered", len(bills), out, "nano")


def _trade_sums(bills: Sequence[Bill], streets: Sequence[Street]) -> Iterator[ZeroSum]:
    """What traders paid each other; with lines, also what of it went to the network operator."""
    paid, lines = sum(bill.trade_nano for bill in bills), sum(bill.lines_nano for bill in bills)
    if not streets:
        yield ZeroSum("payments of trades", len(bills), paid + lines, "nano")
        return
    yield ZeroSum("payments of trades, and of lines", len(bills), paid + lines, "nano")
    due = sum(street.charge_nano + street.rent_nano for street in streets)
    yield ZeroSum("the network's income less charges and rent", len(streets), lines - due, "nano")
