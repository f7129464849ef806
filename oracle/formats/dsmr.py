"""Telegrams of the P1 port: DSMR 2.2 to 5.0 (Netherlands), e-MUCS (Flanders), and their kin in Hungary,
Ireland and elsewhere. The lines are those of IEC 62056-21 mode D (`iec62056`).

From version 4 on, `!` is followed by the CRC-16/ARC of all bytes from `/` to `!`, four hexadecimal digits
(P1 companion standard 5.0.2, section 6.2); some senders drop leading zeros.

    valid      it is right
    invalid    it is wrong (the reason has both sums), is no number, or lacks though the telegram is of
               version 4 or later; the telegram is cut short; without a check sum: a line is no data set
    unsigned   versions before 4, which have none

A P1 telegram has no billing rules. A record counts as billable unless it shows no register or no meter, or a
line or a register's number cannot be read.

Times are `YYMMDDhhmmssX` of the meter's clock, X `S` in summer time and `W` in winter time. They are read
as Central European (S two hours ahead of UTC, W one), which a telegram does not say; a flag that
contradicts that zone's calendar, or none (versions before 4), leaves the reading without a time, and its
status says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from oracle.formats import iec62056, obis
from oracle.formats.crc import crc16_arc
from oracle.formats.iec62056 import Body, ReadOut, quantity, unread
from oracle.formats.record import PublicKeySource, Record, RegisterReading, Verdict

NAME = "dsmr"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Amsterdam")
AHEAD = {"S": timedelta(hours=2), "W": timedelta(hours=1)}
TIME = re.compile(r"(\d{12})([SW]?)", re.ASCII)
SUM = re.compile(rb"[0-9A-Fa-f]{1,4}")

CLOCK = "0-0:1.0.0"
VERSIONS = ("1-3:0.2.8", "0-0:96.1.4")
"""Where version 4 and later, and e-MUCS, state theirs."""
METERS = ("0-0:96.1.1", "0-0:96.1.0", "0-0:42.0.0", "1-0:0.0.0", "0-0:96.1.255")
OLD_GAS = "24.3.0"
"""Before version 4: (time)(status)(...)(...)(code)(unit) and the value on the next line."""

NO_FLAG, WRONG_FLAG, NO_TIME = "time without a summer flag", "time with the wrong summer flag", "no time"


def recognises(data: bytes) -> bool:
    """A read-out with a check sum or an object that only a P1 port has."""
    return bool(iec62056.LIKELY.search(data) and iec62056.OWN_TO_DSMR.search(data))


def parse(data: bytes, key: PublicKeySource | None = None) -> list[Record]:
    """One record a telegram. There are no signatures: `key` is not used. Raises `BadFormat`."""
    return [_record(index, each) for index, each in enumerate(iec62056.found_in(data, NAME))]


def meter(body: Body) -> str:
    """The meter's own number, as written (most are hexadecimal ASCII)."""
    return next((value for code in METERS if (value := body.first(code))), "")


def utc_ns(text: str) -> tuple[int | None, str]:
    """Nanoseconds of UTC of a telegram's time, or None and the reason."""
    found = TIME.fullmatch(text)
    if not found:
        return None, NO_TIME
    try:
        local = datetime.strptime(found.group(1), "%y%m%d%H%M%S")
    except ValueError:
        return None, NO_TIME
    if not found.group(2):
        return None, NO_FLAG
    ahead = AHEAD[found.group(2)]
    instant = (local - ahead).replace(tzinfo=UTC)
    if instant.astimezone(ZONE).utcoffset() != ahead:
        return None, WRONG_FLAG
    return (instant - EPOCH) // timedelta(seconds=1) * 1_000_000_000, ""


def _record(index: int, telegram: ReadOut) -> Record:
    body = iec62056.read_body(telegram.raw)
    readings = tuple(_readings(body))
    verdict, reason = _verdict(telegram, body)
    problems = [*body.faults, *unread((shown.code, shown.text) for shown in _registers(body))]
    if not readings:
        problems.append("the telegram shows no register")
    number = meter(body)
    if not number:
        problems.append("the telegram names no meter")
    billable = verdict != "invalid" and not problems
    return Record(index, NAME, verdict, reason, billable, tuple(problems), readings, number)


def _verdict(telegram: ReadOut, body: Body) -> tuple[Verdict, str]:
    if not telegram.whole:
        return "invalid", f"the telegram is cut short after {len(telegram.raw)} bytes"
    trailer = telegram.trailer.strip()
    if not trailer:
        return _without_sum(body)
    if not SUM.fullmatch(trailer):
        return "invalid", f"the check sum {trailer[:8].decode('latin-1')!r} is not hexadecimal"
    sent, right = int(trailer, 16), crc16_arc(telegram.raw)
    if sent == right:
        return "valid", "the check sum holds"
    reason = f"the check sum is {sent:04X}, the telegram has {right:04X}"
    if sent == crc16_arc(telegram.raw.replace(b"\r", b"").replace(b"\n", b"\r\n")):
        reason += ": its line ends were changed from CR LF"
    return "invalid", reason


def _without_sum(body: Body) -> tuple[Verdict, str]:
    version = next((value for code in VERSIONS if (value := body.first(code))), None)
    if version:
        return "invalid", f"the telegram is of version {version} and lacks its check sum"
    if body.faults:
        return "invalid", body.faults[0]
    return "unsigned", "telegrams before version 4 have no check sum"


@dataclass(frozen=True, slots=True)
class _Shown:
    """A register as a telegram shows it."""

    code: str
    time: str
    text: str
    """`value*unit`."""


def _readings(body: Body) -> Iterator[RegisterReading]:
    for shown in _registers(body):
        if found := quantity(shown.text):
            time_ns, status = utc_ns(shown.time)
            yield RegisterReading(
                register=shown.code, time_ns=time_ns, value=found[0], unit=found[1], status=status
            )


def _registers(body: Body) -> Iterator[_Shown]:
    clock = body.first(CLOCK) or ""
    for each in body.sets:
        code = obis.normal(each.code)
        if code and obis.is_register(code):
            yield _shown(code, each.values, clock)


def _shown(code: str, values: list[str], clock: str) -> _Shown:
    """`(value*unit)` at the telegram's time, or `(time)(value*unit)`, or gas as it was before version 4."""
    if code.endswith(OLD_GAS) and len(values) == 7:
        return _Shown(obis.normal(values[4]) or code, values[0], f"{values[6]}*{values[5]}")
    return _Shown(code, values[0] if len(values) > 1 else clock, values[-1])
