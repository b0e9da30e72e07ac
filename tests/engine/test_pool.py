"""Scopes executed by real processes of a pool: they die, their owner dies, and nothing is lost or done twice."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from batchwright.engine import events, worker
from batchwright.engine.clock import SystemClock
from batchwright.engine.executors import Inline, Local, PoolUnavailable, Task, TaskResult, Work
from batchwright.engine.pool import ProcessPool
from batchwright.engine.run import Control, Run, State
from batchwright.engine.scope import Done
from batchwright.engine.store import controls
from batchwright.engine.store.database import Database
from batchwright.engine.store.leases import LeaseStore
from batchwright.engine.store.notify import listener_for
from tests.engine.jobs import metadata
from tests.engine.pooled import FOLDER, Held, Spread, is_alive, ready_pool, wait_for
from tests.engine.rig import NOW, Rig
from tests.support.postgres import PostgresServer

LEASE_SECONDS = 0.5
SECONDS = 60.0
ROOT = Path(__file__).parents[2]
URL = "BATCHWRIGHT_DATABASE_URL"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the job and the test talk."""
    return tmp_path_factory.mktemp("pooled")


@pytest.fixture(scope="module")
def environment(
    postgres: PostgresServer, migrated_postgres_template: str, folder: Path
) -> Iterator[pytest.MonkeyPatch]:
    """A database, and an environment of which a process of the pool makes its application."""
    name = f"pool_{os.getpid()}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(URL, postgres.create_database(name, template=migrated_postgres_template))
        patch.setenv("BATCHWRIGHT_JOBS", "tests.engine.pooled:Held")
        patch.setenv(FOLDER, str(folder))
        patch.chdir(ROOT)
        yield patch
    postgres.drop_database(name)


@pytest.fixture(scope="module")
def pool(environment: pytest.MonkeyPatch) -> Iterator[ProcessPool]:
    """A pool of two processes, up and waiting."""
    pool = ready_pool(patience=LEASE_SECONDS)
    yield pool
    pool.close()


@pytest.fixture
def rig(environment: pytest.MonkeyPatch, folder: Path) -> Iterator[Rig]:
    """An engine with 80 parcels, none of them handled."""
    rig = Rig(Database(os.environ[URL]), [Held], clock=SystemClock(), lease_seconds=LEASE_SECONDS)
    with rig.database.write() as connection:
        metadata.drop_all(connection)
    rig.fill(80)
    for left in folder.iterdir():
        left.unlink()
    yield rig
    rig.database.close()


@pytest.fixture
def pooled(rig: Rig, pool: ProcessPool) -> Rig:
    """The rig, with all its scopes executed by the pool."""
    rig.executor = Spread(pool, rig.events)
    return rig


def test_a_pool_comes_to_what_is_done_in_line(pooled: Rig, folder: Path) -> None:
    (folder / "bad-2").touch()
    spread = pooled.drive(job="held")
    pids = {int((folder / f"scope-{number}").read_text()) for number in range(1, 9)}
    assert os.getpid() not in pids
    pooled.executor = Inline()
    in_line = pooled.drive(job="held")
    assert (spread.state, spread.processed, spread.errored) == (State.COMPLETED, 79, 1)
    assert (spread.totals, pooled.ledger(spread)) == (in_line.totals, pooled.ledger(in_line))
    assert pooled.outcomes(spread) == pooled.outcomes(in_line)
    errored = [one for one in pooled.published if isinstance(one, events.RecordErrored)]
    assert [(one.run_id, one.scope, one.record_key, one.message.partition(" [")[0]) for one in errored] == [
        (run.run_id, 2, 13, "ValueError: a three") for run in (spread, in_line)
    ]


def test_what_is_no_exception_ends_no_process_of_the_pool(pooled: Rig, folder: Path) -> None:
    for number, kind in ((2, "SystemExit"), (3, "KeyboardInterrupt"), (4, "GeneratorExit")):
        (folder / f"bad-{number}").write_text(kind)
    run = pooled.drive(job="held")
    assert (run.state, run.processed, run.errored) == (State.COMPLETED, 77, 3)
    errors = [(one.record_key, one.message) for one in pooled.outcomes(run) if one.outcome == "error"]
    assert [(key, (text or "").partition(":")[0]) for key, text in errors] == [
        (13, "SystemExit"),
        (23, "KeyboardInterrupt"),
        (33, "GeneratorExit"),
    ]
    assert not [one for one in pooled.published if isinstance(one, events.WorkerReplaced)]


