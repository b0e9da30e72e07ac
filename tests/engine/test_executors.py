"""Whoever executes the scopes of a run, what becomes of it is the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import insert

from batchwright.engine import events
from batchwright.engine.executors import (
    MAX_DEATHS,
    Inline,
    ProcessDied,
    Results,
    Task,
    TaskResult,
    Work,
)
from batchwright.engine.job import Scope
from batchwright.engine.run import Control, Run, State
from batchwright.engine.store import controls, runs
from batchwright.engine.store.leases import LeaseStore
from tests.engine.jobs import Parcels, parcel
from tests.engine.pooled import Spread
from tests.engine.rig import NOW, Rig
from tests.engine.threads import Threads, runner

SECONDS = 30.0


@pytest.fixture
def pool(rig: Rig) -> Iterator[Threads]:
    """The rig's scopes are executed by two threads."""
    pool = Threads(rig)
    rig.executor = Spread(pool, rig.events)
    yield pool
    pool.close()


def test_a_pool_does_what_is_done_in_line(rig: Rig, spy: type[Parcels], pool: Threads) -> None:
    def bad(scope: Scope) -> None:
        if 7 in scope.keys:
            raise ValueError("a seven")
        scope.warn("seen", f"scope {scope.number}")

    spy.on_execute = staticmethod(bad)
    rig.fill(45)
    spread = rig.drive()
    rig.executor = Inline()
    in_line = rig.drive()
    assert (spread.state, spread.total, spread.errored) == (State.COMPLETED, 45, 1)
    assert [one[1:] for one in ledger(rig, spread)] == [one[1:] for one in ledger(rig, in_line)]
    assert (spread.processed, spread.totals) == (in_line.processed, in_line.totals)
    assert rig.handled() == {key: 0 if key == 7 else 2 for key in range(1, 46)}
    done = [one for one in rig.published if isinstance(one, events.ScopeDone) and one.run_id == spread.run_id]
    assert sorted(one.scope for one in done) == [1, 2, 3, 4, 5]
    assert [one.done for one in done][-1] == 45


def ledger(rig: Rig, run: Run) -> list[tuple[Any, ...]]:
    """Who, and what became of it."""
    return [
        (run.id, one.record_key, one.outcome, one.code, one.message, one.amount) for one in rig.outcomes(run)
    ]


@pytest.mark.parametrize("asked", [Control.ABORT, Control.PAUSE])
def test_no_scope_begins_after_one_has_come_back_with_a_wish(
    rig: Rig, spy: type[Parcels], pool: Threads, asked: Control
) -> None:
    both = threading.Barrier(2, timeout=SECONDS)

    def ask(task: Task) -> None:
        both.wait()
        if task.number == 1:
            with rig.database.write() as connection:
                run = runs.by_key(connection, task.run_key)
                controls.request(connection, run, controls.ControlRequest(asked, "erin", NOW))
        both.wait()

    pool.before = ask
    rig.fill(60)
    run = rig.drive()
    assert run.state is {Control.ABORT: State.ABORTED, Control.PAUSE: State.PAUSED}[asked]
    assert run.processed == 20
    assert sum(rig.handled().values()) == 20
    with rig.database.read() as connection:
        assert controls.read(connection, run.id) is None
    if asked is Control.ABORT:
        assert run.not_reached == 40
        assert rig.ledger(run) == {"ok": 20, "not_reached": 40}


def test_a_wish_from_before_the_run_was_claimed_is_obeyed_before_any_scope(
    rig: Rig, spy: type[Parcels]
) -> None:
    rig.fill(60)
    run = rig.claimed()
    with rig.database.write() as connection:
        controls.request(connection, run, controls.ControlRequest(Control.ABORT, "erin", NOW))
    ended = rig.dispatcher().work(run)
    assert (ended.state, ended.processed, spy.calls) == (State.ABORTED, 0, [])


def test_a_run_asked_to_pause_while_it_is_planned_is_planned_anew_later(rig: Rig) -> None:
    rig.fill(1200)
    run = rig.claimed(rig.submit(scope_size=10))

    def ask(event: object) -> None:
        if event == events.Reached(run.run_id, "plan committed"):
            with rig.database.write() as connection:
                controls.request(connection, run, controls.ControlRequest(Control.PAUSE, "erin", NOW))

    rig.subscribers.append(ask)
    paused = rig.dispatcher().work(run)
    assert (paused.state, paused.total, paused.owner) == (State.PAUSED, None, None)
    with rig.database.write() as connection:
        runs.move(connection, paused, State.HOLDING)
    rig.subscribers.clear()
    assert rig.drive(paused).processed == 1200
    assert set(rig.handled().values()) == {1}


def test_a_run_whose_process_is_asked_to_stop_while_it_is_planned_is_handed_back(rig: Rig) -> None:
    rig.fill(1200)
    run = rig.submit(scope_size=10)
    queued = rig.dispatcher().drive(run.id, stop=lambda: True)
    assert (queued.state, queued.total, queued.owner) == (State.QUEUED, None, None)
    assert rig.drive(queued).processed == 1200


