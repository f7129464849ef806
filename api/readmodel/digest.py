"""A digest of each table of the read model: equal for equal rows, on whatever database.

A table's dump is its rows in the order of their keys, each the JSON of its fields by name, a line each. Text
sorts by its bytes (PostgreSQL would else sort by the language of its cluster).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlalchemy import String, Table, select
from sqlalchemy.ext.asyncio import AsyncSession

from api.db.chain_models import Event, Transaction
from api.db.engine import Sessions
from api.db.market_models import PROJECTED

DIGESTED: tuple[Any, ...] = (Transaction, Event, *PROJECTED)


async def digests(sessions: Sessions) -> dict[str, str]:
    """SHA-256 by table, as of one moment."""
    async with sessions() as session:
        if session.get_bind().dialect.name == "postgresql":
            await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        return {one.__tablename__: await _digest(session, one.__table__) for one in DIGESTED}


async def _digest(session: AsyncSession, table: Table) -> str:
    found = hashlib.sha256()
    rows = await session.stream(select(table).order_by(*_order(session, table)))
    async for row in rows.mappings():
        found.update(json.dumps(dict(row), sort_keys=True, default=_hex, separators=(",", ":")).encode())
        found.update(b"\n")
    return found.hexdigest()


def _order(session: AsyncSession, table: Table) -> list[Any]:
    plain = session.get_bind().dialect.name != "postgresql"
    return [
        column if plain or not isinstance(column.type, String) else column.collate("C")
        for column in table.primary_key.columns
    ]


def _hex(value: Any) -> str:
    assert isinstance(value, bytes)
    return value.hex()
