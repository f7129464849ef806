"""When an OCMF record can be billed (OCMF 1.2, "Readings", "Signing and Verification Process", tables 4, 7,
10, 11, 19 and 20).

- Every reading has status G and no error flag, and none is an exception (TX X): an intermediate error spoils
  the charge.
- The charge begins (TX B) and ends (TX E, or L, R, A, P for why), once for each register (RI), in one unit
  (RU, Wh or kWh), the value and the time not decreasing over what is in between (TX C, S, T); `charges`
  ties halves in two records.
- No register is one of reactive or apparent energy (OBIS quantities 3 to 10, and those of each phase).
- A serial number is there, of the gateway (GS) or the meter (MS); the page counts transactions (PG T...).
- The clock is at least informative (I); one that is not set (U) says nothing about when energy flowed.
- The user's identification (IL) did not fail. Compensated losses (CL) start at nothing and are not negative.

A field that a reading leaves out is that of the reading before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final

from oracle.formats import obis
from oracle.formats.charges import NEITHER, Kind, Point

MOST_READINGS: Final = 10_000
"""In one record."""
MOST_DIGITS_AHEAD: Final = 13
INHERITED: Final = ("TM", "TX", "RI", "RU", "EF", "ST")
BEGIN, ENDS, EXCEPTION, REASONS = "B", "ELRAP", "X", "BCXELRAPST"
UNITS: Final = ("kWh", "Wh")
CLOCKS: Final = {"U": "its clock is not set (time status U)"}
FAILED: Final = ("MISMATCH", "INVALID", "OUTDATED", "UNKNOWN")
STATUS: Final = {
    "N": "the meter is not present",
    "T": "the meter timed out",
    "D": "the meter was disconnected",
    "R": "the meter was removed",
    "M": "manipulation was detected",
    "X": "the meter was exchanged",
    "I": "the meter is incompatible",
    "O": "the value is out of range",
    "S": "the value is a substitute",
    "E": "the meter reports an error",
    "F": "the register was not read correctly",
}

TIME = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d),(\d{3})([+-])(\d\d)(\d\d) ([UISR])",
    re.ASCII,
)
NUMBER = re.compile(r"\s*([+-]?\d{1,13}(?:\.\d{0,15})?(?:[eE][+-]?\d{1,2})?)\s*", re.ASCII)
PADDED = re.compile(r"(\d\d?-\d\d?:\d\d?\d?\.\d\d?\.\d\d?)\.(?:FF|ff|255)", re.ASCII)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading with what it takes over from those before it."""

    reason: str
    """TX; empty without a transaction."""
    register: str
    unit: str
    value: Decimal | None
    time_ns: int | None
    clock: str
    """U, I, S or R; empty where TM is no time."""
    status: str
    flags: str
    loss: Decimal | None
    """CL, in `unit`."""

    @property
    def kind(self) -> Kind:
        return "begin" if self.reason == BEGIN else "end" if self.reason and self.reason in ENDS else ""

    def point(self) -> Point:
        return Point(self.kind, self.register, self.unit, self.value or Decimal(0), self.time_ns)


def serials(content: dict[str, Any]) -> tuple[str, str]:
    """Serial numbers of gateway and meter."""
    return _text(content, "GS"), _text(content, "MS")


def readings_of(content: dict[str, Any]) -> tuple[list[Reading], list[str]]:
    """The readings (RD), and what is wrong with their form."""
    listed = content.get("RD")
    if not isinstance(listed, list) or not listed or len(listed) > MOST_READINGS:
        return [], [f"the readings (RD) are no list of 1 to {MOST_READINGS}"]
    readings: list[Reading] = []
    faults: list[str] = []
    held: dict[str, Any] = {}
    for at, each in enumerate(listed):
        if not isinstance(each, dict):
            faults.append(f"reading {at} is no object")
            continue
        held.update({name: each[name] for name in INHERITED if name in each})
        reading = _reading(held, each)
        readings.append(reading)
        faults.extend(f"reading {at}: {fault}" for fault in _malformed(reading, each))
    return readings, faults


