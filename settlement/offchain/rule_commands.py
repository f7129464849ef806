"""`trellis settlement share` and `baseline`: the rules' arithmetic on files, without a chain."""

from __future__ import annotations

import argparse
import csv
import json
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from settlement.errors import InputError
from settlement.units import WH_LIMIT

if TYPE_CHECKING:
    from settlement.rules.baselines import Baseline, DayWh, Method
    from settlement.rules.sharing import Key, Sharing

SHARE = """\
Divides a community's generation among its members, window by window, by the keys of KEY.json:
  {"keys": [{"rule": "static", "shares_ppm": [600000, 400000]}, {"rule": "pro_rata"}]}
READINGS.csv has a row for each window: its name, the generation, and what each member drew, in Wh. The header
names the members, in the order of the shares:
  window,generation,home a,home b
  2026-06-14T12:00,1200,800,300
"""
BASELINE = """\
Tells what a site would have metered had it not been dispatched, from its like days before. METERED.csv has a
row for each day: the date, then its slots in Wh, injection positive, empty where nothing is known:
  date,1,2,3,...,48
  2026-06-01,-120,-118,,...
METHOD.json is a baselining methodology; without --method it is the last 10 working days (4 others), adjusted
to the hours before, as in BL01. docs/rules.md says what its fields mean.
"""
INTEGER = re.compile(r"-?[0-9]+")


def add_share(group: Any) -> None:
    """Adds `share` to the group of `trellis settlement`."""
    parser = _parser(group, "share", "divide a community's generation by sharing keys", SHARE)
    parser.add_argument("key", type=Path, metavar="KEY.json", help="the keys, in the order they apply")
    parser.add_argument("readings", type=Path, metavar="READINGS.csv", help="generation and draws, Wh")
    parser.set_defaults(run=share)


def add_baseline(group: Any) -> None:
    """Adds `baseline` to the group of `trellis settlement`."""
    parser = _parser(group, "baseline", "what a dispatched site would have metered", BASELINE)
    parser.add_argument("metered", type=Path, metavar="METERED.csv", help="the site's days, Wh")
    parser.add_argument("--day", required=True, metavar="DATE", help="of the dispatch, as 2026-06-14")
    parser.add_argument("--slots", required=True, metavar="FIRST-LAST", help="dispatched, counted from 1")
    parser.add_argument("--method", type=Path, metavar="METHOD.json", help="another methodology")
    parser.add_argument(
        "--instructed", action="append", default=[], metavar="DATE", help="a day that does not count"
    )
    parser.set_defaults(run=baseline)


def _parser(group: Any, name: str, told: str, description: str) -> Any:
    parser = group.add_parser(
        name, help=told, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    return parser


# Files --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """A CSV file of a name and whole numbers in each row."""

    columns: tuple[str, ...]
    """Without the first."""
    names: tuple[str, ...]
    rows: tuple[tuple[int | None, ...], ...]
    """None where a cell is empty."""


def read_table(file: Path, empty: bool) -> Table:
    """A table whose cells may be `empty` or not. InputError by line and column."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            found = [row for row in csv.reader(stream) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} cannot be read as CSV: {error}") from None
    if len(found) < 2 or len(found[0]) < 2:
        raise InputError(f"{file}: give a header of two columns or more, and a row below it")
    header, *rows = found
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise InputError(f"{file}, line {line}: {len(row)} cells under {len(header)} columns")
    cells = tuple(
        tuple(_cell(file, line, header[at], row[at], empty) for at in range(1, len(header)))
        for line, row in enumerate(rows, start=2)
    )
    return Table(tuple(header[1:]), tuple(row[0] for row in rows), cells)


def _cell(file: Path, line: int, column: str, text: str, empty: bool) -> int | None:
    given = text.strip()
    if not given and empty:
        return None
    if not INTEGER.fullmatch(given) or not -WH_LIMIT < int(given) < WH_LIMIT:
        raise InputError(f"{file}, line {line}, column {column!r}: {text!r} is no whole number of Wh")
    return int(given)


def _document(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None


# Sharing ------------------------------------------------------------------------------------------------


def share(arguments: argparse.Namespace) -> None:
    """Prints what each member consumes of the community's own."""
    import numpy as np

    from settlement.rules import sharing

    table = read_table(arguments.readings, empty=False)
    if table.columns[0] != "generation" or len(table.columns) < 2:
        raise InputError(f"{arguments.readings}, line 1: the columns are a window, generation, then members")
    wh = np.array(table.rows, np.int64)
    found = sharing.share(wh[:, 0], wh[:, 1:].T.copy(), _keys(arguments.key))
    if arguments.json:
        print(json.dumps(_shared(table, found), indent=2))
        return
    print(f"{'member':<24} {'consumed Wh':>12} {'residual Wh':>12}")
    consumed, residual = found.consumed_wh.sum(axis=1), found.residual_wh.sum(axis=1)
    for name, own, rest in zip(table.columns[1:], consumed, residual, strict=True):
        print(f"{name:<24} {int(own):>12} {int(rest):>12}")
    print(f"{'surplus':<24} {int(found.surplus_wh.sum()):>12}")


def _keys(file: Path) -> tuple[Key, ...]:
    from settlement.rules.configuration import from_json
    from settlement.rules.sharing import Cascade

    return from_json(Cascade, _document(file), str(file)).keys


def _shared(table: Table, found: Sharing) -> dict[str, Any]:
    return {
        "windows": list(table.names),
        "members": {
            name: {
                "consumed_wh": found.consumed_wh[place].tolist(),
                "residual_wh": found.residual_wh[place].tolist(),
            }
            for place, name in enumerate(table.columns[1:])
        },
        "surplus_wh": found.surplus_wh.tolist(),
    }


# Baselines ----------------------------------------------------------------------------------------------


def baseline(arguments: argparse.Namespace) -> None:
    """Prints the site's baseline in the dispatched slots."""
    from settlement.rules import baselines

    method = _method(arguments.method)
    table = read_table(arguments.metered, empty=True)
    days = [_date(name, f"{arguments.metered}, line {line}") for line, name in enumerate(table.names, 2)]
    history: dict[date, DayWh] = dict(zip(days, table.rows, strict=True))
    slots = _slots(arguments.slots, method.slots)
    instructed = {_date(one, "--instructed") for one in arguments.instructed}
    site = baselines.Site(history, instructed)
    found = baselines.baseline(method, site, _date(arguments.day, "--day"), slots)
    if arguments.json:
        print(json.dumps(_as_json(found, slots), indent=2))
        return
    if not found.wh:
        print(f"no baseline: fewer than {method.least_days} like days")
        return
    for slot, wh in zip(slots, found.wh, strict=True):
        print(f"slot {slot + 1:>3} {wh:>12} Wh")
    print(f"{found.basis}: " + ", ".join(map(str, found.days)))


def _method(file: Path | None) -> Method:
    from settlement.rules.baselines import BL01, Method
    from settlement.rules.configuration import from_json

    return BL01 if file is None else from_json(Method, _document(file), str(file))


def _slots(text: str, most: int) -> range:
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last <= most:
        raise InputError(f"--slots {text!r}: give the first and the last, 1 to {most}, as 35-38")
    return range(first - 1, last)


def _date(text: str, where: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{where}: {text!r} is no date: give it as 2026-06-14") from None


def _as_json(found: Baseline, slots: range) -> dict[str, Any]:
    return {
        "slots": [slot + 1 for slot in slots],
        "wh": list(found.wh),
        "basis": found.basis.value,
        "days": [day.isoformat() for day in found.days],
        "adjustment_wh": found.adjustment_wh,
    }
