"""Sums of the forecast by month, customer and product at once, so that each can be filtered by the others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision: str | None = "0041"


def upgrade() -> None:
    """Add the column to a table that is empty; upkeep adds the blocks up again."""
    op.execute("DELETE FROM forecast_block")
    comment = "JSON: the sums by month, customer and product at once"
    with op.batch_alter_table("forecast_block") as table:
        table.add_column(sa.Column("cell", sa.Text(), nullable=False, comment=comment))
