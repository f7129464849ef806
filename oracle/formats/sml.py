"""SML, the Smart Message Language of German meters, as captured from their optical or serial port.

A frame (`sml_frames`) carries an SML file: messages of the binary encoding (`sml_tree`), each with a
check sum of its own. The energy registers are in `SML_GetList.Res` (BSI TR-03109-1 annex IV, section 4):

    message   [transaction, group, abort, [choice, body], check sum, end]
    body      [client, server id, list name, sensor time, value list, signature, gateway time]
    value     [OBIS code, status, time, unit (30 is Wh), scaler (power of ten), value, signature]

    valid      the frame's check sum and that of every message hold
    invalid    one does not (the reason has both sums), the frame is cut short, or its data is no SML

SML has no billing rules (what is billed is signed: EDL40 and its kin are formats of their own; a list's
signature is not verified here). A record counts as billable unless it shows no register or no server id.

Two liberties of meters in the field are taken as they are meant: CRC-16/KERMIT in place of X-25, and a
time that is a bare number in place of a choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from oracle.errors import BadFormat
from oracle.formats import obis
from oracle.formats.bounds import MOST_RECORDS, at_most
from oracle.formats.record import PublicKeySource, Record, RegisterReading
from oracle.formats.sml_frames import START, Frame, frames, sum_fault
from oracle.formats.sml_tree import Malformed, Reader, Value

NAME = "sml"

GET_LIST_RESPONSE = 0x0701
MESSAGE_FIELDS, LIST_FIELDS, ENTRY_FIELDS = 6, 7, 7
UNIX_TIME = 2
"""The choice of SML_Time that is seconds of UTC; 1 counts seconds of the meter's own."""
UNITS = {30: "Wh", 31: "VAh", 32: "varh"}
"""Of registers, by their number in IEC 62056-62 (DLMS)."""


@dataclass(slots=True)
class _File:
    """What is gathered from the messages of one frame."""

    server: bytes | None = None
    readings: list[RegisterReading] = field(default_factory=list)
    kermit: bool = False


def recognises(data: bytes) -> bool:
    """A start sequence is in it."""
    return START in data


def parse(data: bytes, key: PublicKeySource | None = None) -> list[Record]:
    """One record a frame. `key` is not used. Raises `BadFormat` where no frame starts."""
    found = at_most(MOST_RECORDS, frames(data), NAME)
    if not found:
        raise BadFormat(NAME, "there is no start sequence 1b1b1b1b 01010101")
    return [_record(index, frame) for index, frame in enumerate(found)]


def _record(index: int, frame: Frame) -> Record:
    file = _File(kermit=frame.kermit)
    reason = frame.fault
    if not reason:
        try:
            _read_file(frame.data, file)
        except Malformed as fault:
            reason = str(fault)
    if reason:
        return Record(index, NAME, "invalid", f"frame at byte {frame.offset}: {reason}", False, ())
    problems, server = [], (file.server or b"").hex()
    if not file.readings:
        problems.append("the frame shows no register")
    if not file.server:
        problems.append("the frame names no server id")
    holds = "the check sums hold" + (" (CRC-16/KERMIT)" if file.kermit else "")
    return Record(index, NAME, "valid", holds, not problems, tuple(problems), tuple(file.readings), server)


def _read_file(data: bytes, file: _File) -> None:
    """All messages of an SML file. Raises `Malformed`."""
    reader = Reader(data)
    reader.skip_zeros()
    while not reader.done():
        _read_message(reader, file)
        reader.skip_zeros()


def _read_message(reader: Reader, file: _File) -> None:
    body, kermit = message(reader)
    file.kermit |= kermit
    if isinstance(body, list) and len(body) == 2 and body[0] == GET_LIST_RESPONSE:
        _read_list(body[1], reader, file)


def message(reader: Reader) -> tuple[Value, bool]:
    """The body of the next message, and whether its check sum is KERMIT's. Raises `Malformed`."""
    begin = reader.at
    if reader.take(1)[0] != 0x70 | MESSAGE_FIELDS:
        reader.refuse(f"no message of {MESSAGE_FIELDS} fields starts before it")
    fields = [reader.value(1) for _ in range(MESSAGE_FIELDS - 2)]
    covered = reader.data[begin : reader.at]
    sent = reader.value(1)
    if not isinstance(sent, int) or not 0 <= sent <= 0xFFFF:
        reader.refuse("the message lacks its check sum")
    swapped = int.from_bytes(sent.to_bytes(2, "big"), "little")
    fault, kermit = sum_fault("message", covered, swapped)
    if fault:
        reader.refuse(fault)
    if not reader.done() and reader.take(1) != b"\x00":
        reader.refuse("the message does not end after its check sum")
    return fields[3], kermit


def _read_list(body: Value, reader: Reader, file: _File) -> None:
    if not isinstance(body, list) or len(body) != LIST_FIELDS or not isinstance(body[4], list):
        reader.refuse(f"the list response before it has not its {LIST_FIELDS} fields")
    if isinstance(body[1], bytes):
        file.server = body[1]
    sensed = utc_ns(body[3])
    for entry in body[4]:
        if not isinstance(entry, list) or len(entry) != ENTRY_FIELDS or not isinstance(entry[0], bytes):
            reader.refuse(f"a value before it has not its {ENTRY_FIELDS} fields")
        file.readings.extend(_readings(entry, sensed))


def _readings(entry: list[Value], sensed: int | None) -> Iterator[RegisterReading]:
    name, status, time, unit, scaler, value, _ = entry
    code = obis.of_bytes(name) if isinstance(name, bytes) else None
    if code is None or not obis.is_register(code) or unit not in UNITS:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        return
    exponent = scaler if isinstance(scaler, int) and -128 <= scaler <= 127 else 0
    yield RegisterReading(
        register=code,
        time_ns=sensed if time is None else utc_ns(time),
        value=Decimal(value) * Decimal((0, (1,), exponent)),
        unit=UNITS[unit],
        status="" if status is None else _status(status),
    )


def _status(status: Value) -> str:
    return f"0x{status:X}" if isinstance(status, int) else status.hex() if isinstance(status, bytes) else ""


def utc_ns(time: Value) -> int | None:
    """Nanoseconds of UTC of an SML_Time; None for the meter's own count of seconds."""
    if isinstance(time, list) and len(time) == 2 and time[0] == UNIX_TIME and isinstance(time[1], int):
        return time[1] * 1_000_000_000
    return None
