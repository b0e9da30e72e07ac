"""Late and missing runs: who is told, once; and the ping after a success."""

from __future__ import annotations

import email
import email.policy
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from batchwright.config.settings import operating_system_user
from batchwright.engine import events
from batchwright.engine.errors import Refused
from batchwright.engine.run import Run, State
from batchwright.engine.schedule import Hold, LateCheck, NotRunCause, RunTimes, Schedule, ScheduleRequest
from batchwright.engine.schedules.alerts import judge, late_check_of
from batchwright.engine.store import late_checks, runs
from batchwright.engine.store import schedules as store
from batchwright.engine.store.schedules import Fire
from batchwright.engine.store.tables import schedule_watch
from batchwright.notifications.ping import PingFailed, ping
from batchwright.notifications.tables import mail as mail_table
from batchwright.operations.access.users import add_user, set_mail
from batchwright.operations.app import Application, make_application
from batchwright.operations.mail import list_mail, send_due_mail, show_mail
from batchwright.operations.runs.controls import abort_run
from batchwright.operations.runs.looking import show_run
from batchwright.operations.schedules.pings import refused_pings
from batchwright.operations.schedules.scheduled_runs import submit_of_schedules
from batchwright.operations.schedules.schedules import add_schedule, remove_schedule, update_schedule
from batchwright.operations.worker.digests import make_digests
from batchwright.operations.worker.late_runs import PAUSES, look
from batchwright.operations.worker.worker import WorkerProcess
from batchwright.testing.clock import StandingClock
from tests.support.application import ACTOR, NOW, make_settings
from tests.support.smtp import SmtpServer
from tests.support.web import WebServer

MINUTE = timedelta(minutes=1)
NO_HOLD = Hold()
SCHEDULE = Schedule(
    id=1,
    name="N",
    cron="0 0 0 ? * *",
    job="draft-usage-rating",
    parameters={},
    owner="dana@example.com",
    start_within_minutes=10,
    finish_within_minutes=60,
    created_at=NOW - timedelta(days=9),
    timed_at=NOW - timedelta(days=9),
    paused=False,
    paused_at=None,
    resumed_at=None,
    last_nominal_time=None,
)
STARTED = Fire(nominal_time=NOW, last_nominal_time=NOW, count=1, decision="started", run_id="JR-00000001")
OVERLAPPED = Fire(
    nominal_time=NOW - 60 * MINUTE,
    last_nominal_time=NOW,
    count=61,
    decision="not_run",
    cause=NotRunCause.OVERLAPPED,
    reason="overlapped: JR-00000007 had not ended",
)


def check_of(
    fire: Fire = STARTED, hold: Hold = NO_HOLD, now: datetime = NOW, **terms: Any
) -> LateCheck | None:
    return late_check_of(replace(SCHEDULE, **terms), hold, fire, now)


def judged(minutes: float, run: RunTimes | None, **terms: Any) -> Sequence[str]:
    check = check_of(**terms)
    assert check is not None
    return judge(check, run, NOW + minutes * MINUTE).late


def times(state: State, started: float | None = None, ended: float | None = None) -> RunTimes:
    at = [None if minutes is None else NOW + minutes * MINUTE for minutes in (started, ended)]
    return RunTimes(state, at[0], at[1])


def test_a_run_that_waits_is_late_at_its_deadline_and_not_before() -> None:
    waiting = times(State.HOLDING)
    assert [judged(minutes, waiting) for minutes in (0, 9.9, 10)] == [(), (), ("not_started",)]


def test_a_run_that_started_and_ended_in_time_is_never_late() -> None:
    done = times(State.COMPLETED, 9, 59)
    check = check_of()
    assert check is not None
    verdict = judge(check, done, NOW + 90 * MINUTE)
    assert verdict == ((), None, None, None)


def test_a_run_that_started_or_ended_late_is_told_of_though_nobody_looked_meanwhile() -> None:
    assert judged(99, times(State.COMPLETED, 11, 61)) == ("not_started", "not_finished")
    assert judged(99, times(State.COMPLETED, 1, 61)) == ("not_finished",)


def test_a_run_aborted_before_its_deadlines_is_not_late() -> None:
    assert judged(99, times(State.ABORTED, None, 5)) == ()


def test_a_run_that_was_pruned_is_not_late() -> None:
    assert judged(99, None) == ()


def test_minutes_count_from_the_end_of_a_pause_or_a_hold() -> None:
    end = NOW + 30 * MINUTE
    for terms in ({"resumed_at": end}, {"hold": Hold(NOW - MINUTE, end)}):
        after, before = (check_of(now=now, **terms) for now in (end, NOW))
        assert after is not None
        assert after.start_by == end + 10 * MINUTE
        # An end that lies ahead is of a clock that was ahead.
        assert before is not None
        assert before.start_by == NOW + 10 * MINUTE


