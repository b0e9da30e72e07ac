"""A worker drives what waits and takes over what stands still; one broken run does not stop it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta

import pytest

from batchwright.engine import events
from batchwright.engine.clock import SystemClock
from batchwright.engine.job import Scope
from batchwright.engine.lease import heartbeat_name
from batchwright.engine.run import Control, Run, State
from batchwright.engine.store import controls, queue, runs
from batchwright.engine.store.database import Database
from batchwright.engine.store.leases import LeaseStore
from batchwright.engine.store.notify import listener_for
from batchwright.engine.worker import Worker
from batchwright.testing.clock import FakeClock
from tests.engine.jobs import Parcels
from tests.engine.rig import NOW, Rig
from tests.engine.working import WAIT, ended, until, working
from tests.support.faults import sqlite_busy

LONG_LEASE = 4 * 3600.0


@pytest.fixture
def rig(migrated_url: str, spy: type[Parcels]) -> Iterator[Rig]:
    """An engine on the machine's clock, with 30 parcels in three scopes; its leases outlast the test."""
    rig = Rig(Database(migrated_url), [spy], clock=SystemClock(), lease_seconds=LONG_LEASE)
    rig.fill(30)
    yield rig
    rig.database.close()


def test_a_worker_is_woken_by_a_submit_and_drives_the_run(rig: Rig) -> None:
    looks = threading.Semaphore(0)
    with working(rig, on_notification=looks.release):
        # The first wait ends at once; from the second it returns for news alone, or an hour later.
        assert looks.acquire(timeout=WAIT)
        assert looks.acquire(timeout=WAIT)
        run = ended(rig, rig.submit())
    assert (run.state, run.processed) == (State.COMPLETED, 30)


def test_a_run_counts_as_driven_until_it_has_woken_so_that_a_drained_worker_is_woken_no_more(
    rig: Rig,
) -> None:
    wakes: list[frozenset[int]] = []

    class Noting:
        """What a worker waits on; notes what it drives whenever the thread of a run wakes."""

        def __init__(self, database: Database) -> None:
            self._listener = listener_for(database)
            self.wait, self.close = self._listener.wait, self._listener.close

        def wake(self) -> None:
            if threading.current_thread() is not threading.main_thread():
                wakes.append(worker.driving)
            self._listener.wake()

    with working(rig, listener_for=Noting) as worker:
        run = ended(rig, rig.submit())
    assert wakes == [{run.id}]
    assert worker.driving == frozenset()


def test_a_worker_drives_what_was_submitted_before_it_started(rig: Rig) -> None:
    waiting = [rig.submit() for _ in range(3)]
    with working(rig):
        assert [ended(rig, run).state for run in waiting] == [State.COMPLETED] * 3


@pytest.mark.on_both
def test_several_workers_together_never_have_more_active_runs_than_there_are_slots(
    rig: Rig, spy: type[Parcels]
) -> None:
    active: list[int] = []
    two_at_once = threading.Barrier(2)

    def meet(event: events.Event) -> None:
        if isinstance(event, events.RunPlanned):
            two_at_once.wait(WAIT)

    def look(_scope: Scope) -> None:
        with rig.database.read() as connection:
            active.append(len(queue.active(connection)))

    rig.subscribers.append(meet)
    spy.on_execute = staticmethod(look)
    rig.max_active_runs = 2
    waiting = [rig.submit(actor=f"actor {number % 3}") for number in range(8)]
    with ExitStack() as workers:
        for _ in range(3):
            workers.enter_context(working(rig))
        for run in waiting:
            assert ended(rig, run).state is State.COMPLETED
    assert max(active) == 2
    assert [run.fence for run in map(rig.read, waiting)] == [1] * 8


def test_runs_of_one_key_are_started_in_their_order(rig: Rig) -> None:
    rig.max_active_runs = 1
    waiting = [rig.submit() for _ in range(5)]
    with working(rig), working(rig):
        for run in waiting:
            ended(rig, run)
    started = [one.run_id for one in rig.published if isinstance(one, events.RunStarted)]
    assert started == [run.run_id for run in waiting]


