"""The index of starts has the keys of the runs, so that what started since is found without their rows."""

from __future__ import annotations

from alembic import op

revision = "0036"
down_revision: str | None = "0035"


def upgrade() -> None:
    """Make the index anew on PostgreSQL; on SQLite every index has the keys."""
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("ix_run_start_number", "run")
        op.create_index(
            "ix_run_start_number", "run", ["start_number"], unique=True, postgresql_include=["id"]
        )
