"""How a book is cut into transactions: a model of what clearing an order takes, measured on anvil.

On books of 1 to 128 windows chunks that it put at 15.8M took from 13.7M (nothing at the price) to 16.2M
(everything at the price). If one should run out of gas all the same, the operator halves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from settlement.chain.books import Prepared
from settlement.reference import schedule
from settlement.reference.schedule import Schedule

CALLDATA_GAS = 12  # on the average: 16 a byte, 4 where it is zero
CALL_GAS = 150_000
CELL_GAS = 2_500
SCHEDULE_GAS = 36_000
GROUP_GAS = 23_000
ENTRY_GAS = 700
POSTED_BYTES = 2_000


@dataclass(frozen=True)
class Limits:
    """What one transaction may take."""

    gas: int = 15_800_000
    """By the model below, which errs by less than it leaves to what networks allow (16.7M)."""
    bytes: int = 120_000


def plan_chunks(
    prepared: Prepared, lanes_of: Mapping[bytes, int], start: int = 0, limits: Limits | None = None
) -> list[range]:
    """Which orders go into which `clear`, from position `start` on.

    `lanes_of` is the number of lanes of each trader's slots. The model takes every fill for a first write.
    """
    most = limits or Limits()
    cells = prepared.session.market.cells
    base_bytes = POSTED_BYTES + 32 * (3 * cells + 2 * prepared.session.market.windows)
    base_gas = CALL_GAS + cells * CELL_GAS
    chunks: list[range] = []
    gas, size, first = base_gas, base_bytes, start
    for at in range(start, len(prepared.sealed.orders)):
        order = prepared.sealed.orders[at].schedule
        more_bytes = record_bytes(order)
        more_gas = schedule_gas(order, lanes_of[order.trader]) + more_bytes * CALLDATA_GAS
        if at > first and (gas + more_gas > most.gas or size + more_bytes > most.bytes):
            chunks.append(range(first, at))
            gas, size, first = base_gas, base_bytes, at
        gas, size = gas + more_gas, size + more_bytes
    if first < len(prepared.sealed.orders):
        chunks.append(range(first, len(prepared.sealed.orders)))
    return chunks


def record_bytes(order: Schedule) -> int:
    extra = (32 if any(order.replaces) else 0) + (20 if any(order.beneficiary) else 0)
    return schedule.HEAD_BYTES + extra + schedule.ENTRY_BYTES * len(order.quantity_wh)


def schedule_gas(order: Schedule, lanes: int) -> int:
    """Most gas that clearing one schedule takes, besides its calldata."""
    count = len(order.quantity_wh)
    groups = (order.first_window % lanes + count + lanes - 1) // lanes
    return SCHEDULE_GAS + GROUP_GAS * groups + ENTRY_GAS * count
