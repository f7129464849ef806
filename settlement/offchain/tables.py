"""Files of the commands that apply a rule: tables of whole numbers, days, documents."""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from settlement.errors import InputError
from settlement.units import WH_LIMIT

INTEGER = re.compile(r"-?[0-9]+")


def file_parser(group: Any, name: str, told: str, description: str) -> Any:
    parser = group.add_parser(
        name, help=told, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    return parser


@dataclass(frozen=True)
class Table:
    """A CSV file of a name and whole numbers in each row."""

    columns: tuple[str, ...]
    """Without the first."""
    names: tuple[str, ...]
    rows: tuple[tuple[int | None, ...], ...]
    """None where a cell is empty."""


def read_table(file: Path, empty: bool, lengths: Collection[int] = ()) -> Table:
    """A table whose cells may be `empty` or not. Rows are as long as the header or, without their name, of
    one of `lengths`. InputError by line and column.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            found = [row for row in csv.reader(stream) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} cannot be read as CSV: {error}") from None
    if len(found) < 2 or len(found[0]) < 2:
        raise InputError(f"{file}: give a header of two columns or more, and a row below it")
    header, *rows = found
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header) and len(row) - 1 not in lengths:
            raise InputError(f"{file}, line {line}: {len(row)} cells under {len(header)} columns")
    cells = tuple(
        tuple(_cell(file, line, _column(header, at), text, empty) for at, text in enumerate(row[1:], 1))
        for line, row in enumerate(rows, start=2)
    )
    return Table(tuple(header[1:]), tuple(row[0] for row in rows), cells)


def _column(header: list[str], at: int) -> str:
    return header[at] if at < len(header) else str(at)


def _cell(file: Path, line: int, column: str, text: str, empty: bool) -> int | None:
    given = text.strip()
    if not given and empty:
        return None
    if not INTEGER.fullmatch(given) or not -WH_LIMIT < int(given) < WH_LIMIT:
        raise InputError(f"{file}, line {line}, column {column!r}: {text!r} is no whole number of Wh")
    return int(given)


def document(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None


def date_of(text: str, where: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{where}: {text!r} is no date: give it as 2026-06-14") from None
