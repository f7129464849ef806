"""The day as files: `summary.json` for programs, CSV for spreadsheets, the page for people.

In files energy is Wh, cash nano and prices micro/kWh, all exact integers; only ratios are floats.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from settlement.errors import InputError
from settlement.reports import later, told
from settlement.reports.cars import Car
from settlement.reports.economics import Bill, DayEconomics
from settlement.reports.facts import SELL
from settlement.reports.html import render
from settlement.reports.streets import Street

SUMMARY, PAGE = "summary.json", "report.html"


def write_report(day: DayEconomics, folder: Path) -> list[Path]:
    """Writes everything into `folder`, which is made if it is not there. InputError if it cannot be."""
    files = {
        PAGE: render(day),
        SUMMARY: json.dumps(summary(day), indent=2) + "\n",
        "homes.csv": _csv(homes_rows(day)),
        "windows.csv": _csv(window_rows(day)),
        "orders.csv": _csv(order_rows(day)),
        "phases.csv": _csv(phase_rows(day)),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
    except OSError as cause:
        raise InputError(f"cannot write the report to {folder}: {cause.strerror or cause}") from cause
    return [folder / name for name in files]


def summary(day: DayEconomics) -> dict[str, Any]:
    """What a program wants to know of a day."""
    facts = day.facts
    return {
        "title": facts.title,
        "date": facts.date,
        "seed": facts.seed,
        "currency": facts.currency,
        "chain_id": facts.chain_id,
        "exchange": facts.exchange,
        "homes": [_bill(bill) for bill in day.homes],
        "others": [_bill(bill) for bill in day.others],
        "totals": _totals(day),
        "market": _market(day),
        "carbon": _carbon(day),
        **_streets_and_cars(day),
        **later.summary(day),
        **told.summary(day),
        "chain": _chain(day),
        "zero_sums": [
            {"name": row.name, "terms": row.terms, "total": row.total, "unit": row.unit, "holds": row.holds}
            for row in day.zero_sums
        ],
        "incidents": [
            {"what": one.what, "outcome": one.outcome, "count": one.count} for one in facts.incidents
        ],
        "audit": [
            {"check": one.name, "count": one.count, "holds": one.holds, "detail": one.detail}
            for one in facts.checks
        ],
        "holds": day.holds and all(check.holds for check in facts.checks),
    }


BILL_FIELDS = (
    "bought_wh",
    "sold_wh",
    "surplus_wh",
    "deficit_wh",
    "import_wh",
    "export_wh",
    "certified_wh",
    "trade_nano",
    "imbalance_nano",
    "proceeds_nano",
    "unpaid_nano",
    "refund_nano",
    "premium_nano",
    "rest_nano",
    "estimated_windows",
    "bill_nano",
    "retail_bill_nano",
    "market_gain_nano",
    "error_cost_nano",
    "gain_nano",
)
HOME_ONLY = ("retail_bill_nano", "market_gain_nano", "error_cost_nano", "gain_nano")


def _bill(bill: Bill) -> dict[str, Any]:
    home = bill.member.role.value == "home"
    figures = {name: getattr(bill, name) for name in BILL_FIELDS if home or name not in HOME_ONLY}
    return {
        "name": bill.member.name,
        "account": "0x" + bill.member.account.hex(),
        "role": bill.member.role.value,
        "low_carbon": bill.member.low_carbon,
        **({"zone": bill.member.zone} if bill.member.zone else {}),
        **figures,
    }


def _totals(day: DayEconomics) -> dict[str, int]:
    homes = {name: day.total(name) for name in BILL_FIELDS}
    return {**homes, "all_bills_nano": day.total("bill_nano", day.bills)}


def _market(day: DayEconomics) -> dict[str, Any]:
    names = ("asked_wh", "offered_wh", "bought_wh", "sold_wh", "local_wh", "delivered_wh", "low_carbon_wh")
    return {
        **{name: day.over_hours(name) for name in names},
        "local_share": round(day.local_share, 6),
        "local_price_micro_per_kwh": None if day.average_price is None else round(day.average_price, 3),
    }


def _carbon(day: DayEconomics) -> dict[str, Any]:
    carbon = day.carbon
    return {
        "grid_g_per_kwh": round(carbon.grid_g_per_kwh, 3),
        "homes_g_per_kwh": round(carbon.homes_g_per_kwh, 3),
        "attributed_mg": carbon.neighbours_mg,
        "method": "metered import; grid's hourly average, location-based; neighbours' delivered solar as 0; "
        "an attribution, not emissions avoided by trading",
    }


def _streets_and_cars(day: DayEconomics) -> dict[str, Any]:
    """Only of a day that has them."""
    told: dict[str, Any] = {}
    if day.streets:
        told["streets"] = [_street(street) for street in day.streets]
        told["network"] = {"income_nano": sum(bill.lines_nano for bill in day.bills)}
    if day.cars:
        told["cars"] = {"assumed": True, "each": [_car(car) for car in day.cars]}
    return told


def _street(street: Street) -> dict[str, Any]:
    names = ("stayed_wh", "inward_wh", "outward_wh", "charge_nano", "rent_nano", "full_windows")
    return {
        "zone": street.fact.zone,
        "name": street.fact.name,
        "homes": street.homes,
        "charge_micro_per_kwh": street.fact.charge_micro_per_kwh,
        "capacity_wh": street.fact.capacity_wh,
        **{name: getattr(street, name) for name in names},
        "imports_wh": list(street.imports_wh),
        "energy_prices_micro_per_kwh": list(street.energy_prices),
    }


def _car(car: Car) -> dict[str, Any]:
    return {
        "home": car.member.name,
        "wanted_wh": car.terms.energy_wh,
        "limit_micro_per_kwh": car.limit_micro_per_kwh,
        "charged_wh": list(car.charged_wh),
        "at_once_wh": list(car.at_once_wh),
        "paid_nano": car.paid_nano,
        "at_once_nano": car.at_once_nano,
        "saved_nano": car.saved_nano,
    }


def _chain(day: DayEconomics) -> dict[str, Any]:
    phases = day.facts.phases
    return {
        "order_windows": day.order_windows,
        "order_windows_with_energy": day.orders_with_energy,
        "clear_gas_per_order_window": round(day.clear_gas_per_order_window, 1),
        "settle_gas_per_order_window": round(day.settle_gas_per_order_window, 1),
        "settle_gas_per_account_window": round(day.settle_gas_per_account_window, 1),
        "transactions": sum(phase.transactions for phase in phases),
        "gas": sum(phase.gas for phase in phases),
        "calldata_bytes": sum(phase.calldata_bytes for phase in phases),
        "seconds": round(sum(phase.seconds for phase in phases), 3),
        "phases": [
            {
                "name": phase.name,
                "transactions": phase.transactions,
                "gas": phase.gas,
                "calldata_bytes": phase.calldata_bytes,
                "seconds": round(phase.seconds, 3),
            }
            for phase in phases
        ],
    }


# CSV ----------------------------------------------------------------------------------------------------

Rows = Iterable[Sequence[Any]]


def _csv(rows: Rows) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def homes_rows(day: DayEconomics) -> Rows:
    """One row an account."""
    yield ["name", "role", "account", *BILL_FIELDS]
    for bill in day.bills:
        told = _bill(bill)
        yield [told["name"], told["role"], told["account"], *(told.get(name, "") for name in BILL_FIELDS)]


def window_rows(day: DayEconomics) -> Rows:
    """One row a window; prices only of products that traded."""
    market = day.facts.market
    codes = [f"price_{code}" for code in market.qualities]
    names = ("asked_wh", "offered_wh", "bought_wh", "sold_wh", "local_wh", "import_wh", "export_wh")
    terms = ("retail", "feed_in", "surplus", "deficit", "carbon_g_per_kwh")
    yield ["window", *names, *terms, *codes]
    for hour in day.hours:
        prices = [
            market.price(code, hour.window) if day.traded_wh(code, hour.window) else ""
            for code in market.qualities
        ]
        told = [getattr(hour, name) for name in names] + [getattr(market, t)[hour.window] for t in terms]
        yield [market.first_window + hour.window, *told, *prices]


def order_rows(day: DayEconomics) -> Rows:
    """One row an order and window with a quantity."""
    names = {member.account: member.name for member in day.facts.members}
    head = ["order", "trader", "side", "quality", "window", "quantity_wh", "limit_micro_per_kwh", "filled_wh"]
    yield head
    for order in day.facts.orders:
        side = "sell" if order.side == SELL else "buy"
        for place, wh in enumerate(order.quantity_wh):
            if wh:
                window = day.facts.market.first_window + place
                told = (order.limit_micro_per_kwh[place], order.filled_wh[place])
                yield ["0x" + order.order.hex(), names[order.trader], side, order.quality, window, wh, *told]


def phase_rows(day: DayEconomics) -> Rows:
    """One row a phase."""
    yield ["phase", "transactions", "gas", "calldata_bytes", "seconds"]
    for phase in day.facts.phases:
        yield [
            phase.name,
            phase.transactions,
            phase.gas,
            phase.calldata_bytes,
            f"{phase.seconds:.3f}",
        ]
