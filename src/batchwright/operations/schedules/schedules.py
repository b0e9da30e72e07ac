"""Schedules: adding, changing and removing them, looking at what they do, holding them all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, RowMapping

from batchwright.engine.cron import CronError
from batchwright.engine.errors import Conflict, MoveRefused
from batchwright.engine.job import BatchJob
from batchwright.engine.schedule import Hold, NotRunCause, Schedule, ScheduleRequest
from batchwright.engine.schedules import due
from batchwright.engine.schedules.alerts import MOST_OVERLAPPED
from batchwright.engine.schedules.firing import rewind
from batchwright.engine.store import schedules as store
from batchwright.engine.store.schedules import StoredFire
from batchwright.operations import user_store
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application, check_application, default_application
from batchwright.operations.checks import Unknown, check_job, check_limit
from batchwright.operations.paging import PAGE, Page, page_of
from batchwright.operations.runs.submitting import Submitted, submit_run
from batchwright.operations.schedules.changes import (
    change_schedule,
    changes_between,
    delete_schedule,
    spec_view,
)
from batchwright.operations.schedules.request import (
    check_fields,
    check_request,
    field_values,
    permit_schedule,
)
from batchwright.operations.versions import Seen, check_seen
from batchwright.operations.views import View, instant, picked

NEXT = 10
"""Fires that `next_fires` gives where nobody says how many."""


def add_schedule(
    app: Application,
    request: ScheduleRequest,
    *,
    actor: Actor,
    reason: str | None = None,
    from_crontab: bool = False,
) -> View:
    """Save a new schedule and return its JSON. It fires from now on, where a worker runs.

    `from_crontab` allows a Unix line as well.

    Refuses a name in use (Salesforce: `System.schedule`), a bad expression, zone, job or parameter, unknown ids, and
    an expression that never fires.
    """
    permit_schedule(app, actor, "schedule.add", jobs=[request.job], owner=request.owner)
    with _all_locked(app) as (connection, now):
        if store.by_name(connection, request.name) is not None:
            raise Conflict(
                f"there is a schedule named {request.name!r} already",
                field="name",
                remedy="Change that one with `batchwright schedules update`, or take another name",
            )
        spec = check_request(
            app, connection, request, actor=actor, before=None, now=now, from_crontab=from_crontab
        )
        added = store.insert_schedule(connection, spec, now)
        audit.record(
            connection, actor, "schedule.add", added.name, reason=reason, after=spec_view(added), now=now
        )
        return _view(connection, added, now)


def update_schedule(
    app: Application,
    name: str,
    changes: Mapping[str, Any],
    *,
    seen: Seen = None,
    actor: Actor,
    reason: str | None = None,
    from_crontab: bool = False,
) -> View:
    """Change fields of a schedule, those of `ScheduleRequest` by name, and return its JSON.

    `from_crontab` allows a Unix line as well.

    Refuses what `add_schedule` refuses, a call that changes nothing, and a schedule of which none of the versions that
    were `seen` (of `show_schedule`) is the one that stands. A new expression or zone counts from now on;
    what was due before is settled first.
    """
    before = permit_change(app, actor, "schedule.update", name)
    if "job" in changes or "owner" in changes:
        job, owner = changes.get("job", before.job), changes.get("owner", before.owner)
        permit_schedule(app, actor, "schedule.update", jobs=[job], owner=owner)
    with _all_locked(app) as (connection, now):
        before = schedule_named(connection, name, lock=True)
        check_seen(seen, _whole_view(connection, before, now), f"{name} was changed")
        request = ScheduleRequest(**{**field_values(before), **changes})
        is_kept = "cron" not in changes  # it may be a Unix line
        spec = check_request(
            app,
            connection,
            request,
            actor=actor,
            before=before,
            now=now,
            from_crontab=from_crontab or is_kept,
        )
        changed = changes_between(before, spec)
        if not changed:
            raise Conflict(
                f"there is nothing to change: {name!r} is like that already",
                field="name",
                remedy="Give an option with another value; see `batchwright schedules update --help`",
            )
        after = change_schedule(connection, before, spec, now)
        old = {name: value for name, (value, _) in changed.items()}
        new = {name: value for name, (_, value) in changed.items()}
        audit.record(
            connection, actor, "schedule.update", name, reason=reason, before=old, after=new, now=now
        )
        return _view(connection, after, now)


def schedule(name: str, cron: str, job: BatchJob, app: Application | None = None, **fields: Any) -> View:
    """Let the job run whenever `cron` says, and return the schedule's JSON (Salesforce: `System.schedule`).

    `fields` are further ones of `ScheduleRequest`, such as `time_zone="Europe/Berlin"` or `misfire="all"`. The job's
    parameters are saved as they are now. Without `app` it is the application that the settings describe. Refuses what
    `add_schedule` refuses, a name in use among it, and a job that is not registered.
    """
    check_job(job)
    check_application(app)
    app = app or default_application()
    actor = app.default_actor()
    permit_schedule(app, actor, "schedule.add", jobs=[job.name], owner=fields.get("owner"))
    app.registry.check(job)
    parameters = job.parameters.model_dump(mode="json")
    check_fields(fields)
    request = ScheduleRequest(name=name, cron=cron, job=job.name, parameters=parameters, **fields)
    app.database.refuse_nested_write()
    return add_schedule(app, request, actor=actor)


def pause_schedule(app: Application, name: str, *, actor: Actor, reason: str | None = None) -> View:
    """Let a schedule fire nothing until it is resumed, and return its JSON. Runs of it go on.

    Refuses with `MoveRefused` one that is paused.
    """
    with _changing(app, actor, "schedule.pause", name, reason) as change:
        before = change.before
        if before.paused:
            raise MoveRefused(
                f"the schedule {name!r} is paused since {instant(before.paused_at)}",
                field="name",
                remedy="`batchwright schedules resume` lets it fire again",
            )
        after = store.pause(change.connection, change.rewound(), change.now)
        change.record(before={"paused": False}, after={"paused": True})
        return _view(change.connection, after, change.now)


def resume_schedule(app: Application, name: str, *, actor: Actor, reason: str | None = None) -> View:
    """Let a paused schedule fire again, and return its JSON. Its misfire policy decides about the times of the pause.

    Refuses with `MoveRefused` one that is not paused.
    """
    with _changing(app, actor, "schedule.resume", name, reason) as change:
        if not change.before.paused:
            raise MoveRefused(
                f"the schedule {name!r} is not paused", field="name", remedy="There is nothing to resume"
            )
        after = store.resume(change.connection, change.rewound(), change.now)
        change.record(before={"paused": True}, after={"paused": False})
        return _view(change.connection, after, change.now)


def rewind_schedules(
    app: Application, names: Sequence[str] | None, *, actor: Actor, reason: str | None = None
) -> list[str]:
    """Let schedules fire again of which a clock that was ahead recorded times to come; all such without `names`.

    Their names are returned; they fire from now on. What is recorded up to now stays, `backfill` makes up for it; runs
    that were started for times to come stay, too. Refuses unknown names, and those of which nothing is recorded ahead.
    """
    permit(app, actor, Right.OPERATE, "schedule.rewind")
    with app.database.read() as connection:
        given = [one.name for one in store.all_schedules(connection)] if names is None else list(names)
    for name in given:
        permit_change(app, actor, "schedule.rewind", name)
    rewound: list[str] = []
    with _all_locked(app) as (connection, now):
        for name in given:
            before = schedule_named(connection, name, lock=True)
            after = rewind(connection, before, now)
            if after == before:
                continue
            rewound.append(name)
            old, new = (
                {"last_nominal_time": instant(one.last_nominal_time), "timed_at": instant(one.timed_at)}
                for one in (before, after)
            )
            audit.record(
                connection, actor, "schedule.rewind", name, reason=reason, before=old, after=new, now=now
            )
        if names is not None and not rewound:
            raise MoveRefused(
                f"nothing is recorded ahead of the clock of {', '.join(map(repr, given))}",
                field="name",
                remedy="There is nothing to rewind",
            )
    return rewound


def preview_rewind(app: Application, name: str, *, actor: Actor | None = None) -> View:
    """What `rewind_schedules` would do to one schedule, in numbers. Changes nothing.

    Returns `ahead_until` (up to when nothing fires; `None` where nothing is recorded ahead), `records` (of times to
    come, which are taken away), `runs` (that were started for such times, and stay) and `next_fire_at` after it.
    """
    permit(app, actor, Right.LOOK, "schedule.show")
    with app.database.read() as connection:
        now = app.clock.now()
        schedule = schedule_named(connection, name)
        ahead = store.fires_ahead(connection, schedule, now)
    coming = None
    with suppress(CronError):  # its zone is gone from this machine's time zone database
        coming = next(nominal_times(schedule, now), None)
    return {
        "ahead_until": instant(schedule.ahead_of(now)),
        "records": len(ahead),
        "runs": sum(fire.run_id is not None for fire in ahead),
        "next_fire_at": instant(coming),
    }


def remove_schedule(app: Application, name: str, *, actor: Actor, reason: str | None = None) -> View:
    """Delete a schedule with the record of its times, and return its JSON as it was. Its runs stay and go on."""
    with _changing(app, actor, "schedule.remove", name, reason) as change:
        view = _view(change.connection, change.before, change.now)
        delete_schedule(change.connection, change.before)
        change.record(before=spec_view(change.before))
        return view


@dataclass(frozen=True)
class _Change:
    """A schedule that is being changed: locked, in the transaction of the change."""

    connection: Connection
    before: Schedule
    now: datetime
    record: Callable[..., None]
    """Writes the act's audit entry."""

    def rewound(self) -> Schedule:
        """The schedule, what a clock that was ahead recorded taken away."""
        return rewind(self.connection, self.before, self.now)


