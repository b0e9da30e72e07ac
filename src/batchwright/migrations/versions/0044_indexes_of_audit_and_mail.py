"""The audit trail and the mail have an index for each filter of their lists, in the order of the list."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision: str | None = "0043"


def upgrade() -> None:
    """Add the indexes; those of time and act alone go, with which a new one begins."""
    for name in ("ix_audit_entry_at", "ix_audit_entry_act"):
        op.drop_index(name, "audit_entry")
    op.create_index("ix_audit_entry_at_id", "audit_entry", ["at", "id"])
    for name in ("act", "actor", "door"):
        op.create_index(f"ix_audit_entry_{name}_at_id", "audit_entry", [name, "at", "id"])
    for name in ("status", "kind"):
        op.create_index(f"ix_mail_{name}_id", "mail", [name, "id"])
    op.create_index("ix_mail_recipient_id", "mail", [sa.text("lower(recipient)"), "id"])
