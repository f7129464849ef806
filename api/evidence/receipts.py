"""Receipts that the order intake gave, where this database has one."""

from __future__ import annotations

from dataclasses import dataclass

from api.db.engine import Sessions
from api.db.intake_models import AcceptedOrder


@dataclass(frozen=True, slots=True)
class KeptReceipt:
    """An order that was accepted."""

    epoch: int
    zone: int
    trader: str
    """`0x` hex."""
    signer: str
    """The trader, or a session key of it."""
    record: bytes
    sequence: int
    signature: bytes
    """Of the receipt."""


class Receipts:
    """Orders with receipts by their hash."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def find(self, order: str) -> KeptReceipt | None:
        """The receipt of an order's hash, `0x` hex; None if this database knows none."""
        async with self._sessions() as db:
            row = await db.get(AcceptedOrder, order)
        if row is None:
            return None
        return KeptReceipt(row.epoch, row.zone, row.trader, row.signer, row.record, row.sequence, row.receipt)
