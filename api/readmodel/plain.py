"""What the chain tells as values that JSON holds exactly: bytes as `0x` hex, integers as decimal strings."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from settlement.chain.rpc import to_hex


def plain(value: Any) -> Any:
    """For whoever reads it: integers are strings."""
    return _plain(value, str)


def exact(value: Any) -> Any:
    """For the read model itself: integers stay integers."""
    return _plain(value, int)


def _plain(value: Any, number: type[str] | type[int]) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return number(value)
    if isinstance(value, bytes):
        return to_hex(value)
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name), number) for one in fields(value)}
    return [_plain(one, number) for one in value]
