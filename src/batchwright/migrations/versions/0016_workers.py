"""Each worker keeps a row that says where it runs, and which jobs it has."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import BigKey, UtcTime

revision = "0016"
down_revision: str | None = "0015"


def upgrade() -> None:
    """Make the table; workers fill it as they are started."""
    op.create_table(
        "worker",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("process", sa.BigInteger(), nullable=False, comment="its number on the host"),
        sa.Column("version", sa.String(64), nullable=False, comment="of Batchwright"),
        sa.Column("revision", sa.String(32), nullable=False, comment="of the database, as it needs it"),
        sa.Column("jobs", sa.Text(), nullable=False, comment="JSON list: names of the jobs that it has"),
        sa.Column(
            "left_runs",
            sa.Text(),
            nullable=False,
            comment="JSON: run -> why it is left to a worker that can do it",
        ),
        sa.Column("started_at", UtcTime(), nullable=False),
        sa.Column("beat_at", UtcTime(), nullable=False, comment="by the clock of its host"),
        sa.PrimaryKeyConstraint("id", name="pk_worker"),
    )
