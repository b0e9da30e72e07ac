"""The audit trail as it is read: its entries, and whether anybody changed them afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Connection, RowMapping

from batchwright.engine.errors import Refused
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

PORTION: Final = 10_000
"""Seals that are read at a time."""


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


def verify_audit(
    app: Application,
    newest_hash: str | None = None,
    *,
    after: int = 0,
    limit: int | None = None,
    seconds: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    actor: Actor | None = None,
) -> View:
    """Compare every sealed entry with its seal, and the seals with each other; some thousand in one read.

    Args:
        newest_hash: a hash that the log of a worker shows; it has to be one of the seals. Who rewrote or cut off
            entries, seals and head alike shows only there.
        after: the seal to begin after: `next_after` of the part before.
        limit: how many seals to look at in this part.
        seconds: how long, about, this part may take.
        progress: told how many seals are looked at, of how many.

    Returns:
        `sealed` (number of seals), `newest_hash` (of those looked at), `next_after` (`None` at the end), `unsealed`
        (`count, first_entry_id, last_entry_id` of the entries that wait for a worker) and `problems`: lines of `kind`
        (`edited`, `missing`, `cut_off`), `entry_id` (or `None`) and `message`. What the end of the chain, its head,
        and `newest_hash` show comes with the last part.
    """
    permit(app, actor, Right.ADMINISTER, "audit.verify")
    check_limit(limit)
    chain, left, began = _Chain(), limit, app.clock.monotonic()
    while True:
        size = PORTION if left is None else min(PORTION, left)
        with app.database.read() as connection:
            if after and not chain.number:
                chain.begin(after, audit_store.seal_hash(connection, after))
            rows = audit_store.sealed_entries(connection, chain.number or None, size + 1)
            for row in rows[:size]:
                chain.look(row)
            head = audit_store.audit_head_row(connection)
            left = None if left is None else left - size
            at_end = len(rows) <= size
            is_late = seconds is not None and app.clock.monotonic() - began > seconds
            if at_end:
                chain.end(head)
                chain.look_beside(audit_store.marked_without_seal(connection))
                if newest_hash is not None and not audit_store.is_seal(connection, newest_hash):
                    chain.report("cut_off", None, f"no seal has the hash {newest_hash}")
            sealed = chain.number if at_end or head is None else max(chain.number, head["count"])
            if at_end or left == 0 or is_late:
                return {
                    "sealed": sealed,
                    "newest_hash": chain.hash if chain.number else None,
                    "next_after": None if at_end else chain.number,
                    "unsealed": _unsealed(connection),
                    "problems": chain.problems,
                }
        if progress is not None:
            progress(chain.number, sealed)


class _Chain:
    """Walks the seals in order; a wrong seal is reported, and the next is checked against it as it is."""

    def __init__(self) -> None:
        self.number = 0
        self.hash = FIRST_HASH
        self.problems: list[View] = []

    def begin(self, number: int, known: str | None) -> None:
        """Begin after the seal of that number, as a part before has looked at it. Refuses a number that none has."""
        if known is None:
            raise Refused(
                f"there is no seal {number}", field="after", remedy="Take next_after of the part before"
            )
        self.number, self.hash = number, known

    def look(self, row: RowMapping) -> None:
        """Compare the next seal with its entry and the seal before it."""
        gap = row["number"] != self.number + 1
        if gap:
            self.report("missing", None, f"{_seals(self.number + 1, row['number'] - 1)} in the chain")
        if row["id"] is None:
            self.report("missing", row["entry_id"], f"entry {row['entry_id']} was deleted")
        elif not gap and next_hash(self.hash, row["number"], dict(row)) != row["hash"]:
            message = f"entry {row['entry_id']} is not as it was sealed: it or its seal was changed"
            self.report("edited", row["entry_id"], message)
        self.number, self.hash = row["number"], row["hash"]

    def end(self, head: RowMapping | None) -> None:
        """Compare the last seal with what was noted of it."""
        if head is None:
            self.report("missing", None, "the note of the newest seal (audit_head)")
        elif head["count"] > self.number:
            self.report("cut_off", None, f"{_seals(self.number + 1, head['count'])} at the end of the chain")
        elif (head["count"], head["hash"]) != (self.number, self.hash):
            self.report("edited", None, "the note of the newest seal (audit_head) is of another one")

    def look_beside(self, entry_ids: Sequence[int]) -> None:
        """Tell of entries that no sealer will take up and that have no seal."""
        for entry_id in entry_ids:
            message = (
                f"entry {entry_id} is marked as sealed and has no seal: it was added, or its seal deleted"
            )
            self.report("edited", entry_id, message)

    def report(self, kind: str, entry_id: int | None, message: str) -> None:
        """Note what is wrong."""
        self.problems.append({"kind": kind, "entry_id": entry_id, "message": message})


def _seals(first: int, last: int) -> str:
    return f"seal {first} is missing" if first == last else f"seals {first} to {last} are missing"


def _unsealed(connection: Connection) -> dict[str, Any]:
    row = audit_store.unsealed_range(connection)
    return {"count": row["count"], "first_entry_id": row["first"], "last_entry_id": row["last"]}
