"""The order intake: sessions, accepted orders and cancels, with their receipts."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "intake_sessions",
        sa.Column("session", sa.String(length=66), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("gate", sa.BigInteger(), nullable=False),
        sa.Column("next_sequence", sa.BigInteger(), nullable=False),
        sa.Column("sealed_at", sa.BigInteger(), nullable=True),
        sa.Column("holder", sa.String(length=32), nullable=True),
        sa.Column("held_until", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("session"),
    )
    op.create_index(op.f("ix_intake_sessions_epoch"), "intake_sessions", ["epoch"], unique=False)
    _accepted_orders()
    _accepted_cancels()


def downgrade() -> None:
    op.drop_table("accepted_cancels")
    op.drop_table("accepted_orders")
    op.drop_table("intake_sessions")


def _accepted_orders() -> None:
    op.create_table(
        "accepted_orders",
        sa.Column("hash", sa.String(length=66), nullable=False),
        sa.Column("session", sa.String(length=66), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("trader", sa.String(length=42), nullable=False),
        sa.Column("signer", sa.String(length=42), nullable=False),
        sa.Column("zone", sa.BigInteger(), nullable=False),
        sa.Column("side", sa.Integer(), nullable=False),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("receipt", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("brought_by", sa.String(length=42), nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index("ix_accepted_orders_session", "accepted_orders", ["session", "sequence"], unique=True)
    op.create_index(
        "ix_accepted_orders_trader", "accepted_orders", ["trader", "epoch", "sequence"], unique=False
    )


def _accepted_cancels() -> None:
    op.create_table(
        "accepted_cancels",
        sa.Column("digest", sa.String(length=66), nullable=False),
        sa.Column("order_hash", sa.String(length=66), nullable=False),
        sa.Column("session", sa.String(length=66), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("trader", sa.String(length=42), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("receipt", sa.LargeBinary(), nullable=False),
        sa.Column("brought_by", sa.String(length=42), nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index(op.f("ix_accepted_cancels_order_hash"), "accepted_cancels", ["order_hash"], unique=False)
    op.create_index("ix_accepted_cancels_session", "accepted_cancels", ["session", "sequence"], unique=True)
    op.create_index(
        "ix_accepted_cancels_trader", "accepted_cancels", ["trader", "epoch", "sequence"], unique=False
    )
