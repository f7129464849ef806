"""What the API told its members, beside what the chain has: it must be the same, to the last Wh and nano."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from settlement.reports.text import count, kwh, money

if TYPE_CHECKING:
    from settlement.reports.economics import DayEconomics, ZeroSum
    from settlement.reports.facts import DayFacts, ToldFact

TITLE = "Told by the API"
COLUMNS = ("receipts", "filled", "certified", "bill", "chain's\ncash")


# Sums that must be zero ---------------------------------------------------------------------------------


def zero_sums(facts: DayFacts) -> Iterator[ZeroSum]:
    """Differences of fills, certificates, prices and bills, each counted as it is: none may make up for
    another. None where no API was asked.
    """
    from settlement.reports.economics import ZeroSum

    if not facts.told:
        return
    fills = {order.order: sum(order.filled_wh) for order in facts.orders}
    mine = {one.account: {o.order for o in facts.orders if o.trader == one.account} for one in facts.told}
    off = [abs(fills.get(order, 0) - wh) for one in facts.told for order, wh in one.filled]
    lacking = [fills[o] for one in facts.told for o in mine[one.account] - {o for o, _ in one.filled}]
    yield ZeroSum("the API's fills against the chain's", len(off), sum(off) + sum(lacking), "Wh")
    accounts = {one.account: one for one in facts.accounts}
    green = [abs(one.certified_wh - accounts[one.account].certified_wh) for one in facts.told]
    yield ZeroSum("the API's certificates against the chain's", len(green), sum(green), "Wh")
    gaps = [abs(_cash_nano(facts, one) + one.bill_nano) for one in facts.told]
    yield ZeroSum("the API's bills against the chain's cash", len(gaps), sum(gaps), "nano")
    if facts.later is not None:
        final = dict(facts.later.final_nano)
        gaps = [
            abs(final[one.account] - accounts[one.account].deposited_nano + (one.final_bill_nano or 0))
            for one in facts.told
        ]
        yield ZeroSum("the API's bills after all runs against the chain's cash", len(gaps), sum(gaps), "nano")


def _cash_nano(facts: DayFacts, told: ToldFact) -> int:
    """What the day left an account, after the first run."""
    (found,) = (one for one in facts.accounts if one.account == told.account)
    return found.final_nano - found.deposited_nano


# For people and programs --------------------------------------------------------------------------------


def line(day: DayEconomics) -> str:
    """How it was asked."""
    told = day.facts.told
    return (
        f"{len(told)} wallets logged in, {count(sum(one.receipts for one in told))} receipts checked; "
        "bills are the chain's cash to the last nano"
    )


def rows(day: DayEconomics) -> list[tuple[str, ...]]:
    """A row for each who asked, and one of all; energy in kWh."""
    names = {one.account: one.name for one in day.facts.members}
    found, sums = [], [0] * len(COLUMNS)
    for one in day.facts.told:
        row = (
            one.receipts,
            sum(wh for _, wh in one.filled),
            one.certified_wh,
            one.bill_nano,
            _cash_nano(day.facts, one),
        )
        sums = [total + value for total, value in zip(sums, row, strict=True)]
        found.append((names[one.account], *_cells(row)))
    return [*found, ("All", *_cells(sums))]


def _cells(row: list[int] | tuple[int, ...]) -> tuple[str, ...]:
    receipts, filled, certified, bill, cash = row
    return (count(receipts), kwh(filled), kwh(certified), money(bill, 3), money(cash, 3))


def table(day: DayEconomics) -> Table:
    """`rows` in a terminal."""
    found = Table(
        title=f"{TITLE} (energy in kWh, money in {day.facts.currency})",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
    )
    found.add_column("", no_wrap=True)
    for name in COLUMNS:
        found.add_column(name, justify="right", no_wrap=True)
    *members, total = rows(day)
    for row in members:
        found.add_row(*row)
    found.add_section()
    found.add_row(*total, style="bold")
    found.caption = line(day)
    return found


def summary(day: DayEconomics) -> dict[str, Any]:
    """For programs; nothing where no API was asked."""
    if not day.facts.told:
        return {}
    names = {one.account: one.name for one in day.facts.members}
    return {
        "told_by_api": [
            {
                "name": names[one.account],
                "account": "0x" + one.account.hex(),
                "receipts": one.receipts,
                "filled_wh": sum(wh for _, wh in one.filled),
                "certified_wh": one.certified_wh,
                "bill_nano": one.bill_nano,
                **({} if one.final_bill_nano is None else {"final_bill_nano": one.final_bill_nano}),
                "chain_nano": _cash_nano(day.facts, one),
            }
            for one in day.facts.told
        ]
    }
