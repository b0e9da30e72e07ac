"""Who should be told is told: of what is due, before pings, of what is refused, and of the third time overlapped."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from batchwright.engine.run import State
from batchwright.engine.schedule import LateCheck, Schedule, ScheduleRequest
from batchwright.engine.store import late_checks, runs
from batchwright.engine.store import schedules as store
from batchwright.notifications.ping import PingFailed
from batchwright.operations.access.users import add_user, disable_user
from batchwright.operations.app import Application, make_application
from batchwright.operations.mail import list_mail, show_mail
from batchwright.operations.runs.controls import abort_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.schedules.schedules import (
    add_schedule,
    list_fires,
    list_troubles,
    rewind_schedules,
    update_schedule,
)
from batchwright.operations.worker import late_runs
from batchwright.operations.worker.worker import firing_of
from batchwright.testing.clock import FakeClock
from tests.operations.working import wait_for, working
from tests.support.application import ACTOR, NOW, make_settings

MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


def added(app: Application, **terms: Any) -> Schedule:
    values: dict[str, Any] = {"name": "N", "cron": "0 * * ? * *", "job": "draft-usage-rating"}
    add_schedule(app, ScheduleRequest(**values | terms), actor=ACTOR)
    with app.database.read() as connection:
        found = store.by_name(connection, terms.get("name", "N"))
    assert found is not None
    return found


def check(schedule: Schedule, number: int = 0, **terms: Any) -> LateCheck:
    at = NOW - timedelta(days=9) + number * MINUTE
    values: dict[str, Any] = {"run_id": None, "reason": "refused: gone", "finish_by": None, "ping": None}
    return LateCheck(
        schedule_id=schedule.id,
        nominal_time=at,
        last_nominal_time=at,
        count=1,
        **values | {"start_by": None} | terms,
    )


def late_mail(app: Application) -> list[dict[str, Any]]:
    return [
        show_mail(app, mail["mail_id"])["facts"] for mail in list_mail(app) if mail["kind"] == "schedule_late"
    ]


def completed_run(app: Application) -> str:
    run_id = submit_run(app, "draft-usage-rating", {}, actor=ACTOR).run_id
    with app.database.write() as connection:
        run = runs.by_id(connection, run_id)
        assert run is not None
        for state in (State.QUEUED, State.PREPARING, State.PROCESSING, State.COMPLETED):
            connection.exec_driver_sql(f"UPDATE run SET state = '{state}' WHERE id = {run.id}")
    return run_id


@pytest.mark.on_both
def test_what_is_due_is_told_of_though_a_thousand_older_ones_are_open(app: Application) -> None:
    schedule = added(app)
    waiting = submit_run(app, "draft-usage-rating", {}, actor=ACTOR).run_id
    later = [
        check(schedule, number, run_id=waiting, start_by=NOW + MINUTE)
        for number in range(late_checks.MOST + 1)
    ]
    with app.database.write() as connection:
        late_checks.add(connection, [*later, check(schedule, -1, start_by=NOW)])
    late_runs.notify_late(app)
    assert [facts["late"] for facts in late_mail(app)] == ["not_run"]


@pytest.mark.on_both
def test_pings_of_runs_that_have_not_ended_and_those_put_off_hide_no_due_one(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule, called = added(app), list[str]()
    waiting = submit_run(app, "draft-usage-rating", {}, actor=ACTOR).run_id
    done = completed_run(app)
    ping = "http://localhost/"
    open_ones = [
        check(schedule, number, run_id=waiting, ping=f"{ping}{number}")
        for number in range(late_checks.MOST + 1)
    ]
    with app.database.write() as connection:
        late_checks.add(connection, [*open_ones, check(schedule, -1, run_id=done, ping=f"{ping}due")])
    monkeypatch.setattr(late_runs, "ping", lambda url, **_: called.append(url))
    late_runs.call_pings(app)
    assert called == [f"{ping}due"]


@pytest.mark.on_both
def test_a_host_that_does_not_answer_is_tried_once_in_a_look_and_keeps_no_other_host_waiting(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule, called = added(app), list[str]()
    others, lock = threading.Event(), threading.Lock()
    done = completed_run(app)

    def ping(url: str, **_: object) -> None:
        with lock:
            called.append(url)
            if sum("//good" in one for one in called) == 2:
                others.set()
        if "//dead" in url:
            assert others.wait(30)
            raise PingFailed("no answer")

    monkeypatch.setattr(late_runs, "ping", ping)
    urls = [*(f"http://dead/{number}" for number in range(5)), "http://good/1", "http://good/2"]
    with app.database.write() as connection:
        late_checks.add(
            connection,
            [check(schedule, number, run_id=done, ping=url) for number, url in enumerate(urls)],
        )
    late_runs.call_pings(app)
    assert sorted(called) == ["http://dead/0", "http://good/1", "http://good/2"]
    late_runs.call_pings(app, stopping=lambda: True)
    assert len(called) == 3


def test_a_worker_tells_while_a_ping_hangs(
    app: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated_url: str
) -> None:
    schedule, hangs, answered = added(app, end=NOW + timedelta(hours=1)), threading.Event(), threading.Event()

    def ping(url: str, **_: object) -> None:
        hangs.set()
        answered.wait(30)

    monkeypatch.setattr(late_runs, "ping", ping)
    monkeypatch.setattr(late_runs, "SECONDS_AFTER_CHANGE", 0.05)
    done = completed_run(app)
    with app.database.write() as connection:
        late_checks.add(connection, [check(schedule, run_id=done, ping="http://localhost/")])
    other = make_application(make_settings(migrated_url, tmp_path))
    with working(other):
        assert hangs.wait(30)
        with other.database.write() as connection:
            late_checks.add(connection, [check(schedule, 1, start_by=NOW)])
        wait_for(lambda: bool(late_mail(other)))
        answered.set()
    other.close()


@pytest.mark.on_both
def test_a_refused_time_is_told_of_once_though_nobody_asked_for_it_and_stands_in_the_list(
    app: Application, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = added(app)
    with app.database.write() as connection:
        connection.exec_driver_sql("UPDATE schedule SET parameters = '{\"no_such\": 1}'")
    firing = firing_of(app)
    for _ in range(30):
        clock.sleep(60)
        firing.fire([schedule.id])
        late_runs.notify_late(app)
    found = [facts for facts in late_mail(app) if "refused" in facts["reason"]]
    assert [facts["late"] for facts in found] == ["not_run"]
    assert list_troubles(app)["N"].startswith("refused: ")


@pytest.mark.on_both
@pytest.mark.parametrize("together", [1, 3], ids=["one by one", "at once"])
def test_the_third_time_overlapped_in_a_row_is_told_of_once_and_stands_in_the_list(
    app: Application, clock: FakeClock, together: int
) -> None:
    schedule = added(app)
    firing, said = firing_of(app), list[int]()
    for _ in range(6):
        clock.sleep(60)
        firing.fire([schedule.id])
        late_runs.notify_late(app)
        said.append(len(late_mail(app)))
    assert said == [0, 0, 0, 1, 1, 1]
    (facts,) = late_mail(app)
    assert (facts["count"], facts["late"]) == (3, "not_run")
    assert facts["reason"].startswith("overlapped: JR-")
    assert list_troubles(app)["N"].startswith("5 times in a row overlapped: JR-")


def test_two_overlapped_and_then_a_run_are_nobodys_trouble(app: Application, clock: FakeClock) -> None:
    schedule = added(app)
    firing = firing_of(app)
    for _ in range(4):
        for _ in range(3):
            clock.sleep(60)
            firing.fire([schedule.id])
        run_id = next(fire["run_id"] for fire in list_fires(app, "N") if fire["run_id"])
        abort_run(app, run_id, actor=ACTOR)
    late_runs.notify_late(app)
    assert late_mail(app) == []
    clock.sleep(60)
    firing.fire([schedule.id])
    assert list_troubles(app) == {}


def test_overlapped_times_are_counted_over_the_runs_that_overlap_them(
    app: Application, clock: FakeClock
) -> None:
    schedule = added(app)
    firing = firing_of(app)
    live = submit_run(app, "draft-usage-rating", {}, actor=ACTOR).run_id
    for number in range(3):
        with app.database.write() as connection:
            connection.exec_driver_sql("UPDATE run SET schedule = 'N'")
        clock.sleep(60)
        firing.fire([schedule.id])
        if number < 2:
            following = submit_run(app, "draft-usage-rating", {}, actor=ACTOR).run_id
            abort_run(app, live, actor=ACTOR)
            live = following
    late_runs.notify_late(app)
    (facts,) = late_mail(app)
    assert facts["count"] == 3


def test_with_a_limit_each_range_is_told_of_once_and_the_third_time_not_again(
    app: Application, clock: FakeClock
) -> None:
    schedule = added(app, start_within_minutes=600)
    firing = firing_of(app)
    for _ in range(6):
        clock.sleep(60)
        firing.fire([schedule.id])
        late_runs.notify_late(app)
    assert [facts["late"] for facts in late_mail(app)] == ["not_run"]


def test_a_schedule_of_a_disabled_owner_says_so(app: Application) -> None:
    add_user(app, "ada@example.com", "administrator", os_user=ACTOR.os_user, actor=ACTOR)
    add_user(app, "olga@example.com", "operator", actor=ACTOR)
    added(app, owner="olga@example.com")
    assert list_troubles(app) == {}
    disable_user(app, "olga@example.com", actor=ACTOR)
    assert list_troubles(app)["N"] == "its owner olga@example.com is a user who is disabled"
    update_schedule(app, "N", {"owner": "ada@example.com"}, actor=ACTOR)
    assert list_troubles(app) == {}


@pytest.mark.on_both
def test_a_time_that_cannot_be_recorded_keeps_no_other_schedule_waiting(
    app: Application, clock: FakeClock
) -> None:
    bad, good = added(app, start_within_minutes=5), added(app, name="Z")
    coming = replace(check(bad, start_by=NOW), nominal_time=NOW.replace(second=0) + MINUTE)
    with app.database.write() as connection:
        late_checks.add(connection, [coming])
    clock.sleep(60)
    firing_of(app).fire([bad.id, good.id])
    assert [fire["decision"] for fire in list_fires(app, "Z")] == ["started"]
    assert list_fires(app, "N") == []


@pytest.mark.on_both
def test_a_time_that_a_clock_ahead_fired_is_fired_again_when_it_comes_though_its_run_is_watched(
    app: Application, clock: FakeClock
) -> None:
    schedule = added(app, overlap="allow", finish_within_minutes=60)
    firing = firing_of(app)
    clock.sleep(180)
    firing.fire([schedule.id])
    clock.sleep(-180)
    rewind_schedules(app, ["N"], actor=ACTOR)
    clock.sleep(180)
    firing.fire([schedule.id])
    assert [(fire["decision"], fire["count"]) for fire in list_fires(app, "N")] == [
        ("started", 1),
        ("not_run", 2),
    ]
