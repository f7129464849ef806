"""Read-outs by IEC 62056-21 (clause 6): modes A to C framed by STX and ETX with a block check character,
mode D pushed without one. DSMR telegrams grew out of mode D; `dsmr` uses what is here.

    /XXXZidentification CR LF   [STX]   code(value*unit)(...) CR LF ...   ! CR LF   [ETX BCC]

XXX is the maker, Z the baud rate. What precedes a `/` or follows the end is noise between read-outs; a
read-out that meets the next one's `/`, or the end of the data, before its own `!` is cut short.

    valid      the block check character is right
    invalid    it is wrong or lacks, or the read-out is cut short; without one: a line is no data set
    unsigned   mode D: nothing to verify

The standard has no billing rules. A record counts as billable unless it shows no register, its meter
reports an error (`F.F` not zero), or a line cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from oracle.errors import BadFormat
from oracle.formats import obis
from oracle.formats.bounds import MOST_RECORDS, at_most
from oracle.formats.crc import bcc
from oracle.formats.record import PublicKeySource, Record, RegisterReading, Verdict

NAME = "iec62056"

STX = b"\x02"
CLOSING = re.compile(rb"((?:\r?\n)?\x03)(.)", re.DOTALL)
"""ETX, which the block check character still covers, and that character."""
METERS = ("1-0:0.0.0", "0-0:96.1.0", "0-0:96.1.255")
"""Where a read-out states the meter's number."""
MOST_BYTES = 1 << 16
"""Of one read-out; a thousand is usual."""
BEGIN = re.compile(rb"/[A-Za-z]{3}[^\r\n/!]{0,128}\r?\n")
LIKELY = re.compile(rb"/[A-Za-z]{3}[^\r\n/!]{0,128}\r?\n(?:\r?\n|\x02)?[0-9A-Za-z.:*&-]{1,32}\(")
FINISH = re.compile(rb"\n(?:!([^\r\n\x03]*)|/[A-Za-z]{3})")
"""The end, or the next one's begin before it."""
DATA_SET = re.compile(r"([^()]*)((?:\([^()]*\))+)")
OWN_TO_DSMR = re.compile(
    rb"\n(?:![0-9A-Fa-f]{1,4}\r?(?:\n|$)|1-3:0\.2\.8\(|0-0:1\.0\.0\(|0-0:96\.1[34]\.\d\()"
)


@dataclass(frozen=True, slots=True)
class DataSet:
    """One line of a read-out, with the lines that continue it."""

    code: str
    """As written: an OBIS code in full or in short, or a letter code such as `F.F`."""
    values: list[str]
    """What stands in its brackets, in order."""


@dataclass(frozen=True, slots=True)
class ReadOut:
    """One read-out as found."""

    raw: bytes
    """From `/` to `!`, both included; to where it was cut if it was."""
    trailer: bytes
    """What follows `!` on its line."""
    rest: bytes
    """The bytes that follow, with that line's end: ETX and BCC may be there."""
    whole: bool
    """It has an end."""


@dataclass(frozen=True, slots=True)
class Body:
    """The data sets of a read-out."""

    sets: list[DataSet]
    faults: list[str] = field(default_factory=list)
    """Lines that are no data sets, by number in the read-out."""

    def first(self, code: str) -> str | None:
        """The first value under a code in normal form."""
        found = (each.values[0] for each in self.sets if obis.normal(each.code) == code)
        return next(found, None)


def read_outs(data: bytes) -> Iterator[ReadOut]:
    """All that begin in the data, in its order."""
    begin = BEGIN.search(data)
    while begin:
        start = begin.start()
        limit = min(len(data), start + MOST_BYTES)
        finish = FINISH.search(data, begin.end() - 1, limit)
        if finish and finish.group(1) is not None:
            after = data[finish.end() : finish.end() + 4]
            yield ReadOut(data[start : finish.start() + 2], finish.group(1), after, True)
            limit = finish.end()
        else:
            limit = finish.start() + 1 if finish else limit
            yield ReadOut(data[start:limit], b"", b"", False)
        begin = BEGIN.search(data, limit)


