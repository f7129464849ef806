"""Columns that hold what the chain holds, exactly, and sort it as numbers, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, Numeric, String
from sqlalchemy.types import TypeDecorator, TypeEngine

DIGITS = 78
"""Of 2^256 - 1."""
OFFSET: int = 10**DIGITS

Serial = BigInteger().with_variant(Integer(), "sqlite")
"""A primary key that counts up: SQLite counts INTEGER only."""


def to_text(value: int) -> str:
    """79 digits whose order as text is the order of the numbers: a negative one is its complement to 10^78,
    and begins with 0.
    """
    return str(value + OFFSET).zfill(DIGITS + 1)


def of_text(text: str) -> int:
    """The number of such a text."""
    return int(text) - OFFSET


class Wide(TypeDecorator[int]):
    """An integer of up to 78 digits: NUMERIC where there is one that is exact, text of equal length on
    SQLite, whose integers end at 2^63 and whose NUMERIC is a float beyond.
    """

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(DIGITS + 1))
        return dialect.type_descriptor(Numeric(DIGITS, 0))

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if not isinstance(value, int) or not -OFFSET < value < OFFSET:
            raise ValueError(f"{value!r} is no integer of at most {DIGITS} digits")
        return to_text(value) if dialect.name == "sqlite" else Decimal(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        if value is None:
            return None
        return of_text(value) if dialect.name == "sqlite" else int(value)
