"""Indexes by which billing schedules are listed: all in order, and those in one status."""

from __future__ import annotations

from alembic import op

revision = "0026"
down_revision: str | None = "0025"

LISTED = ["asset_key", "period_start_date", "id", "period_end_date", "ready_for_invoice_date"]


def upgrade() -> None:
    """Add the indexes; the first begins as that by asset alone does, which goes."""
    op.create_index("ix_billing_schedule_listing", "billing_schedule", LISTED)
    op.create_index("ix_billing_schedule_status", "billing_schedule", ["status", *LISTED])
    op.drop_index("ix_billing_schedule_asset_key", "billing_schedule")
