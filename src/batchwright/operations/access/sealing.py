"""The chain over the audit trail: each entry's seal is a hash of it and of the seal before it.

Seals are numbered as they are made, not as the entries are: on PostgreSQL an entry with a lower id may commit later
than one with a higher, and is then sealed after it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import structlog

from batchwright.operations import audit_store
from batchwright.operations.app import Application
from batchwright.operations.views import instant

FIRST_HASH: Final = "0" * 64
"""What stands before the first seal; also in migrations/versions/0005_users.py."""

AT_ONCE = 1000
"""Entries sealed in one transaction."""

LATER: Final = ("door", "credential", "address")
"""Columns that came after the first seals."""

log = structlog.get_logger()


def next_hash(previous: str, number: int, entry: Mapping[str, Any]) -> str:
    """The seal of an entry: SHA-256, in hexadecimal, of the seal before it, its number and every column.

    Entries of a time before `LATER` were sealed before these columns existed: they are empty, and a value put in shows.
    """
    columns = ("actor", "os_user", "act", "subject", "reason", "before", "after")
    at = entry["at"]
    shown = instant(at) if isinstance(at, datetime) else at
    values = [previous, number, entry["id"], shown, *(entry[column] for column in columns)]
    later = [entry[column] for column in LATER]
    if any(value is not None for value in later):
        values += later
    return sha256(json.dumps(values, separators=(",", ":"), default=_blob).encode()).hexdigest()


def _blob(value: object) -> dict[str, str]:
    """What SQLite takes in a column of text, too: in a form that no text has."""
    return {"blob": value.hex() if isinstance(value, bytes) else repr(value)}


def seal_committed(app: Application) -> int:
    """Seal every entry that is committed and has no seal, log the newest hash, and return how many they were."""
    sealed = 0
    while batch := _seal_some(app):
        sealed += batch
    return sealed


def _seal_some(app: Application) -> int:
    with app.database.read() as connection:
        if not audit_store.unsealed_entries(connection, 1):
            return 0
    with app.database.write() as connection:
        head = audit_store.audit_head_row(connection, lock=True)
        if head is None and audit_store.audit_head_row(connection) is not None:
            return 0  # another seals; what it leaves is sealed at the next look
        if head is None:
            log.error(
                "the head of the audit chain is gone; nothing is sealed: run `batchwright audit verify`"
            )
            return 0
        previous, seals = head["hash"], []
        for number, entry in enumerate(
            audit_store.unsealed_entries(connection, AT_ONCE), start=head["count"] + 1
        ):
            previous = next_hash(previous, number, dict(entry))
            seals.append({"number": number, "entry_id": entry["id"], "hash": previous})
        if seals:
            audit_store.add_seals(connection, seals)
    if seals:
        log.info("audit sealed", entries=len(seals), seals=seals[-1]["number"], newest_hash=previous)
    return len(seals)
