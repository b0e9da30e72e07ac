"""What a worker takes of its machine and of the database, so that somebody sees it grow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0051"
down_revision: str | None = "0050"
branch_labels: str | None = None
depends_on: str | None = None

_COLUMNS = {
    "processes": "it and its children; this and what follows as its host says",
    "rss_bytes": "memory of all of them, what they share for each",
    "pss_bytes": "the same, what they share once",
    "connections": "to the database, of all of them",
}


def upgrade() -> None:
    """Add the columns: empty until each worker beats again."""
    for name, comment in _COLUMNS.items():
        op.add_column("worker", sa.Column(name, sa.BigInteger(), comment=comment))
