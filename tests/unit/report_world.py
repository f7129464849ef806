"""A day's facts without a chain: the homes' orders through the matcher, settled at the tariff."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np

from api.services.agents import (
    PAST_DAYS,
    QUALITIES,
    SUBSTITUTIONS,
    Order,
    Past,
    Tariff,
    character,
    home_orders,
    low_carbon_homes,
    supplier_orders,
)
from oracle.homes import by_day, load_homes
from settlement.matching import clear, make_book, make_market
from settlement.reference import delivery, settlement
from settlement.reference.posting import Entry
from settlement.reference.potential import Potential
from settlement.reference.prices import RoundPrices
from settlement.reports.economics import trade_nano
from settlement.reports.facts import (
    BUY,
    SELL,
    AccountFact,
    AuditCheck,
    DayFacts,
    Flexible,
    Incident,
    MarketFact,
    MemberFact,
    OrderFact,
    PhaseFact,
    Role,
    StreetFact,
)

DATE = date(2017, 6, 14)
FEED_IN = 80_000
DEPOSIT = 200_000_000_000


def account(number: int) -> bytes:
    return bytes(19) + bytes((number,))


SUPPLIER, NETWORK = account(200), account(201)


def make_facts(homes: int = 17, seed: int = 1, margin: int = 0) -> DayFacts:
    """`margin`: how far imbalance prices lie outside the tariff, micro/kWh."""
    community = load_homes(homes)
    today, past = community.on(DATE), community.before(DATE, PAST_DAYS)
    retail, feed_in = tuple(today.tariff_micro_per_kwh.tolist()), (FEED_IN,) * 24
    tariff, green = Tariff(retail, feed_in), low_carbon_homes(seed, range(1, homes + 1))
    book: list[tuple[bytes, Order]] = []
    for home in past.homes:
        own = Past(by_day(home.load_wh), by_day(home.pv_wh), past.weekdays)
        agent = character(seed, home.number, 24, home.number in green)
        book += [(account(home.number), o) for o in home_orders(own, DATE.weekday(), tariff, agent)]
    book += [(SUPPLIER, order) for order in supplier_orders(tariff, 255_000)]
    cleared, fills = _clear(book)
    market = MarketFact(
        first_window=today.first_window,
        window_length_s=3600,
        qualities=QUALITIES,
        retail=retail,
        feed_in=feed_in,
        surplus=tuple(price - margin for price in feed_in),
        deficit=tuple(price + margin for price in retail),
        energy_prices=tuple(cleared.energy.mid[0].tolist()),
        premiums=tuple(tuple(row) for row in cleared.premiums.tolist()),
        carbon_g_per_kwh=tuple(today.carbon_g_per_kwh.tolist()),
        own_solar_wh=tuple(sum(np.minimum(h.pv_wh, h.load_wh) for h in today.homes).tolist()),
    )
    members = (
        *(
            MemberFact(account(h.number), f"Home {h.number:02}", Role.HOME, h.number in green)
            for h in today.homes
        ),
        MemberFact(SUPPLIER, "Supplier", Role.SUPPLIER),
        MemberFact(NETWORK, "Network operator", Role.NETWORK),
    )
    orders = tuple(
        OrderFact(
            order=bytes(28) + index.to_bytes(4, "big"),
            trader=trader,
            side=order.side,
            quality=order.quality,
            quantity_wh=order.quantity_wh,
            limit_micro_per_kwh=order.limit_micro_per_kwh,
            filled_wh=fills[index],
        )
        for index, (trader, order) in enumerate(book)
    )
    metered = {account(h.number): tuple((h.pv_wh - h.load_wh).tolist()) for h in today.homes}
    return _settled(market, members, orders, metered, seed)


def _clear(book):
    rows = np.array(
        [
            (i, o.side, QUALITIES.index(o.quality), w, o.quantity_wh[w], o.limit_micro_per_kwh[w])
            for i, (_, o) in enumerate(book)
            for w in range(24)
        ]
    )
    index, side, quality, window, wh, limit = rows.T
    matched = make_book(
        order=index, side=side, zone=index * 0, quality=quality, window=window, quantity_wh=wh, limit=limit
    )
    cleared = clear(matched, make_market(24, qualities=4, substitutions=SUBSTITUTIONS))
    return cleared, [tuple(row) for row in cleared.fills_wh.reshape(-1, 24).tolist()]


def _settled(market, members, orders, metered, seed) -> DayFacts:
    facts = DayFacts("A day", str(DATE), seed, "$", 31337, "0x" + "11" * 20, market, members, orders, ())
    homes, rest = _homes(facts, metered)
    columns = zip(*(one.metered_wh for one in homes), strict=True)
    off = zip(*(one.imbalance_wh for one in homes), strict=True)
    supplier = AccountFact(
        account=SUPPLIER,
        metered_wh=tuple(-sum(column) for column in columns),
        flags=(0,) * 24,
        imbalance_wh=tuple(-sum(column) for column in off),
        imbalance_nano=-sum(one.imbalance_nano for one in homes),
        deposited_nano=DEPOSIT,
        final_nano=0,
        premium_nano=-sum(one.premium_nano for one in homes),
        rest_nano=rest,
    )
    paid = supplier.imbalance_nano + supplier.premium_nano + rest
    own = [order for order in orders if order.trader == SUPPLIER]
    supplier = replace(supplier, final_nano=DEPOSIT + trade_nano(facts, own) + paid)
    nothing = (0,) * 24
    network = AccountFact(NETWORK, nothing, nothing, nothing, 0, DEPOSIT, DEPOSIT)
    accounts = (*homes, supplier, network)
    phases = (
        PhaseFact("deploy and register", 60, 14_000_000, 90_000, 1.2),
        PhaseFact("open and gate", 4, 600_000, 3_000, 0.1),
        PhaseFact("clear", 3, 3_900_000, 30_000, 0.8),
        PhaseFact("deliver", 1, 300_000, 4_000, 0.5),
        PhaseFact("settle", 2, 700_000, 9_000, 0.3),
        PhaseFact("certify", 1, 500_000, 9_000, 0.2),
    )
    incidents = (
        Incident("a reading with a forged signature", "rejected: signature does not verify", 2),
        Incident("readings that never came", "estimated and flagged", 3),
    )
    checks = (AuditCheck("signatures", 50), AuditCheck("fills", 1200, detail="every window of every order"))
    return replace(facts, accounts=accounts, phases=phases, incidents=incidents, checks=checks)


def _homes(facts: DayFacts, metered) -> tuple[list[AccountFact], int]:
    """Settled by the reference; and what is left of what their sales as produced were worth, nano."""
    under, accounts = _day(facts.market), [home.account for home in facts.homes]
    held = {one: _held(facts, one) for one in (*accounts, SUPPLIER)}
    carry, results, found = settlement.initial_run(under), {}, []
    for one in accounts:
        entry = Entry(one, (0,) * 24, metered[one])
        carry, results[one] = settlement.settle_entry(under, carry, entry, *held[one])
    carry = settlement.with_escrow(under, carry, held[SUPPLIER][0])
    for home in facts.homes:
        carry, after = delivery.deliver_account(under, carry, held[home.account][0])
        flags = (0,) * 9 + (1, 1) + (0,) * 13 if home.name == "Home 03" else (0,) * 24
        settled = _home(facts, home.account, results[home.account], after)
        found.append(replace(settled, metered_wh=metered[home.account], flags=flags))
    return found, carry.cash


def _home(facts: DayFacts, account: bytes, result, after) -> AccountFact:
    off = tuple(wh - short for wh, short in zip(result.imbalance, after.short, strict=True))
    cash = sum(map(settlement.imbalance_cash, off, facts.market.surplus, facts.market.deficit))
    own = [order for order in facts.orders if order.trader == account]
    at_once = trade_nano(facts, [one for one in own if one.side == BUY])
    premium = after.premiums - result.premiums
    final = DEPOSIT + at_once + result.credit + cash + after.refund + premium
    paid = {"proceeds_nano": result.credit, "refund_nano": after.refund, "premium_nano": premium}
    return AccountFact(account, (), (), off, cash, DEPOSIT, final, **paid)


def _day(market: MarketFact) -> settlement.Day:
    """The reference's terms of a day of one round."""
    energy = tuple(Potential(price, price, 0, 0) for price in market.energy_prices)
    premiums = tuple(Potential(-price, -price, 0, 0) for row in market.premiums[1:] for price in row)
    one = settlement.Round(0, 0, 0, prices=RoundPrices(energy, premiums))
    return settlement.Day(market.windows, market.qualities, (one,), market.surplus, market.deficit)