def test_a_process_that_is_killed_is_replaced_and_its_scope_done_by_another(
    pooled: Rig, folder: Path
) -> None:
    (folder / "hold-3").touch()
    killed: list[int] = []

    def kill(event: object) -> None:
        if isinstance(event, events.ScopeDone) and not killed:
            killed.append(int(wait_for(folder / "scope-3")))
            os.kill(killed[0], signal.SIGKILL)
            (folder / "hold-3").unlink()

    pooled.subscribers.append(kill)
    run = pooled.drive(job="held")
    assert (run.state, run.processed) == (State.COMPLETED, 80)
    assert set(pooled.handled().values()) == {1}
    assert [one for one in pooled.published if isinstance(one, events.WorkerReplaced)] == [
        events.WorkerReplaced("local", f"process {killed[0]} was ended by SIGKILL")
    ]
    assert int((folder / "scope-3").read_text()) != killed[0]


def test_a_process_that_is_stopped_for_a_lease_is_killed_and_its_scope_done_by_another(
    pooled: Rig, folder: Path
) -> None:
    (folder / "hold-3").touch()
    stopped: list[int] = []

    def stop(event: object) -> None:
        if isinstance(event, events.ScopeDone) and not stopped:
            stopped.append(int(wait_for(folder / "scope-3")))
            os.kill(stopped[0], signal.SIGSTOP)
            (folder / "hold-3").unlink()

    pooled.subscribers.append(stop)
    run = pooled.drive(job="held")
    assert (run.state, run.processed) == (State.COMPLETED, 80)
    assert set(pooled.handled().values()) == {1}
    assert [one.reason for one in pooled.published if isinstance(one, events.WorkerReplaced)] == [
        f"process {stopped[0]} was ended by SIGKILL"
    ]


def test_a_process_that_dies_leaves_no_child_that_keeps_its_session_and_its_pipe(
    pooled: Rig, folder: Path
) -> None:
    (folder / "fork-3").touch()
    run = pooled.drive(job="held")
    assert (run.state, run.processed) == (State.COMPLETED, 80)
    assert set(pooled.handled().values()) == {1}
    child = int((folder / "child-3").read_text())
    wait_until(lambda: not is_alive(child))


