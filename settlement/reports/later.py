"""Later runs of a day: what each changed, by account, and the sums that must be zero.

A bill that was issued stays as it is. A later run, or a challenge that held, adds a difference to it; the
balancing party takes the other side of every one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from settlement.reports.text import kwh, money, signed_money

if TYPE_CHECKING:
    from settlement.reports.economics import DayEconomics, ZeroSum
    from settlement.reports.facts import DayFacts, MemberFact


# Sums that must be zero ---------------------------------------------------------------------------------


def zero_sums(facts: DayFacts) -> Iterator[ZeroSum]:
    """Of every run, energy and cash; in the end, every account and the vault. None without later runs."""
    from settlement.reports.economics import ZeroSum

    later = facts.later
    if later is None:
        return
    for run in later.runs:
        changes = run.changes
        yield ZeroSum(f"{run.name}: imbalances", len(changes), sum(one.imbalance_wh for one in changes), "Wh")
        yield ZeroSum(f"{run.name}: payments", len(changes), sum(one.cash_nano for one in changes), "nano")
    before = {account.account: account.final_nano for account in facts.accounts}
    gaps = [abs(nano - before[one] - later.change_nano(one)) for one, nano in later.final_nano]
    yield ZeroSum("each account's later runs against the chain", len(gaps), sum(gaps), "nano")
    held = sum(nano for _, nano in later.final_nano)
    yield ZeroSum(
        "the vault after all runs less everybody's cash", len(gaps), later.vault_nano - held, "nano"
    )


# For people and programs --------------------------------------------------------------------------------


def columns(facts: DayFacts) -> tuple[str, ...]:
    """Of `rows`, without the name."""
    assert facts.later is not None
    return (f"bill {facts.later.first}", *(run.name for run in facts.later.runs), "total")


def rows(day: DayEconomics) -> list[tuple[str, ...]]:
    """A home's first bill, what each run added to it, and the total; the last row is all homes."""
    bills = [*day.homes, *(bill for bill in day.others if bill.bill_nano or _changed(day, bill.member))]
    told = [_row(day, bill.member.name, [bill.member], bill.bill_nano) for bill in bills]
    homes = [bill.member for bill in day.homes]
    return [*told, _row(day, "All homes", homes, day.total("bill_nano"))]


def _changed(day: DayEconomics, member: MemberFact) -> bool:
    assert day.facts.later is not None
    return any(run.of(member.account).cash_nano for run in day.facts.later.runs)


def _row(day: DayEconomics, name: str, members: list[MemberFact], bill_nano: int) -> tuple[str, ...]:
    assert day.facts.later is not None
    added = [-sum(run.of(one.account).cash_nano for one in members) for run in day.facts.later.runs]
    cells = [signed_money(nano, 3) if nano else "" for nano in added]
    return (name, money(bill_nano, 3), *cells, money(bill_nano + sum(added), 3))


def line(day: DayEconomics) -> str:
    """What each run was about: accounts, energy, and windows that are still estimated."""
    assert day.facts.later is not None
    told = (
        f"{run.name} of {run.date}: {run.accounts} account{'' if run.accounts == 1 else 's'}, "
        f"{kwh(sum(abs(one.imbalance_wh) for one in run.changes[:-1]))} kWh, "
        f"{run.estimated} still estimated"
        for run in day.facts.later.runs
    )
    return "; ".join(told)


def table(day: DayEconomics) -> Table:
    """`rows` in a terminal."""
    found = Table(
        title=f"Later runs (bills in {day.facts.currency}; each run adds its difference)",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
    )
    found.add_column("", no_wrap=True)
    for name in columns(day.facts):
        found.add_column(name, justify="right", no_wrap=True)
    *accounts, total = rows(day)
    for row in accounts:
        found.add_row(*row)
    found.add_section()
    found.add_row(*total, style="bold")
    found.caption = line(day).replace("; ", "\n")
    return found


def summary(day: DayEconomics) -> dict[str, Any]:
    """For programs; nothing without later runs."""
    later = day.facts.later
    if later is None:
        return {}
    bills = {bill.member.account: bill for bill in day.bills}
    return {
        "first_run": later.first,
        "later_runs": [
            {
                "name": run.name,
                "date": run.date,
                "estimated_windows": run.estimated,
                "changes": [
                    {
                        "name": bills[one.account].member.name,
                        "account": "0x" + one.account.hex(),
                        "imbalance_wh": one.imbalance_wh,
                        "bill_nano": -one.cash_nano,
                    }
                    for one in run.changes
                ],
            }
            for run in later.runs
        ],
        "bills_after_all_runs": [
            {
                "name": bill.member.name,
                "account": "0x" + account.hex(),
                "first_nano": bill.bill_nano,
                "later_nano": -later.change_nano(account),
                "total_nano": bill.bill_nano - later.change_nano(account),
            }
            for account, bill in bills.items()
        ],
    }
