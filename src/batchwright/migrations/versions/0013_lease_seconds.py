"""A heartbeat says how long its owner's lease is. On SQLite it has a file of its own, which is mended when opened."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision: str | None = "0012"


def upgrade() -> None:
    """Add the column."""
    if op.get_bind().dialect.name == "postgresql":
        comment = "the owner's own lease; a peer waits for the longer of both"
        op.add_column("heartbeat", sa.Column("lease_seconds", sa.Float, nullable=True, comment=comment))