def test_a_worker_that_is_to_stop_waits_for_no_process_that_is_stopped(
    rig: Rig, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SECONDS_OF_WAITING_FOR_LOCKS", 1)
    pool = ready_pool()
    rig.executor = Spread(pool, rig.events)
    (folder / "hold-1").touch()
    run = rig.submit(job="held")
    listener = listener_for(rig.database)
    driving = worker.Worker(dispatcher=rig.dispatcher(), listener=listener, clock=rig.clock)
    thread = threading.Thread(target=driving.run)
    thread.start()
    os.kill(int(wait_for(folder / "scope-1")), signal.SIGSTOP)
    (folder / "hold-1").unlink()
    driving.drain()
    thread.join(10)
    assert not thread.is_alive()
    assert rig.read(run).state is State.QUEUED
    pool.close()
    listener.close()


def test_a_killed_owner_leaves_no_process_behind_and_its_run_goes_on(rig: Rig, folder: Path) -> None:
    for number in (2, 3):
        (folder / f"hold-{number}").touch()
    run = rig.submit(job="held")
    command = [sys.executable, "-m", "tests.engine.pooled", os.environ[URL], str(run.id), str(LEASE_SECONDS)]
    owner = subprocess.Popen(command)
    pids = [int(wait_for(folder / f"scope-{number}")) for number in (2, 3)]
    assert owner.pid not in pids
    leases = LeaseStore(rig.database)
    assert [session.kind for session in leases.sessions(run.id, 1)] == ["backend"] * 3
    leases.close()
    owner.kill()
    owner.wait()
    wait_until(lambda: not any(map(is_alive, pids)))
    for number in (2, 3):
        (folder / f"hold-{number}").unlink()
    ended = rig.dispatcher().resume(run.id)
    assert (ended.state, ended.processed, ended.fence) == (State.COMPLETED, 80, 2)
    assert set(rig.handled().values()) == {1}


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_an_aborted_run_begins_no_scope_after_those_in_flight(pooled: Rig, folder: Path) -> None:
    for number in (1, 2):
        (folder / f"hold-{number}").touch()
    run = pooled.claimed(pooled.submit(job="held"))

    def ask(event: object) -> None:
        if not isinstance(event, events.RunPlanned):
            return

        def later() -> None:
            for number in (1, 2):
                wait_for(folder / f"scope-{number}")
            with pooled.database.write() as connection:
                controls.request(connection, run, controls.ControlRequest(Control.ABORT, "erin", NOW))
            for number in (1, 2):
                (folder / f"hold-{number}").unlink()

        threading.Thread(target=later).start()

    pooled.subscribers.append(ask)
    ended = pooled.dispatcher().work(run)
    assert (ended.state, ended.processed, ended.not_reached) == (State.ABORTED, 20, 60)
    assert not (folder / "scope-3").exists()
    assert sum(pooled.handled().values()) == 20


def test_a_pool_on_another_database_refuses_and_the_run_goes_on_in_line(
    rig: Rig, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL, f"sqlite:///{folder}/other.db")
    pool = ready_pool()
    rig.executor = Local(lambda: pool, rig.events, worth=0.0)
    run = rig.drive(job="held")
    assert (run.state, run.processed) == (State.COMPLETED, 80)
    (fell_back,) = [one for one in rig.published if isinstance(one, events.ExecutorFellBack)]
    assert (fell_back.run_id, fell_back.executor, fell_back.instead) == (run.run_id, "local", "inline")
    assert f"has sqlite:///{folder}/other.db for its database" in fell_back.reason
    assert rig.database.display_url in fell_back.reason


def test_a_run_waits_neither_for_a_pool_that_starts_nor_for_its_end(rig: Rig) -> None:
    never = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    rig.executor = Local(lambda: ProcessPool(never, 2), rig.events, worth=0.0)
    assert rig.drive(job="held").processed == 80
    began = time.monotonic()
    rig.executor.close()
    assert time.monotonic() - began < 5


def test_a_pool_whose_settings_are_wrong_says_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHWRIGHT_MAX_ACTIVE_RUNS", "many")
    pool = ready_pool()
    with pytest.raises(PoolUnavailable, match="max_active_runs"):
        pool.check()
    pool.close()


def test_a_pool_whose_program_cannot_be_started_says_so() -> None:
    pool = ProcessPool([sys.executable, "-c", "raise SystemExit(3)"], 1)
    wait_until(lambda: not pool.starting)
    with pytest.raises(
        PoolUnavailable, match=r"no process of the pool gets ready: process \d+ ended with .* 3"
    ):
        pool.check()
    future = pool.send(Task("JR-1", 1, 1, 1, 1, "nowhere"))
    assert isinstance(future.exception(SECONDS), PoolUnavailable)
    pool.close()


@pytest.mark.parametrize("kind", [MemoryError, SystemExit])
def test_a_thread_of_a_pool_that_ends_is_told_of_and_ends_the_pool(
    monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    def no_process(self: ProcessPool) -> None:
        raise kind("no more")

    monkeypatch.setattr(ProcessPool, "_start_process", no_process)
    with capture_logs() as logs:
        pool = ProcessPool([sys.executable], 1)
        pool.close()
    assert not pool.starting
    with pytest.raises(PoolUnavailable, match=f"{kind.__name__}: no more"):
        pool.check()
    assert [line["log_level"] for line in logs] == ["critical"]


def test_what_a_pool_is_sent_holds_no_password(rig: Rig) -> None:
    sent: list[object] = []

    class Spy:
        name, window, starting = "spy", 4, False

        def send(self, task: Task) -> Future[TaskResult]:
            sent.append(task)
            raise PoolUnavailable("enough seen")

        def check(self) -> None:
            pass

        def end_stopped(self) -> None:
            pass

        def close(self) -> None:
            pass

    secret = rig.database.url.set(password="hunter2")
    rig.database.close()
    rig.database = Database(secret.render_as_string(hide_password=False))
    rig.executor = Local(lambda: Spy(), rig.events, worth=0.0)
    assert rig.drive(job="held").processed == 80
    assert len(sent) == 1
    assert b"hunter2" not in pickle.dumps(sent)
    assert b"***" in pickle.dumps(sent)


class Count:
    """A pool that is never made."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> ProcessPool:
        self.made += 1
        raise PoolUnavailable("never")


def work(run: Run, scopes: int, seconds: float) -> Work:
    """That many scopes, each of so many seconds."""
    tasks = [Task("JR-1", 1, 1, number, number, "nowhere") for number in range(1, scopes + 1)]
    return Work(run, deque(tasks), lambda task: Done(task.number, 1, 0, 0, seconds=seconds), lambda: False)


@pytest.mark.parametrize(
    ("scopes", "seconds", "made"),
    [(1, 60.0, 0), (2, 4.9, 0), (2, 5.1, 1), (50, 0.1, 0), (52, 0.1, 1), (1000, 0.001, 0)],
)
def test_a_pool_is_started_only_for_what_would_take_long_in_line(
    rig: Rig, scopes: int, seconds: float, made: int
) -> None:
    count = Count()
    local = Local(count, rig.events)
    done = list(local.results(work(rig.submit(job="held"), scopes, seconds)))
    assert [one.number for one in done] == [*range(1, scopes + 1)]
    assert count.made == made
