"""The same tables on SQLite and PostgreSQL, made by migrations, with numbers that are exact and in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, inspect, select
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncEngine

from api.db.engine import open_engine
from api.db.market_models import CashMovement
from api.db.migrate import run, upgrade
from api.db.tables import METADATA
from api.db.types import OFFSET, of_text, to_text
from settlement.errors import InputError

pytestmark = pytest.mark.anyio

EDGES = [
    0,
    1,
    -1,
    2**53 + 1,
    2**63,
    -(2**63) - 1,
    2**127,
    -(2**127),
    2**256 - 1,
    -(2**255),
    10**18,
    -(10**18),
]


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    found = open_engine(database_url)
    yield found
    await found.dispose()


def differences(connection: Connection) -> list[Any]:
    return list(compare_metadata(MigrationContext.configure(connection), METADATA))


async def test_migrations_make_the_models_tables_and_can_be_repeated(engine: AsyncEngine) -> None:
    for _ in range(2):
        await upgrade(engine)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrations_lead_back_to_nothing(engine: AsyncEngine) -> None:
    await upgrade(engine)
    async with engine.begin() as connection:
        await connection.run_sync(run, "base")
        left = await connection.run_sync(lambda one: inspect(one).get_table_names())
    assert left == ["alembic_version"]


async def test_wide_integers_are_exact_and_sort_as_numbers(engine: AsyncEngine) -> None:
    await upgrade(engine)
    fixed = {"account": "0x", "kind": "k", "pending": False, "time": 0, "tx_hash": "0x", "block_number": 0}
    rows = [{**fixed, "log_index": at, "amount_nano": value} for at, value in enumerate(EDGES)]
    amount = CashMovement.amount_nano
    async with engine.begin() as connection:
        await connection.execute(insert(CashMovement), rows)
        found = list(await connection.scalars(select(amount).order_by(amount)))
        above = list(await connection.scalars(select(amount).where(amount > 2**63).order_by(amount)))
    assert found == sorted(EDGES)
    assert above == [2**127, 2**256 - 1]


@pytest.mark.parametrize("value", [1.0, "1", OFFSET, -OFFSET])
async def test_what_is_no_wide_integer_is_refused(engine: AsyncEngine, value: object) -> None:
    await upgrade(engine)
    async with engine.begin() as connection:
        with pytest.raises(StatementError, match="is no integer"):
            await connection.execute(select(CashMovement).where(CashMovement.amount_nano == value))


@given(st.integers(1 - OFFSET, OFFSET - 1), st.integers(1 - OFFSET, OFFSET - 1))
def test_the_order_of_texts_is_the_order_of_numbers(one: int, other: int) -> None:
    assert (to_text(one) < to_text(other)) == (one < other)
    assert of_text(to_text(one)) == one


@pytest.mark.parametrize("url", ["sqlite:///x.db", "mysql://x", "trellis.db"])
def test_only_sqlite_and_postgresql_are_databases(url: str) -> None:
    with pytest.raises(InputError, match=r"sqlite\+aiosqlite"):
        open_engine(url)


async def test_processes_that_start_together_migrate_once(database_url: str) -> None:
    engines = [open_engine(database_url) for _ in range(3)]
    await asyncio.gather(*map(upgrade, engines))
    async with engines[0].connect() as connection:
        assert await connection.run_sync(differences) == []
    for one in engines:
        await one.dispose()
