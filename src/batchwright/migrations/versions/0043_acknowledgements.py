"""Who has seen what needs somebody."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import UtcTime

revision = "0043"
down_revision: str | None = "0042"

NAME = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "acknowledgement",
        sa.Column("kind", sa.String(16), nullable=False, comment="run, schedule or mail"),
        sa.Column("subject", NAME, nullable=False, comment="its id or name"),
        sa.Column("version", sa.String(32), nullable=False, comment="of what was wrong with it then"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("note", sa.Text()),
        sa.PrimaryKeyConstraint("kind", "subject", name="pk_acknowledgement"),
    )
