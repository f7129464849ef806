"""Certificates by product; identities, sealed, and the log of their disclosures."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("days") as days:
        days.add_column(sa.Column("sessions", sa.JSON(), nullable=False, server_default="[]"))
    with op.batch_alter_table("days") as days:
        days.alter_column("sessions", existing_type=sa.JSON(), existing_nullable=False, server_default=None)
    _certificates()
    _identities()
    _disclosures()


def downgrade() -> None:
    op.drop_table("disclosures")
    op.drop_table("identities")
    op.drop_table("certificates")
    with op.batch_alter_table("days") as days:
        days.drop_column("sessions")


def _certificates() -> None:
    op.create_table(
        "certificates",
        sa.Column("account", sa.String(length=42), autoincrement=False, nullable=False),
        sa.Column("product", sa.String(length=30), autoincrement=False, nullable=False),
        sa.Column("zone", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("window", sa.BigInteger(), nullable=False),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("minted_wh", sa.BigInteger(), nullable=False),
        sa.Column("wh", sa.BigInteger(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("tx_hash", sa.String(length=66), nullable=False),
        sa.PrimaryKeyConstraint("account", "product"),
    )
    op.create_index("ix_certificates_day", "certificates", ["day", "zone", "quality"], unique=False)
    op.create_index(op.f("ix_certificates_block_number"), "certificates", ["block_number"], unique=False)


def _identities() -> None:
    op.create_table(
        "identities",
        sa.Column("account", sa.String(length=42), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(length=42), nullable=False),
        sa.PrimaryKeyConstraint("account"),
    )


def _disclosures() -> None:
    op.create_table(
        "disclosures",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("account", sa.String(length=42), nullable=False),
        sa.Column("regulator", sa.String(length=42), nullable=False),
        sa.Column("legal_basis", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("identity_version", sa.BigInteger(), nullable=False),
        sa.Column("commitment", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("hash"),
    )
    op.create_index(op.f("ix_disclosures_account"), "disclosures", ["account"], unique=False)
