"""Statements on the audit trail and the seals of its chain."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, case, func, insert, select, update

from batchwright.engine.store.pages import Listing
from batchwright.operations.tables import UNSEALED, audit_entry, audit_head, audit_record, audit_seal

EDITS = ("usage_input.edit",)
"""Acts that change what a job says of a record."""

# Made once: every act executes it.
_ADD = insert(audit_entry)


def add_audit_entries(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write entries in their order, in the transaction of the acts they are about."""
    if rows:
        connection.execute(_ADD, rows)


def add_audit_entry(connection: Connection, row: dict[str, Any], record_ids: Collection[str]) -> None:
    """Write the entry of an act on several, and on which."""
    entry_id = connection.execute(_ADD.returning(audit_entry.c.id), row).scalar_one()
    rows = [{"record_id": record_id, "entry_id": entry_id} for record_id in record_ids]
    connection.execute(insert(audit_record), rows)


@dataclass(frozen=True)
class AuditFilter:
    """Which entries: of one actor, act, subject (also one of several) or door, at or after `since`, before
    `before`.
    """

    actor: str | None = None
    act: str | None = None
    subject: str | None = None
    door: str | None = None
    since: datetime | None = None
    before: datetime | None = None


EVERY: Final = AuditFilter()
_KEY: Final = (audit_entry.c.at, audit_entry.c.id)


def list_audit_entries(limit: int | None = None, wanted: AuditFilter = EVERY) -> Listing:
    """The entries, newest first, `limit` of them at most."""
    statement = select(audit_entry).where(*_times(wanted), *_equal(wanted))
    return Listing(statement, _KEY, limit, newest_first=True)


def walk_of(wanted: AuditFilter) -> Listing | None:
    """The keys that a page of the same goes through, of which some are not `wanted`; `None` where all are."""
    conditions = _equal(wanted)
    if len(conditions) < 2:
        return None
    return Listing(select(*_KEY).where(*_times(wanted), conditions[0]), _KEY, newest_first=True)


