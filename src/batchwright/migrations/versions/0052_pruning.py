"""Runs can be pruned: since when they are, which codes their records had, and which have rows that are still to go."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import UtcTime

revision = "0052"
down_revision: str | None = "0051"


def upgrade() -> None:
    """Add the columns, and the indexes by which those that may be pruned, and those that are, are found."""
    comment = "since then nobody is shown what became of its records"
    op.add_column("run", sa.Column("pruned_at", UtcTime(), comment=comment))
    comment = "JSON: outcome, code and number of the errors and skips that it had"
    op.add_column("run", sa.Column("pruned_codes", sa.Text(), comment=comment))
    comment = "it is pruned, and rows of its records are still to be deleted"
    op.add_column(
        "run",
        sa.Column("rows_left", sa.Boolean(), nullable=False, server_default=sa.false(), comment=comment),
    )
    for name, column, rows in (
        ("ix_run_ended_at", "ended_at", "ended_at IS NOT NULL AND pruned_at IS NULL"),
        ("ix_run_pruned", "ended_at", "pruned_at IS NOT NULL"),
        ("ix_run_rows_left", "id", "rows_left"),
    ):
        op.create_index(name, "run", [column], sqlite_where=sa.text(rows), postgresql_where=sa.text(rows))
    op.create_index("ix_run_warning_scope_id", "run_warning", ["scope_id"])
