"""OBIS codes (IEC 62056-61) and exact numbers as telegrams write them.

A code `A-B:C.D.E*F` names a quantity: medium A (1 electricity), channel B, quantity C (1 active energy
imported, 2 exported), processing D (8 time integral, that is a register), tariff E (0 all), storage F
(255 now).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

CODE = re.compile(r"(\d{1,3})-(\d{1,3}):(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\*(\d{1,3}))?", re.ASCII)
BARE = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\*(\d{1,3}))?", re.ASCII)
NOW: Final = 255
QUANTITY = re.compile(r"0?1-[0-9A-Za-z]{1,3}:(\d{1,3})\.", re.ASCII)
OTHER_THAN_ACTIVE: Final = range(3, 11)
NUMBER = re.compile(r"[+-]?(?:\d{1,13}(?:\.\d{0,15})?|\.\d{1,15})", re.ASCII)

WH_IN: Final = {"wh": Decimal(1), "kwh": Decimal(1000), "mwh": Decimal(1_000_000)}
"""Wh in a unit of energy, by its name in lower case."""


def normal(code: str) -> str | None:
    """`1-0:1.8.0` for any spelling of it: storage 255 goes, and `1.8.0` is of electricity, channel 0.
    None for what is no code."""
    found = CODE.fullmatch(code)
    groups = found.groups() if found else (bare := BARE.fullmatch(code)) and ("1", "0", *bare.groups())
    if not groups:
        return None
    a, b, c, d, e, f = (None if group is None else int(group) for group in groups)
    if any(part is not None and part > 255 for part in (a, b, c, d, e, f)):
        return None
    return f"{a}-{b}:{c}.{d}.{e}" + ("" if f in (None, NOW) else f"*{f}")


def of_bytes(code: bytes) -> str | None:
    """The same for the six bytes of SML."""
    if len(code) != 6:
        return None
    a, b, c, d, e, f = code
    return f"{a}-{b}:{c}.{d}.{e}" + ("" if f == NOW else f"*{f}")


def is_register(code: str) -> bool:
    """A cumulative register of now: electricity (medium 1, processing 8), or what a gas, heat or water meter
    on an M-Bus channel tells through it (`0-n:24.2.x`, `0-n:24.3.0`)."""
    found = CODE.fullmatch(code)
    if not found or found.group(6):
        return False
    medium, channel, quantity, processing = found.group(1, 2, 3, 4)
    return (medium, processing) == ("1", "8") or (
        medium == "0" and channel != "0" and quantity == "24" and processing in ("2", "3")
    )


def is_reactive_or_apparent(code: str) -> bool:
    """Whether a code, letters in its channel or not, is of electricity that is no active energy or power: C
    3 to 8 reactive, 9 and 10 apparent, and the same of each phase (20, 40, 60 more).
    """
    found = QUANTITY.match(code)
    if not found:
        return False
    quantity = int(found.group(1))
    return quantity in OTHER_THAN_ACTIVE or (20 < quantity < 80 and quantity % 20 in OTHER_THAN_ACTIVE)


def number(text: str) -> Decimal | None:
    """An exact decimal of at most 13 digits before and 15 behind the point: 28 in all, so that no scaling by
    a unit rounds it. None for anything else: no exponents, no infinities."""
    return Decimal(text) if NUMBER.fullmatch(text) else None
