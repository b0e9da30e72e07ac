"""How far the clock of a worker's host is from the database's, so that somebody is told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision: str | None = "0045"


def upgrade() -> None:
    """Add the column: empty until each worker beats again, and on SQLite, which has no clock of its own."""
    comment = "of the clock of its host, of that of the database's server"
    op.add_column("worker", sa.Column("clock_ahead_seconds", sa.Float(), comment=comment))