def test_of_times_that_were_not_run_somebody_is_told_at_once() -> None:
    check = check_of(OVERLAPPED)
    assert check is not None
    assert judge(check, None, NOW).late == ("not_run",)


def test_a_schedule_without_limits_and_ping_watches_nothing() -> None:
    for fire in (STARTED, OVERLAPPED):
        assert check_of(fire, start_within_minutes=None, finish_within_minutes=None) is None


@pytest.fixture
def app(migrated_url: str, tmp_path: Path, clock: StandingClock) -> Iterator[Application]:
    """One whose schedules may ping this machine."""
    application = make_application(make_settings(migrated_url, tmp_path, ping_private=True), clock=clock)
    yield application
    application.close()


@pytest.fixture
def published(app: Application) -> list[events.Event]:
    """The events about schedules, as they are published."""
    heard: list[events.Event] = []
    kinds = (events.ScheduleLate, events.PingSent, events.PingFailed)
    app.events.subscribe(lambda event: heard.append(event) if isinstance(event, kinds) else None)
    return heard


def scheduled(app: Application, **terms: Any) -> Schedule:
    """A schedule that is to be watched."""
    request = ScheduleRequest(name="N", cron="0 0 0 ? * *", job="draft-usage-rating", **terms)
    add_schedule(app, request, actor=ACTOR)
    with app.database.read() as connection:
        found = store.by_name(connection, "N")
    assert found is not None
    return found


def fired(app: Application, schedule: Schedule, nominal_time: datetime) -> str:
    """The run of a nominal time, watched as the scheduler has it."""
    with app.database.write() as connection:
        (run,) = submit_of_schedules(app, connection, [(schedule, False)], os_user="dana")
        assert isinstance(run, Run)
        fire = Fire(
            nominal_time=nominal_time,
            last_nominal_time=nominal_time,
            count=1,
            decision="started",
            run_id=run.run_id,
        )
        store.insert_fires(connection, [(schedule.id, fire)], NOW)
        late_checks.add(connection, [late_check_of(schedule, NO_HOLD, fire, NOW)])
    return run.run_id


def drive(app: Application, run_id: str) -> None:
    with app.database.read() as connection:
        key = runs.by_id(connection, run_id).id
    app.dispatcher.drive(key)


def left(app: Application) -> int:
    with app.database.read() as connection:
        return len(connection.execute(select(schedule_watch)).all())


def test_a_late_run_is_told_of_once_by_an_event_and_a_mail_to_owner_and_notify(
    app: Application, published: list[events.Event], tmp_path: Path
) -> None:
    schedule = scheduled(app, start_within_minutes=10, notify=["ops@example.com"])
    run_id = fired(app, schedule, NOW - 10 * MINUTE)
    for _ in range(3):
        look(app)
    assert published == [events.ScheduleLate("N", "2023-07-01T08:20:00.000Z", "not_started", run_id, 1)]
    mails = list_mail(app)
    assert sorted(mail["recipient"] for mail in mails) == ["dana@example.com", "ops@example.com"]
    assert {(mail["kind"], mail["run_id"]) for mail in mails} == {("schedule_late", run_id)}
    assert [mail["kind"] for mail in show_run(app, run_id)["mails"]] == ["schedule_late"] * 2
    send_due_mail(app)
    message = email.message_from_bytes(
        min((tmp_path / "mail").glob("*.eml")).read_bytes(), policy=email.policy.default
    )
    assert message["Subject"] == f"N NOT STARTED in time ({run_id})"
    for part in ("plain", "html"):
        body = message.get_body((part,))
        assert body is not None
        text = " ".join(body.get_content().split())
        assert "should have started by 2023-07-01 08:30:00 UTC, and had not" in text
        assert "batchwright schedules fires" in text
    assert left(app) == 0


def test_a_late_run_is_told_of_to_those_who_want_to_know(app: Application) -> None:
    add_user(app, "ada@example.com", "administrator", os_user=operating_system_user(), actor=ACTOR)
    for mail in ("always", "errors", "never", "digest"):
        add_user(app, f"{mail}@example.com", "viewer", actor=ACTOR)
        set_mail(app, f"{mail}@example.com", mail, actor=ACTOR)
    notify = [f"{mail}@example.com" for mail in ("always", "errors", "never", "digest")]
    run_id = fired(app, scheduled(app, start_within_minutes=10, notify=notify), NOW - 10 * MINUTE)
    look(app)
    assert {mail["recipient"]: mail["status"] for mail in show_run(app, run_id)["mails"]} == {
        "dana@example.com": "waiting",
        "always@example.com": "waiting",
        "errors@example.com": "waiting",
        "digest@example.com": "for_digest",
    }