def _held(facts: DayFacts, account: bytes) -> tuple[dict, dict]:
    """Claims and obligations of an account."""
    sides: tuple[dict, dict] = {}, {}
    for order in facts.orders:
        if order.trader == account:
            held = sides[order.side == SELL]
            for window, wh in enumerate(order.filled_wh):
                key = (0, order.quality, window)
                held[key] = held.get(key, 0) + wh
    return sides


# A made-up day of two streets ---------------------------------------------------------------------------

CHARGES, LINE_WH = (8_000, 10_000), 4_000
"""Of the lines, micro/kWh, and what each carries in a window."""
CHARGES_NANO, RENT_NANO = 4_500 * 8_000 + 4_700 * 10_000, 4_000 * 2_000
HOMES = tuple(account(number) for number in (1, 2, 3))
"""The first two live in street 1, the third, with a car, in street 2."""
PRICES = ((90_000, 200_000), (80_000, 208_000), (100_000, 210_000))
"""By zone and window, micro/kWh: at first street 1 exports all that its line carries."""


def order(number: int, trader: bytes, zone: int, side: int, filled_wh, flexible=None) -> OrderFact:
    limits = (300_000,) * 2 if side != SELL else (0,) * 2
    hash_ = bytes(31) + bytes((number,))
    return OrderFact(hash_, trader, side, 0, filled_wh, limits, filled_wh, zone=zone, flexible=flexible)


