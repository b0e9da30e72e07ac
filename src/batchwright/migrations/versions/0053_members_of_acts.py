"""An act on several is found by each of them: also by the name of a schedule, which may be longer than an id."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from alembic import op

from batchwright.engine.store.types import PublicId, PublicName

revision = "0053"
down_revision: str | None = "0052"

ACTS = "schedule.apply", "usage_input.delete", "billing_schedule.set_status", "import"


def upgrade() -> None:
    """Make room for names, and add the members of the acts that had none."""
    with op.batch_alter_table("audit_record") as table:
        table.alter_column("record_id", type_=PublicName, existing_type=PublicId, existing_nullable=False)
    connection = op.get_bind()
    entry = sa.table("audit_entry", *map(sa.column, ("id", "act", "before", "after")))
    record = sa.table("audit_record", sa.column("record_id"), sa.column("entry_id"))
    ids = connection.scalars(sa.select(entry.c.id).where(entry.c.act.in_(ACTS)).order_by(entry.c.id)).all()
    for an_id in ids:
        row = connection.execute(sa.select(entry).where(entry.c.id == an_id)).one()
        rows = [{"record_id": name, "entry_id": an_id} for name in _members(row.act, row.before, row.after)]
        if rows:
            connection.execute(record.insert(), rows)
    connection.execute(
        sa.text(
            "INSERT INTO audit_record (record_id, entry_id) SELECT run.run_id, audit_entry.id"
            " FROM run JOIN audit_entry ON audit_entry.at = run.pruned_at WHERE audit_entry.act = 'run.prune'"
        )
    )


def _members(act: str, before: str | None, after: str | None) -> set[str]:
    """What an entry names; of one that somebody damaged nothing."""
    try:
        named = list(_named(act, json.loads(before or "null"), json.loads(after or "null")))
    except (ValueError, TypeError, KeyError, RecursionError):
        return set()
    return {name for name in named if isinstance(name, str) and len(name) <= 255}


def _named(act: str, before: Any, after: Any) -> Iterable[Any]:
    if act == "schedule.apply":
        return [*after["added"], *after["changed"], *after["removed"]]
    if act == "import":
        return [file["file"] for file in after["files"]]
    return before if act == "billing_schedule.set_status" else [one["usage_input_id"] for one in before]
