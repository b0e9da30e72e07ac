"""What browsers are signed in with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import BigKey, UtcTime

revision = "0035"
down_revision: str | None = "0034"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "user_session",
        sa.Column("id", BigKey, nullable=False, comment="given once, also on SQLite: audit entries name it"),
        sa.Column("user_id", BigKey, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, comment="SHA-256 of what the cookie holds"),
        sa.Column("address", sa.Text(), nullable=False, comment="where they signed in from"),
        sa.Column("browser", sa.String(200), comment="what it calls itself"),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("last_used_at", UtcTime, nullable=False, comment="to the minute"),
        sa.Column("expires_at", UtcTime, nullable=False, comment="whatever its use"),
        sa.Column("ended_at", UtcTime, comment="signed out, or ended by somebody"),
        sa.PrimaryKeyConstraint("id", name="pk_user_session"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.id"], name="fk_user_session_user_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("hash", name="uq_user_session_hash"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_user_session_user_id", "user_session", ["user_id"])
