"""The audit trail: who did what, when, why, and what it changed. One entry per act, in the act's transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NotRequired, TypedDict, Unpack

from sqlalchemy import Connection

from batchwright.operations import audit_store
from batchwright.operations.actor import Actor


class Entry(TypedDict):
    """The one entry of an act.

    `act` is what was done, a noun and a verb: "usage_input.edit"; `subject` the id of what it was done to, or their
    number, see `subject_of`; `before` and `after` what of it changed, as JSON values (an import gives file hashes
    and counts).
    """

    actor: Actor
    act: str
    subject: str
    reason: NotRequired[str | None]
    before: NotRequired[Any]
    after: NotRequired[Any]
    now: datetime


def record(connection: Connection, **entry: Unpack[Entry]) -> None:
    """Write the one entry of an act."""
    record_all(connection, [entry])


def record_all(connection: Connection, entries: Iterable[Entry]) -> None:
    """Write the entries of several acts, in their order."""
    audit_store.add_audit_entries(connection, [_row(entry) for entry in entries])


def subject_of(ids: Sequence[str], noun: str) -> str:
    """The one id, or how many there are: "IN-00000042", "3 usage inputs"."""
    return ids[0] if len(ids) == 1 else f"{len(ids)} {noun}s"


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "at": entry["now"],
        "actor": entry["actor"].name,
        "os_user": entry["actor"].os_user,
        "act": entry["act"],
        "subject": entry["subject"],
        "reason": entry.get("reason"),
        "before": _json(entry.get("before")),
        "after": _json(entry.get("after")),
    }


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)
