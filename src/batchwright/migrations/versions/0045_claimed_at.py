"""When a run was last claimed: the time between the scopes of two owners does not count for the speed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import UtcTime

revision = "0045"
down_revision: str | None = "0044"


def upgrade() -> None:
    """Add the column: empty for runs that are claimed already."""
    comment = "when its owner, or the last one, made it theirs"
    op.add_column("run", sa.Column("claimed_at", UtcTime(), comment=comment))
