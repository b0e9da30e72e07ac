"""The key by which links in mail are signed."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import BigKey

revision = "0040"
down_revision: str | None = "0039"


def upgrade() -> None:
    """Make the table with its row."""
    table = op.create_table(
        "signing_key",
        sa.Column("id", BigKey, nullable=False, comment="always 1"),
        sa.Column("value", sa.String(64), nullable=False, comment="256 random bits in hex"),
        sa.PrimaryKeyConstraint("id", name="pk_signing_key"),
    )
    op.bulk_insert(table, [{"id": 1, "value": secrets.token_hex(32)}])