def read_body(raw: bytes) -> Body:
    """The data sets of a read-out from `/` to `!`. A line that opens with a bracket continues the one
    before."""
    body = Body([])
    for count, line in enumerate(raw.decode("latin-1").split("\n")[1:], 2):
        text = line.strip("\r\x02")
        if not text or text == "!":
            continue
        found = DATA_SET.fullmatch(text)
        if not found or not (found.group(1) or body.sets):
            body.faults.append(f"line {count} is no data set: {text[:40]!r}")
            continue
        values = found.group(2)[1:-1].split(")(")
        if found.group(1):
            body.sets.append(DataSet(found.group(1), values))
        else:
            body.sets[-1].values.extend(values)
    return body


def quantity(text: str) -> tuple[Decimal, str] | None:
    """Value and unit of `00032549.506*kWh`; None for what has no unit or is no number."""
    value, star, unit = text.partition("*")
    exact = obis.number(value)
    return (exact, unit) if star and unit and exact is not None else None


def unread(shown: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Registers (code, text) that state a unit, and whose number cannot be read."""
    for code, text in shown:
        if "*" in text and not quantity(text):
            yield f"register {code} shows {text[:40]!r}: no number of at most 13 digits and 15 decimals"


def recognises(data: bytes) -> bool:
    """A read-out that has nothing of DSMR."""
    return bool(LIKELY.search(data)) and not OWN_TO_DSMR.search(data)


def parse(data: bytes, key: PublicKeySource | None = None) -> list[Record]:
    """One record a read-out. There are no signatures: `key` is not used. Raises `BadFormat`."""
    return [_record(index, each) for index, each in enumerate(found_in(data, NAME))]


def found_in(data: bytes, name: str) -> list[ReadOut]:
    """The read-outs of a file. Raises `BadFormat` under the format's name if there is none, or too many."""
    found = at_most(MOST_RECORDS, read_outs(data), name)
    if not found:
        raise BadFormat(name, "no line opens with / and a maker's three letters")
    return found


def _record(index: int, read_out: ReadOut) -> Record:
    body = read_body(read_out.raw)
    readings = tuple(_readings(body))
    number = next((value for code in METERS if (value := body.first(code))), "")
    verdict, reason = _verdict(read_out, body)
    problems = [*body.faults, *unread(_registers(body)), *_errors(body)]
    if not readings:
        problems.append("no register is read out")
    billable = verdict != "invalid" and not problems
    return Record(index, NAME, verdict, reason, billable, tuple(problems), readings, number)


def _verdict(read_out: ReadOut, body: Body) -> tuple[Verdict, str]:
    if not read_out.whole:
        return "invalid", f"the read-out is cut short after {len(read_out.raw)} bytes"
    _, framed, block = read_out.raw.partition(b"\n" + STX)
    if not framed:
        fault = body.faults[0] if body.faults else ""
        return ("invalid", fault) if fault else ("unsigned", "mode D has no check sum")
    closing = CLOSING.match(read_out.rest)
    if not closing:
        return "invalid", "after STX there is no ETX with a block check character"
    sent, right = closing.group(2)[0], bcc(block + read_out.trailer + closing.group(1))
    if sent != right:
        return "invalid", f"the block check character is {sent:02X}, the block has {right:02X}"
    return "valid", "the block check character holds"


def _errors(body: Body) -> Iterator[str]:
    for each in body.sets:
        if each.code == "F.F" and each.values[0].strip("0"):
            yield f"the meter reports error {each.values[0]}"


def _readings(body: Body) -> Iterator[RegisterReading]:
    for code, text in _registers(body):
        if found := quantity(text):
            yield RegisterReading(register=code, time_ns=None, value=found[0], unit=found[1])


def _registers(body: Body) -> Iterator[tuple[str, str]]:
    for each in body.sets:
        code = obis.normal(each.code)
        if code and obis.is_register(code):
            yield code, each.values[0]
