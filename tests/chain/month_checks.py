"""What must hold of many days after all their runs. What accounts should have come to is worked out with
pandas, from the final readings and the fills alone; nothing of it uses the settlement's arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from month_troubles import CONTESTED, LATE, MISSING, of_day
from months import BOND_NANO, DEPOSIT_NANO, FEED_IN, MARGIN, RETAIL, Month

from oracle.messages import IMPORT, REGISTERS
from settlement.chain import participant_day, statements
from settlement.chain.challenger import UPHELD
from settlement.chain.events import (
    AccountCorrected,
    AccountDelivered,
    AccountSettled,
    ChallengeSettled,
    PartCertified,
    PartCorrected,
    RunSettled,
    decode,
)
from settlement.chain.statements import challenge_of, logs_of_day
from settlement.reference.schedule import SELL


def fills(month: Month) -> pd.DataFrame:
    """A row a home's order and window: Wh sold (or bought, negative) and the price."""
    rows = []
    places = {home.address: place for place, home in enumerate(month.homes)}
    for day, traded in month.traded.items():
        for hash_, order in zip(traded.hashes, traded.orders, strict=True):
            terms = order.schedule
            if terms.trader not in places:
                continue
            sign, quality = (1 if terms.side == SELL else -1), (1 if terms.quality else 0)
            prices = traded.cleared.prices[terms.zone][quality]
            for window, wh in enumerate(traded.cleared.fills[hash_]):
                rows.append((places[terms.trader], day, window, sign * wh, prices[window]))
    return pd.DataFrame(rows, columns=["home", "day", "window", "wh", "price"])


def expected(month: Month) -> pd.DataFrame:
    """A row a home, day and window: imbalance in Wh, and what it and the trades are worth, nano."""
    traded = fills(month)
    traded["trades"] = traded["wh"] * traded["price"]
    contracted = traded.groupby(["home", "day", "window"])[["wh", "trades"]].sum()
    shape = (month.measured.homes, month.days, month.windows)
    index = pd.MultiIndex.from_product([range(n) for n in shape], names=["home", "day", "window"])
    known = slice(month.past_days, month.past_days + month.days)
    net = month.measured.pv_wh[:, known] - month.measured.load_wh[:, known]
    table = pd.DataFrame({"metered": net.reshape(-1)}, index=index).join(contracted).fillna(0).astype("int64")
    table["imbalance"] = table["metered"] - table["wh"]
    price = np.where(table["imbalance"] > 0, FEED_IN - MARGIN, RETAIL + MARGIN)
    table["cash"] = table["imbalance"] * price
    return table


# What is compared ---------------------------------------------------------------------------------------


def check_final(month: Month) -> None:
    """Imbalances of every window, and the cash of every home, are those of a fresh settlement."""
    table, zones = expected(month), month.cast.zones
    rows = {
        (zone, day): statements.current(month.exchange, zone, month.zones[zone, day].day).rows
        for zone in zones
        for day in range(month.days)
    }
    accounts = month.exchange.accounts([home.address for home in month.homes])
    for at, home in enumerate(month.homes):
        for day in range(month.days):
            found = rows[home.zone, day][home.address]
            assert list(found) == table.loc[(at, day), "imbalance"].tolist(), (home.name, day)
        cash = accounts[home.address].cash
        own = table.loc[at]
        assert cash.reserved == 0
        gained = cash.free - DEPOSIT_NANO - stakes(month, at)
        assert gained == int(own["trades"].sum() + own["cash"].sum()), home.name


def stakes(month: Month, home: int) -> int:
    """What the oracles paid a home for challenges that held and that nobody answered."""
    own = (one for one in month.challenges.values() if one.home == home)
    return sum(0 if one.answered else BOND_NANO for one in own)


