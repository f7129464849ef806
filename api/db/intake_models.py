"""What the order intake promised: written before a receipt leaves. Not of the read model: no chain has it.

Accounts and hashes are `0x` hex in lower case, times Unix seconds.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Float, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from api.db.models import Base


class IntakeSession(Base):
    """A session that orders were taken for, and which process takes them."""

    __tablename__ = "intake_sessions"

    session: Mapped[str] = mapped_column(String(66), primary_key=True)
    epoch: Mapped[int] = mapped_column(BigInteger, index=True)
    kind: Mapped[int]
    gate: Mapped[int] = mapped_column(BigInteger)
    next_sequence: Mapped[int] = mapped_column(BigInteger)
    """Of the next receipt: as many were given."""
    sealed_at: Mapped[int | None] = mapped_column(BigInteger)
    """From then on nothing is taken."""
    holder: Mapped[str | None] = mapped_column(String(32))
    """Random name of the process that takes orders."""
    held_until: Mapped[float] = mapped_column(Float(53))
    """Wall clock: then another process may."""


class AcceptedOrder(Base):
    """An order that has a receipt."""

    __tablename__ = "accepted_orders"
    __table_args__ = (
        Index("ix_accepted_orders_session", "session", "sequence", unique=True),
        Index("ix_accepted_orders_trader", "trader", "epoch", "sequence"),
    )

    hash: Mapped[str] = mapped_column(String(66), primary_key=True)
    session: Mapped[str] = mapped_column(String(66))
    epoch: Mapped[int] = mapped_column(BigInteger)
    trader: Mapped[str] = mapped_column(String(42))
    signer: Mapped[str] = mapped_column(String(42))
    """The trader, or a session key of it."""
    zone: Mapped[int] = mapped_column(BigInteger)
    side: Mapped[int]
    """0 buys, 1 sells."""
    quality: Mapped[int]
    kind: Mapped[int]
    record: Mapped[bytes] = mapped_column(LargeBinary)
    """As it is cleared, with its signature."""
    sequence: Mapped[int] = mapped_column(BigInteger)
    receipt: Mapped[bytes] = mapped_column(LargeBinary)
    """The receipt's signature."""
    state: Mapped[str] = mapped_column(String(16))
    """taken, replaced, cancelled."""
    brought_by: Mapped[str] = mapped_column(String(42))
    """Who sent it: its trader, or somebody for it."""
    accepted_at: Mapped[int] = mapped_column(BigInteger)


class AcceptedCancel(Base):
    """A cancel that has a receipt."""

    __tablename__ = "accepted_cancels"
    __table_args__ = (
        Index("ix_accepted_cancels_session", "session", "sequence", unique=True),
        Index("ix_accepted_cancels_trader", "trader", "epoch", "sequence"),
    )

    digest: Mapped[str] = mapped_column(String(66), primary_key=True)
    order_hash: Mapped[str] = mapped_column(String(66), index=True)
    session: Mapped[str] = mapped_column(String(66))
    epoch: Mapped[int] = mapped_column(BigInteger)
    trader: Mapped[str] = mapped_column(String(42))
    signature: Mapped[bytes] = mapped_column(LargeBinary)
    sequence: Mapped[int] = mapped_column(BigInteger)
    receipt: Mapped[bytes] = mapped_column(LargeBinary)
    brought_by: Mapped[str] = mapped_column(String(42))
    accepted_at: Mapped[int] = mapped_column(BigInteger)
