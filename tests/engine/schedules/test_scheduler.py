"""The scheduler of a worker: what it looks at, and when."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs

from batchwright.engine.clock import SystemClock
from batchwright.engine.errors import Refused
from batchwright.engine.events import ScheduleFired
from batchwright.engine.run import Run
from batchwright.engine.schedule import Schedule
from batchwright.engine.schedules.policy import Start
from batchwright.engine.schedules.scheduler import Scheduler
from batchwright.engine.store import schedules
from tests.engine.schedules.making import NOW, Bench

pytestmark = pytest.mark.on_both

MINUTELY = "0 * * * * ?"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def scheduler(bench: Bench) -> Scheduler:
    """One that is not started: looks are made by hand."""
    return Scheduler(
        database=bench.database, clock=bench.clock, firing=bench.firing(), seconds_between_looks=60
    )


@pytest.fixture
def running(bench: Bench) -> Iterator[list[Scheduler]]:
    """Schedulers to be started, on the machine's clock, and stopped in the end."""
    started: list[Scheduler] = []
    yield started
    for scheduler in started:
        scheduler.stop()


def start(bench: Bench, running: list[Scheduler]) -> Scheduler:
    bench.clock = SystemClock()  # type: ignore[assignment]
    scheduler = Scheduler(
        database=bench.database, clock=bench.clock, firing=bench.firing(), seconds_between_looks=3600
    )
    scheduler.start()
    running.append(scheduler)
    return scheduler


def test_a_mark_of_a_clock_that_was_ahead_is_told_once(bench: Bench, scheduler: Scheduler) -> None:
    bench.add("minutely", MINUTELY)
    bench.clock.sleep(60)
    bench.clock.sleep(86_400)
    scheduler.look()
    with capture_logs() as before:
        scheduler.look()
    bench.clock.sleep(-86_400)
    with capture_logs() as logs:
        scheduler.look()
        scheduler.look()
    (logged,) = [one for one in logs if "clock was ahead" in one["event"]]
    assert (logged["schedule"], logged["log_level"], before) == ("minutely", "error", [])


def test_it_fires_what_is_due_and_nothing_else(bench: Bench, scheduler: Scheduler) -> None:
    minutely, hourly = bench.add("minutely", MINUTELY), bench.add("hourly", "0 0 * * * ?")
    bench.clock.sleep(60)
    assert scheduler.look() is False
    assert (len(bench.runs(minutely)), bench.runs(hourly)) == (1, [])


def test_a_second_look_starts_nothing_more(bench: Bench, scheduler: Scheduler) -> None:
    minutely = bench.add("minutely", MINUTELY)
    bench.clock.sleep(60)
    scheduler.look()
    scheduler.look()
    assert len(bench.fires(minutely)) == 1


def test_a_schedule_that_was_added_meanwhile_is_seen(bench: Bench, scheduler: Scheduler) -> None:
    scheduler.look()
    minutely = bench.add("minutely", MINUTELY)
    bench.clock.sleep(60)
    scheduler.look()
    assert len(bench.runs(minutely)) == 1


def test_a_schedule_that_was_removed_meanwhile_is_forgotten(bench: Bench, scheduler: Scheduler) -> None:
    minutely = bench.add("minutely", MINUTELY)
    scheduler.look()
    with bench.database.write() as connection:
        schedules.lock_changes(connection)
        schedules.remove(connection, minutely)
    bench.clock.sleep(60)
    assert scheduler.look() is False


def test_while_all_are_held_nothing_fires_and_nothing_is_waited_for(
    bench: Bench, scheduler: Scheduler
) -> None:
    minutely = bench.add("minutely", MINUTELY)
    with bench.database.write() as connection:
        schedules.lock_changes(connection)
        schedules.hold_all(connection, NOW)
    bench.clock.sleep(300)
    assert scheduler.look() is False
    assert bench.fires(minutely) == []
    with bench.database.write() as connection:
        schedules.lock_changes(connection)
        schedules.release_all(connection, bench.clock.now())
    scheduler.look()
    assert [(fire.count, fire.reason) for fire in bench.fires(minutely)] == [(4, "held"), (1, None)]


def test_what_somebody_else_keeps_is_looked_at_again(bench: Bench, scheduler: Scheduler) -> None:
    minutely = bench.add("minutely", MINUTELY)
    bench.clock.sleep(60)
    if not bench.database.is_sqlite:  # there every write transaction is alone, and the next one waits
        with bench.database.write() as connection:
            schedules.lock_free(connection, [minutely.id])
            assert scheduler.look() is True
    assert scheduler.look() is False
    assert len(bench.runs(minutely)) == 1


def test_one_whose_zone_is_gone_keeps_nobody_from_the_others(bench: Bench, scheduler: Scheduler) -> None:
    bench.add("gone", MINUTELY, time_zone="Atlantis/Capital")
    minutely = bench.add("minutely", MINUTELY)
    bench.clock.sleep(60)
    scheduler.look()
    assert len(bench.runs(minutely)) == 1


def test_the_alarm_rings_for_a_schedule_that_came_by_news(bench: Bench, running: list[Scheduler]) -> None:
    fired = threading.Event()
    bench.rig.subscribers.append(lambda event: fired.set() if isinstance(event, ScheduleFired) else None)
    scheduler = start(bench, running)
    each_second = bench.add("each second", "* * * * * ?")
    scheduler.changed()
    assert fired.wait(10)
    assert bench.runs(each_second)


def test_it_survives_a_database_that_does_not_answer(bench: Bench, running: list[Scheduler]) -> None:
    failed, fired = threading.Event(), threading.Event()
    bench.rig.subscribers.append(lambda event: fired.set() if isinstance(event, ScheduleFired) else None)
    submit = bench.submit

    def fail_once(
        connection: Connection, starts: Sequence[tuple[Schedule, Start]]
    ) -> Sequence[Run | Refused]:
        bench.submit = submit  # type: ignore[method-assign]
        failed.set()
        raise psycopg.OperationalError("the server has gone away")

    bench.submit = fail_once  # type: ignore[method-assign]
    bench.add("each second", "* * * * * ?")
    start(bench, running)
    assert failed.wait(10)
    assert fired.wait(10)
