"""Kinds of values: ids are `0x` hex, amounts are decimal strings, times are RFC 3339 in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    WithJsonSchema,
)

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,77})", re.ASCII)
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)


class Answer(BaseModel):
    """What the service says, and its client reads: nobody changes it."""

    model_config = ConfigDict(frozen=True)


def rfc3339(unix_s: int) -> str:
    """`2026-06-01T12:00:00Z` of Unix seconds."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def of_rfc3339(value: Any) -> Any:
    """The Unix seconds of what `rfc3339` wrote; numbers as they are."""
    if not isinstance(value, str):
        return value
    found = datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return int(found.timestamp())


def to_hex(data: bytes) -> str:
    return "0x" + data.hex()


def _of_hex(value: Any) -> Any:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise ValueError("0x and an even number of hex digits")
    return bytes.fromhex(value[2:])


def _of_integer(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or not _INTEGER.fullmatch(value):
        raise ValueError("a whole number, as a decimal string")
    return int(value)


def _of_length(length: int) -> AfterValidator:
    def check(value: bytes) -> bytes:
        if len(value) != length:
            raise ValueError(f"{length} bytes, 0x and {2 * length} hex digits")
        return value

    return AfterValidator(check)


def _hex_schema(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


_TO_HEX = PlainSerializer(to_hex, return_type=str)

Account = Annotated[
    bytes,
    BeforeValidator(_of_hex),
    _of_length(20),
    _TO_HEX,
    _hex_schema("^0x[0-9a-fA-F]{40}$", "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"),
]
"""An account's address."""
Hash = Annotated[
    bytes,
    BeforeValidator(_of_hex),
    _of_length(32),
    _TO_HEX,
    _hex_schema("^0x[0-9a-fA-F]{64}$", "0x" + "1f" * 32),
]
"""32 bytes: an order, a session, a transaction."""
Bytes = Annotated[bytes, BeforeValidator(_of_hex), _TO_HEX, _hex_schema("^0x(?:[0-9a-fA-F]{2})*$", "0x0102")]
"""Any bytes."""
Integer = Annotated[
    int,
    BeforeValidator(_of_integer),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^-?(?:0|[1-9][0-9]{0,77})$", "examples": ["1000000000"]}),
]
"""An amount: JSON numbers lose digits beyond 2^53."""
Time = Annotated[
    int,
    BeforeValidator(of_rfc3339),
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-06-01T12:00:00Z"]}),
]
"""An instant, Unix seconds inside."""
