"""No run is taken over without an end: what its owners die of is found, or the run fails and says where."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from batchwright.engine import events
from batchwright.engine.clock import SystemClock
from batchwright.engine.executors import Isolated
from batchwright.engine.faults import ReadOnlyDatabase
from batchwright.engine.job import Scope
from batchwright.engine.job_code import passing_on
from batchwright.engine.lease import take_over
from batchwright.engine.limits import MAX_TAKEOVERS, TAKEOVERS_UNTIL_ISOLATED
from batchwright.engine.pool import ProcessPool
from batchwright.engine.run import Control, Run, State
from batchwright.engine.store import controls, runs
from batchwright.engine.store.database import Database
from batchwright.engine.store.leases import LeaseStore
from batchwright.engine.store.tables import run as run_table
from batchwright.operations.app import POOL
from tests.engine.deadly import DEADLY, Deadly
from tests.engine.jobs import Parcels
from tests.engine.rig import NOW, Rig

pytestmark = pytest.mark.on_both

ROOT = Path(__file__).parents[2]
SECONDS = 120


@pytest.fixture
def deadly(migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A rig that leaves scopes to a process which makes the same application, once owners have died of them."""
    monkeypatch.setenv("BATCHWRIGHT_DATABASE_URL", migrated_url)
    monkeypatch.setenv("BATCHWRIGHT_JOBS", "tests.engine.deadly:Deadly")
    monkeypatch.setenv("BATCHWRIGHT_LEASE_SECONDS", "0.5")
    monkeypatch.chdir(ROOT)
    rig = Rig(Database(migrated_url), [Deadly], clock=SystemClock())
    rig.apart = Isolated(lambda: ProcessPool((sys.executable, "-P", "-m", POOL), 1), rig.events)
    return rig


def taken_over(rig: Rig, run: Run, times: int = 1) -> Run:
    """The run after so many of its owners have died without a trace of work."""
    for _ in range(times):
        with rig.database.write() as connection:
            runs.raise_fence(connection, runs.by_key(connection, run.id), "taker/2")
    return rig.read(run)


def counted(rig: Rig, run: Run, takeovers: int) -> Run:
    """The run, taken over so often in a row without progress."""
    with rig.database.write() as connection:
        one = update(run_table).where(run_table.c.id == run.id)
        connection.execute(one.values(takeovers_without_progress=takeovers))
    return rig.read(run)


def planned(rig: Rig, run: Run | None = None) -> Run:
    """A run with its plan, as its owner has it; nothing is done."""
    run = run or rig.submit()
    stopped: list[object] = []
    rig.subscribers.append(stopped.append)
    rig.dispatcher().drive(run.id, lambda: any(isinstance(one, events.RunPlanned) for one in stopped))
    rig.subscribers.remove(stopped.append)
    return rig.claimed(run)


def test_takeovers_are_counted_while_a_run_gets_no_further(rig: Rig) -> None:
    rig.fill(20)
    run = rig.claimed()
    assert taken_over(rig, run).takeovers_without_progress == 0  # the first says nothing of those before
    assert taken_over(rig, run, 2).takeovers_without_progress == 2


class Gone(BaseException):
    """The process is gone: nobody catches this."""


def die_at(rig: Rig, run: Run, point: str, scope: int | None = None) -> None:
    """An owner dies at a point."""

    def die(event: object) -> None:
        if isinstance(event, events.Reached) and (event.point, event.scope) == (point, scope):
            raise Gone

    rig.subscribers.append(die)
    with pytest.raises(Gone), passing_on(Gone):
        rig.dispatcher().work(rig.read(run))
    rig.subscribers.remove(die)


def test_a_plan_and_every_scope_are_progress(rig: Rig) -> None:
    rig.fill(20)
    run = rig.claimed()
    places = (
        [("plan committed", None)] * 2
        + [("planned", None)]
        + [("scope read", 1)] * 2
        + [("scope read", 2)] * 2
    )
    seen = []
    for point, scope in places:
        die_at(rig, run, point, scope)
        seen.append(taken_over(rig, run).takeovers_without_progress)
    assert seen == [0, 1, 0, 1, 2, 0, 1]
    ended = rig.dispatcher().work(rig.read(run))
    assert (ended.state, ended.processed) == (State.COMPLETED, 20)


@pytest.mark.parametrize("asked", [None, Control.PAUSE])
def test_a_run_that_waits_again_is_counted_anew(rig: Rig, asked: Control | None) -> None:
    rig.fill(20)
    run = taken_over(rig, rig.claimed(), 3)
    if asked is not None:
        with rig.database.write() as connection:
            controls.request(connection, run, controls.ControlRequest(asked, "erin", NOW))
    left = rig.dispatcher().work(run, lambda: True)
    assert left.state is (State.QUEUED if asked is None else State.PAUSED)
    assert (run.takeovers_without_progress, left.takeovers_without_progress) == (2, 0)


