"""A session keeps why it was ended, for the page on which its user signs in again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0049"
down_revision: str | None = "0048"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Add the column; of sessions that ended before nobody knows."""
    comment = (
        "signed_out, replaced, own, administrator, password or disabled; empty: not ended, or nobody knows"
    )
    op.add_column("user_session", sa.Column("ended_by", sa.String(16), comment=comment))
