"""A small metered world that the oracle's tests build on: fixed keys, no randomness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from oracle.day import Day
from oracle.estimation import History, no_history
from oracle.messages import EXPORT, IMPORT, Reading, SignedReading, meter_id, private_key, public_point, sign
from oracle.node import DayInputs
from oracle.posting import node_address
from oracle.registry import Meter, MeterRegistry
from settlement.reference.eip712 import domain_separator

FIRST = 415_944
DAY = Day(3600, FIRST, 6)
SEPARATOR = domain_separator(31337, bytes([0x11] * 20))
NODE_KEYS = tuple(bytes(31) + bytes((n,)) for n in (1, 2, 3))
NODES = tuple(node_address(key) for key in NODE_KEYS)
DAY_KEY = bytes(range(32))


def account(n: int) -> bytes:
    """Addresses that do not ascend with n, so that an order by address is an order."""
    return bytes((0xFF - 37 * n & 0xFF,)) + bytes(18) + bytes((n,))


def meter(n: int, **fields: object) -> Meter:
    x, y = public_point(private_key(n + 1))
    return replace(Meter(meter_id(f"TEST-{n}"), x, y, account(n)), **fields)


def registry(count: int = 3) -> MeterRegistry:
    return MeterRegistry(meter(n) for n in range(count))


def reading(n: int, register: int, column: int, wh: int, sequence: int = 1) -> Reading:
    return Reading(
        meter_id(f"TEST-{n}"), register, DAY.window_length_s, DAY.first_window + column, wh, sequence
    )


def signed(n: int, register: int, column: int, wh: int, sequence: int = 1) -> SignedReading:
    return sign(reading(n, register, column, wh, sequence), private_key(n + 1))


def true_wh(n: int, register: int, column: int) -> int:
    """What meter n measures: 100 + ... drawn, and fed in at the middle of the day."""
    return 100 * (n + 1) + 10 * column if register == IMPORT else (1000 if column in (2, 3) else 0)


def batch(
    count: int = 3, without: Callable[[int, int, int], bool] = lambda n, register, column: False
) -> tuple[SignedReading, ...]:
    """A day of every meter's readings, but for those that `without` names."""
    return tuple(
        signed(n, register, column, true_wh(n, register, column))
        for n in range(count)
        for register in (IMPORT, EXPORT)
        for column in range(DAY.windows)
        if not without(n, register, column)
    )


def past(count: int, import_wh: int, export_wh: int, days: int = 2) -> History:
    """The same energy in every window of every past day, by register."""
    wh = np.empty((2 * count, days, DAY.windows), np.int64)
    wh[0::2], wh[1::2] = import_wh, export_wh
    return History(wh, np.ones(wh.shape, np.bool_))


def inputs(readings: tuple[SignedReading, ...] | None = None, **fields: object) -> DayInputs:
    base = DayInputs(
        zone=1,
        day=DAY,
        registry=registry(),
        batch=batch() if readings is None else readings,
        history=no_history(6, DAY),
        surplus=(50_000,) * DAY.windows,
        deficit=(300_000,) * DAY.windows,
        day_key=DAY_KEY,
    )
    return replace(base, **fields)
