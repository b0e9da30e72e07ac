"""The audit trail as it is read: its entries, and whether anybody changed them afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, RowMapping

from batchwright.engine.store import pages
from batchwright.operations import audit_store, views
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.access.sealing import FIRST_HASH, next_hash
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.audit_store import EVERY, AuditFilter
from batchwright.operations.checks import check_limit
from batchwright.operations.paging import PAGE, Page, page_of
from batchwright.operations.views import View


def list_audit(
    app: Application,
    limit: int | None = None,
    wanted: AuditFilter = EVERY,
    *,
    actor: Actor | None = None,
) -> Iterator[View]:
    """The audit entries that are `wanted`, newest first: `entry_id, at, actor, os_user, door, credential, address, act,
    subject, reason, before, after`; the three after `os_user` are `None` of entries older than they are.
    """
    permit(app, actor, Right.ADMINISTER, "audit.list")
    check_limit(limit)
    listing = audit_store.list_audit_entries(limit, wanted)
    return map(_entry, pages.rows(app.database, listing))


def audit_page(
    app: Application,
    wanted: AuditFilter = EVERY,
    *,
    limit: int = PAGE,
    after: str | None = None,
    actor: Actor | None = None,
) -> Page[View]:
    """A page of the audit entries that are `wanted`, newest first; of a filter by several values it may be short."""
    permit(app, actor, Right.ADMINISTER, "audit.list")
    listing = audit_store.list_audit_entries(wanted=wanted)
    return page_of(
        app.database,
        "audit",
        listing,
        asdict(wanted),
        _entry,
        limit=limit,
        after=after,
        walk=audit_store.walk_of(wanted),
    )


def _entry(row: RowMapping) -> View:
    return {"entry_id": row["id"], **views.audit_entry(row)}


def verify_audit(app: Application, newest_hash: str | None = None, *, actor: Actor | None = None) -> View:
    """Compare every sealed entry with its seal, and the seals with each other.

    Args:
        newest_hash: a hash that the log of a worker shows; it has to be one of the seals. Who rewrote or cut off
            entries, seals and head alike shows only there.

    Returns:
        `sealed` (number of seals), `newest_hash`, `unsealed` (`count, first_entry_id, last_entry_id` of the entries
        that wait for a worker) and `problems`: lines of `kind` (`edited`, `missing`, `cut_off`), `entry_id` (or
        `None`) and `message`.
    """
    permit(app, actor, Right.ADMINISTER, "audit.verify")
    with app.database.read() as connection:
        chain = _Chain(newest_hash)
        for row in audit_store.sealed_entries(connection):
            chain.look(row)
        chain.end(audit_store.audit_head_row(connection))
        chain.look_beside(audit_store.marked_without_seal(connection))
        return {
            "sealed": chain.number,
            "newest_hash": chain.hash if chain.number else None,
            "unsealed": _unsealed(connection),
            "problems": chain.problems,
        }


class _Chain:
    """Walks the seals in order; a wrong seal is reported, and the next is checked against it as it is."""

    def __init__(self, wanted: str | None) -> None:
        self.number = 0
        self.hash = FIRST_HASH
        self.problems: list[View] = []
        self._wanted = wanted

    def look(self, row: RowMapping) -> None:
        """Compare the next seal with its entry and the seal before it."""
        gap = row["number"] != self.number + 1
        if gap:
            self._report("missing", None, f"{_seals(self.number + 1, row['number'] - 1)} in the chain")
        if row["id"] is None:
            self._report("missing", row["entry_id"], f"entry {row['entry_id']} was deleted")
        elif not gap and next_hash(self.hash, row["number"], dict(row)) != row["hash"]:
            message = f"entry {row['entry_id']} is not as it was sealed: it or its seal was changed"
            self._report("edited", row["entry_id"], message)
        self.number, self.hash = row["number"], row["hash"]
        if self._wanted == self.hash:
            self._wanted = None

    def end(self, head: RowMapping | None) -> None:
        """Compare the last seal with what was noted of it, and ask for the hash that somebody knows."""
        if head is None:
            self._report("missing", None, "the note of the newest seal (audit_head)")
        elif head["count"] > self.number:
            self._report("cut_off", None, f"{_seals(self.number + 1, head['count'])} at the end of the chain")
        elif (head["count"], head["hash"]) != (self.number, self.hash):
            self._report("edited", None, "the note of the newest seal (audit_head) is of another one")
        if self._wanted is not None:
            self._report("cut_off", None, f"no seal has the hash {self._wanted}")

    def look_beside(self, entry_ids: Sequence[int]) -> None:
        """Tell of entries that no sealer will take up and that have no seal."""
        for entry_id in entry_ids:
            message = (
                f"entry {entry_id} is marked as sealed and has no seal: it was added, or its seal deleted"
            )
            self._report("edited", entry_id, message)

    def _report(self, kind: str, entry_id: int | None, message: str) -> None:
        self.problems.append({"kind": kind, "entry_id": entry_id, "message": message})


def _seals(first: int, last: int) -> str:
    return f"seal {first} is missing" if first == last else f"seals {first} to {last} are missing"


def _unsealed(connection: Connection) -> dict[str, Any]:
    row = audit_store.unsealed_range(connection)
    return {"count": row["count"], "first_entry_id": row["first"], "last_entry_id": row["last"]}
