"""The read model: members, sessions, orders, positions."""

import sqlalchemy as sa
from alembic import op

from api.db.types import Wide

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _members()
    _meters()
    _facts()
    _grids()
    _days()
    _sessions()
    _pauses()
    _books()
    _orders()
    _positions()
    _claims()


def downgrade() -> None:
    op.drop_table("claims")
    op.drop_table("positions")
    op.drop_table("orders")
    op.drop_table("books")
    op.drop_table("pauses")
    op.drop_table("sessions")
    op.drop_table("days")
    op.drop_table("grids")
    op.drop_table("facts")
    op.drop_table("meters")
    op.drop_table("members")


def _members() -> None:
    op.create_table(
        "members",
        sa.Column("account", sa.String(length=42), nullable=False),
        sa.Column("zone", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.Column("max_quality", sa.Integer(), nullable=False),
        sa.Column("capacity_wh", sa.BigInteger(), nullable=False),
        sa.Column("wide", sa.Boolean(), nullable=False),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        sa.Column("withdrawing_nano", Wide(), nullable=False),
        sa.Column("withdrawing_after", sa.BigInteger(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("account"),
    )
    op.create_index(op.f("ix_members_block_number"), "members", ["block_number"], unique=False)
    op.create_index(op.f("ix_members_zone"), "members", ["zone"], unique=False)


def _meters() -> None:
    op.create_table(
        "meters",
        sa.Column("meter", sa.String(length=66), nullable=False),
        sa.Column("account", sa.String(length=42), nullable=False),
        sa.Column("x", sa.String(length=66), nullable=False),
        sa.Column("y", sa.String(length=66), nullable=False),
        sa.Column("from_window", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("meter"),
    )
    op.create_index(op.f("ix_meters_account"), "meters", ["account"], unique=False)
    op.create_index(op.f("ix_meters_block_number"), "meters", ["block_number"], unique=False)


def _facts() -> None:
    op.create_table(
        "facts",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=80), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index(op.f("ix_facts_block_number"), "facts", ["block_number"], unique=False)


def _grids() -> None:
    op.create_table(
        "grids",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(length=66), nullable=False),
        sa.Column("terms", sa.JSON(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )
    op.create_index(op.f("ix_grids_block_number"), "grids", ["block_number"], unique=False)


def _days() -> None:
    op.create_table(
        "days",
        sa.Column("day", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("windows", sa.Integer(), nullable=False),
        sa.Column("grid_version", sa.BigInteger(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("certified", sa.Boolean(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("day"),
    )
    op.create_index(op.f("ix_days_block_number"), "days", ["block_number"], unique=False)


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=66), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("gate", sa.BigInteger(), nullable=False),
        sa.Column("commit_by", sa.BigInteger(), nullable=False),
        sa.Column("prove_by", sa.BigInteger(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("zones", sa.Integer(), nullable=False),
        sa.Column("committed_zones", sa.Integer(), nullable=False),
        sa.Column("committed_orders", sa.BigInteger(), nullable=False),
        sa.Column("committed_at", sa.BigInteger(), nullable=True),
        sa.Column("proved_at", sa.BigInteger(), nullable=True),
        sa.Column("header_posted", sa.Boolean(), nullable=False),
        sa.Column("qualities", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("rent_nano", Wide(), nullable=True),
        sa.Column("bond_nano", Wide(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("epoch"),
    )
    op.create_index(op.f("ix_sessions_block_number"), "sessions", ["block_number"], unique=False)
    op.create_index(op.f("ix_sessions_id"), "sessions", ["id"], unique=False)
    op.create_index("ix_sessions_place", "sessions", ["day", "kind", "round"], unique=False)


def _pauses() -> None:
    op.create_table(
        "pauses",
        sa.Column("began", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("began"),
    )
    op.create_index(op.f("ix_pauses_block_number"), "pauses", ["block_number"], unique=False)


def _books() -> None:
    op.create_table(
        "books",
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("zone", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.String(length=66), nullable=False),
        sa.Column("cleared", sa.BigInteger(), nullable=False),
        sa.Column("joined", sa.BigInteger(), nullable=True),
        sa.Column("energy", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("marginals", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("epoch", "zone"),
    )
    op.create_index(op.f("ix_books_block_number"), "books", ["block_number"], unique=False)


def _orders() -> None:
    op.create_table(
        "orders",
        sa.Column("hash", sa.String(length=66), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("zone", sa.BigInteger(), nullable=False),
        sa.Column("trader", sa.String(length=42), nullable=False),
        sa.Column("submitted", sa.Boolean(), nullable=False),
        sa.Column("record", sa.Text(), nullable=True),
        sa.Column("terms", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.Integer(), nullable=True),
        sa.Column("filled_wh", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("net_nano", Wide(), nullable=True),
        sa.Column("donated_nano", Wide(), nullable=True),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index(op.f("ix_orders_block_number"), "orders", ["block_number"], unique=False)
    op.create_index("ix_orders_book", "orders", ["epoch", "zone", "hash"], unique=False)
    op.create_index("ix_orders_trader", "orders", ["trader", "epoch", "hash"], unique=False)


def _positions() -> None:
    op.create_table(
        "positions",
        sa.Column("account", sa.String(length=42), nullable=False),
        sa.Column("slot", sa.String(length=30), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("zone", sa.BigInteger(), nullable=False),
        sa.Column("side", sa.Integer(), nullable=False),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.Column("first_window", sa.BigInteger(), nullable=False),
        sa.Column("wh", sa.JSON(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("account", "slot"),
    )
    op.create_index(op.f("ix_positions_block_number"), "positions", ["block_number"], unique=False)
    op.create_index("ix_positions_epoch", "positions", ["epoch", "account"], unique=False)


def _claims() -> None:
    op.create_table(
        "claims",
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("order", sa.String(length=66), nullable=False),
        sa.Column("trader", sa.String(length=42), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("paid_nano", Wide(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("epoch", "order"),
    )
    op.create_index(op.f("ix_claims_block_number"), "claims", ["block_number"], unique=False)
    op.create_index(op.f("ix_claims_trader"), "claims", ["trader"], unique=False)
