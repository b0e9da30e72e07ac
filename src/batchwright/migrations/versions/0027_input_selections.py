"""Selections of usage inputs: the keys that matched a filter, for an act on just these."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import BigKey, PublicId, UtcTime

revision = "0027"
down_revision: str | None = "0026"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "input_selection",
        sa.Column("id", BigKey, nullable=False),
        sa.Column("selection_id", PublicId, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False, comment="who made it, and alone may use it"),
        sa.Column("filter", sa.Text(), nullable=False, comment="as people write it"),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column(
            "loaded",
            sa.LargeBinary(),
            nullable=False,
            comment="64-bit little-endian keys, rising, of Loaded ones",
        ),
        sa.Column("rated", sa.LargeBinary(), nullable=False, comment="the same of Rated ones"),
        sa.Column("errored", sa.LargeBinary(), nullable=False, comment="the same of those in Error"),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("expires_at", UtcTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_input_selection"),
        sa.UniqueConstraint("selection_id", name="uq_input_selection_selection_id"),
    )
    op.create_index("ix_input_selection_expires_at", "input_selection", ["expires_at"])
    # Megabytes that nobody reads often: no time is spent on packing them.
    if op.get_bind().dialect.name == "postgresql":
        for column in ("loaded", "rated", "errored"):
            op.execute(f"ALTER TABLE input_selection ALTER COLUMN {column} SET STORAGE EXTERNAL")
