"""What rated amounts rest on, the usage schedule each is part of, and how many inputs a schedule's figures hold."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.billing.columns import ExactDecimal

revision = "0003"
down_revision: str | None = "0002"


def upgrade() -> None:
    """Add the columns. What the first input of a window had before it is left empty from now on."""
    op.add_column(
        "usage_schedule",
        sa.Column(
            "rated_inputs",
            sa.Integer(),
            nullable=False,
            server_default=sa.text("0"),
            comment="how many Rated inputs its figures hold",
        ),
    )
    for column in (
        sa.Column("rated_run_key", sa.BigInteger(), nullable=True),
        sa.Column("rated_price_key", sa.BigInteger(), nullable=True),
        sa.Column("rated_contract_key", sa.BigInteger(), nullable=True),
        sa.Column("rated_discount_percent", ExactDecimal(), nullable=True),
        sa.Column("rated_prior_quantity", ExactDecimal(), nullable=True),
        sa.Column(
            "rated_schedule_key",
            sa.BigInteger(),
            nullable=True,
            comment="the usage schedule that its rated amount is part of",
        ),
    ):
        op.add_column("usage_input", column)
    zero = "'0'" if op.get_bind().dialect.name == "sqlite" else "0"
    op.execute(f"UPDATE usage_input SET draft_prior_quantity = NULL WHERE draft_prior_quantity = {zero}")
