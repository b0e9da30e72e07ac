"""A caller who drives a run has it from its submit on, in its turn; one that is driven elsewhere can be followed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from batchwright.engine import events
from batchwright.engine.claim import SECONDS_BEFORE_PASSING, Claim, Claimed, NotOurs
from batchwright.engine.lease import heartbeat_name
from batchwright.engine.queue import promote
from batchwright.engine.run import Run, State
from batchwright.engine.store import runs
from batchwright.engine.store.leases import LeaseStore
from batchwright.engine.store.notify import listener_for
from batchwright.engine.submit import Request, submit
from batchwright.testing.clock import FakeClock
from tests.engine.rig import NOW, Rig
from tests.support.run_log import every_run

pytestmark = pytest.mark.on_both


@pytest.fixture(autouse=True)
def _parcels(rig: Rig) -> None:
    rig.fill(30)


def submitted_here(rig: Rig, in_caller: bool = False) -> Claim:
    """A run submitted by who wants to drive it."""
    with rig.database.write() as connection:
        request = Request(actor="dana", mode="sync" if in_caller else "batch", in_caller=in_caller)
        run = submit(connection, rig.registry.get("parcels")(), request, NOW)
        return rig.dispatcher().claims.claim_on_submit(connection, run)


@pytest.mark.parametrize("in_caller", [True, False], ids=["synchronous", "batch"])
def test_a_run_is_claimed_in_the_transaction_that_submits_it(rig: Rig, in_caller: bool) -> None:
    claim = submitted_here(rig, in_caller)
    assert claim == Claimed(rig.read(claim.run))
    assert (claim.run.state, claim.run.fence, claim.run.started_at) == (State.PREPARING, 1, NOW)
    assert claim.run.claimed_at == NOW


def test_without_a_free_slot_a_submitted_run_waits(rig: Rig) -> None:
    rig.max_active_runs = 1
    rig.claimed()
    claim = submitted_here(rig)
    assert claim == NotOurs(rig.read(claim.run))
    assert claim.run.state is State.HOLDING


def test_a_synchronous_run_needs_no_slot(rig: Rig) -> None:
    rig.max_active_runs = 1
    rig.claimed()
    assert isinstance(submitted_here(rig, in_caller=True), Claimed)


def test_a_submitted_run_passes_none_that_waits_before_it(rig: Rig) -> None:
    rig.max_active_runs = 1
    first = rig.submit()
    claim = submitted_here(rig)
    assert isinstance(claim, NotOurs)
    assert [rig.read(run).state for run in (first, claim.run)] == [State.QUEUED, State.HOLDING]


def test_a_submit_that_is_rolled_back_claims_nothing(rig: Rig) -> None:
    class Undone(Exception):
        pass

    def undone() -> None:
        with rig.database.write() as connection:
            run = submit(connection, rig.registry.get("parcels")(), Request(actor="dana"), NOW)
            assert isinstance(rig.dispatcher().claims.claim_on_submit(connection, run), Claimed)
            raise Undone

    with pytest.raises(Undone):
        undone()
    with rig.database.read() as connection:
        assert every_run(connection) == []


def test_a_run_claimed_at_submit_is_driven_under_its_first_fence(rig: Rig) -> None:
    done = rig.dispatcher().work(submitted_here(rig).run)
    assert (done.state, done.fence) == (State.COMPLETED, 1)


def test_a_run_whose_caller_died_after_the_submit_is_an_interrupted_one(rig: Rig) -> None:
    claim = submitted_here(rig, in_caller=True)
    done = rig.dispatcher().resume(claim.run.id)
    assert (done.state, done.fence) == (State.COMPLETED, 2)


def test_a_run_that_was_taken_over_before_its_caller_drives_it_is_left_to_its_taker(rig: Rig) -> None:
    claim = submitted_here(rig)
    taker = rig.dispatcher().claims.follow(claim.run.id, lambda: False)
    assert isinstance(taker, Claimed)
    assert (taker.run.started_at, taker.run.claimed_at) == (NOW, rig.clock.now())
    assert rig.clock.now() > NOW
    late = rig.dispatcher().work(claim.run)
    assert (late.state, late.fence, late.total) == (State.PREPARING, 2, None)
    assert any(isinstance(event, events.RunLost) for event in rig.published)
    done = rig.dispatcher().work(taker.run)
    assert (done.state, done.fence, done.processed) == (State.COMPLETED, 2, 30)


def test_a_driven_run_passes_one_that_nobody_drives_only_after_a_while(rig: Rig) -> None:
    rig.max_active_runs = 1
    left, driven = rig.submit(), rig.submit()
    assert rig.drive(driven).state is State.COMPLETED
    assert rig.clock.monotonic() >= SECONDS_BEFORE_PASSING
    assert rig.read(left).state is State.QUEUED


def test_a_driven_run_lets_one_pass_that_is_claimed_in_time(rig: Rig) -> None:
    rig.max_active_runs = 1
    first, second = rig.submit(), rig.submit()
    order: list[str] = []

    class Meanwhile(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if not order:
                order.append(first.run_id)
                at_work.append(rig.claimed(first))
            elif len(order) == 1:
                order.append("ended")
                with rig.database.write() as connection:
                    runs.move(connection, at_work[0], State.FAILED)
                    promote(connection, 1)

    at_work: list[Run] = []
    rig.clock = Meanwhile(NOW)
    rig.drive(second)
    assert order == [first.run_id, "ended"]
    started = [one for one in rig.published if isinstance(one, events.RunStarted)]
    assert [one.run_id for one in started] == [second.run_id]


# Following


class Elsewhere(FakeClock):
    """Another process, which does something in each of the follower's pauses."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        super().__init__(NOW)
        self._acts = list(acts)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self._acts:
            self._acts.pop(0)()