@contextmanager
def _changing(app: Application, actor: Actor, act: str, name: str, reason: str | None) -> Iterator[_Change]:
    permit_change(app, actor, act, name)
    with _all_locked(app) as (connection, now):
        record = partial(audit.record, connection, actor, act, name, reason=reason, now=now)
        yield _Change(connection, schedule_named(connection, name, lock=True), now, record)


@contextmanager
def _all_locked(app: Application) -> Iterator[tuple[Connection, datetime]]:
    """A transaction in which nobody else changes schedules, and when it began."""
    with app.database.write() as connection:
        store.lock_changes(connection)
        yield connection, app.clock.now()


def run_now(
    app: Application,
    name: str,
    *,
    actor: Actor,
    reason: str | None = None,
    claim: bool = False,
    trigger: str = "cli",
) -> Submitted:
    """Submit a run of what a schedule runs, now; the schedule is left alone.

    The run belongs to the actor, not to the schedule: its time, its overlap policy and its next fires do not know of
    it. `claim` and `trigger` are as for `submit_run`. Refuses what that refuses.
    """
    schedule = permit_change(app, actor, "schedule.run_now", name)
    return submit_run(
        app,
        schedule.job,
        schedule.parameters,
        actor=actor,
        reason=reason or schedule.reason or f"Schedule {name}, run by hand",
        explanation=schedule.explanation,
        notify=schedule.notify,
        scope_size=schedule.scope_size,
        error_ceiling=schedule.error_ceiling,
        claim=claim,
        trigger=trigger,
    )


