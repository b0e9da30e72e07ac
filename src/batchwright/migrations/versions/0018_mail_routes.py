"""A mail keeps the route that it was recorded for. Of mail that is there already any sender may take it, as before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision: str | None = "0017"


def upgrade() -> None:
    """Add the column."""
    comment = "how it leaves: file or smtp; empty: by whichever sender is first"
    op.add_column("mail", sa.Column("route", sa.String(16), nullable=True, comment=comment))
