"""What changing and removing a schedule writes, by hand or from a file. The caller holds `lock_changes`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from batchwright.engine.cron import CronError
from batchwright.engine.schedule import Schedule, ScheduleSpec
from batchwright.engine.schedules import due
from batchwright.engine.schedules.firing import rewind, settle
from batchwright.engine.store import late_checks
from batchwright.engine.store import schedules as store
from batchwright.operations.views import View, instant

FIELDS = tuple(field.name for field in fields(ScheduleSpec))


def change_schedule(connection: Connection, before: Schedule, spec: ScheduleSpec, now: datetime) -> Schedule:
    """Save another spec of a locked schedule; it makes no past time due, and leaves behind what a clock that was ahead
    recorded.

    Where it takes times away that are due, those are settled first.
    """
    before = rewind(connection, before, now)
    if (spec.cron, spec.time_zone) != (before.cron, before.time_zone):
        with suppress(CronError):  # without its zone nobody can say what is due
            before = settle(connection, before, now, "expression or zone")
    elif (spec.start, spec.end) != (before.start, before.end):
        before = _rebounded(connection, before, spec, now)
    return store.update_schedule(connection, before, spec, now)


def _rebounded(connection: Connection, before: Schedule, spec: ScheduleSpec, now: datetime) -> Schedule:
    """The schedule before its start and end are replaced: past times outside the old ones are never due."""
    after, until = due.bounds(before, now)
    begin, end = due.bounds(replace(before, start=spec.start, end=spec.end), now)
    is_due = due.first(before.expression, after, until) is not None
    ended = due.first(before.expression, max(after, until), end) is not None
    if ended or (is_due and (begin > after or end < until)):
        before = settle(connection, before, now, "start or end")
    mark = now if ended else min(after, now)
    if begin < mark and (before.last_nominal_time is None or before.last_nominal_time < mark):
        store.mark_recorded(connection, {before.id: mark})
    return before


def delete_schedule(connection: Connection, schedule: Schedule) -> None:
    """Delete a locked schedule, the record of its times, and what somebody would have been notified of."""
    late_checks.forget(connection, schedule.id)
    store.remove(connection, schedule)


def spec_view(spec: ScheduleSpec) -> View:
    """All fields as JSON values, in their order."""
    return {name: _shown(getattr(spec, name)) for name in FIELDS}


def changes_between(before: ScheduleSpec, after: ScheduleSpec) -> dict[str, tuple[Any, Any]]:
    """The fields that differ, as JSON values: before and after."""
    return {
        name: (_shown(getattr(before, name)), _shown(getattr(after, name)))
        for name in FIELDS
        if getattr(before, name) != getattr(after, name)
    }


def chosen_terms(spec: ScheduleSpec, owner: str, parameters: Mapping[str, Any]) -> View:
    """What else than when and which job is chosen: the fields, as JSON values, that are not as they would be if nobody
    named them, which is `owner`, and the defaults of the job's `parameters`.
    """
    others = {name: value for name, value in spec.parameters.items() if value != parameters.get(name)}
    unnamed = ScheduleSpec(
        name=spec.name, cron=spec.cron, time_zone=spec.time_zone, job=spec.job, parameters={}, owner=owner
    )
    changes = changes_between(unnamed, replace(spec, parameters=others))
    return {name: value for name, (_, value) in changes.items()}


def _shown(value: Any) -> Any:
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, str) else value