def hold_all(app: Application, *, actor: Actor, reason: str | None = None) -> View:
    """Let no schedule fire until `release_all`, for maintenance: `held_at`. Refuses when nothing fires already."""
    permit(app, actor, Right.ADMINISTER, "schedule.hold_all")
    with _all_locked(app) as (connection, now):
        hold = store.read_hold(connection)
        if hold.lasts:
            raise MoveRefused(
                f"all schedules are held since {instant(hold.held_at)}",
                field=None,
                remedy="`batchwright schedules release-all` lets them fire again",
            )
        store.hold_all(connection, now)
        _record_hold(connection, actor, "schedule.hold_all", reason, now, held=True)
        return {"held_at": instant(now), "released_at": None}


def release_all(app: Application, *, actor: Actor, reason: str | None = None) -> View:
    """Let schedules fire again: `held_at`, `released_at`. The misfire policy of each decides about what was due."""
    permit(app, actor, Right.ADMINISTER, "schedule.release_all")
    with _all_locked(app) as (connection, now):
        hold = store.read_hold(connection)
        if not hold.lasts:
            raise MoveRefused("the schedules are not held", field=None, remedy="There is nothing to release")
        store.release_all(connection, now)
        _record_hold(connection, actor, "schedule.release_all", reason, now, held=False)
        return {"held_at": instant(hold.held_at), "released_at": instant(now)}


