"""The day's tables for a terminal; plain text where the output is none."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table

from settlement.reports import later, told
from settlement.reports.economics import Bill, DayEconomics
from settlement.reports.text import (
    MINUS,
    count,
    grams,
    kwh,
    money,
    percent,
    price,
    price_or_none,
    quality_name,
    signed_money,
)

LEAST_WIDTH = 100
"""Of a table that goes to a file or a pipe; in a narrower terminal columns stand closer."""


def report_console(*, stderr: bool = False) -> Console:
    """A console that a table fits into even where there is no terminal."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console = Console(stderr=stderr, highlight=False, width=LEAST_WIDTH, no_color=True)
    return console


def print_tables(console: Console, day: DayEconomics) -> None:
    for table in tables(day):
        if console.width < LEAST_WIDTH:
            table.padding = 0
        console.print(table)
        console.print()


def tables(day: DayEconomics) -> Iterator[Table]:
    """All of them, in the order of the day."""
    yield homes_table(day)
    if day.pays_for_delivery:
        yield delivery_table(day)
    yield market_table(day)
    if day.streets:
        yield streets_table(day)
    if day.cars:
        yield cars_table(day)
    if day.facts.later is not None:
        yield later.table(day)
    if day.facts.told:
        yield told.table(day)
    yield sums_table(day)
    yield chain_table(day)
    if day.facts.incidents:
        yield incidents_table(day)
    if day.facts.checks:
        yield audit_table(day)


def homes_table(day: DayEconomics) -> Table:
    unit = day.facts.currency
    table = _table(f"Homes · {day.facts.date} (energy in kWh, money in {unit})")
    table.add_column("", no_wrap=True)
    columns = (
        "bought",
        "sold",
        "imbalance",
        "certi-\nfied",
        "bill",
        "retail\nonly",
        "market\ngain",
        "errors",
    )
    for name in (*columns, "gain"):
        table.add_column(name, justify="right", no_wrap=True)
    for bill in day.homes:
        name = bill.member.name + (" *" if bill.member.low_carbon else "")
        name += " †" if bill.estimated_windows else ""
        table.add_row(name, *_home_cells(bill))
    table.add_section()
    table.add_row("All homes", *_total_cells(day, day.homes), style="bold")
    for bill in day.others:
        others = (kwh(bill.bought_wh), kwh(bill.sold_wh), _imbalance(bill.surplus_wh, bill.deficit_wh))
        table.add_row(bill.member.name.split()[0], *others, "", money(bill.bill_nano))
    table.add_section()
    total = sum(bill.bill_nano for bill in day.bills)
    table.add_row("Everyone", "", "", "", "", f"{total} nano", style="bold")
    table.caption = "* buys low-carbon energy by day   † some of its readings were estimated\n"
    table.caption += "imbalance: above and below what was contracted and delivered, at the supplier's prices"
    return table


def _imbalance(surplus_wh: int, deficit_wh: int) -> str:
    return f"+{kwh(surplus_wh)} {MINUS}{kwh(deficit_wh)}"


def _home_cells(bill: Bill) -> tuple[str, ...]:
    return (
        kwh(bill.bought_wh),
        kwh(bill.sold_wh),
        _imbalance(bill.surplus_wh, bill.deficit_wh),
        kwh(bill.certified_wh),
        money(bill.bill_nano),
        money(bill.retail_bill_nano),
        signed_money(bill.market_gain_nano),
        signed_money(-bill.error_cost_nano),
        signed_money(bill.gain_nano),
    )


def _total_cells(day: DayEconomics, bills: tuple[Bill, ...]) -> tuple[str, ...]:
    def total(name: str) -> int:
        return day.total(name, bills)

    return (
        kwh(total("bought_wh")),
        kwh(total("sold_wh")),
        _imbalance(total("surplus_wh"), total("deficit_wh")),
        kwh(total("certified_wh")),
        money(total("bill_nano")),
        money(total("retail_bill_nano")),
        signed_money(total("market_gain_nano")),
        signed_money(-total("error_cost_nano")),
        signed_money(total("gain_nano")),
    )


DELIVERY_COLUMNS = {
    "paid on\ndelivery": "proceeds_nano",
    "not paid": "unpaid_nano",
    "refunded": "refund_nano",
    "green\npremium": "premium_nano",
    "left over": "rest_nano",
}
"""Of what was sold as produced, and of green premiums: a bill's fields."""
DELIVERY_LINE = (
    "sold as produced: paid when delivered; what is not paid refunds those who bought it, and the rest is "
    "the supplier's"
)


def delivery_rows(day: DayEconomics) -> list[tuple[str, ...]]:
    """A row for everyone whom delivery changed anything for, and one of all; also of the HTML report."""
    fields = DELIVERY_COLUMNS.values()
    rows = [(bill.member.name, *(getattr(bill, name) for name in fields)) for bill in day.bills]
    told = [(name, *(money(nano, 3) if nano else "" for nano in row)) for name, *row in rows if any(row)]
    sums = [day.total(name, day.bills) for name in fields]
    return [*told, ("Everyone", *(money(nano, 3) for nano in sums))]