def make_two_streets() -> DayFacts:
    """Two windows: solar of street 1 goes next door, into the car of street 2, and to the supplier; then
    everybody buys from the supplier.
    """
    car = Flexible(first_window=0, windows=2, energy_wh=4_000, most_wh=3_600)
    orders = (
        order(1, HOMES[0], 1, SELL, (5_000, 0)),
        order(2, HOMES[1], 1, BUY, (1_000, 500)),
        order(3, HOMES[2], 2, BUY, (3_000, 1_000), car),
        order(4, HOMES[2], 2, BUY, (0, 700)),
        order(5, SUPPLIER, 0, BUY, (1_000, 0)),
        order(6, SUPPLIER, 0, SELL, (0, 2_200)),
    )
    market = MarketFact(
        first_window=0,
        window_length_s=3600,
        qualities=(0,),
        retail=(220_000, 230_000),
        feed_in=(70_000, 70_000),
        surplus=(70_000, 70_000),
        deficit=(220_000, 230_000),
        energy_prices=PRICES[0],
        premiums=((0, 0),),
        carbon_g_per_kwh=(200, 200),
        street_energy_prices=PRICES[1:],
    )
    members = (
        MemberFact(HOMES[0], "Home 01", Role.HOME, zone=1),
        MemberFact(HOMES[1], "Home 02", Role.HOME, zone=1),
        MemberFact(HOMES[2], "Home 03", Role.HOME, zone=2),
        MemberFact(SUPPLIER, "Supplier", Role.SUPPLIER),
        MemberFact(NETWORK, "Network operator", Role.NETWORK),
    )
    streets = (
        StreetFact(1, "Street 1", CHARGES[0], LINE_WH),
        StreetFact(2, "Street 2", CHARGES[1], LINE_WH),
    )
    lines_nano = CHARGES_NANO + RENT_NANO
    accounts = (
        replace(_exact(HOMES[0], (5_000, 0), 5_000 * 80_000), proceeds_nano=5_000 * 80_000),
        _exact(HOMES[1], (-1_000, -500), -1_000 * 80_000 - 500 * 208_000),
        _exact(HOMES[2], (-3_000, -1_700), -3_000 * 100_000 - 1_700 * 210_000),
        _exact(SUPPLIER, (-1_000, 2_200), -1_000 * 90_000 + 2_200 * 200_000),
        replace(_exact(NETWORK, (0, 0), lines_nano), lines_nano=lines_nano),
    )
    names = ("A day", str(DATE), 1, "$", 31337, "0x" + "11" * 20)
    return DayFacts(*names, market, members, orders, accounts, streets=streets)


def _exact(one: bytes, metered_wh, trade_nano: int) -> AccountFact:
    """Without an imbalance."""
    return AccountFact(one, metered_wh, (0, 0), (0, 0), 0, DEPOSIT, DEPOSIT + trade_nano)
