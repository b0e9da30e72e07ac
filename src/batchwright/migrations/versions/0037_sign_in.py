"""Tries to sign in, and links that are good once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import BigKey, UtcTime

revision = "0037"
down_revision: str | None = "0036"

NAME = sa.String(254).with_variant(sa.String(254, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "sign_in_try",
        sa.Column("hash", sa.String(64), nullable=False, comment="SHA-256 of what the tries are counted for"),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("last_at", UtcTime, nullable=False),
        sa.Column("free_at", UtcTime, nullable=False, comment="before that no other try is taken"),
        sa.PrimaryKeyConstraint("hash", name="pk_sign_in_try"),
    )
    op.create_index("ix_sign_in_try_last_at", "sign_in_try", ["last_at"])
    op.create_table(
        "one_time_link",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, comment="SHA-256 of what the link ends with"),
        sa.Column(
            "user_id", BigKey, comment="whose password it sets; empty: it makes the first administrator"
        ),
        sa.Column("os_user", NAME, comment="who the first administrator is for the operating system"),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("expires_at", UtcTime, nullable=False),
        sa.Column("used_at", UtcTime),
        sa.PrimaryKeyConstraint("id", name="pk_one_time_link"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.id"], name="fk_one_time_link_user_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("hash", name="uq_one_time_link_hash"),
    )
    op.create_index("ix_one_time_link_user_id", "one_time_link", ["user_id"])
