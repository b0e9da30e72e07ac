"""One schedule never stops the others: a good one fires at each of its times beside one of each bad kind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn

import psycopg
import pytest
from sqlalchemy import Connection

from batchwright.engine.job import BatchJob, Record, Scope, StartContext
from batchwright.engine.schedule import ScheduleRequest
from batchwright.engine.schedules import job_calls
from batchwright.engine.schedules.firing import FIRST_PAUSE_SECONDS, MOST_TRIES, Firing
from batchwright.engine.store import schedules as store
from batchwright.operations.app import Application
from batchwright.operations.runs.submitting import RunRequest, enqueue
from batchwright.operations.schedules.schedules import add_schedule, list_fires
from batchwright.operations.worker.worker import firing_of
from batchwright.testing.clock import FakeClock
from tests.support.application import ACTOR, NOW

pytestmark = pytest.mark.on_both

MINUTE = 60.0
TIMES = 3
KEY = "only one"


class Good(BatchJob):
    """Has no records."""

    name = "good"
    type = "Good"

    def start(self, context: StartContext) -> Iterable[Record]:
        return []

    def execute(self, scope: Scope) -> None:
        raise NotImplementedError


class Bad(Good):
    """What it does where it is called is set from outside, once its schedule is made."""

    name = "bad"
    type = "Bad"
    at_making: Callable[[], object] = staticmethod(lambda: None)
    at_select: Callable[[], object] = staticmethod(lambda: None)
    at_check: Callable[[], object] = staticmethod(lambda: None)

    def __init__(self) -> None:
        self.at_making()
        super().__init__()

    def select(self, connection: Connection) -> Sequence[int]:
        self.at_select()
        return ()

    def check(self, connection: Connection, now: datetime) -> None:
        self.at_check()


class Lonely(Good):
    name = "lonely"
    type = "Lonely"

    @property
    def dedup_key(self) -> str:
        return KEY


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def keys(app: Application, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The schedules' keys by name: the bad one comes first in each set."""
    monkeypatch.setattr(job_calls, "SECONDS_TO_ANSWER", 0.05)
    monkeypatch.setattr(store, "MILLISECONDS_FOR_LOCK", 100)
    for job in (Good, Bad, Lonely):
        app.registry.add(job)
        add_schedule(app, ScheduleRequest(name=job.name, cron="0 * * ? * *", job=job.name), actor=ACTOR)
    with app.database.read() as connection:
        found = {one.name: one.id for one in store.all_schedules(connection)}
    return {name: found[name] for name in ("bad", "lonely", "good")}


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """What hangs waits for it; the threads of a test end with it."""
    event = threading.Event()
    yield event
    event.set()
    for thread in threading.enumerate():
        if thread.name == "jobs of schedules":
            thread.join(30)


def raises(error: BaseException) -> Callable[[], NoReturn]:
    def raise_it() -> NoReturn:
        raise error

    return staticmethod(raise_it)


def started(app: Application, name: str) -> int:
    return sum(fire["decision"] == "started" for fire in list_fires(app, name))


def reasons(app: Application, name: str) -> list[str]:
    return [fire["reason"] for fire in list_fires(app, name)]


def fired_beside(app: Application, clock: FakeClock, keys: dict[str, int], bad: str) -> Firing:
    """Looks at three times of the two schedules; the good one is started at each."""
    firing = firing_of(app)
    for number in range(1, TIMES + 1):
        clock.sleep(MINUTE)
        firing.fire([keys[bad], keys["good"]])
        assert started(app, "good") == number
        for run in _live(app):
            _end(app, run)
    return firing


def _live(app: Application) -> list[Any]:
    with app.database.read() as connection:
        return [row[0] for row in connection.exec_driver_sql("SELECT id FROM run WHERE state = 'Holding'")]


def _end(app: Application, key: int) -> None:
    with app.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE run SET state = 'Aborted', dedup_key = NULL WHERE id = {key}")


@pytest.mark.parametrize("place", ["at_making", "at_select", "at_check"])
@pytest.mark.parametrize(
    ("raised", "text"),
    [
        (SystemExit("done"), "SystemExit: done"),
        (RuntimeError("its file is gone"), "its file is gone"),
    ],
    ids=["exits", "raises"],
)
def test_a_good_schedule_fires_beside_one_whose_job_exits_or_raises(
    app: Application,
    clock: FakeClock,
    keys: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    raised: BaseException,
    text: str,
) -> None:
    monkeypatch.setattr(Bad, place, raises(raised))
    fired_beside(app, clock, keys, "bad")
    reason = reasons(app, "bad")[0]
    assert (reason.startswith("refused: "), reason.endswith(text)) == (True, True)


@pytest.mark.parametrize("place", ["at_making", "at_select", "at_check"])
def test_a_good_schedule_fires_beside_one_whose_job_hangs_and_that_is_refused_after_a_minute(
    app: Application,
    clock: FakeClock,
    keys: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    released: threading.Event,
    place: str,
) -> None:
    monkeypatch.setattr(Bad, place, staticmethod(released.wait))
    fired_beside(app, clock, keys, "bad")
    assert reasons(app, "bad")[0] == "refused: its job does not answer while it is submitted"


