"""The day's report as one self-contained page: text, tables and figures, no request to anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from settlement.reports import later, text, told
from settlement.reports.economics import DayEconomics
from settlement.reports.plots import figures
from settlement.reports.tables import (
    CAR_COLUMNS,
    DELIVERY_COLUMNS,
    DELIVERY_LINE,
    STREET_COLUMNS,
    car_rows,
    cars_line,
    delivery_rows,
    flat_line,
    gas_line,
    market_rows,
    street_rows,
    streets_line,
)

TEMPLATE = Path(__file__).with_name("report.html.j2")


def render(day: DayEconomics) -> str:
    """The page."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {
        name: getattr(text, name)
        for name in ("kwh", "money", "signed_money", "price", "percent", "count", "grams")
    }
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    svg = {name: Markup(element) for name, element in figures(day).items()}
    return template.render(day=day, facts=day.facts, svg=svg, cards=cards(day), **_more(day))


def cards(day: DayEconomics) -> list[tuple[str, str, str]]:
    """Figure, what it is, and what it is measured against."""
    retail, gain = day.total("retail_bill_nano"), day.total("gain_nano")
    unit = day.facts.currency
    return [
        (f"{text.signed_money(gain)} {unit}", "homes gained", f"of {text.money(retail)} retail-only bills"),
        (text.percent(day.local_share), "local share", "of what homes bought, from homes"),
        (text.price_or_none(day.average_price, unit), "local price a kWh", "mean by volume"),
        (f"{text.kwh(day.total('certified_wh'))} kWh", "certified low-carbon", "after delivery"),
        (text.count(day.clear_gas_per_order_window), "gas to clear", "a signed window-order"),
        ("0 nano" if day.holds else "not zero", "sum of all bills", "exactly, in integers"),
    ]


def _more(day: DayEconomics) -> dict[str, Any]:
    return {"market_rows": market_rows(day), "gas_line": gas_line(day), "more": list(more_sections(day))}


Section = tuple[str, str, str, tuple[str, ...], list[tuple[str, ...]]]


def more_sections(day: DayEconomics) -> Iterator[Section]:
    """Figure (or none), title, what it says, columns and rows of what only some days have."""
    unit = day.facts.currency
    if day.pays_for_delivery:
        names = tuple(name.replace("\n", " ") for name in DELIVERY_COLUMNS)
        yield "", "Delivery", f"{DELIVERY_LINE.capitalize()}. Money in {unit}.", names, delivery_rows(day)
    if day.streets:
        says = f"Contracted, kWh; prices in {unit}/kWh, money in {unit}. "
        says += f"What stayed in a street paid no line; {streets_line(day)}."
        yield "streets", "Streets", says, STREET_COLUMNS, street_rows(day)
    if day.cars:
        says = f"In kWh; prices in {unit}/kWh, money in {unit}; {cars_line(day)}. "
        says += f"{flat_line(day).capitalize()}." if flat_line(day) else ""
        yield "cars", "Cars, assumed", says, CAR_COLUMNS, car_rows(day)
    if day.facts.later is not None:
        says = f"Bills in {unit}. What was issued stays; a later run adds a difference. {later.line(day)}."
        yield "", "Later runs", says, later.columns(day.facts), later.rows(day)
    if day.facts.told:
        says = f"Energy in kWh, money in {unit}; {told.line(day)}."
        names = tuple(name.replace("\n", " ") for name in told.COLUMNS)
        yield "", told.TITLE, says, names, told.rows(day)
