"""Backfill: runs for the nominal times of a window that have none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import groupby
from statistics import median

from sqlalchemy import Connection

from batchwright.engine.errors import Refused
from batchwright.engine.run import Run
from batchwright.engine.schedule import NotRunCause, Overlap, Schedule
from batchwright.engine.schedules import due
from batchwright.engine.schedules.due import A_MOMENT
from batchwright.engine.store import schedules as store
from batchwright.engine.store.schedules import Fire, StoredFire
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.runs.submitting import publish_submitted
from batchwright.operations.schedules.cron import bound_of
from batchwright.operations.schedules.scheduled_runs import submit_of_schedules
from batchwright.operations.schedules.schedules import nominal_times, permit_change, schedule_named
from batchwright.operations.views import View, instant

MOST = 1_000
"""Runs of one backfill."""
USUAL_RUNS = 20
"""The last runs of a schedule, which tell how long one takes."""


def backfill_schedule(
    app: Application,
    name: str,
    begin: date | datetime,
    end: date | datetime,
    *,
    actor: Actor,
    reason: str | None = None,
    preview: bool = False,
) -> list[View]:
    """Submit a run for each nominal time from `begin` to `end` that has none: `nominal_time, local_time, run_id` and
    `cause`: why it was not run when it came (`paused`, `held`, …), `None` where nobody knows.

    A window without a zone is of the schedule's, and a date alone is the whole day, of today what has passed. Times
    before the schedule was made count, too; one that has its run never gets another. The runs are the schedule's:
    where its overlap policy is not `allow`, they follow one another.
    With `preview` nothing is written, and `run_id` is `None`.

    Refuses a window that ends before it begins or after now, and more than 1,000 runs.
    """
    permit_change(app, actor, "schedule.backfill", name)
    with app.database.read() if preview else app.database.write(patient=True) as connection:
        now = app.clock.now()
        schedule = schedule_named(connection, name, lock=not preview)
        begin, end = _checked(schedule, *_window(schedule, begin, end, now), now)
        times = _missing(connection, schedule, begin, end)
        causes = list(_causes(connection, schedule, times))
        submitted = [] if preview else _run(app, connection, schedule, times, actor)
        run_ids = [run.run_id for run in submitted]
        if run_ids:
            audit.record(
                connection,
                actor,
                "schedule.backfill",
                name,
                reason=reason,
                after={"from": instant(begin), "to": instant(end), "runs": run_ids},
                now=now,
            )
    for run in submitted:
        publish_submitted(app, run)
    shown: Sequence[str | None] = run_ids or [None] * len(times)
    return [
        {"nominal_time": instant(time), "local_time": time.isoformat(), "run_id": run_id, "cause": cause}
        for time, run_id, cause in zip(times, shown, causes, strict=True)
    ]


def backfill_window(
    app: Application,
    name: str,
    begin: date | datetime,
    end: date | datetime,
    *,
    actor: Actor | None = None,
) -> View:
    """The window that `backfill_schedule` understands, whether it takes it or not: `time_zone`, `from`, `to`; and of
    its runs `usual_seconds` of each by earlier ones, or `None`, and whether they are `one_by_one`.
    """
    permit(app, actor, Right.LOOK, "schedule.show")
    with app.database.read() as connection:
        schedule = schedule_named(connection, name)
        took = [one.total_seconds() for one in store.last_durations(connection, schedule, USUAL_RUNS)]
    begin, end = _window(schedule, begin, end, app.clock.now())
    return {
        "time_zone": schedule.time_zone,
        "from": instant(begin),
        "to": instant(end),
        "usual_seconds": median(took) if took else None,
        "one_by_one": schedule.overlap is not Overlap.ALLOW,
    }


def _window(
    schedule: Schedule, begin: date | datetime, end: date | datetime, now: datetime
) -> tuple[datetime, datetime]:
    since = bound_of(begin, schedule.time_zone, field="from")
    until = bound_of(end, schedule.time_zone, field="to", is_upper=True)
    is_today = not isinstance(end, datetime) and bound_of(end, schedule.time_zone, field="to") <= now
    return since, min(until, now) if is_today else until


def _checked(schedule: Schedule, begin: datetime, end: datetime, now: datetime) -> tuple[datetime, datetime]:
    if end < begin:
        raise Refused(
            f"the window ends at {instant(end)}, before it begins at {instant(begin)}",
            field="to",
            remedy="Give --to a time at or after --from",
        )
    if schedule.created_at != schedule.timed_at > begin:
        raise Refused(
            f"{schedule.name!r} has its expression and zone since {instant(schedule.timed_at)}; before, its times were"
            " others",
            field="from",
            remedy="Give --from that time, or a later one",
        )
    if end > now:
        raise Refused(
            f"the window ends at {instant(end)}, which has not come yet",
            field="to",
            remedy="Give --to a time that has passed; what comes the schedule runs by itself",
        )
    return begin, end


def _missing(connection: Connection, schedule: Schedule, begin: datetime, end: datetime) -> list[datetime]:
    """The nominal times of the window without a run, in the schedule's zone."""
    started = store.started_between(connection, schedule.id, begin, end)
    missing: list[datetime] = []
    for time in nominal_times(schedule, begin - A_MOMENT):
        if time.timestamp() > end.timestamp():
            break
        if time.astimezone(UTC) not in started:
            missing.append(time)
        if len(missing) > MOST:
            raise Refused(
                f"more than {MOST:,} times from {instant(begin)} to {instant(end)} have no run",
                field="from",
                remedy="Take a shorter window, several after each other",
            )
    return missing


