"""What calls with an `Idempotency-Key` were answered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import BigKey, PublicId, UtcTime

revision = "0033"
down_revision: str | None = "0032"

KEY = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "keyed_call",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("user_id", BigKey, nullable=False),
        sa.Column("key", KEY, nullable=False, comment="as the caller chose it"),
        sa.Column("fingerprint", sa.String(64), nullable=False, comment="SHA-256 of what was asked"),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("run_id", PublicId, comment="of a synchronous run that was begun for it"),
        sa.Column(
            "status",
            sa.Integer(),
            comment="of the answer; empty: the run is still at work, or its process is gone",
        ),
        sa.Column("headers", sa.Text(), comment="JSON"),
        sa.Column("body", sa.LargeBinary(), comment="as it was sent; empty where it held a secret"),
        sa.PrimaryKeyConstraint("id", name="pk_keyed_call"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.id"], name="fk_keyed_call_user_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("user_id", "key", name="uq_keyed_call_user_id_key"),
    )
    op.create_index("ix_keyed_call_created_at", "keyed_call", ["created_at"])
