"""BOOK and FLEX: the columns of orders, and the bounds of each."""

from __future__ import annotations

import numpy as np

from settlement.formats.memory import equal_to
from settlement.formats.source import Column, Rows, read_rows
from settlement.matching.market import Ints
from settlement.units import WH_LIMIT

TEXTS = ("order_id", "side", "zone")
LIMIT = "limit_micro_per_kwh"
BOOK_COLUMNS = ("order_id", "side", "zone", "quality", "window", "quantity_wh", LIMIT)
FLEX_COLUMNS = (
    *("order_id", "side", "zone", "first_window", "last_window"),
    *("energy_wh", "max_wh_per_window", LIMIT),
)
QUANTITIES = ("quantity_wh", "energy_wh", "max_wh_per_window")
SIDES = ("buy", "sell")
LAST_WINDOW = 2**63 - 1
"""Windows that end a range lie below, so that the one behind still counts."""


def read_book(data: bytes, name: str) -> Rows:
    """A book's rows, each within the bounds that hold in any market."""
    return _read(data, name, BOOK_COLUMNS)


def read_flexible(data: bytes, name: str) -> Rows:
    """Flexible orders' rows, within the bounds that hold in any market."""
    rows = _read(data, name, FLEX_COLUMNS)
    first, last = rows.numbers["first_window"], rows.numbers["last_window"]
    rows.refuse_first(first > last, "last_window", "{} comes before first_window")
    rows.refuse_first(last >= LAST_WINDOW, "last_window", "{} is not below 2^63 - 1")
    return rows


def _read(data: bytes, name: str, columns: tuple[str, ...]) -> Rows:
    rows = read_rows(data, name, [Column(column, column not in TEXTS) for column in columns])
    for column, values in rows.numbers.items():
        if column != LIMIT:
            rows.refuse_first(values < 0, column, "{} is negative")
        if column in QUANTITIES:
            rows.refuse_first(values >= WH_LIMIT, column, f"{{}} is not below 2^30 ({WH_LIMIT:,})")
    for column in ("order_id", "zone"):
        rows.refuse_first(equal_to(rows.texts[column], ""), column, "empty")
    side = rows.texts["side"]
    known = equal_to(side, SIDES[0]) | equal_to(side, SIDES[1])
    rows.refuse_first(~known, "side", "{} is neither 'buy' nor 'sell'")
    return rows


def sides_of(rows: Rows) -> Ints:
    """0 for a buy, 1 for a sell."""
    return equal_to(rows.texts["side"], SIDES[1]).astype(np.int64)


def refuse_limits_outside(rows: Rows, floor: int, cap: int) -> None:
    """Refuse a limit that the grid's floor and cap do not allow."""
    limit = rows.numbers[LIMIT]
    rows.refuse_first((limit < floor) | (limit > cap), LIMIT, f"{{}} lies outside {floor} to {cap}")
