"""The database: SQLite inside the process, or PostgreSQL, through the same code."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from settlement.errors import InputError

Sessions = async_sessionmaker[AsyncSession]


def open_engine(url: str, *, durable: bool = True) -> AsyncEngine:
    """An engine for `sqlite+aiosqlite://...` or `postgresql+asyncpg://...`. InputError if it is neither. What
    need not survive the machine may be not `durable`.
    """
    if not url.startswith(("sqlite+aiosqlite://", "postgresql+asyncpg://")):
        raise InputError("a database is named sqlite+aiosqlite:///FILE or postgresql+asyncpg://...")
    engine = create_async_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if url.startswith("sqlite"):
        event.listen(engine.sync_engine, "connect", partial(_set_up_sqlite, durable))
    return engine


def sessions_of(engine: AsyncEngine) -> Sessions:
    return async_sessionmaker(engine, expire_on_commit=False)


def _set_up_sqlite(durable: bool, connection: Any, _: Any) -> None:
    """Readers beside one writer, durable commits, foreign keys."""
    cursor = connection.cursor()
    synchronous = f"synchronous={'FULL' if durable else 'OFF'}"
    for pragma in ("journal_mode=WAL", synchronous, "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
