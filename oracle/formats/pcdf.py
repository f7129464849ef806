"""PCDF, the charge data of Porsche's charging stations: one line of fields, signed on P-256 with SHA-256.

    128.8.0(ST:200501162017)(CT:...)...(PK:04...)(SG:3044...)

What is signed is every byte before `(SG:`, the public key included; STX and ETX around the line are not. The
key in the record shows only that the record is whole, so a key that the caller gives takes its place.

    valid      the signature holds
    invalid    it does not, or the line is malformed

Billable if BV (billing valid), TV (time valid) and SP (the session's last data) are 1, every field is there
once, and the energy is of 8 characters in kWh. Times are local and name no zone: readings have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from oracle.errors import BadFormat
from oracle.formats import curves, obis
from oracle.formats.bounds import MOST_RECORDS, at_most
from oracle.formats.record import PublicKeySource, Record, RegisterReading

NAME = "pcdf"

OPENING: Final = "128.8.0"
CURVE: Final = "secp256r1"
START = re.compile(rb"128\.8\.0\((?=[A-Z])")
FIELD = re.compile(r"\(([A-Z]{2,3}):([^()]*)\)")
LINE = re.compile(rf"{re.escape(OPENING)}((?:\([A-Z]{{2,3}}:[^()]*\))+)")
ENERGY = re.compile(r"(\d{4}\.\d{3})\*kWh", re.ASCII)
SIGNATURE: Final = b"(SG:"
SHAPES: Final = {
    "ST": r"\d{12}",
    "CT": r"\d{12}",
    "CD": r"\d{2}[0-5]\d[0-5]\d",
    "TV": r"[01]",
    "BV": r"[01]",
    "CSC": r"\d{1,9}",
    "SP": r"[01]",
    "RV": r"\d{4}\.\d{3}\*kWh",
    "SI": r"[^*]{1,36}\*\d\*[^*]{1,36}",
    "CS": r"[0-9A-Za-z]{8}",
    "HW": r"\w{11}",
    "DT": r"\d{1,4}",
    "PK": r"[0-9A-Fa-f]+",
    "SG": r"[0-9A-Fa-f]+",
}
"""Every field that a line has, and its form."""
FLAGS: Final = {
    "BV": "the station says that it must not be billed (BV 0)",
    "TV": "its times are not valid (TV 0)",
    "SP": "it is not the last data of its session (SP 0)",
}


def recognises(data: bytes) -> bool:
    """Its first line opens with the code and a field."""
    return bool(START.match(data[:64].lstrip(b"\xef\xbb\xbf\x02 \t\r\n")))


def parse(data: bytes, key: PublicKeySource | None = None) -> list[Record]:
    """One record a line. Raises `BadFormat` where no line opens with the code."""
    if not recognises(data):
        raise BadFormat(NAME, f"it does not open with {OPENING} and a field")
    starts = at_most(MOST_RECORDS, (each.start() for each in START.finditer(data)), NAME)
    ends = [*starts[1:], len(data)]
    return [
        _record(index, data[start:end].strip(b"\x02\x03\x00 \t\r\n"), key)
        for index, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def _record(index: int, line: bytes, key: PublicKeySource | None) -> Record:
    found = LINE.fullmatch(line.decode("latin-1"))
    if not found:
        return Record(index, NAME, "invalid", "the line is no sequence of (NAME:value) fields", False, ())
    pairs = FIELD.findall(found.group(1))
    fields = dict(pairs)
    problems = tuple(_problems(pairs))
    reason = _fault(line, pairs, key)
    verdict, by = ("invalid", "") if reason else ("valid", "" if key else ", by the file's own key")
    readings = tuple(_readings(fields))
    return Record(
        index,
        NAME,
        "valid" if verdict == "valid" else "invalid",
        reason or f"the signature holds{by}",
        not reason and not problems,
        problems,
        readings,
        fields.get("HW", ""),
    )


def _fault(line: bytes, pairs: list[tuple[str, str]], key: PublicKeySource | None) -> str:
    names = [name for name, _ in pairs]
    if names.count("SG") != 1 or names[-1] != "SG":
        return "the signature (SG) is not the one last field"
    fields = dict(pairs)
    signature, own = curves.unpacked(fields["SG"]), curves.unpacked(fields.get("PK", ""))
    if signature is None:
        return "the signature (SG) is not hexadecimal"
    return curves.fault(line[: line.rindex(SIGNATURE)], signature, key or own, CURVE)


def _problems(pairs: list[tuple[str, str]]) -> Iterator[str]:
    names = [name for name, _ in pairs]
    for name, shape in SHAPES.items():
        count = names.count(name)
        if count != 1:
            yield f"field {name} is there {count} times"
        elif not re.fullmatch(shape, dict(pairs)[name], re.ASCII):
            yield f"field {name} is {dict(pairs)[name][:40]!r}, which it cannot be"
    fields = dict(pairs)
    yield from (why for name, why in FLAGS.items() if fields.get(name) == "0")
    times = [_local(fields.get(name, "")) for name in ("ST", "CT")]
    if None in times:
        yield "its times (ST, CT) are no times"
    elif times[1] < times[0]:  # type: ignore[operator]
        yield "it ends (CT) before it starts (ST)"


def _local(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%y%m%d%H%M%S")
    except ValueError:
        return None


def _readings(fields: dict[str, str]) -> Iterator[RegisterReading]:
    """The session's energy."""
    found = ENERGY.fullmatch(fields.get("RV", ""))
    value = obis.number(found.group(1)) if found else None
    if value is not None:
        status = f"{fields.get('ST', '')}-{fields.get('CT', '')}"
        yield RegisterReading(OPENING, None, value, "kWh", status)
