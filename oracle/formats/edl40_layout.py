"""The 320 bytes that EDL40, eMOC and EDL40P sign, laid out from the values of an SML list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, NoReturn

from oracle.formats import obis
from oracle.formats.charges import Kind, Point
from oracle.formats.record import RegisterReading
from oracle.formats.sml_tree import Value

LENGTH: Final = 320
CONTRACT_BYTES: Final = 128
LOG_BYTES: Final = 2
SERVER_BYTES: Final = 10
Entries = dict[bytes, list[Value]]


def _code(text: str) -> bytes:
    return bytes.fromhex(text)


CONTRACT: Final = _code("8182815401ff")
SIGNED: Final = _code("0100011100ff")
SECONDS: Final = _code("810060080001")
PAGE: Final = _code("8180817101ff")
BEFORE, BEFORE_COMPENSATED = _code("010001110064"), _code("0100011100c8")
RESISTANCE, DURATION, PRICE = _code("00af6c6c72ff"), _code("00af647572ff"), _code("00af707263ff")
ISA_NOW, ISA_START = _code("0100010800ff"), _code("010001080080")
ISA_PAGE, ISA_ESTH = _code("8180c7f040ff"), _code("8180816101ff")

STATUS_BITS: Final = {0: 17, 3: 31, 4: 16, 5: 11, 6: 9, 7: 8}
"""eMOC: which bit of the status word each bit of the signed byte is."""


class Missing(ValueError):
    """A sentence: which signed value lacks or cannot be what it must."""


@dataclass(frozen=True, slots=True)
class Register:
    """A cumulative register as it is signed."""

    code: bytes
    scaler: int
    value: int
    local_s: int
    """Seconds of local time since 1970, or of the meter's own count."""
    status: int

    def energy(self) -> Decimal:
        return Decimal(self.value) * Decimal((0, (1,), self.scaler))

    def reading(self) -> RegisterReading:
        return RegisterReading(
            obis.of_bytes(self.code) or "",
            None,
            self.energy(),
            "Wh",
            f"0x{self.status & 0xFF:X}, local {self.local_s}",
        )

    def point(self, kind: Kind = "") -> Point:
        return Point(kind, obis.of_bytes(self.code[:5] + b"\xff") or "", "Wh", self.energy(), self.local_s)


@dataclass(frozen=True, slots=True)
class Layout:
    """What is signed, and what was read for it."""

    payload: bytes
    """LENGTH bytes."""
    signature: bytes
    """r || s."""
    curve: str
    server: bytes
    contract: bytes
    """What is the same for begin and end: eMOC's first byte (1 begin, 2 end) is left out."""
    page: int
    """The meter's count of what it signed."""
    unit: int
    registers: tuple[Register, ...]
    points: tuple[Point, ...]

    def readings(self) -> tuple[RegisterReading, ...]:
        return tuple(each.reading() for each in self.registers) if self.unit == 30 else ()

    def as_kind(self, kind: Kind) -> tuple[Point, ...]:
        return tuple(replace(point, kind=kind) for point in self.points)


def little(value: int, size: int) -> bytes:
    """Little-endian. Raises `Missing` for what does not fit: cut off, other numbers would be signed alike."""
    if not 0 <= value < 1 << 8 * size:
        raise Missing(f"the number {value} does not fit the {size} bytes that are signed of it")
    return value.to_bytes(size, "little")


def one_byte(value: int) -> bytes:
    """The lowest byte of a status word (all that is signed of it), or a scaler."""
    return bytes([value & 0xFF])


def split_log(signature: bytes) -> tuple[bytes, bytes]:
    """r || s, and the two bytes of the log book behind them."""
    if len(signature) not in (50, 66):
        raise Missing(f"the signature has {len(signature)} bytes: there are 48 or 64, and 2 of the log book")
    return signature[:-LOG_BYTES], signature[-LOG_BYTES:]


def basic(
    server: bytes,
    register: Register,
    unit: int,
    status: int,
    second: int,
    page: int,
    log: bytes,
    contract: bytes,
    contract_s: int,
) -> bytes:
    """The part that EDL40 and eMOC share: bytes 0 to 172."""
    if len(server) != SERVER_BYTES or len(contract) > CONTRACT_BYTES or len(log) != LOG_BYTES:
        raise Missing("the server id has 10 bytes, a contract id at most 128, a log book index 2")
    return b"".join(
        (
            server,
            little(register.local_s, 4),
            one_byte(status),
            little(second, 4),
            little(page, 4),
            register.code,
            little(unit, 1),
            one_byte(register.scaler),
            little(register.value, 8),
            log,
            contract.ljust(CONTRACT_BYTES, b"\0"),
            little(contract_s, 4),
        )
    )


def plain(body: Sequence[Value], entries: Entries, signature: bytes) -> Layout:
    """EDL40 of secp192r1."""
    return _edl40(body, entries, signature, "secp192r1")


