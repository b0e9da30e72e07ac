"""What an unrating restated: Rated inputs that came after those it took back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import BigKey

revision = "0029"
down_revision: str | None = "0028"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "restatement",
        sa.Column("run_key", BigKey, nullable=False),
        sa.Column("input_key", BigKey, nullable=False),
        sa.Column("amount_before", sa.BigInteger(), nullable=False, comment="minor units"),
        sa.Column("amount_after", sa.BigInteger(), nullable=False, comment="minor units"),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.PrimaryKeyConstraint("run_key", "input_key", name="pk_restatement"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_restatement_input_key", "restatement", ["input_key"])
