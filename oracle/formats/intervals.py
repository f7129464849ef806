"""Trellis's own interval file: UTF-8 CSV, one row a register and interval.

    start_utc,length_s,register,wh,flag
    2026-06-01T00:00:00Z,900,import,125,actual

    start_utc   ISO 8601 with a zone (Z or an offset), or whole seconds since 1970
    length_s    1 to 86400; the start is a multiple of it, as every window's is
    register    import or export
    wh          exact, not negative; or a column `kwh` instead
    flag        actual, estimated or default; the column may be missing: all actual

Columns may stand in any order. One record for the file: `unsigned`, or `invalid` if a row is wrong (line and
column are named; the other rows are read). Not billable: intervals of one register that overlap, and rows
flagged default, which nobody measured or estimated.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from oracle.errors import BadFormat
from oracle.formats import obis
from oracle.formats.bounds import MOST_READINGS
from oracle.formats.record import IntervalReading, PublicKeySource, Record, Verdict
from oracle.formats.spans import EARLIEST_S, LATEST_S, listed, overlaps

NAME = "intervals"

NEEDED: Final = ("start_utc", "length_s", "register")
ENERGY: Final = ("wh", "kwh")
OPTIONAL: Final = ("flag",)
REGISTERS: Final = ("import", "export")
FLAGS: Final = ("actual", "estimated", "default")
MOST_LENGTH_S: Final = 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Fault(ValueError):
    """A sentence: what is wrong in a column."""

    def __init__(self, column: str, what: str) -> None:
        super().__init__(f"column {column}: {what}")


def recognises(data: bytes) -> bool:
    """Its header line has the needed columns."""
    head = data[:4096].removeprefix(b"\xef\xbb\xbf").splitlines()[:1]
    return bool(head) and {name.encode() for name in NEEDED} <= {cell.strip() for cell in head[0].split(b",")}


def parse(data: bytes, key: PublicKeySource | None = None) -> list[Record]:
    """One record. `key` is not used. Raises `BadFormat` if the header is wrong."""
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise BadFormat(NAME, f"byte {error.start} is not UTF-8") from None
    if len(lines) > MOST_READINGS + 1:
        raise BadFormat(NAME, f"it holds more than {MOST_READINGS} intervals: split the file")
    columns = _columns(lines[0])
    faults: list[str] = []
    readings: list[IntervalReading] = []
    for count, line in enumerate(lines[1:], 2):
        try:
            if line.strip():
                readings.append(_reading(columns, line))
        except (_Fault, csv.Error) as fault:
            faults.append(f"line {count}, {fault}")
    problems = [*faults, *overlaps(readings)]
    problems.extend({f"flag {FLAGS[2]}: nobody measured it" for each in readings if each.flag == FLAGS[2]})
    if not readings:
        problems.append("there is no interval")
    reason = faults[0] if faults else "an interval file has no signature"
    verdict: Verdict = "invalid" if faults else "unsigned"
    return [Record(0, NAME, verdict, reason, not problems, listed(problems), tuple(readings))]


def _columns(header: str) -> list[str]:
    columns = [name.strip() for name in header.split(",")]
    energy = [name for name in columns if name in ENERGY]
    unknown = [name for name in columns if name not in (*NEEDED, *ENERGY, *OPTIONAL)]
    missing = [name for name in NEEDED if name not in columns]
    if missing or len(energy) != 1:
        raise BadFormat(NAME, f"line 1: the columns are {', '.join(NEEDED)}, and wh or kwh")
    if unknown or len(set(columns)) != len(columns):
        raise BadFormat(NAME, f"line 1: {(unknown or columns)[0]!r} is unknown or stands twice")
    return columns


def _reading(columns: list[str], line: str) -> IntervalReading:
    """Raises `_Fault` naming the column."""
    cells = next(csv.reader([line]))
    if len(cells) != len(columns):
        last = columns[min(len(cells), len(columns)) - 1]
        raise _Fault(last, f"{len(cells)} cells for {len(columns)} columns")
    row = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
    start, length = _start(row["start_utc"]), _length(row["length_s"])
    if start % length:
        raise _Fault("start_utc", f"{row['start_utc']} is no multiple of {length} s")
    flag = row.get("flag") or FLAGS[0]
    for column, value, known in (("register", row["register"], REGISTERS), ("flag", flag, FLAGS)):
        if value not in known:
            raise _Fault(column, f"{value!r} is none of {', '.join(known)}")
    return IntervalReading(start, length, row["register"], _energy(row), flag)


def _start(text: str) -> int:
    seconds = int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else _iso(text)
    if not EARLIEST_S <= seconds < LATEST_S:
        raise _Fault("start_utc", f"{text[:40]!r} is not from 1970 to 2106")
    return seconds


def _iso(text: str) -> int:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise _Fault("start_utc", f"{text[:40]!r} is no time") from None
    if instant.tzinfo is None:
        raise _Fault("start_utc", f"{text!r} has no zone: write Z for UTC")
    seconds, beside = divmod(instant - EPOCH, timedelta(seconds=1))
    if beside:
        raise _Fault("start_utc", f"{text!r} lies between two seconds")
    return seconds


def _length(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= MOST_LENGTH_S:
        return int(text)
    raise _Fault("length_s", f"{text[:24]!r} is no whole number from 1 to {MOST_LENGTH_S}")


def _energy(row: dict[str, str]) -> Decimal:
    column = "wh" if "wh" in row else "kwh"
    exact = obis.number(row[column])
    if exact is None or exact < 0:
        raise _Fault(column, f"{row[column][:24]!r} is no energy: a decimal, not negative")
    return exact * obis.WH_IN[column]
