"""What changing and removing a schedule writes, by hand or from a file. The caller holds `lock_changes`."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from batchwright.engine.schedule import Schedule, Wanted
from batchwright.engine.schedules import due
from batchwright.engine.schedules.firing import settle
from batchwright.engine.store import schedules as store
from batchwright.engine.store import watches
from batchwright.operations.views import View, instant

TERMS = tuple(field.name for field in fields(Wanted))


def change_schedule(connection: Connection, before: Schedule, wanted: Wanted, now: datetime) -> Schedule:
    """Save other terms of a locked schedule. Where they take times away that are due, those are settled first."""
    if (wanted.cron, wanted.time_zone) != (before.cron, before.time_zone):
        before = settle(connection, before, now, "expression or zone")
    elif _leaves_out(before, wanted, now):
        before = settle(connection, before, now, "start or end")
    return store.update_schedule(connection, before, wanted, now)


def _leaves_out(before: Schedule, wanted: Wanted, now: datetime) -> bool:
    """Whether a new start or end leaves out times that are due."""
    after, until = due.bounds(before, now)
    begin, end = due.bounds(replace(before, start=wanted.start, end=wanted.end), now)
    return (begin > after or end < until) and due.first(before.expression, after, until) is not None


def delete_schedule(connection: Connection, schedule: Schedule) -> None:
    """Delete a locked schedule, the record of its times, and what somebody would have been told of."""
    watches.forget(connection, schedule.id)
    store.remove(connection, schedule)


def terms_of(wanted: Wanted) -> View:
    """All terms as JSON values, in the order of `Wanted`."""
    return {term: _shown(getattr(wanted, term)) for term in TERMS}


def changes_between(before: Wanted, after: Wanted) -> dict[str, tuple[Any, Any]]:
    """The terms that differ, as JSON values: before and after."""
    return {
        term: (_shown(getattr(before, term)), _shown(getattr(after, term)))
        for term in TERMS
        if getattr(before, term) != getattr(after, term)
    }


def _shown(value: Any) -> Any:
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, str) else value
