"""The read model: runs, readings, results, challenges, cash."""

import sqlalchemy as sa
from alembic import op

from api.db.types import Wide

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _postings()
    _runs()
    _readings()
    _settlements()
    _challenges()
    _cash_movements()


def downgrade() -> None:
    op.drop_table("cash_movements")
    op.drop_table("challenges")
    op.drop_table("settlements")
    op.drop_table("readings")
    op.drop_table("runs")
    op.drop_table("postings")


def _postings() -> None:
    op.create_table(
        "postings",
        sa.Column("zone", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(length=66), nullable=False),
        sa.Column("terms", sa.JSON(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("zone", "day", "run", "sequence"),
    )
    op.create_index(op.f("ix_postings_block_number"), "postings", ["block_number"], unique=False)


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("zone", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("parts", sa.BigInteger(), nullable=False),
        sa.Column("certified_parts", sa.BigInteger(), nullable=False),
        sa.Column("imbalance_wh", Wide(), nullable=False),
        sa.Column("cash_nano", Wide(), nullable=False),
        sa.Column("link", sa.String(length=66), nullable=True),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("zone", "day", "run"),
    )
    op.create_index(op.f("ix_runs_block_number"), "runs", ["block_number"], unique=False)


def _readings() -> None:
    op.create_table(
        "readings",
        sa.Column("zone", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("account", sa.String(length=42), nullable=False),
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("wh", sa.JSON(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("zone", "day", "account", "run"),
    )
    op.create_index("ix_readings_account", "readings", ["account", "day", "run"], unique=False)
    op.create_index(op.f("ix_readings_block_number"), "readings", ["block_number"], unique=False)


def _settlements() -> None:
    op.create_table(
        "settlements",
        sa.Column("zone", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("account", sa.String(length=42), nullable=False),
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("imbalance_wh", Wide(), nullable=False),
        sa.Column("cash_nano", Wide(), nullable=False),
        sa.Column("released_nano", Wide(), nullable=False),
        sa.Column("delivered_wh", Wide(), nullable=False),
        sa.Column("delivered_nano", Wide(), nullable=False),
        sa.Column("certified_wh", Wide(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("zone", "day", "account", "run"),
    )
    op.create_index("ix_settlements_account", "settlements", ["account", "day", "run"], unique=False)
    op.create_index(op.f("ix_settlements_block_number"), "settlements", ["block_number"], unique=False)


def _challenges() -> None:
    op.create_table(
        "challenges",
        sa.Column("id", sa.String(length=66), nullable=False),
        sa.Column("account", sa.String(length=42), nullable=False),
        sa.Column("zone", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("terms", sa.JSON(), nullable=False),
        sa.Column("bond_nano", Wide(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("paid_nano", Wide(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_challenges_account"), "challenges", ["account"], unique=False)
    op.create_index(op.f("ix_challenges_block_number"), "challenges", ["block_number"], unique=False)


def _cash_movements() -> None:
    op.create_table(
        "cash_movements",
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("account", sa.String(length=42), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("amount_nano", Wide(), nullable=False),
        sa.Column("pending", sa.Boolean(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=True),
        sa.Column("zone", sa.BigInteger(), nullable=True),
        sa.Column("day", sa.BigInteger(), nullable=True),
        sa.Column("run", sa.Integer(), nullable=True),
        sa.Column("subject", sa.String(length=66), nullable=True),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("block_number", "log_index", "account", "kind"),
    )
    op.create_index(
        "ix_cash_account", "cash_movements", ["account", "block_number", "log_index"], unique=False
    )
    op.create_index(op.f("ix_cash_movements_epoch"), "cash_movements", ["epoch"], unique=False)
