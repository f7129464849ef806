"""NEM12, the interval meter data file of the Australian market (AEMO, Meter Data File Format
Specification NEM12 & NEM13, section 4). Comma separated records, told apart by their first field:

    100  header: version NEM12                                       first, one a file
    200  a data stream: meter point, suffix, unit, interval length   opens a block
    300  a day of it: date, 1440 / length values, quality
    400  quality of the intervals from a to b, where the 300 says V
    500  field service details, 900 end                              not read

Days are of market time, UTC+10 all year; value n ends n intervals after midnight. A suffix E is energy
the customer draws (import), B what flows back (export). Qualities: A actual, E forward estimate, F final
substitute, S substitute, N null; E, F, S with a two-digit method.

    unsigned   a block as the specification has it: the file carries no signature
    invalid    a record of the block breaks it: the reason names the line. Without a header all blocks are

One record a 200 block; its readable days are read even so. Not billable: an invalid block, intervals of
quality N (there is no data), a day that comes twice, a suffix that has no direction. Reactive energy and
power are checked and not read.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from oracle.errors import BadFormat
from oracle.formats import obis
from oracle.formats.bounds import MOST_READINGS
from oracle.formats.record import IntervalReading, PublicKeySource, Record, Verdict
from oracle.formats.spans import EARLIEST_S, LATEST_S, Twice, listed, overlaps

NAME = "nem12"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MARKET_AHEAD: Final = timedelta(hours=10)
DAY_MINUTES: Final = 1440
LENGTHS: Final = (5, 15, 30)
DIRECTIONS: Final = {"E": "import", "B": "export"}
UNITS: Final = frozenset(
    prefix + unit for prefix in ("", "K", "M") for unit in ("WH", "VARH", "VAR", "W", "VAH", "VA")
) | {"V", "KV", "A", "KA", "PF"}
KINDS: Final = ("100", "200", "300", "400", "500", "900")
QUALITY = re.compile(r"[AN]|[EFS](?:[0-9]{2})?")
VARIABLE = "V"
START = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:100,NEM12\b|200,(?:[^,\r\n]*,){6,8}[^,\r\n]*\r?\n300,)")
STREAM_FIELDS, QUALITY_FIELDS = 9, 4


class _Fault(ValueError):
    """A sentence: what is wrong in a line."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A 200 record."""

    meter_point: str
    """NMI."""
    suffix: str
    """E1, B1, Q1, ..."""
    unit: str
    """In upper case."""
    minutes: int
    """Interval length."""

    @property
    def intervals(self) -> int:
        """In a day."""
        return DAY_MINUTES // self.minutes


@dataclass(slots=True)
class _Block:
    """What is read under one 200 record, or under none (a fault outside any block)."""

    stream: Stream | None
    readings: list[IntervalReading] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    nulls: int = 0
    """Intervals of quality N."""
    day: _Day | None = None
    """The 300 record read last, until the next record that is no 400."""
    skipping: bool = False
    """The 300 record read last is wrong: its 400 records say nothing."""


@dataclass(slots=True)
class _Day:
    """A day whose qualities are not complete yet."""

    line: int
    start_s: int
    values: list[Decimal]
    qualities: list[str]
    """Of the intervals so far; as many as values when it is complete."""


def recognises(data: bytes) -> bool:
    """A NEM12 header, or a data stream with a day where the header was lost."""
    return bool(START.match(data))


def parse(data: bytes, key: PublicKeySource | None = None) -> list[Record]:
    """One record a 200 block. `key` is not used. Raises `BadFormat` if no line is a NEM12 record."""
    blocks = _Reader(data.decode("latin-1").removeprefix("\xef\xbb\xbf")).read()
    seen = Twice()
    return [_record(index, block, seen) for index, block in enumerate(blocks)]