def test_a_late_run_is_in_the_digest_of_its_day(app: Application, tmp_path: Path) -> None:
    add_user(app, "ada@example.com", "administrator", os_user=operating_system_user(), actor=ACTOR)
    set_mail(app, "ada@example.com", "digest", actor=ACTOR)
    fired(app, scheduled(app, start_within_minutes=10, notify=["ada@example.com"]), NOW - 10 * MINUTE)
    look(app)
    with app.database.write() as connection:
        connection.execute(mail_table.update().values(next_attempt_at=NOW))
    assert make_digests(app) == 1
    newest = list_mail(app)[0]
    assert (newest["kind"], newest["recipient"]) == ("digest", "ada@example.com")
    send_due_mail(app)
    written = (tmp_path / "mail" / f"{newest['mail_id']}.eml").read_text(encoding="utf-8")
    assert "Subject: Batchwright: 1 schedule late or not run" in written
    assert "N NOT STARTED in time" in written


def test_a_run_that_does_not_end_is_told_of_once_more(
    app: Application, published: list[events.Event]
) -> None:
    schedule = scheduled(app, start_within_minutes=10, finish_within_minutes=60)
    fired(app, schedule, NOW - 20 * MINUTE)
    fired(app, schedule, NOW - 90 * MINUTE)
    look(app)
    look(app)
    late = [event for event in published if isinstance(event, events.ScheduleLate)]
    assert sorted((event.nominal_time[11:16], event.late) for event in late) == [
        ("07:00", "not_finished"),
        ("07:00", "not_started"),
        ("08:10", "not_started"),
    ]
    assert left(app) == 1


def test_a_range_that_was_not_run_is_told_of_once(app: Application, published: list[events.Event]) -> None:
    schedule = scheduled(app, start_within_minutes=10)
    with app.database.write() as connection:
        late_checks.add(connection, [late_check_of(schedule, NO_HOLD, OVERLAPPED, NOW)])
    look(app)
    look(app)
    assert published == [events.ScheduleLate("N", "2023-07-01T07:30:00.000Z", "not_run", None, 61)]
    (mail,) = list_mail(app)
    facts = show_mail(app, mail["mail_id"])["facts"]
    assert (mail["run_id"], facts["reason"]) == (None, OVERLAPPED.reason)


def looked_at_once(app: Application) -> None:
    """Four workers look at the same moment."""
    rivals = [make_application(app.settings, clock=app.clock) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(look, rivals))
    for rival in rivals:
        rival.close()


@pytest.mark.on_both
def test_of_workers_that_look_at_once_one_tells(app: Application) -> None:
    schedule = scheduled(app, start_within_minutes=10)
    for minute in range(20):
        fired(app, schedule, NOW - (20 + minute) * MINUTE)
    looked_at_once(app)
    look(app)
    assert len(list_mail(app)) == 20
    assert left(app) == 0


@pytest.mark.on_both
def test_of_workers_that_look_at_once_one_pings(app: Application, web: WebServer) -> None:
    schedule = scheduled(app, ping=web.url, overlap="allow")
    for minute in range(5):
        drive(app, fired(app, schedule, NOW - minute * MINUTE))
    looked_at_once(app)
    look(app)
    assert len(web.calls) == 5
    assert left(app) == 0


def test_a_removed_schedule_is_watched_no_more(app: Application, published: list[events.Event]) -> None:
    fired(app, scheduled(app, start_within_minutes=10), NOW - 20 * MINUTE)
    remove_schedule(app, "N", actor=ACTOR)
    look(app)
    assert (published, left(app)) == ([], 0)


@pytest.fixture
def web() -> Iterator[WebServer]:
    """A dead man's switch."""
    server = WebServer()
    server.start()
    yield server
    server.stop()


def test_a_ping_is_called_once_after_a_success(
    app: Application, published: list[events.Event], web: WebServer
) -> None:
    run_id = fired(app, scheduled(app, ping=web.url), NOW)
    look(app)
    assert web.calls == []
    drive(app, run_id)
    look(app)
    look(app)
    assert web.calls == ["GET /ping/123"]
    assert published == [events.PingSent("N", run_id)]
    assert left(app) == 0


def test_a_run_that_did_not_succeed_pings_nobody(
    app: Application, published: list[events.Event], web: WebServer
) -> None:
    run_id = fired(app, scheduled(app, ping=web.url), NOW)
    abort_run(app, run_id, actor=ACTOR)
    look(app)
    assert (web.calls, published, left(app)) == ([], [], 0)


