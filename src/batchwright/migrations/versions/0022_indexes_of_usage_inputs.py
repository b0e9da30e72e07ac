"""Indexes by which usage inputs are listed: by status, by code, by usage date, and by their assets' product."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision: str | None = "0021"

IN_ERROR = sa.text("NOT deleted AND status = 'Error'")
NOT_RATED = sa.text("NOT deleted AND status <> 'Rated'")


def upgrade() -> None:
    """Add the indexes."""
    for name, column, condition in (
        ("error_code", "code", IN_ERROR),
        ("not_rated", "status", NOT_RATED),
    ):
        op.create_index(
            f"ix_usage_input_{name}",
            "usage_input",
            [column, "id"],
            sqlite_where=condition,
            postgresql_where=condition,
        )
    op.create_index("ix_usage_input_usage_date", "usage_input", ["usage_date", "id"])
    op.create_index("ix_asset_line_item_product", "asset_line_item", ["product"])
