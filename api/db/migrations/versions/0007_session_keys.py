"""The read model: session keys."""

import sqlalchemy as sa
from alembic import op

from api.db.types import Wide

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "session_keys",
        sa.Column("account", sa.String(length=42), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(length=42), autoincrement=False, nullable=False),
        sa.Column("zone", sa.BigInteger(), nullable=False),
        sa.Column("kinds", sa.Integer(), nullable=False),
        sa.Column("max_wh_per_window", sa.BigInteger(), nullable=False),
        sa.Column("max_spend_nano_per_day", Wide(), nullable=False),
        sa.Column("expiry", sa.BigInteger(), nullable=False),
        sa.Column("granted_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("account", "key"),
    )
    op.create_index(op.f("ix_session_keys_block_number"), "session_keys", ["block_number"], unique=False)


def downgrade() -> None:
    op.drop_table("session_keys")
