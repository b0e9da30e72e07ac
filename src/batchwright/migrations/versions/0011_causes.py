"""A fire that started no run has the cause as a code, which was the first word of its reason."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision: str | None = "0010"

CAUSES = ("paused", "held", "ended", "changed", "misfire", "overlapped", "refused")


def upgrade() -> None:
    """Add the column, and fill it in one pass."""
    op.add_column(
        "schedule_fire",
        sa.Column(
            "cause", sa.String(16), nullable=True, comment="why they were not run, as a code; empty for a run"
        ),
    )
    fire = sa.table("schedule_fire", sa.column("cause"), sa.column("reason"))
    first_word = sa.case(*((fire.c.reason.startswith(cause), cause) for cause in CAUSES))
    op.execute(fire.update().where(fire.c.reason.is_not(None)).values(cause=first_word))
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column(
            "schedule_fire",
            "reason",
            existing_type=sa.Text(),
            existing_nullable=True,
            comment="why they were not run, for people; begins with the cause",
        )