def test_one_whose_job_is_slow_is_fired_when_it_has_answered_and_not_waited_for_again(
    app: Application,
    clock: FakeClock,
    keys: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    released: threading.Event,
) -> None:
    monkeypatch.setattr(Bad, "at_select", staticmethod(released.wait))
    firing = firing_of(app)
    clock.sleep(MINUTE)
    firing.fire([keys["bad"]])
    assert list_fires(app, "bad") == []
    released.set()
    _until(lambda: bool(firing.fire([keys["bad"]]) and started(app, "bad")))
    waited = threading.Event()
    monkeypatch.setattr(Bad, "at_select", staticmethod(waited.wait))
    monkeypatch.setattr(job_calls, "SECONDS_TO_ANSWER", 3600.0)
    clock.sleep(MINUTE)
    firing.fire([keys["bad"]])
    waited.set()


def test_one_whose_job_asks_a_dead_database_is_tried_again_later_each_time_and_then_refused(
    app: Application, clock: FakeClock, keys: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bad, "at_select", raises(psycopg.OperationalError("connection refused")))
    firing = fired_beside(app, clock, keys, "bad")
    assert list_fires(app, "bad") == []
    for _ in range(MOST_TRIES - TIMES):
        clock.sleep(MINUTE)
        firing.fire([keys["bad"]])
    assert reasons(app, "bad")[0] == "refused: OperationalError: connection refused"


def test_one_that_failed_is_left_alone_for_a_moment_and_fires_when_the_fault_has_passed(
    app: Application, clock: FakeClock, keys: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[float] = []

    def fail() -> NoReturn:
        calls.append(clock.monotonic())
        raise psycopg.OperationalError("connection refused")

    monkeypatch.setattr(Bad, "at_select", staticmethod(fail))
    firing = firing_of(app)
    clock.sleep(MINUTE)
    for _ in range(3):
        firing.fire([keys["bad"]])
    assert calls == [clock.monotonic()]
    clock.sleep(FIRST_PAUSE_SECONDS)
    monkeypatch.setattr(Bad, "at_select", staticmethod(lambda: None))
    firing.fire([keys["bad"]])
    assert started(app, "bad") == 1


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_a_good_schedule_fires_beside_one_whose_dedup_key_an_open_transaction_holds(
    app: Application, clock: FakeClock, keys: dict[str, int]
) -> None:
    with app.database.engine.connect() as connection:
        transaction = connection.begin()
        enqueue(app, connection, Lonely(), RunRequest(actor=ACTOR))
        firing = fired_beside(app, clock, keys, "lonely")
        assert list_fires(app, "lonely") == []
        transaction.rollback()
    clock.sleep(MINUTE)
    firing.fire([keys["lonely"]])
    assert started(app, "lonely") == 1


def test_many_that_hang_keep_a_good_one_waiting_once_and_have_a_thread_each(
    app: Application,
    clock: FakeClock,
    keys: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    released: threading.Event,
) -> None:
    for number in range(4):
        add_schedule(app, ScheduleRequest(name=str(number), cron="0 * * ? * *", job="bad"), actor=ACTOR)
    with app.database.read() as connection:
        every = [one.id for one in store.all_schedules(connection) if one.name != "lonely"]
    monkeypatch.setattr(Bad, "at_making", staticmethod(released.wait))
    firing, before = firing_of(app), threading.active_count()
    for _ in range(TIMES):
        clock.sleep(MINUTE)
        firing.fire(every)
        assert started(app, "good") == 1  # whose first run lives
        assert threading.active_count() <= before + 5
        monkeypatch.setattr(job_calls, "SECONDS_TO_ANSWER", 30.0)


@contextmanager
def _checked_alone(app: Application) -> Iterator[list[int]]:
    """The number of live runs that each check of the job found."""
    found: list[int] = []

    def count(self: BatchJob, connection: Connection, now: datetime) -> None:
        statement = "SELECT count(*) FROM run WHERE job = 'bad'"
        found.append(connection.exec_driver_sql(statement).scalar_one())

    before = Bad.check
    Bad.check = count  # type: ignore[method-assign]
    yield found
    Bad.check = before  # type: ignore[method-assign]


def test_a_check_of_its_own_finds_the_run_that_the_same_look_started_before(
    app: Application, clock: FakeClock, keys: dict[str, int]
) -> None:
    add_schedule(app, ScheduleRequest(name="second", cron="0 * * ? * *", job="bad"), actor=ACTOR)
    with app.database.read() as connection:
        second = store.by_name(connection, "second")
    assert second is not None
    with _checked_alone(app) as found:
        clock.sleep(MINUTE)
        firing_of(app).fire([keys["bad"], second.id])
    assert found == [0, 0, 1]


def _until(reached: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.01)
