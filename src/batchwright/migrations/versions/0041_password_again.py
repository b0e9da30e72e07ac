"""A session keeps when its password was given again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import UtcTime

revision = "0041"
down_revision: str | None = "0040"


def upgrade() -> None:
    """Add the column."""
    comment = "when the password was given again; empty: not since it began"
    op.add_column("user_session", sa.Column("password_at", UtcTime, comment=comment))
