"""Indexes for statements that read whole tables, and room in PostgreSQL for rows that each forecast rewrites."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision: str | None = "0011"

# Half of a page stays free, so that a forecast's new version of a row fits beside the old one and no index is touched;
# and such tables are vacuumed after one row in fifty has changed, not after one in five.
REWRITTEN = ("usage_input", "usage_schedule")
SETTINGS = "fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02"


def upgrade() -> None:
    """Add the indexes; rows that are there already move into roomy pages as they are rewritten."""
    begun = sa.text("coalesce(started_at, created_at)")
    op.create_index("ix_run_begun", "run", [begun, "id"])
    op.create_index("ix_run_job_begun", "run", ["job", begun, "id"])
    of_groups = ["run_id", "last_group", "first_group"]
    op.create_index("ix_scope_run_id_last_group_first_group", "scope", of_groups)
    op.create_index("ix_audit_entry_subject", "audit_entry", ["subject"])
    op.create_index("ix_audit_entry_act", "audit_entry", ["act"])
    if op.get_bind().dialect.name == "postgresql":
        for table in REWRITTEN:
            op.execute(f"ALTER TABLE {table} SET ({SETTINGS})")
