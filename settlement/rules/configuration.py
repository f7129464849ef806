"""Frozen dataclasses from JSON, so that another market or service can bring its own terms.

Types are strict: no number is taken from a text, and no whole number from a fraction. A key that the
dataclass does not have is refused.
"""

from __future__ import annotations

from typing import TypeVar

from settlement.errors import InputError

T = TypeVar("T")

PPM = 1_000_000
"""Parts per million in a whole."""

KNOWN_KEYS_ONLY = {"extra": "forbid"}
"""`__pydantic_config__` of whatever is loaded from JSON."""


def from_json(kind: type[T], document: str | bytes, name: str) -> T:
    """A `kind` with the values of a JSON document; `InputError` names the document, the key and the fault."""
    from pydantic import TypeAdapter, ValidationError  # a tenth of a second that only documents need

    try:
        return TypeAdapter(kind).validate_json(document, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"])) or "the document"
        raise InputError(f"{name}, {at}: {first['msg']}") from None
    except InputError as error:  # of a value's own checks, which do not know where it stands
        raise InputError(f"{name}: {error}") from None


def check_ppm(name: str, ppm: int) -> int:
    """`ppm` itself; `InputError` unless it is 0 to 1,000,000."""
    if not 0 <= ppm <= PPM:
        raise InputError(f"{name} is {ppm}: a share is 0 to {PPM} parts per million")
    return ppm
