"""A clock that was ahead for one look: what it recorded of times to come is found, told of, and left behind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from batchwright.engine.errors import MoveRefused
from batchwright.engine.schedule import ScheduleRequest
from batchwright.engine.schedules.scheduler import Scheduler
from batchwright.notifications.schedule_late import ScheduleLate
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.app import Application
from batchwright.operations.audit_store import AuditFilter
from batchwright.operations.mail import list_mail, show_mail
from batchwright.operations.runs.looking import list_runs
from batchwright.operations.schedules.files import apply_schedules
from batchwright.operations.schedules.schedules import (
    add_schedule,
    list_fires,
    list_troubles,
    pause_schedule,
    resume_schedule,
    rewind_schedules,
    update_schedule,
)
from batchwright.operations.worker import late_runs
from batchwright.operations.worker.worker import firing_of
from batchwright.testing.clock import FakeClock
from tests.support.application import ACTOR, NOW

pytestmark = pytest.mark.on_both

DAY = 24 * 3600.0
YEAR = 365 * DAY
LINE = '0 0 0 ? * * * "N" draft-usage-rating --overlap allow'


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def scheduler(app: Application, clock: FakeClock) -> Scheduler:
    """One that is not started: looks are made by hand."""
    return Scheduler(database=app.database, clock=clock, firing=firing_of(app), seconds_between_looks=60)


@pytest.fixture
def ahead(app: Application, clock: FakeClock, scheduler: Scheduler) -> None:
    """A daily schedule, and a look after three days by a clock that is a year ahead."""
    values: dict[str, Any] = {"name": "N", "cron": "0 0 0 ? * * *", "job": "draft-usage-rating"}
    add_schedule(app, ScheduleRequest(**values, overlap="allow"), actor=ACTOR)
    clock.sleep(3 * DAY + YEAR)
    scheduler.look()
    clock.sleep(-YEAR)


def started(app: Application) -> int:
    return sum(fire["decision"] == "started" for fire in list_fires(app, "N"))


def fires_of_a_month(app: Application, clock: FakeClock, scheduler: Scheduler) -> int:
    before = started(app)
    clock.sleep(DAY - 8.5 * 3600)
    for _ in range(30):
        scheduler.look()
        clock.sleep(DAY)
    return started(app) - before


def by_rewind(app: Application) -> None:
    assert rewind_schedules(app, ["N"], actor=ACTOR) == ["N"]


def by_rewinding_all(app: Application) -> None:
    assert rewind_schedules(app, None, actor=ACTOR) == ["N"]


def by_update(app: Application) -> None:
    update_schedule(app, "N", {"cap": 3}, actor=ACTOR)


def by_another_expression(app: Application) -> None:
    update_schedule(app, "N", {"cron": "0 0 0 1/1 * ?", "grace_seconds": 5}, actor=ACTOR)


def by_apply(app: Application) -> None:
    apply_schedules(app, f"{LINE} --cap 3", file="crontab", actor=ACTOR)


def by_a_pause(app: Application) -> None:
    pause_schedule(app, "N", actor=ACTOR)
    resume_schedule(app, "N", actor=ACTOR)


@pytest.mark.usefixtures("ahead")
@pytest.mark.parametrize(
    "change",
    [by_rewind, by_rewinding_all, by_update, by_another_expression, by_apply, by_a_pause],
)
def test_a_schedule_recorded_a_year_ahead_fires_each_day_of_the_month_after_a_change(
    app: Application, clock: FakeClock, scheduler: Scheduler, change: Callable[[Application], None]
) -> None:
    scheduler.look()
    change(app)
    assert fires_of_a_month(app, clock, scheduler) == 30
    assert list_troubles(app) == {}


@pytest.mark.usefixtures("ahead")
def test_three_workers_of_whom_one_was_a_year_ahead_fire_each_day_once_after_a_rewind(
    app: Application, clock: FakeClock, scheduler: Scheduler
) -> None:
    others = [
        Scheduler(database=app.database, clock=clock, firing=firing_of(app), seconds_between_looks=60)
        for _ in range(2)
    ]
    for one in others:
        one.look()
    assert started(app) == 1
    rewind_schedules(app, ["N"], actor=ACTOR)
    before = started(app)
    clock.sleep(DAY - 8.5 * 3600)
    for day in range(30):
        workers = [scheduler, *others]
        for one in workers[day % 3 :] + workers[: day % 3]:
            one.look()
        clock.sleep(DAY)
    assert started(app) - before == 30
    assert len({fire["nominal_time"] for fire in list_fires(app, "N") if fire["decision"] == "started"}) == 30


@pytest.mark.usefixtures("ahead")
def test_what_is_recorded_ahead_is_in_the_list_in_the_log_and_in_one_mail(
    app: Application, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list_troubles(app)["N"].startswith("recorded ahead of the clock: fires nothing until 2024-07-03")
    for _ in range(2):
        late_runs.look(app)
    (mail,) = [one for one in list_mail(app) if one["kind"] == "schedule_late"]
    facts = show_mail(app, mail["mail_id"])["facts"]
    late = ScheduleLate(facts)
    assert (late.verdict, late.commands[0].value) == ("FIRES NOTHING", "batchwright schedules rewind N")
    assert "2024-07-03" in late.summary
    assert capsys.readouterr().err.count('"late": "ahead"') == 1


@pytest.mark.usefixtures("ahead")
def test_to_rewind_keeps_what_has_come_and_has_an_audit_entry(app: Application) -> None:
    before = list_fires(app, "N")
    assert [(fire["count"], fire["decision"]) for fire in before] == [(1, "started"), (367, "not_run")]
    rewind_schedules(app, ["N"], actor=ACTOR, reason="the clock was wrong")
    (fire,) = list_fires(app, "N")
    assert (fire["nominal_time"][:10], fire["last_nominal_time"][:10], fire["count"]) == (
        "2023-07-02",
        "2023-07-04",
        3,
    )
    (entry,) = list_audit(app, wanted=AuditFilter(act="schedule.rewind"))
    assert (entry["subject"], entry["reason"]) == ("N", "the clock was wrong")
    assert entry["before"]["last_nominal_time"].startswith("2024-07-03")
    with pytest.raises(MoveRefused, match="nothing is recorded ahead"):
        rewind_schedules(app, ["N"], actor=ACTOR)
    assert rewind_schedules(app, None, actor=ACTOR) == []


def test_a_pause_that_a_clock_ahead_ended_does_not_make_every_time_a_missed_one(
    app: Application, clock: FakeClock, scheduler: Scheduler
) -> None:
    values: dict[str, Any] = {"name": "N", "cron": "0 0 0 ? * * *", "job": "draft-usage-rating"}
    add_schedule(app, ScheduleRequest(**values, misfire="skip", overlap="allow"), actor=ACTOR)
    pause_schedule(app, "N", actor=ACTOR)
    clock.sleep(YEAR)
    resume_schedule(app, "N", actor=ACTOR)
    clock.sleep(-YEAR)
    clock.sleep(DAY - 8.5 * 3600)
    scheduler.look()
    assert started(app) == 1


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
@pytest.mark.parametrize("minutes", [2, -2])
def test_a_worker_whose_clock_is_not_that_of_the_server_says_so_and_fires_nothing(
    app: Application,
    clock: FakeClock,
    scheduler: Scheduler,
    capsys: pytest.CaptureFixture[str],
    minutes: int,
) -> None:
    values: dict[str, Any] = {"name": "N", "cron": "0 0 0 ? * * *", "job": "draft-usage-rating"}
    add_schedule(app, ScheduleRequest(**values), actor=ACTOR)
    clock.sleep(DAY)
    clock.ahead = timedelta(minutes=minutes)
    assert [scheduler.look(), scheduler.look()] == [True, True]
    assert list_runs(app) == []
    said = capsys.readouterr().err
    assert said.count("the clock of this machine is wrong") == 1
    assert f'"seconds_ahead_of_server": {minutes * 60}' in said
    clock.ahead = timedelta(seconds=59)
    scheduler.look()
    assert started(app) == 1
