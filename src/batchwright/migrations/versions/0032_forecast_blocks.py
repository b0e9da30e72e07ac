"""Sums of the forecast by block of assets, and which blocks have changed since they were added up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import BigKey

revision = "0032"
down_revision: str | None = "0031"


def upgrade() -> None:
    """Make the tables; upkeep adds the blocks up, one after the other."""
    op.create_table(
        "forecast_block",
        sa.Column(
            "block", sa.BigInteger(), autoincrement=False, nullable=False, comment="key of the asset by 500"
        ),
        sa.Column("month", sa.Text(), nullable=False, comment="JSON: the sums by month"),
        sa.Column("customer", sa.Text(), nullable=False, comment="JSON: the sums by customer"),
        sa.Column("product", sa.Text(), nullable=False, comment="JSON: the sums by product"),
        sa.PrimaryKeyConstraint("block", name="pk_forecast_block"),
    )
    op.create_table(
        "forecast_change",
        sa.Column("id", BigKey, nullable=False),
        sa.Column(
            "blocks", sa.LargeBinary(), nullable=False, comment="64-bit little-endian; none: all there are"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_forecast_change"),
    )