def delivery_table(day: DayEconomics) -> Table:
    """What delivery made of the trades: who was paid, who was not, and who got that back."""
    table = _table(f"Delivery ({day.facts.currency}; part of each bill)")
    table.add_column("", no_wrap=True)
    for name in DELIVERY_COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    *rows, total = delivery_rows(day)
    for row in rows:
        table.add_row(*row)
    table.add_section()
    table.add_row(*total, style="bold")
    table.caption = DELIVERY_LINE
    return table


def market_rows(day: DayEconomics) -> list[tuple[str, str, str]]:
    """What, how much, and what that means; also of the HTML report."""
    market, carbon, unit = day.facts.market, day.carbon, day.facts.currency
    local, bought = day.over_hours("local_wh"), day.over_hours("bought_wh")
    tariff = (
        f"feed-in {price(min(market.feed_in))}, retail {price(min(market.retail))} to "
        f"{price(max(market.retail))}"
    )
    return [
        (
            "Homes bought",
            f"{kwh(bought)} kWh",
            f"of {kwh(day.over_hours('asked_wh'))} asked; metered import {kwh(carbon.import_wh)}",
        ),
        (
            "Homes sold",
            f"{kwh(day.over_hours('sold_wh'))} kWh",
            f"of {kwh(day.over_hours('offered_wh'))} offered; "
            f"metered export {kwh(day.over_hours('export_wh'))}",
        ),
        ("Local share", percent(day.local_share), f"{kwh(local)} kWh that homes bought from homes"),
        ("Local price", price_or_none(day.average_price, f"{unit}/kWh"), f"mean by volume; {tariff}"),
        (
            "Low-carbon",
            f"{kwh(day.total('certified_wh'))} kWh",
            "certified after delivery, of "
            f"{kwh(day.over_hours('low_carbon_wh'))} bought as {quality_name(5)} or better",
        ),
        (
            "Carbon of import",
            grams(carbon.homes_g_per_kwh),
            f"counting neighbours' solar as 0; at the grid's hourly average {grams(carbon.grid_g_per_kwh)}",
        ),
        (
            "Attributed",
            f"{carbon.attributed_kg:.1f} kg CO₂e",
            "less for buyers: who gets the credit, not emissions that trading itself avoided",
        ),
    ]


def street_rows(day: DayEconomics) -> list[tuple[str, ...]]:
    """A row a street and one of all; also of the HTML report. Energy in kWh, prices and money in currency."""
    streets = day.streets
    rows = [
        (
            f"{one.fact.name} ({one.homes} homes)" if one.homes > 1 else f"{one.fact.name} (1 home)",
            "none" if one.sale_price is None else price(one.sale_price),
            kwh(one.stayed_wh),
            kwh(one.inward_wh),
            kwh(one.outward_wh),
            money(one.charge_nano, 3),
            money(one.rent_nano, 3),
            count(one.full_windows),
        )
        for one in streets
    ]
    energy = ("stayed_wh", "inward_wh", "outward_wh")
    total = [kwh(sum(getattr(one, name) for one in streets)) for name in energy]
    paid = [money(sum(getattr(one, name) for one in streets), 3) for name in ("charge_nano", "rent_nano")]
    return [*rows, ("All streets", "", *total, *paid, count(sum(one.full_windows for one in streets)))]


STREET_COLUMNS = ("sold at", "stayed", "line in", "line out", "charge", "rent", "full h")


def streets_line(day: DayEconomics) -> str:
    """What a line costs and carries, and who earns that; also of the HTML report."""
    fact, unit = day.streets[0].fact, day.facts.currency
    capacity = "no limit" if fact.capacity_wh is None else f"at most {kwh(fact.capacity_wh)} kWh an hour"
    income = sum(bill.lines_nano for bill in day.bills)
    return (
        f"each line: {price(fact.charge_micro_per_kwh, 4)} {unit}/kWh, {capacity}; "
        f"network operator's income {money(income, 3)} {unit}"
    )


def streets_table(day: DayEconomics) -> Table:
    unit = day.facts.currency
    table = _table(f"Streets (contracted, kWh; prices {unit}/kWh, money {unit})")
    table.add_column("", no_wrap=True)
    for name in STREET_COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    *rows, total = street_rows(day)
    for row in rows:
        table.add_row(*row)
    table.add_section()
    table.add_row(*total, style="bold")
    table.caption = streets_line(day) + "\n"
    table.caption += "sold at: mean that the street's homes were paid   stayed: bought from the same street"
    return table


CAR_COLUMNS = ("wanted", "charged", "hours", "mean\nprice", "at\nonce", "saved")


def car_rows(day: DayEconomics) -> list[tuple[str, ...]]:
    """A row a car and one of all; also of the HTML report."""
    rows = [
        (
            car.member.name,
            kwh(car.terms.energy_wh),
            kwh(car.energy_wh),
            " ".join(f"{window:02}" for window, wh in enumerate(car.charged_wh) if wh),
            "none" if car.price is None else price(car.price),
            "none" if car.at_once_price is None else price(car.at_once_price),
            signed_money(car.saved_nano, 3),
        )
        for car in day.cars
    ]
    return [*rows, _all_cars(day)]


