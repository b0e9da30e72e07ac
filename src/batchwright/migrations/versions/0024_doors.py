"""Audit entries say by which door an act came in, and what a web door knew of who acted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision: str | None = "0023"


def upgrade() -> None:
    """Add the columns; in entries that are there they stay empty, as these were sealed without them."""
    door = "cli, python, api, console, schedule, worker; empty: before that was kept"
    op.add_column("audit_entry", sa.Column("door", sa.String(16), nullable=True, comment=door))
    credential = "what a web door knew them by: token and its number"
    op.add_column("audit_entry", sa.Column("credential", sa.Text(), nullable=True, comment=credential))
    address = "where they called a web door from"
    op.add_column("audit_entry", sa.Column("address", sa.Text(), nullable=True, comment=address))