def check_every_run_nets_to_zero(month: Month) -> int:
    """Cash and energy of each run and challenge of each zone's day; how many there were."""
    count = 0
    for day in range(month.days):
        assert _first_run(month, day) == (0, 0), day
        count += 1
        for zone in month.cast.zones:
            for cash, energy in _later(month, zone, day):
                assert (cash, energy) == (0, 0), (zone, day)
                count += 1
    held = month.token.balance(month.exchange.address)
    accounts = month.exchange.accounts(list(month.cast.members)).values()
    pot, _, _ = month.exchange.view("challengeTerms")
    assert sum(one.cash.free + one.cash.reserved for one in accounts) + pot == held
    return count


def _first_run(month: Month, day: int) -> tuple[int, int]:
    """Over all zones: the balancing party closes only the tree."""
    first, exchange = month.windows_of(day).first_window, month.exchange
    parts = logs_of_day(exchange, "PartSettled", first)
    cash = energy = 0
    for event in _events(month, {log.tx_hash for log in parts}):
        if isinstance(event, AccountSettled | RunSettled):
            cash, energy = cash + event.cash_nano, energy + event.imbalance_wh
    certified = {log.tx_hash for log in logs_of_day(exchange, "PartCertified", first)}
    for event in _events(month, certified):
        if isinstance(event, AccountDelivered | PartCertified):
            cash += event.cash_nano
    return cash, energy


def _later(month: Month, zone: int, day: int) -> Iterator[tuple[int, int]]:
    first, exchange = month.zones[zone, day].day, month.exchange
    parts = [
        *logs_of_day(exchange, "PartCorrected", first, zone),
        *statements.logs_of_settled_challenges(exchange, zone, first),
    ]
    for part in parts:
        cash = energy = 0
        for event in _events(month, {part.tx_hash}):
            if isinstance(event, AccountCorrected | PartCorrected | ChallengeSettled):
                cash, energy = cash + event.cash_nano, energy + event.imbalance_wh
        yield cash, energy


def _events(month: Month, hashes: set[bytes]) -> Iterator[object]:
    for hash_ in sorted(hashes):
        raw = month.chain.wait(hash_)
        yield from (decode(log) for log in raw.logs if log.address == month.exchange.address)


def check_flags(month: Month) -> None:
    """After the first run exactly what had not come in is estimated, after the last nothing is; in the second
    what comes before the third still is.
    """
    for day in range(month.days):
        for at, home in enumerate(month.homes):
            first = month.first[home.zone, day].computed.readings
            last = month.zones[home.zone, day].computed.readings
            trouble = [one for one in of_day(month.troubles, day, at) if one.kind in (LATE, MISSING)]
            for register in REGISTERS:
                row = first.row(home.meter.meter_id, register)
                lost = [any(one.hits(register, w) for one in trouble) for w in range(month.windows)]
                assert (first.flags[row] != 0).tolist() == lost, (home.name, day)
                assert not last.flags[row].any(), (home.name, day)


def check_challenges(month: Month) -> None:
    """Every one held, and the oracles' later runs kept what it said."""
    contested = [one for one in month.troubles if one.kind == CONTESTED]
    assert len(month.challenges) == len(contested) > 0
    assert {challenge_of(month.exchange, id_).stage for id_ in month.challenges} == {UPHELD}
    assert not month.opened_until
    for one in contested:
        home, (at,) = month.homes[one.home], one.windows
        readings = month.zones[home.zone, one.day].computed.readings
        row = readings.row(home.meter.meter_id, IMPORT)
        truth = month.measured.register_wh(IMPORT)[one.home, month.past_days + one.day, at]
        assert (int(readings.wh[row, at]), int(readings.sequence[row, at])) == (truth, 2)


def told(month: Month, home: int, day: int) -> list[participant_day.Known]:
    """The history of a home's day."""
    who = month.homes[home]
    return participant_day.history(month.exchange, who.address, who.zone, month.zones[who.zone, day].day)


def statement_hashes(month: Month, zone: int, day: int, block: int | None = None) -> list[bytes]:
    """Of every part of a zone's day, now or as of a block."""
    state = month.zones[zone, day]
    return [
        month.exchange.view("statementOf", zone, state.day, part, block=block)[0]
        for part in range(len(state.signed.parts))
    ]
