"""An index of the usage inputs in Error: each rating counts those that it leaves behind."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision: str | None = "0016"

IN_ERROR = sa.text("NOT deleted AND status = 'Error'")


def upgrade() -> None:
    """Make the index; it is small, as errors are few."""
    op.create_index(
        "ix_usage_input_error",
        "usage_input",
        ["asset_key", "id"],
        sqlite_where=IN_ERROR,
        postgresql_where=IN_ERROR,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_usage_input_error", "usage_input")
