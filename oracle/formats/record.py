"""What every format reads out of a file: records with a verdict, and the typed values in them.

The verdict is of signature or check sum alone. Whether the format's own rules allow billing is said apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

Verdict = Literal["valid", "invalid", "unsigned"]


@dataclass(frozen=True, slots=True)
class RegisterReading:
    """What a cumulative register stood at."""

    register: str
    """Its OBIS code without storage 255, `1-0:1.8.0`."""
    time_ns: int | None
    """Nanoseconds of UTC; None where the record states no such time."""
    value: Decimal
    """Exact, as written."""
    unit: str
    """As written: `kWh`, `Wh`, `m3`."""
    status: str = ""
    """What the record says of the reading."""


@dataclass(frozen=True, slots=True)
class IntervalReading:
    """The energy of an interval."""

    start_utc_s: int
    """Seconds of UTC."""
    length_s: int
    register: str
    """`import` or `export`."""
    wh: Decimal
    """Exact."""
    flag: str = ""
    """The format's own mark of its quality."""


Reading: TypeAlias = RegisterReading | IntervalReading


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file."""

    index: int
    """Its place among the file's records, from 0."""
    format: str
    verdict: Verdict
    reason: str
    """One sentence: why this verdict."""
    billable: bool
    problems: tuple[str, ...]
    """Billing rules that do not hold."""
    readings: tuple[Reading, ...] = ()
    meter: str = ""
    """The meter's own number, or its meter point's, as the record states it; empty if it does not. Personal
    data: it is never posted."""


PublicKeySource: TypeAlias = bytes
"""A public key given by the caller: DER SubjectPublicKeyInfo, or the bare point (`curves.key_bytes` reads
text). It takes precedence over keys that a file brings along."""
