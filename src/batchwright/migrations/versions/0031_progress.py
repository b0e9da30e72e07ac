"""Scopes say when they were done, and indexes how far a run is and which records errored."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import UtcTime

revision = "0031"
down_revision: str | None = "0030"


def upgrade() -> None:
    """Add the column, empty for what is done already, and the indexes."""
    op.add_column("scope", sa.Column("done_at", UtcTime(), comment="when its records were through"))
    of_progress = ["run_id", "state", "number", "records", "ok", "errored", "skipped", "done_at"]
    op.create_index("ix_scope_progress", "scope", of_progress)
    op.create_index("ix_outcome_run_id_outcome_code_id", "outcome", ["run_id", "outcome", "code", "id"])
