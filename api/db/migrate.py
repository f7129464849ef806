"""Brings a database to this version's tables, whichever version it was of."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 0x7E11_15
"""One process migrates at a time: the number of PostgreSQL's advisory lock."""


async def upgrade(engine: AsyncEngine) -> None:
    """To the latest revision; nothing is done where it is that already."""
    async with engine.begin() as connection:
        await connection.run_sync(run, "head")


def run(connection: Connection, revision: str) -> None:
    """To a revision, up or, with its number, down; in the connection's transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    else:  # the driver begins no transaction before DDL by itself
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    if revision == "base":
        command.downgrade(config, revision)
    else:
        command.upgrade(config, revision)
