"""What the indexer read from the chain, as it was: nothing that the chain told is lost, known here or not.

Accounts and hashes are `0x` hex in lower case, times Unix seconds.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from api.db.models import Base
from api.db.types import Serial


class IndexedDeployment(Base):
    """The one deployment that the database is of."""

    __tablename__ = "indexed_deployment"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    chain_id: Mapped[int] = mapped_column(BigInteger)
    exchange: Mapped[str] = mapped_column(String(42))
    token: Mapped[str] = mapped_column(String(42))
    authority: Mapped[str] = mapped_column(String(42))
    first_block: Mapped[int] = mapped_column(BigInteger)
    """The first one that is read."""
    undo_from: Mapped[int] = mapped_column(BigInteger)
    """Blocks behind this one can be taken back."""
    told_to: Mapped[int] = mapped_column(BigInteger)
    """Up to this block the stream has said everything, though the read model may be made again."""
    window_length: Mapped[int] = mapped_column(BigInteger)
    """Seconds."""
    max_pause: Mapped[int] = mapped_column(BigInteger)
    """Seconds."""


class Block(Base):
    """A block that was read; the highest is where the read model is."""

    __tablename__ = "blocks"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[str] = mapped_column(String(66))
    parent_hash: Mapped[str] = mapped_column(String(66))
    time: Mapped[int] = mapped_column(BigInteger)


class Transaction(Base):
    """A transaction that told something, with its calldata."""

    __tablename__ = "transactions"

    hash: Mapped[str] = mapped_column(String(66), primary_key=True)
    block_number: Mapped[int] = mapped_column(ForeignKey("blocks.number"), index=True)
    position: Mapped[int] = mapped_column(BigInteger)
    """In its block."""
    sender: Mapped[str] = mapped_column(String(42))
    to: Mapped[str | None] = mapped_column(String(42))
    """None if it created a contract."""
    input: Mapped[bytes] = mapped_column(LargeBinary)


class Event(Base):
    """A log of the Exchange, its settlement token or its AccessManager."""

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_name_place", "name", "block_number", "log_index"),
        Index("ix_events_account_place", "account", "block_number", "log_index"),
        Index("ix_events_epoch", "epoch"),
        Index("ix_events_day", "day"),
    )

    block_number: Mapped[int] = mapped_column(
        ForeignKey("blocks.number"), primary_key=True, autoincrement=False
    )
    log_index: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    block_hash: Mapped[str] = mapped_column(String(66))
    tx_hash: Mapped[str] = mapped_column(ForeignKey("transactions.hash"), index=True)
    contract: Mapped[str] = mapped_column(String(42))
    topics: Mapped[list[str]] = mapped_column(JSON)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    name: Mapped[str | None] = mapped_column(String(64))
    """None if no interface of this version has the event."""
    args: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """By name, integers as decimal strings; None if it has no name here."""
    account: Mapped[str | None] = mapped_column(String(42))
    """Whom it is about, if it says so."""
    epoch: Mapped[int | None] = mapped_column(BigInteger)
    zone: Mapped[int | None] = mapped_column(BigInteger)
    day: Mapped[int | None] = mapped_column(BigInteger)


class Undo(Base):
    """A row of the read model as it was before a block changed it."""

    __tablename__ = "undo"

    block_number: Mapped[int] = mapped_column(
        ForeignKey("blocks.number"), primary_key=True, autoincrement=False
    )
    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    table: Mapped[str] = mapped_column(String(64))
    key: Mapped[list[Any]] = mapped_column(JSON)
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """None if there was no such row."""


class Notice(Base):
    """What the event stream says, in its order for ever: also that something did not happen after all."""

    __tablename__ = "notices"
    __table_args__ = (Index("ix_notices_block", "block_number", "log_index"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    topic: Mapped[str] = mapped_column(String(16))
    """gate, clearing, reading, settlement, account."""
    name: Mapped[str] = mapped_column(String(64))
    account: Mapped[str | None] = mapped_column(String(42))
    """Whose it is; None if it is everybody's."""
    removed: Mapped[bool] = mapped_column(Boolean)
    """Whether it takes back an earlier one: the chain was reorganised."""
    block_number: Mapped[int] = mapped_column(BigInteger)
    block_hash: Mapped[str] = mapped_column(String(66))
    log_index: Mapped[int] = mapped_column(BigInteger)
    tx_hash: Mapped[str] = mapped_column(String(66))
    time: Mapped[int] = mapped_column(BigInteger)
    args: Mapped[dict[str, Any]] = mapped_column(JSON)