def moved(rig: Rig, run: Run, to: State, **values: object) -> Callable[[], None]:
    def act() -> None:
        with rig.database.write() as connection:
            runs.move(connection, rig.read(run), to, **values)

    return act


def test_a_followed_run_is_looked_at_until_it_has_ended(rig: Rig) -> None:
    run = rig.claimed()
    seen: list[tuple[State, int]] = []
    rig.clock = Elsewhere(moved(rig, run, State.PROCESSING, total=30), moved(rig, run, State.FAILED))
    claims = rig.dispatcher().claims
    end = claims.follow(run.id, lambda: False, lambda run, done: seen.append((run.state, done)))
    assert end == NotOurs(rig.read(run))
    assert end.run.state is State.FAILED
    assert seen == [(State.PREPARING, 0), (State.PROCESSING, 0), (State.FAILED, 0)]


def test_who_stops_following_leaves_the_run_alone(rig: Rig) -> None:
    run = rig.claimed()
    assert rig.dispatcher().claims.follow(run.id, lambda: True) == NotOurs(run)


def test_a_followed_run_whose_process_dies_is_ours(rig: Rig) -> None:
    run = rig.claimed()
    taken = rig.dispatcher().claims.follow(run.id, lambda: False)
    assert isinstance(taken, Claimed)
    assert (taken.run.fence, taken.run.state) == (2, State.PREPARING)
    assert rig.clock.monotonic() <= 2 * rig.lease_seconds


def test_a_followed_run_that_beats_is_left_to_its_process(rig: Rig) -> None:
    run = rig.claimed()
    store = LeaseStore(rig.database)
    store.begin(heartbeat_name(run), run.fence)

    class Beating(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            store.beat(heartbeat_name(run), run.fence)

    rig.clock = Beating(NOW)
    stop = lambda: rig.clock.monotonic() > 5 * rig.lease_seconds  # noqa: E731
    assert rig.dispatcher().claims.follow(run.id, stop) == NotOurs(run)


# News


def test_who_waits_is_woken_by_a_commit_that_gives_something_to_do(rig: Rig) -> None:
    listener = listener_for(rig.database)
    listener.wait(0)
    woken: list[float] = []
    started = time.monotonic()

    def wait() -> None:
        listener.wait(60)
        woken.append(time.monotonic() - started)

    waiter = threading.Thread(target=wait)
    waiter.start()
    rig.submit()
    waiter.join(60)
    listener.close()
    assert woken[0] < 30


def test_a_wait_without_news_lasts_as_long_as_was_said(rig: Rig) -> None:
    listener = listener_for(rig.database)
    listener.wait(0)
    started = time.monotonic()
    listener.wait(0.2)
    assert time.monotonic() - started >= 0.2
    listener.close()


def test_a_poke_ends_the_next_wait(rig: Rig) -> None:
    listener = listener_for(rig.database)
    listener.wait(0)
    listener.wake()
    listener.wake()
    started = time.monotonic()
    listener.wait(60)
    assert time.monotonic() - started < 30
    listener.close()


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_who_waits_listens_again_after_the_connection_was_lost(rig: Rig) -> None:
    listener = listener_for(rig.database)
    listener.wait(0)
    assert listening(rig, "count(pg_terminate_backend(pid))") == 1
    give_up = time.monotonic() + 60
    while not listening(rig):
        assert time.monotonic() < give_up
        listener.wait(1)
    rig.submit()
    started = time.monotonic()
    listener.wait(60)
    assert time.monotonic() - started < 30
    listener.close()


def listening(rig: Rig, what: str = "count(*)") -> int:
    """How many sessions of the database listen."""
    with rig.database.read() as connection:
        found = connection.exec_driver_sql(
            f"SELECT {what} FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%%'"
        )
        return int(found.scalar_one())