def _reading(held: dict[str, Any], own: dict[str, Any]) -> Reading:
    time_ns, clock = _time(_text(held, "TM"))
    return Reading(
        reason=_text(held, "TX"),
        register=_register(_text(held, "RI")),
        unit=_text(held, "RU"),
        value=_number(own.get("RV")),
        time_ns=time_ns,
        clock=clock,
        status=_text(held, "ST"),
        flags=_text(held, "EF").strip(),
        loss=_number(own.get("CL")),
    )


def _malformed(reading: Reading, own: dict[str, Any]) -> Iterator[str]:
    if reading.time_ns is None:
        yield "its time (TM) is none"
    if reading.reason and (len(reading.reason) > 1 or reading.reason not in REASONS):
        yield f"its reason (TX) {reading.reason[:20]!r} is none of OCMF's"
    if reading.value is None:
        yield "its value (RV) is " + ("no number" if "RV" in own else "missing")
    if "CL" in own and reading.loss is None:
        yield "its loss (CL) is no number"


def problems_of(content: dict[str, Any], readings: list[Reading]) -> list[str]:
    """Rules that the record breaks by itself."""
    found = []
    if not any(serials(content)):
        found.append("no serial number, neither of the gateway (GS) nor of the meter (MS)")
    if not re.fullmatch(r"[TF]\d{1,18}", _text(content, "PG"), re.ASCII):
        found.append("no page (PG) of the meter's count")
    level = _text(content, "IL")
    if level in FAILED:
        found.append(f"the user's identification failed ({level})")
    for at, reading in enumerate(readings):
        found.extend(f"reading {at}: {why}" for why in _broken(reading))
    if readings and not any(reading.kind for reading in readings):
        found.append(NEITHER)
    return found


def _broken(reading: Reading) -> Iterator[str]:
    if reading.status != "G":
        why = STATUS.get(reading.status, "it is none of OCMF's")
        yield f"status (ST) {reading.status[:20]!r}: {why}"
    if reading.flags:
        yield f"error flags (EF) {reading.flags[:20]!r}"
    if reading.reason == EXCEPTION:
        yield "an exception (TX X): energy or time can no longer be used"
    if reading.clock in CLOCKS:
        yield CLOCKS[reading.clock]
    if reading.unit not in UNITS:
        yield f"unit (RU) {reading.unit[:20]!r} is none of energy"
    if not reading.register:
        yield "it names no register (RI)"
    if obis.is_reactive_or_apparent(reading.register):
        yield f"register (RI) {reading.register!r} is of reactive or apparent energy: active energy is billed"
    if reading.loss is not None and (reading.loss < 0 or (reading.loss and reading.kind == "begin")):
        yield f"compensated loss (CL) of {reading.loss}"


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if isinstance(value, str):
        return value
    return str(value)[:40] if isinstance(value, int | Decimal) else ""


def _register(code: str) -> str:
    """In the normal form where it is all numbers; as written where OCMF puts letters (`1-b:1.8.0`)."""
    found = PADDED.fullmatch(code)
    return obis.normal(found.group(1) if found else code) or code[:40]


def _number(value: object) -> Decimal | None:
    """Exact. Some chargers quote and pad it."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    if isinstance(value, int) and abs(value) >= 10**MOST_DIGITS_AHEAD:
        return None
    found = NUMBER.fullmatch(str(value))
    if not found:
        return None
    number = Decimal(found.group(1))
    return number if abs(number.adjusted()) <= MOST_DIGITS_AHEAD else None


def _time(text: str) -> tuple[int | None, str]:
    """Nanoseconds of UTC, and the state of the clock."""
    found = TIME.fullmatch(text)
    if not found:
        return None, ""
    stamp, milli, sign, hours, minutes, clock = found.groups()
    ahead = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    try:
        instant = datetime.fromisoformat(stamp).replace(tzinfo=timezone(ahead))
    except ValueError:
        return None, ""
    seconds = (instant - EPOCH) // timedelta(seconds=1)
    return seconds * 1_000_000_000 + int(milli) * 1_000_000, clock
