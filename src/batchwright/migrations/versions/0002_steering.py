"""What somebody asks of an active run, and one live run for each dedup key of a job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import BigKey, UtcTime

revision = "0002"
down_revision: str | None = "0001"

LIVE_DEDUP_KEY = "dedup_key IS NOT NULL AND state NOT IN ('Completed', 'Failed', 'Aborted')"


def upgrade() -> None:
    """Add the column, its partial unique index, and the table of what is asked."""
    op.add_column(
        "run",
        sa.Column(
            "dedup_key",
            sa.Text(),
            nullable=True,
            comment="of a job's runs that have not ended, one at most has it",
        ),
    )
    op.create_index(
        "ix_run_job_dedup_key",
        "run",
        ["job", "dedup_key"],
        unique=True,
        sqlite_where=sa.text(LIVE_DEDUP_KEY),
        postgresql_where=sa.text(LIVE_DEDUP_KEY),
    )
    op.create_table(
        "steering",
        sa.Column("run_id", BigKey, nullable=False, comment="an active run"),
        sa.Column(
            "asked",
            sa.String(length=8),
            nullable=False,
            comment="abort or pause; deleted when the run obeys or ends",
        ),
        sa.Column("actor", sa.Text(), nullable=False, comment="who asked, as claimed"),
        sa.Column("asked_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_steering_run_id")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_steering")),
    )