def test_a_run_that_broke_off_here_is_taken_up_again_by_the_same_worker(
    rig: Rig, spy: type[Parcels], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [True]

    def break_off(_scope: Scope) -> None:
        if left and left.pop():
            raise sqlite_busy()

    monkeypatch.setattr("batchwright.engine.faults.MAX_ATTEMPTS", 1)
    spy.on_execute = staticmethod(break_off)
    rig.lease_seconds = 0.4
    run = rig.submit()
    with working(rig):
        done = ended(rig, run)
    assert (done.state, done.processed, done.fence) == (State.COMPLETED, 30, 2)
    assert set(rig.handled().values()) == {1}


def test_a_drained_worker_finishes_the_scope_at_hand_and_hands_its_run_back(
    rig: Rig, spy: type[Parcels]
) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def halt(scope: Scope) -> None:
        if scope.number == 2:
            reached.set()
            go_on.wait(WAIT)

    spy.on_execute = staticmethod(halt)
    run = rig.submit()
    threads = set(threading.enumerate())
    with working(rig) as worker:
        assert reached.wait(WAIT)
        worker.drain()
        go_on.set()
    left = rig.read(run)
    assert (left.state, left.processed, left.owner) == (State.QUEUED, 20, None)
    assert set(threading.enumerate()) <= threads
    with working(rig):
        assert ended(rig, run).processed == 30
    assert set(rig.handled().values()) == {1}


def test_a_drained_worker_claims_nothing_more(rig: Rig) -> None:
    submitted: list[Run] = []

    def drain_and_submit() -> None:
        worker.drain()
        submitted.append(rig.submit())

    listener = listener_for(rig.database)
    worker = Worker(
        dispatcher=rig.dispatcher(), listener=listener, clock=rig.clock, on_notification=drain_and_submit
    )
    worker.run()
    listener.close()
    (run,) = submitted
    assert rig.read(run).state is State.HOLDING


def test_a_paused_run_holds_no_worker_and_no_slot(rig: Rig, spy: type[Parcels]) -> None:
    first = rig.submit()

    def pause(scope: Scope) -> None:
        if scope.run.id == first.id and scope.number == 1:
            controls.request(scope.connection, scope.run, controls.ControlRequest(Control.PAUSE, "eve", NOW))

    spy.on_execute = staticmethod(pause)
    rig.max_active_runs = 1
    with working(rig):
        paused = until(rig, first, lambda state: state is State.PAUSED)
        assert ended(rig, rig.submit()).state is State.COMPLETED
        assert rig.read(first) == paused
        assert paused.owner is None


# Takeovers, on a clock that only the worker's waits move.

LEASE = 30.0


class Naps:
    """In place of notifications: a wait takes no time, but on the clock; ``meanwhile`` is what others do in it."""

    def __init__(self, clock: FakeClock, meanwhile: Callable[[], object]) -> None:
        self._clock = clock
        self._meanwhile = meanwhile
        self.woken = False

    def wait(self, seconds: float) -> None:
        self._clock.sleep(seconds)
        self._meanwhile()

    def wake(self) -> None:
        self.woken = True

    def close(self) -> None:
        pass


def seconds_until_taken(
    rig: Rig, clock: FakeClock, meanwhile: Callable[[], object] = lambda: None, most: float = 3 * LEASE
) -> float | None:
    """When a worker has taken a run over; ``None`` when it has not for ``most`` seconds."""
    rig.clock, rig.lease_seconds = clock, LEASE

    def nap() -> None:
        meanwhile()
        if clock.monotonic() >= most or worker.driving or naps.woken:
            worker.drain()

    naps = Naps(clock, nap)
    worker = Worker(dispatcher=rig.dispatcher(), listener=naps, clock=clock)
    worker.run()
    taken = [one for one in rig.published if isinstance(one, events.RunTakenOver)]
    return clock.monotonic() if taken else None


@pytest.mark.parametrize("in_caller", [False, True], ids=["batch", "synchronous"])
@pytest.mark.on_both
def test_a_run_whose_process_is_gone_is_taken_over_within_two_leases(rig: Rig, in_caller: bool) -> None:
    run = rig.claimed(rig.submit(mode="sync" if in_caller else "batch", in_caller=in_caller))
    seconds = seconds_until_taken(rig, FakeClock(NOW))
    assert seconds is not None
    assert LEASE <= seconds <= 2 * LEASE
    taken = rig.read(run)
    assert (taken.fence, taken.owner == run.owner) == (2, False)


def test_a_run_whose_taker_died_before_its_first_heartbeat_is_taken_over(rig: Rig) -> None:
    run = rig.claimed()
    store = LeaseStore(rig.database)
    store.begin(heartbeat_name(run), run.fence)
    assert store.claim(heartbeat_name(run), store.look(heartbeat_name(run)), "a taker")
    with rig.database.write() as connection:
        runs.raise_fence(connection, run, "elsewhere/2")
    assert seconds_until_taken(rig, FakeClock(NOW)) is not None
    assert rig.read(run).fence == 3


class Jumping(FakeClock):
    """Its wall clock goes back and forth by an hour at each look."""

    def __init__(self) -> None:
        super().__init__(NOW)
        self._forth = False

    def now(self) -> datetime:
        self._forth = not self._forth
        return super().now() + timedelta(hours=1 if self._forth else -1)


def test_a_run_that_beats_is_not_taken_for_twenty_leases_whatever_the_wall_clock_says(rig: Rig) -> None:
    run = rig.claimed()
    store = LeaseStore(rig.database)
    store.begin(heartbeat_name(run), run.fence)

    def beat() -> None:
        assert store.beat(heartbeat_name(run), run.fence)

    assert seconds_until_taken(rig, Jumping(), beat, most=20 * LEASE) is None
    assert rig.read(run) == run


def test_a_jump_of_the_wall_clock_hastens_no_takeover(rig: Rig) -> None:
    rig.claimed()
    seconds = seconds_until_taken(rig, Jumping())
    assert seconds is not None
    assert LEASE <= seconds <= 2 * LEASE


def test_a_scope_that_lasts_three_leases_is_left_to_its_worker(rig: Rig, spy: type[Parcels]) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def slow(scope: Scope) -> None:
        if scope.number == 1:
            reached.set()
            go_on.wait(2 * WAIT)

    def next_beat() -> None:
        before, give_up = store.look(heartbeat_name(run)), time.monotonic() + WAIT
        while store.look(heartbeat_name(run)) == before:
            assert time.monotonic() < give_up
            time.sleep(0.01)

    spy.on_execute = staticmethod(slow)
    store = LeaseStore(rig.database)
    run = rig.submit()
    rig.lease_seconds = 0.1
    with working(rig):
        assert reached.wait(WAIT)
        # The clock of the other worker goes on only when the first has beaten, however busy the machine is.
        assert seconds_until_taken(rig, FakeClock(NOW), next_beat, most=3 * LEASE) is None
        go_on.set()
        done = ended(rig, run)
    assert (done.state, done.fence) == (State.COMPLETED, 1)