class Later:
    """The clock of an application, set by hand."""

    def __init__(self, app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = NOW
        monkeypatch.setattr(app.clock, "now", lambda: self.now)


def test_a_ping_that_fails_is_called_again_later_and_decides_nothing(
    app: Application, published: list[events.Event], web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = Later(app, monkeypatch)
    web.statuses = [500, 404]
    run_id = fired(app, scheduled(app, ping=web.url), NOW)
    drive(app, run_id)
    look(app)
    look(app)
    assert len(web.calls) == 1
    later.now += PAUSES[0]
    look(app)
    later.now += PAUSES[1]
    look(app)
    assert len(web.calls) == 3
    assert [type(event).__name__ for event in published] == ["PingFailed", "PingFailed", "PingSent"]
    assert show_run(app, run_id)["status"] == "Completed"
    assert left(app) == 0


def test_a_ping_that_never_answers_is_given_up_and_said_so(
    app: Application, published: list[events.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    later = Later(app, monkeypatch)
    silent = WebServer()
    silent.start()
    silent.stop()
    drive(app, fired(app, scheduled(app, ping=silent.url), NOW))
    for pause in (*PAUSES, *PAUSES):
        look(app)
        later.now += pause
    assert [event.is_last for event in published if isinstance(event, events.PingFailed)] == [
        *[False] * len(PAUSES),
        True,
    ]
    assert left(app) == 0


def test_a_ping_of_the_own_network_is_told_with_the_remedy_unless_it_is_allowed(
    app: Application, web: WebServer, migrated_url: str, tmp_path: Path
) -> None:
    drive(app, fired(app, scheduled(app, ping=web.url), NOW))
    careful = make_application(make_settings(migrated_url, tmp_path), clock=app.clock)
    with closing(careful), capture_logs() as logged:
        look(careful)
        ((reason, remedy),) = refused_pings(careful)
        update_schedule(careful, "N", {"cap": 3}, actor=ACTOR)
        with pytest.raises(Refused, match=r"leads to 127\.0\.0\.1, an address of this machine") as refusal:
            update_schedule(careful, "N", {"ping": f"{web.url}4"}, actor=ACTOR)
    assert (web.calls, refused_pings(app)) == ([], [])
    assert reason == (
        "the ping of the schedule 'N' leads to 127.0.0.1, an address of this machine, and is not sent"
    )
    (line,) = (line for line in logged if line["event"] == "ping not answered")
    assert (line["log_level"], line["schedule"]) == ("warning", "N")
    assert line["reason"] == f"not called: it leads to 127.0.0.1, an address of this machine. {remedy}"
    assert "BATCHWRIGHT_PING_PRIVATE" in remedy
    assert (refusal.value.field, refusal.value.remedy) == ("ping", remedy)


def test_a_caller_that_died_leaves_the_ping_to_be_called_again(
    app: Application, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = Later(app, monkeypatch)
    drive(app, fired(app, scheduled(app, ping=web.url), NOW))
    with monkeypatch.context() as dying:
        dying.setattr("batchwright.operations.worker.late_runs.ping", _die)
        with pytest.raises(KeyboardInterrupt):
            look(app)
    look(app)
    assert web.calls == []
    later.now += timedelta(minutes=2)
    look(app)
    assert len(web.calls) == 1


def _die(_: str, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_ping_counts_only_an_answer_that_all_is_well(web: WebServer) -> None:
    ping(web.url, allows_private=True)
    web.statuses = [204, 301, 404, 503]
    ping(web.url, allows_private=True)
    for _ in range(3):
        with pytest.raises(PingFailed, match=r"it answers|no answer"):
            ping(web.url, allows_private=True)


def test_a_server_that_says_nothing_is_not_waited_for_long(web: WebServer) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        with pytest.raises(PingFailed, match="no answer"):
            ping(f"http://127.0.0.1:{deaf.getsockname()[1]}/", seconds=0.2, allows_private=True)


def test_a_worker_sends_the_mail_by_smtp_and_pings(
    app: Application, web: WebServer, smtp_server: SmtpServer, migrated_url: str, tmp_path: Path
) -> None:
    mail = {"transport": "smtp", "smtp_host": smtp_server.host, "smtp_port": smtp_server.port}
    settings = make_settings(migrated_url, tmp_path, mail=mail, lease_seconds=1, ping_private=True)
    working = make_application(settings, clock=app.clock)
    run_id = fired(app, scheduled(app, start_within_minutes=10, ping=web.url), NOW - 20 * MINUTE)
    worker = WorkerProcess(working)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        until = time.monotonic() + 60
        while not (web.calls and len(smtp_server.messages) == 2):
            assert time.monotonic() < until, (web.calls, smtp_server.messages)
            time.sleep(0.05)
    finally:
        worker.drain()
        thread.join(60)
        working.close()
    subjects = sorted(str(received.message["Subject"]) for received in smtp_server.messages)
    assert subjects == [
        f"Draft usage rating completed: nothing to process ({run_id})",
        f"N NOT STARTED in time ({run_id})",
    ]
    assert web.calls == ["GET /ping/123"]
