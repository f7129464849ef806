"""A day's facts without a chain: the homes' orders through the matcher, settled at the tariff."""

from __future__ import annotations

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
from settlement.reports.economics import trade_nano
from settlement.reports.facts import (
    SELL,
    AccountFact,
    AuditCheck,
    DayFacts,
    Incident,
    MarketFact,
    MemberFact,
    OrderFact,
    PhaseFact,
    Role,
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
    metered[NETWORK] = (0,) * 24
    metered[SUPPLIER] = tuple(-sum(column) for column in zip(*metered.values(), strict=True))
    facts = DayFacts("A day", str(DATE), seed, "$", 31337, "0x" + "11" * 20, market, members, orders, ())
    accounts = []
    for member in members:
        own = [order for order in orders if order.trader == member.account]
        net = np.zeros(24, np.int64)
        for order in own:
            net += np.array(order.filled_wh) * (1 if order.side == SELL else -1)
        off = (np.array(metered[member.account]) - net).tolist()
        prices = zip(off, market.surplus, market.deficit, strict=True)
        cash = sum(wh * (high if wh > 0 else low) for wh, high, low in prices)
        if member.role is Role.SUPPLIER:
            cash = -sum(account.imbalance_nano for account in accounts)
        final = DEPOSIT + trade_nano(facts, own) + cash
        flags = (0,) * 9 + (1, 1) + (0,) * 13 if member.name == "Home 03" else (0,) * 24
        fact = AccountFact(member.account, metered[member.account], flags, cash, DEPOSIT, final)
        accounts.append(fact)
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
    from dataclasses import replace

    return replace(facts, accounts=tuple(accounts), phases=phases, incidents=incidents, checks=checks)
