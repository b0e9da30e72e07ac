"""A run counts the takeovers in a row that brought it no further."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision: str | None = "0014"


def upgrade() -> None:
    """Add the columns."""
    op.add_column(
        "run",
        sa.Column(
            "takeovers_without_progress",
            sa.Integer,
            nullable=False,
            server_default=sa.text("0"),
            comment="from dead owners, in a row, that found no more done than the one before; 0 again when it waits",
        ),
    )
    comment = "scopes that were done at the last takeover; -1 while it was being planned"
    op.add_column("run", sa.Column("progress_at_takeover", sa.Integer, nullable=True, comment=comment))
