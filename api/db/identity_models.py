"""Who stands behind an account, and who was told. Nothing of this is on chain, and nothing follows from it.

Accounts are `0x` hex in lower case, times Unix seconds, hashes hex.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from api.db.models import Base


class Identity(Base):
    """An account's identity, sealed; erased where nothing is sealed any more."""

    __tablename__ = "identities"

    account: Mapped[str] = mapped_column(String(42), primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    """Counts its changes; bound into the seal."""
    key_id: Mapped[str | None] = mapped_column(String(16))
    """Which key of the key file sealed it."""
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Nonce and ciphertext."""
    changed_at: Mapped[int] = mapped_column(BigInteger)
    changed_by: Mapped[str] = mapped_column(String(42))


class Disclosure(Base):
    """An entry of the log of disclosures; its hash binds it to all before it."""

    __tablename__ = "disclosures"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """From 1, without gaps."""
    account: Mapped[str] = mapped_column(String(42), index=True)
    regulator: Mapped[str] = mapped_column(String(42))
    """Who was told."""
    legal_basis: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(Text)
    identity_version: Mapped[int] = mapped_column(BigInteger)
    commitment: Mapped[str] = mapped_column(String(64))
    """Keyed hash of what was told: its key goes with the identity when that is erased."""
    at: Mapped[int] = mapped_column(BigInteger)
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), unique=True)