def test_scopes_in_flight_are_finished_when_the_process_is_asked_to_stop(
    rig: Rig, pool: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2, timeout=SECONDS)
    begun, others_cancelled = threading.Event(), threading.Event()
    cancelled: list[Future[TaskResult]] = []
    send = pool.send

    def note(future: Future[TaskResult]) -> None:
        if future.cancelled():
            cancelled.append(future)
        if len(cancelled) == pool.window - 2:
            others_cancelled.set()

    def sent(task: Task) -> Future[TaskResult]:
        future = send(task)
        future.add_done_callback(note)
        return future

    def finish_last(task: Task) -> None:
        both.wait()
        begun.set()
        assert others_cancelled.wait(SECONDS)

    monkeypatch.setattr(pool, "send", sent)
    pool.before = finish_last
    rig.fill(100)
    run = rig.dispatcher().drive(rig.submit().id, stop=begun.is_set)
    assert (run.state, run.processed) == (State.QUEUED, 20)
    pool.before = lambda task: None
    assert rig.drive(run).processed == 100
    assert set(rig.handled().values()) == {1}


def test_the_error_ceiling_ends_a_run_with_no_scope_in_flight(
    rig: Rig, spy: type[Parcels], pool: Threads
) -> None:
    def bad(scope: Scope) -> None:
        for key in scope.keys:
            scope.error(key, "bad", "bad")

    spy.on_execute = staticmethod(bad)
    rig.fill(200)
    run = rig.drive(error_ceiling="5")
    assert run.state is State.FAILED
    assert rig.ledger(run) == {"error": run.errored, "not_reached": run.not_reached}
    assert run.errored < 200
    assert rig.read(run).errored == run.errored == sum(rig.handled().values())


def test_a_job_that_gives_up_ends_a_run_in_the_same_words_wherever_it_does(
    rig: Rig, spy: type[Parcels], pool: Threads
) -> None:
    rig.fill(60)
    spy.on_execute = staticmethod(raising(RuntimeError("whatever the records")))
    in_flight = rig.drive()
    rig.executor = Inline()
    assert in_flight.error == rig.drive().error
    assert (in_flight.error or "").startswith(
        "all of the first 50 records raised RuntimeError [tests/engine/"
    )


def raising(error: Exception) -> Callable[[Scope], None]:
    def raise_it(scope: Scope) -> None:
        raise error

    return raise_it


def test_a_scope_whose_process_died_is_executed_by_another(rig: Rig, pool: Threads) -> None:
    died: list[int] = []

    def die(task: Task) -> None:
        if task.number == 2 and len(died) < MAX_DEATHS - 1:
            died.append(task.number)
            raise ProcessDied("process 7 was ended by SIGKILL")

    pool.before = die
    rig.fill(30)
    assert rig.drive().processed == 30
    assert set(rig.handled().values()) == {1}
    replaced = [one for one in rig.published if isinstance(one, events.WorkerReplaced)]
    assert replaced == [events.WorkerReplaced("threads", "process 7 was ended by SIGKILL")] * 3


def deadly(*bad: int) -> Callable[[Task, Sequence[int]], None]:
    """Records that end each process which executes one of them."""

    def die(task: Task, keys: Sequence[int]) -> None:
        if set(bad) & set(keys):
            raise ProcessDied("process 7 was ended by SIGKILL")

    return die


@pytest.mark.parametrize("bad", [(13,), (11, 12, 20), (14, 25), tuple(range(11, 21))])
def test_records_that_end_process_after_process_are_found_and_the_rest_commits(
    rig: Rig, pool: Threads, bad: tuple[int, ...]
) -> None:
    pool.before_records = deadly(*bad)
    rig.fill(30)
    run = rig.drive()
    assert (run.state, run.processed, run.errored) == (State.COMPLETED, 30 - len(bad), len(bad))
    assert rig.handled() == {key: int(key not in bad) for key in range(1, 31)}
    assert {(entry.record_key, entry.code, entry.message) for entry in rig.outcomes(run) if entry.code} == {
        (key, "ended_process", "process 7 was ended by SIGKILL") for key in bad
    }
    errored = [one.record_key for one in rig.published if isinstance(one, events.RecordErrored)]
    assert sorted(errored) == list(bad)


def test_a_scope_that_ends_process_after_process_and_no_record_of_it_alone_fails_its_run(
    rig: Rig, pool: Threads
) -> None:
    def die(task: Task, keys: Sequence[int]) -> None:
        if task.number == 2 and len(keys) > 5:
            raise ProcessDied("process 7 was ended by SIGKILL")

    pool.before_records = die
    rig.fill(30)
    run = rig.drive()
    assert run.state is State.FAILED
    assert (run.error or "").startswith("ScopeKills: scope 2 was given up: process after process ended")
    assert rig.ledger(run)["not_reached"] == run.not_reached >= 10


