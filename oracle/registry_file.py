"""The registry as a JSON file (docs/oracle.md, Registry).

    {"format": "trellis-meters-1",
     "meters": [{"id": "0x…", "account": "0x…", "capacity_w": 15000, "registers": [1, 2],
                 "in_service": {"from": "2026-01-01T00:00:00Z", "until": null},
                 "keys": [{"public_key": "04…", "from": null, "until": null, "revoked": false}]}],
     "members": ["0x…"]}

A meter has an `id` or a `serial`. Everything but those, `account`, and a key's `public_key` may be left out.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from oracle.errors import BadRegistry
from oracle.messages import meter_id
from oracle.registry import ALIGNED_S, ALWAYS, FOREVER, Meter, MeterKey, MeterRegistry, Span
from settlement.errors import TrellisError

FORMAT = "trellis-meters-1"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class _Spanned(_Entry):
    from_: str | None = Field(None, alias="from")
    until: str | None = None

    @field_validator("from_", "until")
    @classmethod
    def _time(cls, text: str | None) -> str | None:
        if text is not None:
            _seconds(text)
        return text

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.span.empty:
            raise ValueError("until is not after from")
        return self

    @property
    def span(self) -> Span:
        return Span(
            0 if self.from_ is None else _seconds(self.from_),
            FOREVER if self.until is None else _seconds(self.until),
        )


class _Key(_Spanned):
    public_key: str
    revoked: bool = False

    @field_validator("public_key")
    @classmethod
    def _on_curve(cls, text: str) -> str:
        _point(text)
        return text


class _Meter(_Entry):
    id: str | None = None
    serial: str | None = None
    account: str
    capacity_w: int | None = Field(None, gt=0)
    registers: list[Literal[1, 2]] = Field([1, 2], min_length=1)
    in_service: _Spanned | None = None
    keys: list[_Key] = Field(min_length=1)

    @field_validator("id")
    @classmethod
    def _id(cls, text: str | None) -> str | None:
        return None if text is None else _hex(text, 32)

    @field_validator("registers")
    @classmethod
    def _distinct(cls, registers: list[int]) -> list[int]:
        if len(set(registers)) < len(registers):
            raise ValueError("a register is named twice")
        return registers

    @field_validator("account")
    @classmethod
    def _account(cls, text: str) -> str:
        return _hex(text, 20)


class _File(_Entry):
    format: Literal["trellis-meters-1"]
    meters: list[_Meter]
    members: list[Annotated[str, AfterValidator(lambda text: _hex(text, 20))]] = []


def read(path: Path) -> MeterRegistry:
    """The registry in a file; BadRegistry, which names file, entry and field."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise BadRegistry(path, f"cannot be read ({cause})") from cause
    return parse(text, str(path))


def parse(text: str, name: str = "registry") -> MeterRegistry:
    """The registry in a text; `name` is what errors call it."""
    try:
        found = _File.model_validate_json(text)
    except ValidationError as cause:
        first = cause.errors(include_url=False)[0]
        why = first["msg"].removeprefix("Value error, ")
        raise BadRegistry(name, f"{_place(first['loc'])}{why}") from None
    meters = []
    for number, entry in enumerate(found.meters):
        if (entry.id is None) == (entry.serial is None):
            raise BadRegistry(name, f"meters[{number}]: give either id or serial")
        meters.append(_meter(entry))
    try:
        return MeterRegistry(meters, map(bytes.fromhex, found.members))
    except TrellisError as cause:
        raise BadRegistry(name, f"{_named(meters, cause)}{cause.message}") from cause


def dump(registry: MeterRegistry) -> str:
    """The file of a registry; `parse` gives the same one back."""
    content = {
        "format": FORMAT,
        "meters": [_as_json(meter) for meter in registry.values()],
        "members": sorted("0x" + member.hex() for member in registry.members),
    }
    return json.dumps(content, indent=1) + "\n"


def _meter(entry: _Meter) -> Meter:
    *former, newest = (MeterKey(*_point(key.public_key), key.span, key.revoked) for key in entry.keys)
    return Meter(
        meter_id=meter_id(entry.serial or "") if entry.id is None else bytes.fromhex(entry.id),
        public_x=newest.x,
        public_y=newest.y,
        account=bytes.fromhex(entry.account),
        capacity_w=entry.capacity_w,
        registers=tuple(entry.registers),
        service=ALWAYS if entry.in_service is None else entry.in_service.span,
        key_valid=newest.valid,
        key_revoked=newest.revoked,
        former_keys=tuple(former),
    )


def _as_json(meter: Meter) -> dict[str, Any]:
    return {
        "id": "0x" + meter.meter_id.hex(),
        "account": "0x" + meter.account.hex(),
        "capacity_w": meter.capacity_w,
        "registers": list(meter.registers),
        "in_service": _span_as_json(meter.service),
        "keys": [
            {
                "public_key": f"04{key.x:064x}{key.y:064x}",
                **_span_as_json(key.valid),
                "revoked": key.revoked,
            }
            for key in meter.keys
        ],
    }


def _span_as_json(span: Span) -> dict[str, str | None]:
    def text(seconds: int) -> str:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    return {
        "from": text(span.from_s) if span.from_s else None,
        "until": None if span.until_s == FOREVER else text(span.until_s),
    }


def _seconds(text: str) -> int:
    try:
        found = int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise ValueError(f"{text!r} is no time: write it in UTC, such as 2026-10-25T00:00:00Z") from None
    if found < 0 or found % ALIGNED_S:
        raise ValueError(f"{text!r} is not at a multiple of {ALIGNED_S} s since 1970")
    return found


def _point(text: str) -> tuple[int, int]:
    try:
        data = bytes.fromhex(text.removeprefix("0x"))
        numbers = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data).public_numbers()
    except ValueError:
        raise ValueError("no P-256 point: give 33 or 65 bytes in hex, beginning 02, 03 or 04") from None
    return numbers.x, numbers.y


def _hex(text: str, size: int) -> str:
    """The digits of `size` bytes, without 0x."""
    try:
        data = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        data = b""
    if len(data) != size:
        raise ValueError(f"{text!r} is not {size} bytes in hex")
    return data.hex()


def _place(location: tuple[int | str, ...]) -> str:
    """`meters[3].keys[0].public_key: ` of a path in the file."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    place = "".join(parts).removeprefix(".")
    return f"{place}: " if place else ""


def _named(meters: list[Meter], cause: TrellisError) -> str:
    """Which entries an error of the registry is about, where it names a meter."""
    offender = getattr(cause, "offender", None)
    places = [number for number, meter in enumerate(meters) if meter.meter_id == offender]
    return "".join(f"meters[{number}]: " for number in places[-1:])
