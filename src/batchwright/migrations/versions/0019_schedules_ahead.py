"""A schedule notes of which recorded time ahead of the clock somebody was told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import UtcTime

revision = "0019"
down_revision: str | None = "0018"


def upgrade() -> None:
    """Add the column."""
    comment = "the time ahead of the clock of which somebody was told"
    op.add_column("schedule", sa.Column("ahead_told", UtcTime(), nullable=True, comment=comment))
