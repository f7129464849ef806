"""How far a zone of a session is."""

from __future__ import annotations

from dataclasses import dataclass

from settlement.reference.clearing import Carry
from settlement.reference.closing import ClosedZone


@dataclass(frozen=True)
class Progress:
    """What the chain has of a zone, and what the next transaction about it brings."""

    zone: int = 0
    count: int = 0
    """Orders cleared."""
    carry: Carry | None = None
    closed: ClosedZone | None = None
    """What it left when it closed, with those joined to it so far."""