def emoc(body: Sequence[Value], entries: Entries, signature: bytes) -> Layout:
    """EDL40 as EMH's eMOC signs it: after the basic part come registers before the charge, the line's
    resistance, duration and price."""
    layout = _edl40(body, entries, signature, "secp256r1")
    tail = b"".join(
        (
            little(_number(entries, BEFORE), 8),
            little(_number(entries, BEFORE_COMPENSATED), 8),
            little(_number(entries, RESISTANCE), 2),
            little(_number(entries, DURATION), 4),
            little(_number(entries, PRICE), 2)[::-1],
        )
    )
    status = sum(1 << bit for bit, of in STATUS_BITS.items() if layout.registers[0].status >> of & 1)
    head = layout.payload[:14] + one_byte(status) + layout.payload[15:173]
    return replace(layout, payload=(head + tail).ljust(LENGTH, b"\0"), contract=layout.contract[1:])


def _edl40(body: Sequence[Value], entries: Entries, signature: bytes, curve: str) -> Layout:
    signed, log = split_log(signature)
    server = _octets(body[1], "server id")
    register, unit = _register(entries, SIGNED)
    second, page = _second(entries), _number(entries, PAGE, required=True)
    contract = _octets(_entry(entries, CONTRACT)[5], "contract id")
    contract_s = _local(_entry(entries, CONTRACT)[2], CONTRACT)
    payload = basic(server, register, unit, register.status, second, page, log, contract, contract_s)
    return Layout(
        payload.ljust(LENGTH, b"\0"),
        signed,
        curve,
        server,
        contract,
        page,
        unit,
        (register,),
        (register.point(),),
    )


def isa(body: Sequence[Value], entries: Entries, signature: bytes) -> Layout:
    """EDL40P of Isabellenhuette: the reading now with its own signature, and the reading at the begin."""
    signed, log = split_log(signature)
    now, unit = _register(entries, ISA_NOW)
    start, start_unit = _register(entries, ISA_START)
    own = _octets(_entry(entries, ISA_NOW)[6], "signature of the reading")
    contract = _octets(_entry(entries, CONTRACT)[5], "contract id")
    esth = _octets(_entry(entries, ISA_ESTH)[5], "station's hash")
    server, name = _octets(body[1], "server id"), _octets(body[2], "list name")
    page = _number(entries, ISA_PAGE, required=True)
    for part, size in ((server, SERVER_BYTES), (own, 66), (esth, 20), (name, 6)):
        if len(part) != size:
            raise Missing(f"a signed value has {len(part)} bytes in place of {size}")
    if len(contract) > CONTRACT_BYTES or unit != start_unit:
        raise Missing("the contract id is too long, or the two readings differ in unit")
    payload = b"".join(
        (
            server,
            little(now.local_s, 4),
            *_short(now, unit),
            log,
            own,
            contract.ljust(CONTRACT_BYTES, b"\0"),
            little(start.local_s, 4),
            esth,
            *_short(start, unit),
            name,
            little(page, 4),
        )
    )
    return Layout(
        payload.ljust(LENGTH, b"\0"),
        signed,
        "secp256r1",
        server,
        contract,
        page,
        unit,
        (start, now),
        (start.point("begin"), now.point("end")),
    )


def _short(register: Register, unit: int) -> tuple[bytes, ...]:
    return (
        one_byte(register.status),
        register.code,
        little(unit, 1),
        one_byte(register.scaler),
        little(register.value, 8),
    )


def _lacks(code: bytes, what: str = "value") -> NoReturn:
    raise Missing(f"the signed {what} {obis.of_bytes(code) or code.hex()} is missing or malformed")


def _entry(entries: Entries, code: bytes) -> list[Value]:
    return entries[code] if code in entries else _lacks(code)


def _octets(value: Value, what: str) -> bytes:
    if not isinstance(value, bytes):
        raise Missing(f"the {what} is missing")
    return value


def _whole(value: Value) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(entries: Entries, code: bytes, required: bool = False) -> int:
    if code not in entries and not required:
        return 0
    found = _whole(_entry(entries, code)[5])
    return found if found is not None else _lacks(code, "number")


def _register(entries: Entries, code: bytes) -> tuple[Register, int]:
    entry = _entry(entries, code)
    status, unit, scaler, value = (_whole(entry[at]) for at in (1, 3, 4, 5))
    if status is None or unit is None or scaler is None or value is None or not -12 <= scaler <= 12:
        _lacks(code, "register")
    return Register(code, scaler, value, _local(entry[2], code), status), unit


def _local(time: Value, code: bytes) -> int:
    """Seconds of an SML_Time: a local one is moved by its offset and season (choice 3)."""
    if isinstance(time, list) and len(time) == 2:
        kind, inner = time
        if kind == 3 and isinstance(inner, list) and len(inner) == 3:
            parts = [_whole(part) for part in inner]
            if None not in parts:
                stamp, offset, season = (part or 0 for part in parts)
                return stamp + 60 * (offset + season)
        moment = _whole(inner)
        if moment is not None:
            return moment
    _lacks(code, "time of")


def _second(entries: Entries) -> int:
    """The meter's index of seconds: a list of one SML_Time that is nested in the value."""
    value = _entry(entries, SECONDS)[5]
    while isinstance(value, list) and len(value) == 2:
        value = value[1]
    found = _whole(value)
    return found if found is not None else _lacks(SECONDS, "seconds")
