"""A selection keeps the counts and sums that were told of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision: str | None = "0037"


def upgrade() -> None:
    """Add the column; selections of before are good for no page, and expire within the hour."""
    comment = "JSON: counts and sums, as they were told"
    op.add_column("input_selection", sa.Column("figures", sa.Text(), comment=comment))
