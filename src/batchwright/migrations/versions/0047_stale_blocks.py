"""A block of the forecast that has changed keeps what it came to until it is added up anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import UtcTime

revision = "0047"
down_revision: str | None = "0046"


def upgrade() -> None:
    """Add the column; what is added up already is good."""
    comment = "when a change of it was first seen"
    with op.batch_alter_table("forecast_block") as table:
        table.add_column(sa.Column("stale_since", UtcTime(), nullable=True, comment=comment))
