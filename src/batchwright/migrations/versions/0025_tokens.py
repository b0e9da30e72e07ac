"""Several tokens for each user, each with a name, an end and the role that it is held to."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import BigKey, UtcTime

revision = "0025"
down_revision: str | None = "0024"

NAME = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
_USER = sa.table("app_user", sa.column("id", sa.BigInteger), sa.column("token_hash", sa.String))


def upgrade() -> None:
    """Make the table; the token that a user has goes on under the name `first`, for a year from now."""
    hashes = {_USER.c.token_hash: "hash", _USER.c.id: "user_id"}
    had = sa.select(*(column.label(name) for column, name in hashes.items())).where(
        _USER.c.token_hash.is_not(None)
    )
    rows = op.get_bind().execute(had).mappings().all()
    with op.batch_alter_table("app_user") as table:
        table.drop_constraint("uq_app_user_token_hash", type_="unique")
        table.drop_column("token_hash")
    made = op.create_table(
        "user_token",
        sa.Column("id", BigKey, nullable=False, comment="given once, also on SQLite: audit entries name it"),
        sa.Column("user_id", BigKey, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, comment="SHA-256"),
        sa.Column("prefix", sa.String(16), nullable=True, comment="its first characters, to tell it by"),
        sa.Column(
            "role", sa.String(32), nullable=True, comment="what it allows at most; empty: all its user may"
        ),
        sa.Column("created_at", UtcTime(), nullable=True, comment="empty: before that was kept"),
        sa.Column("created_by", sa.Text(), nullable=True, comment="who made it, as claimed"),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("told_at", UtcTime(), nullable=True, comment="when its user was told that it expires"),
        sa.Column("last_used_at", UtcTime(), nullable=True, comment="to the hour"),
        sa.Column("revoked_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_token")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.id"], name=op.f("fk_user_token_user_id"), ondelete="CASCADE"
        ),
        sa.UniqueConstraint("hash", name=op.f("uq_user_token_hash")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_user_token_user_id"), "user_token", ["user_id"])
    if rows:
        expires_at = _a_year_after(datetime.now(UTC))
        op.bulk_insert(made, [{**row, "name": "first", "expires_at": expires_at} for row in rows])


def _a_year_after(now: datetime) -> datetime:
    try:
        return now.replace(year=now.year + 1)
    except ValueError:  # 29 February
        return now.replace(year=now.year + 1, day=28)
