"""What is still to be said of a schedule's times: that a run is late, or that it has succeeded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import BigKey, PublicId, UtcTime

revision = "0007"
down_revision: str | None = "0006"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "schedule_watch",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("schedule_id", BigKey, nullable=False),
        sa.Column("nominal_time", UtcTime(), nullable=False),
        sa.Column("last_nominal_time", UtcTime(), nullable=False),
        sa.Column(
            "count", sa.BigInteger(), nullable=False, comment="nominal times that were not run; 1 for a run"
        ),
        sa.Column("run_id", PublicId, nullable=True, comment="empty: they were not run"),
        sa.Column("reason", sa.Text(), nullable=True, comment="why they were not run"),
        sa.Column(
            "start_by",
            UtcTime(),
            nullable=True,
            comment="somebody is told when it has not started by then; emptied when it has, or they are",
        ),
        sa.Column("finish_by", UtcTime(), nullable=True, comment="the same of its end"),
        sa.Column(
            "ping",
            sa.Text(),
            nullable=True,
            comment="address to call when it has succeeded; emptied when that is done",
        ),
        sa.Column("pings", sa.Integer(), nullable=False, comment="calls that were begun"),
        sa.Column("ping_at", UtcTime(), nullable=True, comment="not before; raised before each call"),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedule.id"], name=op.f("fk_schedule_watch_schedule_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_watch")),
        sa.UniqueConstraint(
            "schedule_id", "nominal_time", name=op.f("uq_schedule_watch_schedule_id_nominal_time")
        ),
    )
