"""Runs have the column they are listed by, and a number for each start; their log has an index for each filter."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import UtcTime

revision = "0028"
down_revision: str | None = "0027"

FILTERS = ("state", "job", "customer_id", "actor", "schedule", "trigger")


def upgrade() -> None:
    """Number the starts there have been in their order; replace indexes that are the beginning of a new one."""
    # SQLite can add such a column only if it is computed when it is read, PostgreSQL indexes only one that is stored.
    stored = op.get_bind().dialect.name == "postgresql"
    begun = sa.Computed("coalesce(started_at, created_at)", persisted=stored)
    comment = "by what runs are listed: start, or creation while it waits"
    op.add_column("run", sa.Column("begun_at", UtcTime(), begun, comment=comment))
    comment = "1, 2, 3 … in the order in which runs were committed as started"
    op.add_column("run", sa.Column("start_number", sa.BigInteger(), comment=comment))
    op.execute(
        "UPDATE run SET start_number = numbered.place FROM"
        " (SELECT id, row_number() OVER (ORDER BY started_at, id) AS place FROM run WHERE started_at IS NOT NULL)"
        " AS numbered WHERE numbered.id = run.id"
    )
    for name in ("ix_run_begun", "ix_run_job_begun", "ix_run_state", "ix_run_schedule_live"):
        op.drop_index(name, "run")
    in_order = ["begun_at", "id"]
    op.create_index("ix_run_begun_at_id", "run", in_order)
    for name in FILTERS:
        op.create_index(f"ix_run_{name}_begun_at_id", "run", [name, *in_order])
    _create_partial("ix_run_begun_at_id_periods", [*in_order, "periods"], "periods IS NOT NULL")
    _create_partial("ix_run_begun_at_id_errored", in_order, "errored > 0")
    live = "schedule IS NOT NULL AND state NOT IN ('Completed', 'Failed', 'Aborted')"
    _create_partial("ix_run_schedule_live", ["schedule", "state"], live)
    op.create_index("ix_run_start_number", "run", ["start_number"], unique=True)


def _create_partial(name: str, columns: list[str], only: str) -> None:
    where = sa.text(only)
    op.create_index(name, "run", columns, sqlite_where=where, postgresql_where=where)
