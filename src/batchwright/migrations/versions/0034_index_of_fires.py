"""The fires of schedules have an index by when they were recorded: what is measured looks at the last hour."""

from __future__ import annotations

from alembic import op

revision = "0034"
down_revision: str | None = "0033"


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_schedule_fire_recorded_at", "schedule_fire", ["recorded_at"])
