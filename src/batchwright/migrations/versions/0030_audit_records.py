"""Of which records an act on several was: the acts on one are found without a look through all of them."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import PublicId

revision = "0030"
down_revision: str | None = "0029"


def upgrade() -> None:
    """Make the table, and fill it from the resets and amendments."""
    op.create_table(
        "audit_record",
        sa.Column("record_id", PublicId, nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("record_id", "entry_id", name="pk_audit_record"),
    )
    connection = op.get_bind()
    add = sa.text("INSERT INTO audit_record (record_id, entry_id) VALUES (:record_id, :entry_id)")
    acts = sa.text(
        "SELECT id, act, before FROM audit_entry"
        " WHERE act IN ('usage_input.reset', 'asset_line_item.amend') AND before IS NOT NULL"
    )
    for entry_id, act, before in connection.execute(acts).all():
        rows = [{"record_id": record_id, "entry_id": entry_id} for record_id in _records(act, before)]
        if rows:
            connection.execute(add, rows)


def _records(act: str, text: str) -> list[str]:
    """The usage inputs that an entry names; of one that somebody damaged none."""
    try:
        before = json.loads(text)
        named = before if act == "usage_input.reset" else before["usage_inputs"]
        return [record_id for record_id in named if isinstance(record_id, str) and len(record_id) <= 64]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
