"""Applying a file of schedules: what it names is made or changed to be as it says, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection

from batchwright.engine.errors import Changed, Refused
from batchwright.engine.job import BatchJob
from batchwright.engine.schedule import Schedule, ScheduleSpec
from batchwright.engine.store import schedules as store
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.schedules.changes import (
    change_schedule,
    changes_between,
    chosen_terms,
    delete_schedule,
    spec_view,
)
from batchwright.operations.schedules.crontab import CrontabLine, CrontabRefused, scan_crontab
from batchwright.operations.schedules.request import check_request, permit_schedule
from batchwright.operations.versions import version_of
from batchwright.operations.views import View

Changes = Mapping[str, tuple[Any, Any]]
"""Field of a schedule -> its value before and after, as JSON values."""


@dataclass(frozen=True)
class Difference:
    """What a file changes, by name of schedule. `left` are those that it does not name and that stay as they are;
    `terms` has of those that are added what is not the default.
    """

    added: Mapping[str, ScheduleSpec]
    changed: Mapping[str, Changes]
    removed: Sequence[str]
    unchanged: Sequence[str]
    left: Sequence[str]
    terms: Mapping[str, View]

    @property
    def is_none(self) -> bool:
        """Whether everything is as the file says."""
        return not (self.added or self.changed or self.removed)

    @property
    def version(self) -> str:
        """The same for every file and every state of the database that come to the same changes."""
        return version_of(_audit_values(self))

    @property
    def view(self) -> View:
        """Its JSON: four lists of names."""
        return {
            "added": list(self.added),
            "changed": list(self.changed),
            "removed": list(self.removed),
            "unchanged": list(self.unchanged),
        }


def apply_schedules(
    app: Application,
    text: str,
    *,
    file: str,
    actor: Actor,
    reason: str | None = None,
    dry_run: bool = False,
    prune: bool = False,
    seen: str | None = None,
) -> Difference:
    """Make the schedules as the text of a file has them, all or none, and say what that changed.

    A schedule that the file does not name is left alone, or with `prune` removed. Whether one is paused does not matter
    of the file. With `dry_run` nothing is written; what was `seen` is the `version` of what that would change.

    Raises:
        CrontabRefused: with every line that cannot be used, by itself or with what is in the database.
        Changed: where it is not what was `seen` that it changes.
    """
    permit(app, actor, Right.OPERATE, "schedule.apply")
    app.database.require()
    lines, problems = scan_crontab(text, lambda job: app.registry.get(job).Parameters.model_json_schema())
    if prune and not lines and not problems:
        raise Refused(
            f"{file} names no schedule, and --prune would remove all there are",
            field="prune",
            remedy="Leave --prune out, or remove them with `batchwright schedules remove`",
        )
    _permit_lines(app, actor, lines, prune=prune)
    with app.database.read() if dry_run else app.database.write(patient=True) as connection:
        if not dry_run:
            store.lock_changes(connection)
        now = app.clock.now()
        there = {schedule.name: schedule for schedule in store.all_schedules(connection)}
        specs = _checked(app, connection, lines, problems, there, actor, now)
        difference = _difference(app, specs, there, actor, prune=prune)
        if seen not in (None, difference.version):
            raise Changed("what the file changes became something else")
        if not dry_run and not difference.is_none:
            _write(connection, difference, specs, now)
            _record(connection, difference, there, file=file, text=text, actor=actor, reason=reason, now=now)
    return difference


def _permit_lines(app: Application, actor: Actor, lines: Iterable[CrontabLine], *, prune: bool) -> None:
    with app.database.read() as connection:
        there = {schedule.name: schedule for schedule in store.all_schedules(connection)}
    asked: set[tuple[str, str | None]] = set()
    for request in (line.request for line in lines):
        before = there.pop(request.name, None)
        kept = before is not None and before.job == request.job
        owner = request.owner or (None if before is None or kept else before.owner)
        asked |= {(request.job, owner)} | ({(before.job, None)} if before is not None else set())
    if prune:
        asked |= {(schedule.job, None) for schedule in there.values()}
    for job, owner in sorted(asked, key=str):
        permit_schedule(app, actor, "schedule.apply", jobs=[job], owner=owner)


def _checked(
    app: Application,
    connection: Connection,
    lines: Iterable[CrontabLine],
    problems: Iterable[tuple[int, Refused]],
    there: Mapping[str, Schedule],
    actor: Actor,
    now: datetime,
) -> dict[str, ScheduleSpec]:
    checked: dict[str, ScheduleSpec] = {}
    problems = list(problems)
    for line in lines:
        name = line.request.name
        try:
            checked[name] = check_request(
                app,
                connection,
                line.request,
                actor=actor,
                before=there.get(name),
                now=now,
                from_crontab=True,
            )
        except Refused as problem:
            problems.append((line.number, problem))
    if problems:
        raise CrontabRefused(sorted(problems, key=lambda problem: problem[0]))
    return checked


def _difference(
    app: Application,
    specs: Mapping[str, ScheduleSpec],
    there: Mapping[str, Schedule],
    actor: Actor,
    *,
    prune: bool,
) -> Difference:
    added = {name: one for name, one in specs.items() if name not in there}
    changes = {name: changes_between(there[name], specs[name]) for name in specs if name in there}
    others = [name for name in there if name not in specs]
    return Difference(
        added=added,
        changed={name: changed for name, changed in changes.items() if changed},
        removed=others if prune else [],
        unchanged=[name for name, changed in changes.items() if not changed],
        left=[] if prune else others,
        terms={
            name: chosen_terms(one, actor.name, _defaults(app.registry.get(one.job)))
            for name, one in added.items()
        },
    )


def _defaults(job: type[BatchJob]) -> dict[str, Any]:
    properties = job.Parameters.model_json_schema().get("properties", {})
    return {name: one.get("default") for name, one in properties.items()}


def _write(
    connection: Connection,
    difference: Difference,
    specs: Mapping[str, ScheduleSpec],
    now: datetime,
) -> None:
    for one in difference.added.values():
        store.insert_schedule(connection, one, now)
    for name in difference.changed:
        change_schedule(connection, _locked(connection, name), specs[name], now)
    for name in difference.removed:
        delete_schedule(connection, _locked(connection, name))


def _record(
    connection: Connection,
    difference: Difference,
    there: Mapping[str, Schedule],
    *,
    file: str,
    text: str,
    actor: Actor,
    reason: str | None,
    now: datetime,
) -> None:
    names = [*difference.added, *difference.changed, *difference.removed]
    after = {"file": file, "sha256": sha256(text.encode()).hexdigest(), **_audit_values(difference)}
    audit.record(
        connection,
        actor,
        "schedule.apply",
        audit.subject_of(names, "schedule"),
        reason=reason,
        before={name: spec_view(there[name]) for name in difference.removed} or None,
        after=after,
        records=names,
        now=now,
    )


def _locked(connection: Connection, name: str) -> Schedule:
    """One that is there: whoever adds and removes schedules waits for this transaction."""
    schedule = store.by_name(connection, name, lock=True)
    assert schedule is not None
    return schedule


def _audit_values(difference: Difference) -> View:
    return {
        "added": {name: spec_view(one) for name, one in difference.added.items()},
        "changed": {
            name: {field: {"before": old, "after": new} for field, (old, new) in changes.items()}
            for name, changes in difference.changed.items()
        },
        "removed": list(difference.removed),
    }
