"""What a worker does about schedules' runs beside starting them: tells of late ones, and pings after successes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from batchwright.engine import events
from batchwright.engine.run import State
from batchwright.engine.schedule import Judgement, Late, Schedule
from batchwright.engine.schedules.alerts import judge
from batchwright.engine.store import runs, watches
from batchwright.engine.store import schedules as store
from batchwright.engine.store.watches import StoredWatch
from batchwright.notifications.addresses import recipients
from batchwright.notifications.ping import PingFailed, ping
from batchwright.notifications.schedule_late import SCHEDULE_LATE
from batchwright.operations.announce import record_wanted
from batchwright.operations.app import Application
from batchwright.operations.people import people
from batchwright.operations.views import View, instant
from batchwright.operations.worker.background_loop import NewsLoop

SECONDS_BETWEEN_LOOKS = 5.0
SECONDS_AFTER_NEWS = 1.0

PAUSES = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
"""Between the calls of a ping that is not answered; after the last it is given up."""

HOLD = timedelta(minutes=1)
"""How long a claim keeps others from calling: longer than a call may take."""


def look(app: Application) -> None:
    """Tell of what is late, each once however many look, and call the pings that are due.

    The mail is recorded with the mark that it was told of. A ping is called outside any transaction, and marked after
    the answer: whoever dies in between leaves it to be called again.
    """
    with app.database.read() as connection:
        watched = watches.watched(connection)
    if not watched:
        return
    now = app.clock.now()
    judged = [(watch, run, judge(watch, run, now)) for watch, run in watched]
    changed = [(watch, verdict) for watch, _, verdict in judged if _differs(watch, verdict)]
    if changed:
        for event in _settle(app, changed):
            app.events.publish(event)
    for watch, run, verdict in judged:
        is_due = watch.ping_at is None or watch.ping_at <= now
        if verdict.ping is not None and run is not None and run.state is State.COMPLETED and is_due:
            _call(app, watch)


def _differs(watch: StoredWatch, verdict: Judgement) -> bool:
    left = (verdict.start_by, verdict.finish_by, verdict.ping)
    return left != (watch.start_by, watch.finish_by, watch.ping) or left == (None, None, None)


def _settle(app: Application, changed: list[tuple[StoredWatch, Judgement]]) -> list[events.ScheduleLate]:
    told: list[events.ScheduleLate] = []
    with app.database.write() as connection:
        keys = {watch.schedule_id for watch, _ in changed}
        schedules = {schedule.id: schedule for schedule in store.by_keys(connection, keys)}
        for watch, verdict in changed:
            schedule = schedules.get(watch.schedule_id)
            if schedule is not None and watches.settle(connection, watch, verdict):
                told += [_tell(app, connection, schedule, watch, late) for late in verdict.late]
    return told


def _tell(
    app: Application, connection: Connection, schedule: Schedule, watch: StoredWatch, late: Late
) -> events.ScheduleLate:
    run = None if watch.run_id is None else runs.by_id(connection, watch.run_id)
    facts = {
        **_facts(schedule, watch, late),
        "run_status": None if run is None else str(run.state),
        "database": app.database.display_url,
        "base_url": app.settings.console_url,
        "mail_only_to_files": app.settings.mail.transport == "file",
    }
    known = people(connection, app.settings)
    record_wanted(
        connection,
        app.settings,
        known.choices,
        kind=SCHEDULE_LATE,
        run_key=None if run is None else run.id,
        recipients=recipients(schedule.owner, known.addresses, schedule.notify, schedule.mail_owner),
        facts=facts,
        in_trouble=True,
        now=app.clock.now(),
    )
    return events.ScheduleLate(schedule.name, facts["nominal_time"], late, watch.run_id, watch.count)


def _facts(schedule: Schedule, watch: StoredWatch, late: Late) -> dict[str, Any]:
    by = {"not_started": watch.start_by, "not_finished": watch.finish_by, "not_run": None}[late]
    facts: View = {
        "schedule": schedule.name,
        "job": schedule.job,
        "late": late,
        "nominal_time": instant(watch.nominal_time),
        "last_nominal_time": instant(watch.last_nominal_time),
        "count": watch.count,
        "by": instant(by),
        "run_id": watch.run_id,
        "reason": watch.reason,
        "time_zone": schedule.time_zone,
        "local_time": watch.nominal_time.astimezone(ZoneInfo(schedule.time_zone)).isoformat(),
    }
    return facts


def _call(app: Application, watch: StoredWatch) -> None:
    with app.database.write() as connection:
        named = store.by_keys(connection, [watch.schedule_id])
        if not named or not watches.claim_ping(connection, watch, app.clock.now() + HOLD):
            return
    schedule, url = named[0].name, watch.ping or ""
    try:
        ping(url)
    except PingFailed as failure:
        attempt = watch.pings + 1
        gives_up = attempt > len(PAUSES)
        with app.database.write() as connection:
            if gives_up:
                watches.end_ping(connection, watch)
            else:
                watches.put_off_ping(connection, watch, app.clock.now() + PAUSES[attempt - 1])
        app.events.publish(events.PingFailed(schedule, watch.run_id, attempt, str(failure), is_last=gives_up))
        return
    with app.database.write() as connection:
        watches.end_ping(connection, watch)
    app.events.publish(events.PingSent(schedule, watch.run_id))


def watch_loop(app: Application) -> NewsLoop:
    """Looks every few seconds and soon after news."""

    def look_unless_stopping() -> None:
        if not loop.stopping:  # a ping may take long
            look(app)

    loop = NewsLoop(
        "watch",
        look_unless_stopping,
        trouble="late runs could not be looked for; they are later",
        seconds_after_news=SECONDS_AFTER_NEWS,
        seconds_between=SECONDS_BETWEEN_LOOKS,
    )
    return loop
