"""Table of what was relayed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from api.db.models import Base


class Relay(Base):
    """A transaction of the relay key. It is here before it is sent, with the bytes that are sent again until
    it is known what became of them.
    """

    __tablename__ = "relays"
    __table_args__ = (UniqueConstraint("sender", "sender_nonce"),)

    tx_hash: Mapped[str] = mapped_column(String(66), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    account: Mapped[str] = mapped_column(String(42), index=True)
    """Whose message it carries."""
    claim: Mapped[str | None] = mapped_column(String(66), unique=True)
    """What is sent once: the digest that was signed; None once it may be sent anew."""
    state: Mapped[str] = mapped_column(String(8), index=True)
    """pending, mined, failed."""
    sender: Mapped[str] = mapped_column(String(42))
    sender_nonce: Mapped[int | None] = mapped_column(BigInteger)
    """None if it never was used: the next transaction has it."""
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[int] = mapped_column(BigInteger)
    block_number: Mapped[int | None] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(String(64))
    """Why it failed: the contract's error, or `NotTaken` by the node, or `Replaced`."""
    arguments: Mapped[list[Any] | None] = mapped_column(JSON)
    """Of that error."""
