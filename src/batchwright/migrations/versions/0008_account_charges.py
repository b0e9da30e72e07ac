"""Account charges: what custom line items come to for an account and a month."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.billing.columns import ExactDecimal
from batchwright.engine.store.types import BigKey, UtcTime

revision = "0008"
down_revision: str | None = "0007"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "account_charge",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("account_key", BigKey, nullable=False),
        sa.Column("month", sa.String(7), nullable=False, comment="YYYY-MM"),
        sa.Column("line_item_key", BigKey, nullable=False),
        sa.Column(
            "contract_revision", sa.Integer(), nullable=False, comment="that of the item's contract, then"
        ),
        sa.Column(
            "rate",
            ExactDecimal(),
            nullable=False,
            comment="the item's amount then: of money, or a percentage",
        ),
        sa.Column(
            "base",
            sa.BigInteger(),
            nullable=True,
            comment="minor units of rated usage that a percentage was taken of",
        ),
        sa.Column(
            "amount", sa.BigInteger(), nullable=False, comment="minor units; below zero for a discount"
        ),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("run_key", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["account_key"], ["account.id"], name=op.f("fk_account_charge_account_key")),
        sa.ForeignKeyConstraint(
            ["line_item_key"], ["custom_line_item.id"], name=op.f("fk_account_charge_line_item_key")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_charge")),
        sa.UniqueConstraint(
            "account_key",
            "month",
            "line_item_key",
            "currency",
            name=op.f("uq_account_charge_account_key_month_line_item_key_currency"),
        ),
    )
