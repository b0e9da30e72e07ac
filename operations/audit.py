"""The audit trail: who did what, when, why, and what it changed. One entry per act, in the act's transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from operations import records
from operations.actor import Actor


def record(
    connection: Connection,
    *,
    actor: Actor,
    act: str,
    subject: str,
    reason: str | None = None,
    before: Any = None,
    after: Any = None,
    now: datetime,
) -> None:
    """Write the one entry of an act.

    Args:
        act: what was done, a noun and a verb: "usage_input.edit".
        subject: the id of what it was done to, or their number, see `subject_of`.
        before, after: what of it changed, as JSON values; an import gives file hashes and counts.
    """
    records.add_audit_entry(
        connection,
        {
            "at": now,
            "actor": actor.name,
            "os_user": actor.os_user,
            "act": act,
            "subject": subject,
            "reason": reason,
            "before": _json(before),
            "after": _json(after),
        },
    )


def subject_of(ids: Sequence[str], noun: str) -> str:
    """The one id, or how many there are: "IN-00000042", "3 usage inputs"."""
    return ids[0] if len(ids) == 1 else f"{len(ids)} {noun}s"


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)