def _record(index: int, block: _Block, seen: Twice) -> Record:
    problems = [*block.faults, *overlaps(block.readings)]
    if block.stream:
        problems.extend(seen.problems((block.stream.meter_point, block.stream.suffix), block.readings, index))
    if block.nulls:
        problems.append(f"{block.nulls} intervals have no data (quality N)")
    stream = block.stream
    reason = "NEM12 has no signature"
    if stream and not stream.unit.endswith("WH"):
        reason += f"; {stream.unit} of {stream.suffix} is checked and not read"
    elif stream and stream.suffix[:1] not in DIRECTIONS:
        problems.append(f"suffix {stream.suffix} is neither E (import) nor B (export)")
    verdict: Verdict = "invalid" if block.faults else "unsigned"
    shown = block.faults[0] if block.faults else reason
    point = stream.meter_point if stream else ""
    return Record(index, NAME, verdict, shown, not problems, listed(problems), tuple(block.readings), point)


class _Reader:
    """Goes through the lines once. Headers are of sections: some senders put several files into one."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.blocks: list[_Block] = []
        self.loose = _Block(None)
        """Faults before the first block."""
        self.inside = False
        """Between a 100 and its 900."""
        self.headless = ""
        self.recognised = False
        self.count = 0

    @property
    def block(self) -> _Block:
        return self.blocks[-1] if self.blocks else self.loose

    def read(self) -> list[_Block]:
        for count, line in enumerate(self.lines, 1):
            try:
                cells = next(csv.reader([line.rstrip("\r")]), [])
                if any(cells):
                    self._line(count, [cell.strip() for cell in cells])
            except (_Fault, csv.Error) as fault:
                self.block.faults.append(f"line {count}: {fault}")
        self._end(len(self.lines))
        return self.blocks or [self.loose]

    def _line(self, count: int, cells: list[str]) -> None:
        kind = cells[0]
        self.recognised |= kind in KINDS
        if kind in KINDS[1:] and not self.inside and not self.headless:
            self.headless = f"line {count}: there is no 100 record before this {kind}"
        if kind != "400":
            self._complete()
            self.block.skipping = kind == "300"  # until it proves right
        if kind == "100":
            self._header(cells)
        elif kind == "200":
            self.blocks.append(_Block(None))
            self.block.stream = _stream(cells)
        elif kind == "300":
            self._day(count, cells)
        elif kind == "400":
            self._qualities(cells)
        elif kind == "900":
            self.inside = False
        elif kind != "500":
            raise _Fault(f"{kind[:12]!r} is no record of NEM12: {', '.join(KINDS)}")

    def _header(self, cells: list[str]) -> None:
        if self.inside:
            raise _Fault("another 100 record before the 900 of the one before")
        self.inside = True
        if cells[1:2] != ["NEM12"]:
            raise _Fault("the header's version is not NEM12")

    def _end(self, count: int) -> None:
        self._complete()
        if not self.recognised:
            raise BadFormat(NAME, "no line is one of its records")
        if self.headless:
            for block in self.blocks or [self.loose]:
                block.faults.insert(0, self.headless)
        elif self.inside:
            self.block.faults.append(f"line {count}: the file ends without a 900 record")
        if not self.blocks:
            self.loose.faults.append("there is no 200 record, and so no data")

    def _stream(self) -> Stream:
        if not self.block.stream:
            raise _Fault("there is no 200 record that can be read before it")
        return self.block.stream

    def _day(self, count: int, cells: list[str]) -> None:
        stream = self._stream()
        start_s, values, quality = _values(stream, cells)
        qualities = [] if quality == VARIABLE else [quality] * len(values)
        self.block.day, self.block.skipping = _Day(count, start_s, values, qualities), False

    def _qualities(self, cells: list[str]) -> None:
        day = self.block.day
        if self.block.skipping:
            return
        if not day or len(cells) < QUALITY_FIELDS:
            raise _Fault("a 400 record follows a 300 of quality V, with first and last interval and quality")
        if len(day.qualities) == len(day.values):
            raise _Fault(f"all {len(day.values)} intervals have their quality already")
        first, last = (_whole(cell, "interval", 1, len(day.values)) for cell in cells[1:3])
        if first != len(day.qualities) + 1 or last < first:
            raise _Fault(
                f"intervals {first} to {last}: the next without a quality is {len(day.qualities) + 1}"
            )
        if not QUALITY.fullmatch(cells[3]):
            raise _Fault(f"{cells[3][:12]!r} is no quality")
        day.qualities.extend([cells[3]] * (last - first + 1))

    def _complete(self) -> None:
        """The day that was read is whole, or its qualities do not reach its end."""
        block, day = self.block, self.block.day
        block.day = None
        if not day or not block.stream:
            return
        if len(day.qualities) < len(day.values):
            block.faults.append(
                f"line {day.line}: of {len(day.values)} intervals of quality V the 400 records cover"
                f" {len(day.qualities)}"
            )
            return
        block.nulls += day.qualities.count("N")
        self.count += len(day.values)
        if self.count > MOST_READINGS:
            raise BadFormat(NAME, f"it holds more than {MOST_READINGS} intervals: split the file")
        block.readings.extend(_readings(block.stream, day))


def _stream(cells: list[str]) -> Stream:
    if len(cells) < STREAM_FIELDS:
        raise _Fault(f"a 200 record has {STREAM_FIELDS} fields or 10, not {len(cells)}")
    meter_point, suffix, unit = cells[1], cells[4], cells[7].upper()
    if not meter_point or not suffix:
        raise _Fault("the meter point (NMI) or its suffix is empty")
    if unit not in UNITS:
        raise _Fault(f"{cells[7][:12]!r} is no unit of NEM12")
    minutes = _whole(cells[8], "interval length", 1, DAY_MINUTES)
    if minutes not in LENGTHS:
        raise _Fault(f"the interval length is 5, 15 or 30 minutes, not {minutes}")
    return Stream(meter_point, suffix, unit, minutes)


def _values(stream: Stream, cells: list[str]) -> tuple[int, list[Decimal], str]:
    """Start (seconds of UTC), values and quality of a 300 record."""
    start_s = _midnight(cells[1] if len(cells) > 1 else "")
    end = 2 + stream.intervals
    quality = cells[end] if len(cells) > end else ""
    if quality != VARIABLE and not QUALITY.fullmatch(quality):
        found = f"{quality[:12]!r} is there" if quality else f"the record has {len(cells)} fields"
        raise _Fault(
            f"after {stream.intervals} values of {stream.minutes} min a quality is expected; {found}"
        )
    values = []
    for place, cell in enumerate(cells[2:end], 1):
        value = obis.number(cell)
        if value is None or (value < 0 and stream.unit.endswith("WH")):
            raise _Fault(f"value {place} is no energy: {cell[:24]!r}")
        values.append(value)
    return start_s, values, quality


def _midnight(text: str) -> int:
    try:
        if len(text) != 8 or not (text.isascii() and text.isdigit()):
            raise ValueError
        midnight = datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        raise _Fault(f"{text[:12]!r} is no date YYYYMMDD") from None
    seconds = (midnight - EPOCH - MARKET_AHEAD) // timedelta(seconds=1)
    if not EARLIEST_S <= seconds < LATEST_S:
        raise _Fault(f"{text} is not from 1970 to 2106")
    return seconds


def _readings(stream: Stream, day: _Day) -> Iterator[IntervalReading]:
    register, factor = DIRECTIONS.get(stream.suffix[:1]), obis.WH_IN.get(stream.unit.lower())
    if not register or not factor:
        return
    length = stream.minutes * 60
    for place, (value, quality) in enumerate(zip(day.values, day.qualities, strict=True)):
        yield IntervalReading(day.start_s + place * length, length, register, value * factor, quality)


def _whole(text: str, name: str, least: int, most: int) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 6 and least <= int(text) <= most:
        return int(text)
    raise _Fault(f"{name} {text[:12]!r} is no whole number from {least} to {most}")
