"""The audit trail as it is read: its entries, and whether anybody changed them afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, RowMapping

from batchwright.config.texts import without_middle
from batchwright.engine.errors import Refused
from batchwright.engine.store import pages
from batchwright.operations import audit_store, user_store, views
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.access.sealing import FIRST_HASH, next_hash
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.audit_store import EVERY, AuditFilter
from batchwright.operations.checks import check_limit
from batchwright.operations.paging import PAGE, PART_SECONDS, Page, carried_by, carrying, page_of
from batchwright.operations.views import View

PORTION: Final = 500
"""Seals that are read at a time."""
UNSEALED_COUNTED: Final = 10_000
PROBLEMS_CARRIED: Final = 20
GOOD_FOR: Final = timedelta(days=1)
"""So long after its beginning a check may go on."""
VERIFYING: Final = "audit verify"


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
    """Compare sealed entries with their seals, and the seals with each other: all, or a part.

    Args:
        newest_hash: a hash that the log of a worker shows; it has to be one of the seals. Who rewrote or cut off
            entries, seals and head alike shows only there.
        after: the seal to begin after: `next_after` of the part before.
        limit: how many seals to look at in this part.
        seconds: how long, about, this part may take.
        progress: told how many seals are looked at, of how many.

    Returns:
        `sealed` (number of seals), `newest_hash` (of those looked at), `next_after` (`None` at the end), `unsealed`
        (`count, more, first_entry_id, last_entry_id` of the entries that wait for a worker; of a part counted to
        10,000, and whether there are `more`) and `problems`: lines of `kind` (`edited`, `missing`, `cut_off`),
        `entry_id` (or `None`) and `message`. What the end of the chain, its head, and `newest_hash` show comes with the
        last part.
    """
    permit(app, actor, Right.ADMINISTER, "audit.verify")
    check_limit(limit)
    chain = _Chain(newest_hash)
    if after:
        with app.database.read() as connection:
            chain.begin(after, audit_store.seal(connection, after))
    return _verified(app, chain, limit, seconds, progress)


def verify_audit_in_parts(
    app: Application, newest_hash: str | None = None, *, after: str | None = None, actor: Actor | None = None
) -> View:
    """The next part of the same, of a tenth of a second, about; and what all parts so far came to.

    Returns what `verify_audit` does, of all parts so far: `next_after` is the cursor of the next part, `problems` are
    the first twenty, `problem_count` is how many there are; `checked` seals are looked at, and that was from `began` to
    `ended`. Refuses a cursor that was made elsewhere, with another `newest_hash`, or in a check that began a day ago.
    """
    permit(app, actor, Right.ADMINISTER, "audit.verify")
    with app.database.read() as connection:
        key = user_store.key_of_links(connection)
    wanted, began = {"newest_hash": newest_hash}, views.instant(app.clock.now())
    chain, count = _Chain(newest_hash), 0
    if after is not None:
        state, count, began = carried_by(after, key, VERIFYING, wanted)
        # What it found then may be otherwise by now.
        if app.clock.now() - datetime.fromisoformat(began) > GOOD_FOR:
            raise Refused(f"this check began {began}", field="after", remedy="Leave it out to begin anew")
        chain = _Chain(newest_hash, **state)
    count -= len(chain.problems)
    found = _verified(app, chain, seconds=PART_SECONDS)
    count += len(chain.problems)
    chain.problems = chain.problems[:PROBLEMS_CARRIED]
    following = found["next_after"]
    if following is not None:
        state = {name: value for name, value in asdict(chain).items() if name != "known"}
        following = carrying(key, VERIFYING, wanted, [state, count, began])
    return {
        **found,
        "next_after": following,
        "problems": chain.problems,
        "problem_count": count,
        "checked": chain.number,
        "began": began,
        "ended": views.instant(app.clock.now()),
    }


def _verified(
    app: Application,
    chain: _Chain,
    limit: int | None = None,
    seconds: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> View:
    """Go on along the chain: some seals in one read, until that is enough."""
    left, began, is_part = limit, app.clock.monotonic(), limit is not None or seconds is not None
    while True:
        size = PORTION if left is None else min(PORTION, left)
        with app.database.read() as connection:
            rows = audit_store.sealed_entries(connection, chain.number or None, size + 1)
            beside = chain.highest
            for row in rows[:size]:
                chain.look(row)
            head = audit_store.audit_head_row(connection)
            left = None if left is None else left - size
            at_end = len(rows) <= size
            is_late = seconds is not None and app.clock.monotonic() - began > seconds
            chain.look_beside(connection, beside, None if at_end else chain.highest)
            if at_end:
                chain.end(head)
                chain.look_for_known(connection)
            sealed = chain.number if at_end or head is None else max(chain.number, head["count"])
            if at_end or left == 0 or is_late:
                return {
                    "sealed": sealed,
                    "newest_hash": chain.hash if chain.number else None,
                    "next_after": None if at_end else chain.number,
                    "unsealed": _unsealed(connection, UNSEALED_COUNTED if is_part else None),
                    "problems": chain.problems,
                }
        if progress is not None:
            progress(chain.number, sealed)


@dataclass
class _Chain:
    """Walks the seals in order; a wrong seal is reported, and the next is checked against it as it is.

    Attributes:
        known: a hash that one of them has to have, and `is_seen`: one of those looked at has it.
        number, hash: of the last one looked at.
        highest: id of an entry, up to which also entries without a seal are looked at.
        is_whole: it began at the first seal.
    """

    known: str | None
    is_seen: bool = False
    number: int = 0
    hash: str = FIRST_HASH
    highest: int | None = None
    is_whole: bool = True
    problems: list[View] = field(default_factory=list)

    def begin(self, number: int, seal: RowMapping | None) -> None:
        """Begin after the seal of that number, as a part before has looked at it. Refuses a number that none has."""
        if seal is None:
            raise Refused(
                f"there is no seal {number}", field="after", remedy="Take next_after of the part before"
            )
        self.number, self.hash, self.is_whole = number, seal["hash"], False
        self.highest = seal["entry_id"] if isinstance(seal["entry_id"], int) else None

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
        if row["id"] is not None:  # of the entry itself: the seal may say anything
            self.highest = max(row["id"], self.highest or row["id"])
        self.is_seen = self.is_seen or self.hash == self.known

    def end(self, head: RowMapping | None) -> None:
        """Compare the last seal with what was noted of it."""
        if head is None:
            self.report("missing", None, "the note of the newest seal (audit_head)")
        elif head["count"] > self.number:
            self.report("cut_off", None, f"{_seals(self.number + 1, head['count'])} at the end of the chain")
        elif (head["count"], head["hash"]) != (self.number, self.hash):
            self.report("edited", None, "the note of the newest seal (audit_head) is of another one")

    def look_beside(self, connection: Connection, after: int | None, up_to: int | None) -> None:
        """Tell of entries that no sealer will take up and that have no seal, of those with ids in between."""
        for entry_id in audit_store.marked_without_seal(connection, after, up_to):
            message = (
                f"entry {entry_id} is marked as sealed and has no seal: it was added, or its seal deleted"
            )
            self.report("edited", entry_id, message)

    def look_for_known(self, connection: Connection) -> None:
        """Tell where no seal has the hash that one has to have."""
        if self.known is None or self.is_seen:
            return
        if self.is_whole or not audit_store.is_seal(connection, self.known):
            self.report("cut_off", None, f"no seal has the hash {without_middle(self.known)}")

    def report(self, kind: str, entry_id: int | None, message: str) -> None:
        """Note what is wrong."""
        self.problems.append({"kind": kind, "entry_id": entry_id, "message": message})


def _seals(first: int, last: int) -> str:
    return f"seal {first} is missing" if first == last else f"seals {first} to {last} are missing"


def _unsealed(connection: Connection, at_most: int | None) -> dict[str, Any]:
    row = audit_store.unsealed_range(connection, at_most)
    is_more = at_most is not None and row["count"] > at_most
    count = row["count"] - is_more
    return {"count": count, "more": is_more, "first_entry_id": row["first"], "last_entry_id": row["last"]}
