"""A run can be held, and be started to apply a preview: what the comments of two columns say."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision: str | None = "0008"


def upgrade() -> None:
    """SQLite keeps no comments."""
    if op.get_bind().dialect.name == "sqlite":
        return
    op.alter_column(
        "run",
        "trigger",
        existing_type=sa.String(16),
        existing_nullable=False,
        comment="cli, python, api, console, schedule, job, retry or apply",
    )
    op.alter_column(
        "steering",
        "asked",
        existing_type=sa.String(8),
        existing_nullable=False,
        comment="abort or pause, deleted when the run obeys or ends; or hold, deleted when it is resumed or ends",
    )
    op.alter_column(
        "steering",
        "run_id",
        existing_type=sa.BigInteger(),
        existing_nullable=False,
        comment="an active run; a paused one that is held",
    )