def test_a_run_is_aborted_while_its_records_are_tried(rig: Rig, pool: Threads) -> None:
    stopping = threading.Event()

    def die(task: Task, keys: Sequence[int]) -> None:
        if task.only is not None:
            stopping.set()
        raise ProcessDied("process 7 was ended by SIGKILL")

    pool.before_records = die
    rig.fill(10)
    run = rig.dispatcher().drive(rig.submit().id, stopping.is_set)
    assert (run.state, run.errored, run.takeovers_without_progress) == (State.QUEUED, 0, 0)


def test_too_many_deaths_under_trials_fail_the_run(
    rig: Rig, pool: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchwright.engine.executors.MAX_DEATHS_IN_TRIALS", 8)
    pool.before_records = deadly(*range(1, 11))
    rig.fill(10)
    run = rig.drive()
    assert (run.state, run.not_reached) == (State.FAILED, 10)
    assert (run.error or "").startswith(
        "ScopeKills: scope 1 was given up: 8 processes ended while its records"
    )


def test_a_run_taken_over_by_another_process_is_let_go_of(rig: Rig, pool: Threads) -> None:
    def lose(task: Task) -> None:
        if task.number == 2:
            with rig.database.write() as connection:
                runs.raise_fence(connection, runs.by_key(connection, task.run_key), "elsewhere/1")

    pool.before = lose
    rig.fill(60)
    run = rig.drive()
    assert (run.state, run.fence, run.owner) == (State.PROCESSING, 2, "elsewhere/1")
    assert [one for one in rig.published if isinstance(one, events.RunLost)]


def test_a_run_whose_executor_loses_a_scope_does_not_complete(rig: Rig, pool: Threads) -> None:
    class Losing(Inline):
        def results(self, work: Work) -> Results:
            work.pending.pop()
            yield from super().results(work)

    rig.executor = Losing()
    rig.fill(30)
    run = rig.drive()
    assert (run.state, run.processed, run.not_reached) == (State.FAILED, 20, 10)
    assert run.error == "RuntimeError: 20 of 30 records were executed, and no scope was left"


def test_a_synchronous_run_stays_in_the_thread_of_its_caller(
    rig: Rig, spy: type[Parcels], pool: Threads
) -> None:
    threads: set[str] = set()
    spy.on_execute = staticmethod(lambda scope: threads.add(threading.current_thread().name))
    rig.fill(30)
    assert rig.drive(mode="sync", in_caller=True).processed == 30
    assert threads == {threading.current_thread().name}


def test_a_scope_executed_twice_at_once_commits_once(rig: Rig, spy: type[Parcels]) -> None:
    """On PostgreSQL the second waits for the rows of the first, on SQLite for its turn."""
    entered, go_on = threading.Event(), threading.Event()

    def hold(scope: Scope) -> None:
        entered.set()
        assert go_on.wait(SECONDS)

    spy.on_execute = staticmethod(hold)
    rig.fill(10)
    run = planned(rig)
    leases = LeaseStore(rig.database)
    runners = [runner(rig, run.id, leases) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(runners[0].execute, scope_key(rig), 1)
        assert entered.wait(SECONDS)
        second = threads.submit(runners[1].execute, scope_key(rig), 1)
        go_on.set()
        both = {(one.result(SECONDS).number, one.result().ok) for one in (first, second)}
    assert both == {(1, 10)}
    assert set(rig.handled().values()) == {1}
    for one in runners:
        one.session.close()
    leases.close()


def test_a_scope_done_elsewhere_blames_no_record_for_what_it_raised(rig: Rig, spy: type[Parcels]) -> None:
    """What the other process has written makes this one raise; on SQLite nobody writes beside it."""
    rig.fill(10)
    run = planned(rig)
    leases = LeaseStore(rig.database)
    mine, other = runner(rig, run.id, leases), runner(rig, run.id, leases)
    spy.on_execute = staticmethod(inserting)
    original = mine.job.execute

    def beaten(scope: Scope) -> None:
        mine.job.execute = original  # type: ignore[method-assign]
        if rig.database.is_sqlite:
            raise ValueError("a passing whim")
        other.execute(scope_key(rig), 1)
        original(scope)

    mine.job.execute = beaten  # type: ignore[method-assign]
    done = mine.execute(scope_key(rig), 1)
    assert (done.ok, done.errored) == (10, 0)
    assert [one for one in rig.published if isinstance(one, events.RecordErrored)] == []
    for one in (mine, other):
        one.session.close()
    leases.close()


def inserting(scope: Scope) -> None:
    """A row that can be inserted once."""
    scope.connection.execute(insert(parcel).values(id=1000 + scope.number, handled=1))


def planned(rig: Rig) -> Run:
    """A run with its scopes planned and none of them done."""
    run = rig.dispatcher().drive(rig.submit().id, stop=lambda: True)
    with rig.database.write() as connection:
        runs.move(connection, run, State.PROCESSING)
    return rig.read(run)


def scope_key(rig: Rig) -> int:
    """The key of the only scope."""
    with rig.database.read() as connection:
        key: int = connection.exec_driver_sql("SELECT min(id) FROM scope").scalar_one()
        return key