def test_an_owner_that_left_for_a_passing_fault_has_not_died(rig: Rig, spy: type[Parcels]) -> None:
    def leave(scope: Scope) -> None:
        raise ReadOnlyDatabase("the disk is full")

    spy.on_execute = staticmethod(leave)
    rig.fill(10)
    run = taken_over(rig, planned(rig))
    with pytest.raises(ReadOnlyDatabase):
        rig.dispatcher().work(run)
    assert found_dead(rig, run).takeovers_without_progress == 0


def test_an_owner_that_left_for_anything_else_has(rig: Rig) -> None:
    rig.fill(10)
    run = taken_over(rig, planned(rig))
    die_at(rig, run, "scope read", 1)
    assert found_dead(rig, run).takeovers_without_progress == 1


def found_dead(rig: Rig, run: Run) -> Run:
    """The run after a takeover by what its owner has left behind; no session of a process that lives is among that."""
    leases = LeaseStore(rig.database)
    assert leases.sessions(run.id, run.fence) == []
    taken = take_over(rig.database, leases, rig.read(run), rig.clock)
    leases.close()
    return taken


@pytest.mark.parametrize("bad", ["7", pytest.param("5 8", marks=pytest.mark.long)])
def test_a_record_that_ends_its_process_is_found_in_a_process_of_its_own(
    deadly: Rig, bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DEADLY, bad)
    deadly.fill(9)
    run = counted(deadly, planned(deadly, deadly.submit(job="deadly")), TAKEOVERS_UNTIL_ISOLATED)
    ended = deadly.dispatcher().work(run)
    keys = [int(key) for key in bad.split()]
    assert (ended.state, ended.processed, ended.errored) == (State.COMPLETED, 9 - len(keys), len(keys))
    assert deadly.handled() == {key: int(key not in keys) for key in range(1, 10)}
    errors = [(entry.record_key, entry.code) for entry in deadly.outcomes(run) if entry.outcome == "error"]
    assert errors == [(key, "ended_process") for key in keys]
    deadly.database.close()


def test_sound_records_are_simply_done_in_a_process_of_their_own(
    deadly: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DEADLY, "")
    deadly.fill(9)
    run = counted(deadly, planned(deadly, deadly.submit(job="deadly")), TAKEOVERS_UNTIL_ISOLATED)
    assert deadly.dispatcher().work(run).processed == 9
    assert set(deadly.handled().values()) == {1}
    deadly.database.close()


def test_without_such_a_process_the_run_goes_on_in_line(rig: Rig) -> None:
    rig.apart = Isolated(lambda: ProcessPool((sys.executable, "-c", ""), 1), rig.events)
    rig.fill(20)
    run = counted(rig, planned(rig), TAKEOVERS_UNTIL_ISOLATED)
    assert rig.dispatcher().work(run).processed == 20
    (fell_back,) = [one for one in rig.published if isinstance(one, events.ExecutorFellBack)]
    assert (fell_back.executor, fell_back.instead) == ("apart", "inline")


def in_start(rig: Rig) -> Run:
    return rig.claimed()


def in_scope(rig: Rig) -> Run:
    return planned(rig)


@pytest.mark.parametrize(("place", "said"), [(in_start, "start"), (in_scope, "scope 1")])
def test_a_run_whose_owners_die_on_and_on_fails_and_says_where(
    rig: Rig, place: Callable[[Rig], Run], said: str
) -> None:
    rig.fill(20)
    run = counted(rig, place(rig), MAX_TAKEOVERS)
    rig.published.clear()
    ended = rig.dispatcher().work(run)
    assert ended.state is State.FAILED
    assert (ended.error or "").startswith(f"given up in {said}: 6 takeovers in a row brought it no further")
    assert not [one for one in rig.published if isinstance(one, events.ScopeDone)]
    assert set(rig.handled().values()) == {0}


def test_a_run_whose_owners_die_in_finish_fails_and_keeps_what_was_done(rig: Rig) -> None:
    rig.fill(20)
    run = rig.claimed()
    die_at(rig, run, "finish called")
    ended = rig.dispatcher().work(counted(rig, run, MAX_TAKEOVERS))
    assert (ended.state, ended.processed) == (State.FAILED, 20)
    assert (ended.error or "").startswith("given up in finish")


WORKER = (sys.executable, "-m", "tests.engine.deadly")


@pytest.mark.long
@pytest.mark.parametrize(
    ("bad", "state", "error", "workers"),
    [
        ("7", State.COMPLETED, None, 5),
        ("start", State.FAILED, "start", 8),
        ("finish", State.FAILED, "finish", 8),
    ],
)
def test_worker_after_worker_comes_to_an_end(
    deadly: Rig, bad: str, state: State, error: str | None, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DEADLY, bad)
    deadly.fill(9)
    run = deadly.submit(job="deadly")
    codes: list[int] = []
    while not codes or codes[-1] != 0:
        codes.append(subprocess.run(WORKER, timeout=SECONDS, check=False, env=os.environ).returncode)
        assert len(codes) <= workers
    ended = deadly.read(run)
    assert (ended.state, len(codes)) == (state, workers)
    assert (ended.error or "").startswith(f"given up in {error}" if error else "")
    assert deadly.ledger(run)["ok"] == (0 if bad == "start" else 9 - (bad == "7"))
    deadly.database.close()