def _times(wanted: AuditFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.since is not None:
        yield audit_entry.c.at >= wanted.since
    if wanted.before is not None:
        yield audit_entry.c.at < wanted.before


def _equal(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    """What is asked for by value: the first is found by its index, which keeps the order, and the rest is looked at."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.subject is not None:
        several = select(audit_record.c.entry_id).where(audit_record.c.record_id == wanted.subject)
        alone = select(audit_entry.c.id).where(audit_entry.c.subject == wanted.subject)
        conditions.append(audit_entry.c.id.in_(several.union(alone)))
    columns = audit_entry.c.act, audit_entry.c.actor, audit_entry.c.door
    for column, value in zip(columns, (wanted.act, wanted.actor, wanted.door), strict=True):
        if value is not None:
            # Within `coalesce` no other index is taken: SQLite cannot know which finds less.
            conditions.append((func.coalesce(column, "") if conditions else column) == value)
    return conditions


def acts_on(connection: Connection, an_id: str, acts: Collection[str]) -> Sequence[RowMapping]:
    """The entries of `acts` on the record of that id, alone or among several; oldest first."""
    several = select(audit_record.c.entry_id).where(audit_record.c.record_id == an_id)
    alone = select(audit_entry.c.id).where(audit_entry.c.subject == an_id)
    # Not one or the other: PostgreSQL would go through the whole trail.
    found = audit_entry.c.id.in_(several.union(alone)), audit_entry.c.act.in_(acts)
    statement = select(audit_entry).where(*found)
    return connection.execute(statement.order_by(audit_entry.c.id)).mappings().all()


def were_edits(connection: Connection, run_id: str, ended_at: datetime) -> bool:
    """Whether any record was edited after the end of that run."""
    return connection.execute(_edits_since(run_id, ended_at).limit(1)).first() is not None


def edited_fields(
    connection: Connection, ids: Collection[str], run_id: str, ended_at: datetime
) -> dict[str, set[str]]:
    """The fields that were edited after the end of that run, by the id of their record, of those among `ids`."""
    statement = _edits_since(run_id, ended_at).where(audit_entry.c.subject.in_(ids))
    found: dict[str, set[str]] = {}
    for row in connection.execute(statement):
        before, after = (json.loads(text) if text else {} for text in (row.before, row.after))
        changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        found.setdefault(row.subject, set()).update(changed)
    return found


def _edits_since(run_id: str, ended_at: datetime) -> Select[Any]:
    # Not of a clock alone, which may stand still between an edit and the run after it.
    submitted = select(func.min(audit_entry.c.id)).where(audit_entry.c.subject == run_id).scalar_subquery()
    return select(audit_entry.c.subject, audit_entry.c.before, audit_entry.c.after).where(
        audit_entry.c.act.in_(EDITS),
        audit_entry.c.at >= ended_at,
        audit_entry.c.id > func.coalesce(submitted, 0),
    )


def unsealed_entries(connection: Connection, limit: int) -> Sequence[RowMapping]:
    """Entries that nobody has sealed, in order of their ids, `limit` of them at most."""
    sealed = select(audit_seal.c.number).where(audit_seal.c.entry_id == audit_entry.c.id).exists()
    statement = select(audit_entry).where(UNSEALED, ~sealed).order_by(audit_entry.c.id).limit(limit)
    return connection.execute(statement).mappings().all()


def unsealed_range(connection: Connection, at_most: int | None = None) -> RowMapping:
    """`count` of the entries that wait for their seal, no further than one beyond `at_most`; `first` and `last` of
    their ids.
    """
    waiting = select(audit_entry.c.id).where(UNSEALED)
    some = waiting.order_by(audit_entry.c.id).limit(None if at_most is None else at_most + 1).subquery()
    sealed = select(audit_seal.c.number).where(audit_seal.c.entry_id == some.c.id).exists()
    last = case((func.count() > 0, select(func.max(audit_entry.c.id)).where(UNSEALED).scalar_subquery()))
    figures = (func.count().label("count"), func.min(some.c.id).label("first"), last.label("last"))
    return connection.execute(select(*figures).select_from(some).where(~sealed)).mappings().one()


def marked_without_seal(connection: Connection, after: int | None, up_to: int | None) -> Sequence[int]:
    """Ids of the entries that say they are sealed and have no seal: no sealer leaves any. Those above `after` and not
    above `up_to`, where these are given.
    """

    def within(an_id: ColumnElement[int]) -> list[ColumnElement[bool]]:
        ends = (an_id > after if after is not None else None, an_id <= up_to if up_to is not None else None)
        return [end for end in ends if end is not None]

    marked = select(audit_entry.c.id).where(audit_entry.c.sealed, *within(audit_entry.c.id))
    # Not entry by entry: PostgreSQL would take up all seals for some thousand entries.
    sealed = select(audit_seal.c.entry_id).where(*within(audit_seal.c.entry_id))
    return sorted(connection.scalars(marked.except_(sealed)))


def audit_head_row(connection: Connection, *, lock: bool = False) -> RowMapping | None:
    """How many seals there are and the newest hash; `lock` keeps other sealers out until the transaction ends, and
    gives nothing while another is at it.
    """
    statement = select(audit_head).where(audit_head.c.id == 1)
    return (
        connection.execute(statement.with_for_update(skip_locked=True) if lock else statement)
        .mappings()
        .one_or_none()
    )


def add_seals(connection: Connection, seals: Sequence[Mapping[str, Any]]) -> None:
    """Add `number, entry_id, hash` of each entry, mark the entries, and move the head; under the lock of the head."""
    connection.execute(insert(audit_seal), [dict(seal) for seal in seals])
    ids = [seal["entry_id"] for seal in seals]
    connection.execute(update(audit_entry).where(audit_entry.c.id.in_(ids)).values(sealed=True))
    newest = seals[-1]
    connection.execute(
        update(audit_head).where(audit_head.c.id == 1).values(count=newest["number"], hash=newest["hash"])
    )


def sealed_entries(connection: Connection, after: int | None, limit: int) -> Sequence[RowMapping]:
    """So many seals in order, `number, entry_id, hash`, with the entry's columns; its `id` is empty where it is gone.

    Those with a number above `after`, or from the first, whatever its number, where that is `None`.
    """
    statement = (
        select(audit_seal, audit_entry)
        .join(audit_entry, audit_entry.c.id == audit_seal.c.entry_id, isouter=True)
        .order_by(audit_seal.c.number)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(audit_seal.c.number > after)
    return connection.execute(statement).mappings().all()


def seal(connection: Connection, number: int) -> RowMapping | None:
    """The seal of that number."""
    return (
        connection.execute(select(audit_seal).where(audit_seal.c.number == number)).mappings().one_or_none()
    )


def is_seal(connection: Connection, text: str) -> bool:
    """Whether any seal has that hash."""
    return (
        connection.execute(select(audit_seal.c.number).where(audit_seal.c.hash == text).limit(1)).first()
        is not None
    )
