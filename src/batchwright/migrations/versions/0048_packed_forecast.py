"""Sums of the forecast are kept in another form, of which one reads no more than one wants."""

from __future__ import annotations

from alembic import op

revision = "0048"
down_revision: str | None = "0047"


def upgrade() -> None:
    """Forget what is kept; upkeep adds it up again."""
    op.execute("DELETE FROM forecast_block")
