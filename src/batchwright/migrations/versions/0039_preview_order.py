"""A preview is read in order by an index, and no more sorted for each page."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision: str | None = "0038"


def upgrade() -> None:
    """Make the index in place of that of the runs."""
    order: list[str | sa.TextClause] = [
        "run_id",
        "kind",
        sa.text("coalesce(currency, '')"),
        sa.text("(-abs(CAST(coalesce(amount_after, 0) AS NUMERIC) - coalesce(amount_before, 0)))"),
        *("id", "customer_id", "currency", "amount_before", "amount_after"),
    ]
    op.create_index("ix_preview_line_order", "preview_line", order)
    op.drop_index("ix_preview_line_run_id", "preview_line")
