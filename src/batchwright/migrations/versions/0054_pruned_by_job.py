"""Of each job is found soon when its last pruned run ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision: str | None = "0053"


def upgrade() -> None:
    """The index of pruned runs has their job, too."""
    op.drop_index("ix_run_pruned", "run")
    pruned = sa.text("pruned_at IS NOT NULL")
    op.create_index("ix_run_pruned", "run", ["job", "ended_at"], sqlite_where=pruned, postgresql_where=pruned)
