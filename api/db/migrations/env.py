"""Alembic's entry: runs on the connection that `api/db/migrate.py` gives it."""

from alembic import context

from api.db.tables import METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