def _all_cars(day: DayEconomics) -> tuple[str, ...]:
    wanted, charged = sum(car.terms.energy_wh for car in day.cars), sum(car.energy_wh for car in day.cars)
    paid, at_once = sum(car.paid_nano for car in day.cars), sum(car.at_once_nano for car in day.cars)
    means = (_mean(paid, charged), _mean(at_once, charged))
    return ("All cars", kwh(wanted), kwh(charged), "", *means, signed_money(at_once - paid, 3))


def _mean(nano: int, wh: int) -> str:
    return price(nano / wh) if wh else "none"


def cars_line(day: DayEconomics) -> str:
    """What is assumed, and what charging at once would have done to the highest hour."""
    highest = max(map(sum, zip(*(car.charged_wh for car in day.cars), strict=True)))
    at_once = max(map(sum, zip(*(car.at_once_wh for car in day.cars), strict=True)))
    return (
        "cars are assumed, not measured; at once: the same energy from 00:00 on, at retail; "
        f"highest hour of all cars {kwh(highest)} kWh, at once {kwh(at_once)}"
    )


def flat_line(day: DayEconomics) -> str:
    """Why waiting may save nothing: where retail is the same all night; else nothing."""
    terms = day.cars[0].terms
    night = day.facts.market.retail[terms.first_window : terms.first_window + terms.windows]
    if len(set(night)) > 1:
        return ""
    return f"retail is {price(night[0])} all night: only a neighbour's sun is cheaper, and full lines dearer"


def cars_table(day: DayEconomics) -> Table:
    unit = day.facts.currency
    table = _table(f"Cars, assumed (kWh; prices {unit}/kWh, money {unit})")
    table.add_column("", no_wrap=True)
    for name in CAR_COLUMNS:
        table.add_column(name, justify="left" if name == "hours" else "right", no_wrap=True)
    *rows, total = car_rows(day)
    for row in rows:
        table.add_row(*row)
    table.add_section()
    table.add_row(*total, style="bold")
    table.caption = cars_line(day)
    table.caption += f"\n{flat_line(day)}" if flat_line(day) else ""
    return table


def market_table(day: DayEconomics) -> Table:
    table = _table("Market")
    table.show_header = False
    table.add_column("")
    table.add_column("", justify="right")
    table.add_column("")
    for row in market_rows(day):
        table.add_row(*row)
    return table


def sums_table(day: DayEconomics) -> Table:
    table = _table("Sums that must be zero, exactly")
    table.add_column("")
    table.add_column("terms", justify="right")
    table.add_column("sum", justify="right")
    for row in day.zero_sums:
        style = "green" if row.holds else "bold red"
        table.add_row(row.name, count(row.terms), f"[{style}]{row.total:,} {row.unit}[/]")
    return table


def chain_table(day: DayEconomics) -> Table:
    table = _table(f"Chain {day.facts.chain_id} · Exchange {day.facts.exchange}")
    table.add_column("")
    for name in ("transactions", "gas", "calldata bytes", "seconds"):
        table.add_column(name, justify="right")
    for phase in day.facts.phases:
        numbers = (count(phase.transactions), count(phase.gas), count(phase.calldata_bytes))
        table.add_row(phase.name, *numbers, f"{phase.seconds:.2f}")
    table.add_section()
    phases = day.facts.phases
    sums = (sum(p.transactions for p in phases), sum(p.gas for p in phases))
    bytes_, seconds = sum(p.calldata_bytes for p in phases), sum(p.seconds for p in phases)
    table.add_row("All", *map(count, sums), count(bytes_), f"{seconds:.2f}", style="bold")
    table.caption = gas_line(day)
    return table


def gas_line(day: DayEconomics) -> str:
    return (
        f"{count(day.clear_gas_per_order_window)} gas to clear and {count(day.settle_gas_per_order_window)} "
        f"to settle each of {count(day.order_windows)} signed window-orders; "
        f"settling costs {count(day.settle_gas_per_account_window)} a home and window"
    )


def incidents_table(day: DayEconomics) -> Table:
    table = _table("Trouble on the way")
    for name in ("what", "", "outcome"):
        table.add_column(name, justify="right" if not name else "left")
    for incident in day.facts.incidents:
        table.add_row(incident.what, count(incident.count), incident.outcome)
    return table


def audit_table(day: DayEconomics) -> Table:
    table = _table("Audit, from the chain alone")
    table.add_column("check")
    table.add_column("count", justify="right")
    table.add_column("")
    for check in day.facts.checks:
        verdict = "[green]holds[/]" if check.holds else "[bold red]FAILS[/]"
        table.add_row(check.name, count(check.count), verdict + (f"  {check.detail}" if check.detail else ""))
    return table


def _table(title: str) -> Table:
    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