def _causes(connection: Connection, schedule: Schedule, times: Sequence[datetime]) -> Iterator[str | None]:
    """Why each of the times was not run: as it is recorded; of what no worker has recorded yet, by pause and hold."""
    if not times:
        return
    recorded = store.not_run_between(connection, schedule.id, times[0], times[-1])
    hold = store.read_hold(connection)
    stops = (
        (schedule.paused_at, schedule.resumed_at, NotRunCause.PAUSED),
        (hold.held_at, hold.released_at, NotRunCause.HELD),
    )
    for time in times:
        known = (one.cause for one in recorded if one.nominal_time <= time <= one.last_nominal_time)
        stopped = (
            cause
            for since, until, cause in stops
            if since is not None and since <= time and (until is None or time <= until)
        )
        cause = next(known, None) or next(stopped, None)
        yield None if cause is None else str(cause)


def _run(
    app: Application, connection: Connection, schedule: Schedule, times: Sequence[datetime], actor: Actor
) -> list[Run]:
    """Submit the runs in the order of their times, and record them in the place of what was recorded."""
    fires, submitted = [], []
    wanted = [(schedule, schedule.overlap is not Overlap.ALLOW)] * len(times)
    results = submit_of_schedules(app, connection, wanted, os_user=actor.os_user)
    for time, run in zip(times, results, strict=True):
        if isinstance(run, Refused):
            raise run
        submitted.append(run)
        at = time.astimezone(UTC)
        fires.append(
            Fire(nominal_time=at, last_nominal_time=at, count=1, decision="started", run_id=run.run_id)
        )
    _record(connection, schedule, fires, app.clock.now())
    return submitted


def _record(connection: Connection, schedule: Schedule, fires: Iterable[Fire], now: datetime) -> None:
    covering = [(store.fire_covering(connection, schedule.id, fire.nominal_time), fire) for fire in fires]
    for stored, group in groupby(covering, key=lambda pair: pair[0]):
        started = [fire for _, fire in group]
        if stored is None:
            store.insert_fires(connection, [(schedule.id, fire) for fire in started], now)
        else:
            store.replace_fire(connection, stored, list(_split(schedule, stored, started)), now)


def _split(schedule: Schedule, stored: StoredFire, started: Sequence[Fire]) -> Iterator[Fire]:
    """A range of times that were not run, around some that are now: all of its times from the first to the last."""
    expression = schedule.expression
    first, last = started[0].nominal_time, started[-1].nominal_time
    earlier = stored.nominal_time - A_MOMENT
    before = expression.count(earlier, first - A_MOMENT)
    if before:
        yield Fire(
            nominal_time=stored.nominal_time,
            last_nominal_time=due.newest(expression, earlier, first - A_MOMENT, 1)[0],
            count=before,
            decision=stored.decision,
            cause=stored.cause,
            reason=stored.reason,
        )
    yield from started
    after = stored.count - before - len(started)
    next_time = due.first(expression, last, stored.last_nominal_time)
    if next_time is not None:
        yield Fire(
            nominal_time=next_time,
            last_nominal_time=stored.last_nominal_time,
            count=after,
            decision=stored.decision,
            cause=stored.cause,
            reason=stored.reason,
        )
