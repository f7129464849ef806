"""Transactions that carry what participants signed."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "relays",
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("account", sa.String(length=42), nullable=False),
        sa.Column("claim", sa.String(length=66), nullable=True),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("sender", sa.String(length=42), nullable=False),
        sa.Column("sender_nonce", sa.BigInteger(), nullable=True),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.String(length=64), nullable=True),
        sa.Column("arguments", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("tx_hash"),
        sa.UniqueConstraint("claim"),
        sa.UniqueConstraint("sender", "sender_nonce"),
    )
    op.create_index(op.f("ix_relays_account"), "relays", ["account"], unique=False)
    op.create_index(op.f("ix_relays_state"), "relays", ["state"], unique=False)


def downgrade() -> None:
    op.drop_table("relays")
