"""What a worker does about schedules' runs beside starting them: tells of late ones, and pings after successes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from batchwright.engine import events
from batchwright.engine.duty import unheard
from batchwright.engine.faults import is_transient, reason_of
from batchwright.engine.schedule import Judgement, Late, LateCheck, Schedule
from batchwright.engine.schedules.alerts import judge
from batchwright.engine.store import late_checks, runs
from batchwright.engine.store import schedules as store
from batchwright.engine.store.late_checks import StoredLateCheck
from batchwright.notifications.addresses import recipients
from batchwright.notifications.ping import PingFailed, ping
from batchwright.notifications.schedule_late import SCHEDULE_LATE
from batchwright.operations.address_book import address_book
from batchwright.operations.announce import record_by_preference
from batchwright.operations.app import Application
from batchwright.operations.views import View, instant, picked
from batchwright.operations.worker.background_loop import BackgroundLoop

SECONDS_BETWEEN_LOOKS = 5.0
SECONDS_AFTER_CHANGE = 1.0

PAUSES = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
"""Between the calls of a ping that is not answered; after the last it is given up."""

FURTHEST = timedelta(hours=1)
"""No call is put off for so long: a time that is further away was set by a clock that was ahead."""

HOSTS_AT_ONCE = 4
HOLD = timedelta(minutes=1)
"""How long a claim keeps others from calling: longer than a call may take."""

log = structlog.get_logger()


def look(app: Application) -> None:
    """Tell of what is late, and then call the pings that are due."""
    notify_late(app)
    call_pings(app)


def notify_late(app: Application) -> None:
    """Notify of what is late, each once however many look: the mail is recorded with the mark that it was."""
    now = app.clock.now()
    with app.database.read() as connection:
        checks = late_checks.due(connection, now)
        schedules = store.all_schedules(connection)
    _log_ahead(app, [one for one in schedules if one.ahead_of(now) not in (None, one.ahead_told)], now)
    judged = [(check, judge(check, run, now)) for check, run in checks]
    changed = [(check, verdict) for check, verdict in judged if _differs(check, verdict)]
    if changed:
        for event in _settle(app, changed):
            app.events.publish(event)


def call_pings(app: Application, stopping: Callable[[], bool] = lambda: False) -> None:
    """Call the pings that are due, those of a few hosts at once; of a host that does not answer one in each look.

    A ping is called outside any transaction, and marked after the answer: whoever dies in between leaves it to be
    called again.
    """
    with app.database.read() as connection:
        waiting = late_checks.pings_due(connection, app.clock.now(), FURTHEST)
    by_host: dict[str, list[StoredLateCheck]] = {}
    for check in waiting:
        by_host.setdefault(urlsplit(check.ping or "").netloc, []).append(check)

    def call_host(checks: Sequence[StoredLateCheck]) -> None:
        for check in checks:
            if stopping() or not _call_safely(app, check):
                return

    if len(by_host) == 1:
        call_host(waiting)
    elif by_host:
        with ThreadPoolExecutor(HOSTS_AT_ONCE, thread_name_prefix="pings") as pool:
            list(pool.map(call_host, by_host.values()))


def _call_safely(app: Application, check: StoredLateCheck) -> bool:
    """Whether its host may be called again in this look. One whose row somebody keeps keeps nobody from the others."""
    try:
        return _call(app, check)
    except DBAPIError as error:
        if not is_transient(error):
            raise
        log.warning("a ping is left for later", run_id=check.run_id, reason=reason_of(error))
        return True


def _differs(check: StoredLateCheck, verdict: Judgement) -> bool:
    left = (verdict.start_by, verdict.finish_by, verdict.ping)
    return left != (check.start_by, check.finish_by, check.ping) or left == (None, None, None)


def _settle(app: Application, changed: list[tuple[StoredLateCheck, Judgement]]) -> list[events.ScheduleLate]:
    notified: list[events.ScheduleLate] = []
    with app.database.write() as connection:
        keys = {check.schedule_id for check, _ in changed}
        schedules = {schedule.id: schedule for schedule in store.by_keys(connection, keys)}
        free = late_checks.lock_free(connection, [check.id for check, _ in changed])
        for check, verdict in changed:
            if check.id not in free:
                continue
            schedule = schedules.get(check.schedule_id)
            if schedule is not None and late_checks.settle(connection, check, verdict):
                notified += [_notify(app, connection, schedule, check, late) for late in verdict.late]
    return notified


def _log_ahead(app: Application, schedules: Sequence[Schedule], now: datetime) -> None:
    """Tell of schedules that fire nothing since a clock that was ahead recorded times to come."""
    for schedule in schedules:
        at = schedule.ahead_of(now)
        assert at is not None
        check = LateCheck(
            schedule_id=schedule.id,
            nominal_time=at,
            last_nominal_time=at,
            count=0,
            run_id=None,
            reason="a clock that was ahead recorded times to come",
            start_by=None,
            finish_by=None,
            ping=None,
        )
        with app.database.write() as connection:
            event = None
            if store.note_ahead_notified(connection, schedule, at):
                event = _notify(app, connection, schedule, check, "ahead")
        if event is not None:
            app.events.publish(event)


def _notify(
    app: Application, connection: Connection, schedule: Schedule, check: LateCheck, late: Late
) -> events.ScheduleLate:
    run = None if check.run_id is None else runs.by_id(connection, check.run_id)
    facts = {
        **_facts(schedule, check, late),
        "run_status": None if run is None else str(run.state),
        "database": app.database.display_url,
        "label": app.settings.label,
        "base_url": app.settings.console_url,
        "mail_only_to_files": app.settings.mail.transport == "file",
    }
    known = address_book(connection, app.settings)
    record_by_preference(
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
    return events.ScheduleLate(schedule.name, facts["nominal_time"], late, check.run_id, check.count)


def _facts(schedule: Schedule, check: LateCheck, late: Late) -> dict[str, Any]:
    by = {"not_started": check.start_by, "not_finished": check.finish_by}.get(late)
    facts: View = {
        "schedule": schedule.name,
        "job": schedule.job,
        "late": late,
        **picked(check, "nominal_time last_nominal_time count"),
        "by": instant(by),
        "run_id": check.run_id,
        "reason": check.reason,
        "time_zone": schedule.time_zone,
        "local_time": check.nominal_time.astimezone(ZoneInfo(schedule.time_zone)).isoformat(),
    }
    return facts


def _call(app: Application, check: StoredLateCheck) -> bool:
    with app.database.write() as connection:
        named = store.by_keys(connection, [check.schedule_id])
        if not named or not late_checks.lock_free(connection, [check.id]):
            return True
        if not late_checks.claim_ping(connection, check, app.clock.now() + HOLD):
            return True
    schedule, url = named[0].name, check.ping or ""
    try:
        ping(url, allows_private=app.settings.ping_private)
    except PingFailed as failure:
        attempt = check.pings + 1
        gives_up = attempt > len(PAUSES)
        with app.database.write() as connection:
            if gives_up:
                late_checks.end_ping(connection, check)
            else:
                late_checks.put_off_ping(connection, check, app.clock.now() + PAUSES[attempt - 1])
        app.events.publish(events.PingFailed(schedule, check.run_id, attempt, str(failure), is_last=gives_up))
        return False
    with app.database.write() as connection:
        late_checks.end_ping(connection, check)
    app.events.publish(events.PingSent(schedule, check.run_id))
    return True


def watch_loop(app: Application, on_failure: Callable[[BaseException], None] = unheard) -> BackgroundLoop:
    """Notifies every few seconds and soon after a notification."""
    return BackgroundLoop(
        "watch",
        lambda: notify_late(app),
        trouble="late runs could not be looked for; they are later",
        seconds_after_change=SECONDS_AFTER_CHANGE,
        seconds_between=SECONDS_BETWEEN_LOOKS,
        on_failure=on_failure,
    )


def ping_loop(app: Application, on_failure: Callable[[BaseException], None] = unheard) -> BackgroundLoop:
    """Calls pings as often, in a thread of its own: a host that does not answer delays no notification."""
    loop = BackgroundLoop(
        "pings",
        lambda: call_pings(app, lambda: loop.stopping),
        trouble="pings could not be called; they are later",
        seconds_after_change=SECONDS_AFTER_CHANGE,
        seconds_between=SECONDS_BETWEEN_LOOKS,
        on_failure=on_failure,
    )
    return loop
