"""The audit trail: who did what, when, why, and what it changed. One entry per act, in the act's transaction."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from batchwright.operations import audit_store
from batchwright.operations.actor import Actor

ALL_SCHEDULES: Final = "all schedules"
"""The subject of what holds all of them, and releases them."""


class Entry(NamedTuple):
    """The one entry of an act.

    `act` is what was done, a noun and a verb: "usage_input.edit"; `subject` the id of what it was done to, or their
    number, see `subject_of`; `before` and `after` what of it changed, as JSON values (an import gives file hashes
    and counts). `records` are the ids or names of what an act on several was done to.
    """

    actor: Actor
    act: str
    subject: str
    now: datetime
    reason: str | None = None
    before: Any = None
    after: Any = None
    records: Sequence[str] = ()


def record(
    connection: Connection,
    actor: Actor,
    act: str,
    subject: str,
    *,
    reason: str | None = None,
    before: Any = None,
    after: Any = None,
    records: Sequence[str] = (),
    now: datetime,
) -> None:
    """Write the one entry of an act, see `Entry`."""
    record_all(connection, [Entry(actor, act, subject, now, reason, before, after, records)])


def record_all(connection: Connection, entries: Iterable[Entry]) -> None:
    """Write the entries of several acts, in their order."""
    for are_several, group in groupby(entries, key=lambda entry: bool(entry.records)):
        if not are_several:
            audit_store.add_audit_entries(connection, [_row(entry) for entry in group])
            continue
        for entry in group:
            audit_store.add_audit_entry(connection, _row(entry), entry.records)


def subject_of(ids: Sequence[str], noun: str) -> str:
    """The one id, or how many there are: "IN-00000042", "3 usage inputs"."""
    return ids[0] if len(ids) == 1 else f"{len(ids)} {noun}s"


def _row(entry: Entry) -> dict[str, Any]:
    principal = entry.actor.principal
    return {
        "at": entry.now,
        "actor": entry.actor.name,
        "os_user": entry.actor.os_user,
        "door": entry.actor.door,
        "credential": principal and principal.credential,
        "address": principal and principal.address,
        "act": entry.act,
        "subject": entry.subject,
        "reason": entry.reason,
        "before": _json(entry.before),
        "after": _json(entry.after),
    }


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(_redacted(value), ensure_ascii=False)


_ADDRESS: Final = re.compile(r"^.*?://(?:[^/?#]*@)?([\w.:\[\]-]*).*$", re.DOTALL)


def _redacted(value: Any, name: str = "") -> Any:
    """What the trail tells: of a ping's address no more than its host, since who knows the rest can call it, too."""
    if isinstance(value, dict):
        return {key: _redacted(one, name if name == "ping" else key) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(one) for one in value]
    is_address = name == "ping" and isinstance(value, str)
    return _ADDRESS.sub(r"\1, rest not kept", value) if is_address else value
