"""A dry run also foretells what its end would write: a preview line of no scope, named by more than one id."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision: str | None = "0009"

_ID = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
_NAME = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def upgrade() -> None:
    """SQLite changes a column by copying the table."""
    with op.batch_alter_table("preview_line") as table:
        table.alter_column(
            "scope_id",
            existing_type=sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=True,
            comment="empty for what finish would write",
        )
        table.alter_column("record_id", existing_type=_ID, type_=_NAME, existing_nullable=False)