def _record_hold(
    connection: Connection, actor: Actor, act: str, reason: str | None, now: datetime, *, held: bool
) -> None:
    before, after = {"held": not held}, {"held": held}
    audit.record(
        connection, actor, act, audit.ALL_SCHEDULES, reason=reason, before=before, after=after, now=now
    )


def list_schedules(app: Application, limit: int | None = None, *, actor: Actor | None = None) -> list[View]:
    """All schedules by name."""
    permit(app, actor, Right.LOOK, "schedule.list")
    check_limit(limit)
    with app.database.read() as connection:
        now, hold = app.clock.now(), store.read_hold(connection)
        fired = store.last_started(connection)
        listed = store.all_schedules(connection)[:limit]
        return [view_of(schedule, hold, fired.get(schedule.id), now) for schedule in listed]


def schedules_page(
    app: Application, *, limit: int = PAGE, after: str | None = None, actor: Actor | None = None
) -> Page[View]:
    """A page of the schedules by name."""
    permit(app, actor, Right.LOOK, "schedule.list")
    with app.database.read() as connection:
        now, hold = app.clock.now(), store.read_hold(connection)
        fired = store.last_started(connection)

    def view(row: RowMapping) -> View:
        schedule = store.schedule_of(row)
        return view_of(schedule, hold, fired.get(schedule.id), now)

    return page_of(app.database, "schedules", store.listing(), {}, view, limit=limit, after=after)


def list_troubles(app: Application, *, actor: Actor | None = None) -> dict[str, str]:
    """By name of schedule, why it does not do what it should; those that do are left out."""
    permit(app, actor, Right.LOOK, "schedule.list")
    with app.database.read() as connection:
        schedules, last, disabled = all_with_last(app, connection)
    now = app.clock.now()
    found = {one.name: "; ".join(troubles_of(one, last.get(one.id), disabled, now)) for one in schedules}
    return {name: text for name, text in found.items() if text}


def all_with_last(
    app: Application, connection: Connection
) -> tuple[list[Schedule], dict[int, StoredFire], Sequence[str]]:
    """All schedules, by key the record of each that reaches furthest, and their owners who are disabled; read once for
    all of a page.
    """

    def read() -> tuple[list[Schedule], dict[int, StoredFire], Sequence[str]]:
        schedules = store.all_schedules(connection)
        disabled = user_store.disabled_users(connection, {schedule.owner for schedule in schedules})
        return schedules, store.last_fires(connection), disabled

    return app.database.once("schedules with their last times", read)


def troubles_of(
    schedule: Schedule, last: StoredFire | None, disabled: Collection[str], now: datetime
) -> Iterator[str]:
    """Why it does not do what it should; `disabled` are users."""
    ahead = schedule.ahead_of(now)
    if ahead is not None:
        yield f"recorded ahead of the clock: fires nothing until {instant(ahead)}, or `schedules rewind`"
    try:
        _ = schedule.expression
    except CronError as error:
        yield str(error)
    if schedule.owner in disabled:
        yield f"its owner {schedule.owner} is a user who is disabled"
    if last is None:
        return
    if last.cause is NotRunCause.REFUSED:
        yield last.reason or str(last.cause)
    elif last.cause is NotRunCause.OVERLAPPED and last.count >= MOST_OVERLAPPED:
        yield f"{last.count:,} times in a row {last.reason}"


def read_hold(app: Application, *, actor: Actor | None = None) -> View:
    """The hold of all schedules, or the last one: `held_at`, and `released_at`, which is `None` while it lasts."""
    permit(app, actor, Right.LOOK, "schedule.hold")
    with app.database.read() as connection:
        hold = store.read_hold(connection)
    return {"held_at": instant(hold.held_at), "released_at": instant(hold.released_at)}


def show_schedule(app: Application, name: str, *, actor: Actor | None = None) -> View:
    """One schedule, with what its JSON in a list leaves out: `description`, `held`, the rest of its fields."""
    permit(app, actor, Right.LOOK, "schedule.show")
    with app.database.read() as connection:
        schedule = schedule_named(connection, name)
        return _whole_view(connection, schedule, app.clock.now())


def next_fires(app: Application, name: str, limit: int = NEXT, *, actor: Actor | None = None) -> list[View]:
    """The next nominal times of a schedule: `fire_at` in UTC, `local_time` in its zone. Paused or held, too."""
    permit(app, actor, Right.LOOK, "schedule.next")
    check_limit(limit)
    with app.database.read() as connection:
        schedule = schedule_named(connection, name)
    times = islice(nominal_times(schedule, app.clock.now()), limit)
    return [{"fire_at": instant(time), "local_time": time.isoformat()} for time in times]


def list_fires(
    app: Application, name: str, limit: int | None = None, *, actor: Actor | None = None
) -> list[View]:
    """What became of the nominal times of a schedule, newest first: the run, or a range and why it was not run."""
    permit(app, actor, Right.LOOK, "schedule.fires")
    check_limit(limit)
    with app.database.read() as connection:
        schedule = schedule_named(connection, name)
        return [_fire_view(fire) for fire in store.fires(connection, schedule.id, limit)]


def fires_page(
    app: Application, name: str, *, limit: int = PAGE, after: str | None = None, actor: Actor | None = None
) -> Page[View]:
    """A page of what became of the nominal times of a schedule, newest first."""
    permit(app, actor, Right.LOOK, "schedule.fires")
    with app.database.read() as connection:
        schedule = schedule_named(connection, name)

    def view(row: RowMapping) -> View:
        return _fire_view(store.fire_of(row))

    listing = store.fire_listing(schedule.id)
    return page_of(app.database, "fires", listing, {"name": name}, view, limit=limit, after=after)


def _fire_view(fire: StoredFire) -> View:
    return picked(fire, "nominal_time last_nominal_time count run_id decision reason")


def nominal_times(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """The times of a schedule after an instant, in its zone, from its start to its end, both included."""
    begin = after if schedule.start is None else max(after, schedule.start - due.A_MOMENT)
    until = schedule.end or datetime.max.replace(tzinfo=UTC)
    zone = ZoneInfo(schedule.time_zone)
    return (time.astimezone(zone) for time in due.each(schedule.expression, begin, until))


def permit_change(app: Application, actor: Actor, act: str, name: str) -> Schedule:
    """The schedule, if the actor may change and run it. Refuses an unknown name."""
    permit(app, actor, Right.OPERATE, act)
    with app.database.read() as connection:
        schedule = schedule_named(connection, name)
    permit_schedule(app, actor, act, jobs=[schedule.job], owner=None)
    return schedule


def schedule_named(connection: Connection, name: str, *, lock: bool = False) -> Schedule:
    """The schedule of that name; with `lock` nobody fires or changes it meanwhile. Refuses an unknown one."""
    schedule = store.by_name(connection, name, lock=lock)
    if schedule is None:
        raise Unknown("schedule", [name], field="name")
    return schedule


def view_of(schedule: Schedule, hold: Hold, fired: datetime | None, now: datetime) -> View:
    """A schedule's JSON. `next_fire_at` is `None` where nothing would fire: it is paused, or all are held."""
    is_still = schedule.paused or hold.lasts
    return {
        **picked(schedule, "name cron job parameters time_zone"),
        "misfire": str(schedule.misfire),
        "grace_seconds": schedule.grace_seconds,
        "cap": schedule.cap,
        "overlap": str(schedule.overlap),
        **picked(schedule, "start end owner"),
        "notify": list(schedule.notify),
        "paused": schedule.paused,
        "next_fire_at": instant(None if is_still else _next_fire(schedule, now)),
        "last_fire_at": instant(fired),
    }


def _next_fire(schedule: Schedule, now: datetime) -> datetime | None:
    with suppress(CronError):  # its zone is gone from this machine's time zone database
        return due.next_fire(schedule, now)
    return None


def description_of(schedule: Schedule) -> str:
    """When it fires, described; why it cannot where its zone is gone."""
    try:
        return schedule.expression.describe()
    except CronError as error:
        return str(error)


def _view(connection: Connection, schedule: Schedule, now: datetime) -> View:
    fired = store.last_started(connection, [schedule.id]).get(schedule.id)
    return view_of(schedule, store.read_hold(connection), fired, now)


def _whole_view(connection: Connection, schedule: Schedule, now: datetime) -> View:
    return {
        **_view(connection, schedule, now),
        "description": description_of(schedule),
        "held": store.read_hold(connection).lasts,
        **picked(schedule, "mail_owner reason explanation scope_size error_ceiling"),
        **picked(schedule, "start_within_minutes finish_within_minutes ping created_at"),
    }
