"""What is asked of a run at work is done after the scopes in flight, by whoever drives it then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

import pytest

from batchwright.engine import events
from batchwright.engine.errors import FenceLost
from batchwright.engine.events import Event
from batchwright.engine.job import Finish, Record, StartContext
from batchwright.engine.run import Control, Run, State
from batchwright.engine.store import controls, runs
from batchwright.engine.store.database import Database
from batchwright.engine.store.leases import LeaseStore
from batchwright.engine.store.tables import scope
from batchwright.engine.store.tables import steering as steering_table
from tests.engine.jobs import Parcels
from tests.engine.owners import Owner, owner_at
from tests.engine.rig import NOW, Rig
from tests.support.concurrency import wait_until_blocked
from tests.support.run_log import every_run

__all__ = ["owner_at"]

RECORDS = 50
STATES = {Control.ABORT: State.ABORTED, Control.PAUSE: State.PAUSED}


def ask(rig: Rig, run: Run, wanted: Control) -> None:
    with rig.database.write() as connection:
        controls.request(
            connection, runs.by_key(connection, run.id), controls.ControlRequest(wanted, "eve", NOW)
        )


def release(rig: Rig, run: Run) -> None:
    with rig.database.write() as connection:
        runs.move(connection, runs.by_key(connection, run.id), State.HOLDING)


def ask_after_scope(rig: Rig, number: int, wanted: Control) -> None:
    """Have it asked as soon as that scope has committed."""

    def listen(event: Event) -> None:
        if isinstance(event, events.ScopeDone) and event.scope == number:
            with rig.database.read() as connection:
                run = runs.by_id(connection, event.run_id)
            ask(rig, run, wanted)

    rig.subscribers.append(listen)


def held_by_nobody(rig: Rig, run: Run) -> bool:
    """No owner of the run and none of their sessions is left."""
    leases = LeaseStore(rig.database)
    try:
        return rig.read(run).owner is None and not leases.sessions(run.id, run.fence)
    finally:
        leases.close()


@pytest.mark.parametrize("wanted", [Control.ABORT, Control.PAUSE])
def test_a_run_obeys_within_one_scope_and_what_was_asked_is_forgotten(
    rig: Rig, spy: type[Parcels], wanted: Control
) -> None:
    rig.fill(RECORDS)
    ask_after_scope(rig, 1, wanted)
    run = rig.drive()
    assert run.state is STATES[wanted]
    assert (run.total, run.processed) == (50, 20)
    assert len(spy.calls) == 2
    assert rig.rows(steering_table) == []
    assert held_by_nobody(rig, run)
    last = rig.published[-1]
    assert isinstance(last, events.RunEnded if wanted is Control.ABORT else events.RunPaused)


def test_an_aborted_run_ends_with_counts_and_mail_and_without_finish(rig: Rig, spy: type[Parcels]) -> None:
    finished: list[Finish] = []
    spy.finish = lambda self, finish: finished.append(finish)  # type: ignore[method-assign]
    rig.fill(RECORDS)
    ask_after_scope(rig, 1, Control.ABORT)
    run = rig.drive()
    assert (run.error, run.processed, run.not_reached) == ("aborted by eve", 20, 30)
    assert rig.ledger(run) == {"ok": 20, "not_reached": 30}
    assert [(one.run_id, one.state) for one in rig.announced] == [(run.run_id, State.ABORTED)]
    assert finished == []


def test_a_paused_run_goes_on_where_it_stopped_once_it_is_resumed(rig: Rig) -> None:
    rig.fill(RECORDS)
    ask_after_scope(rig, 2, Control.PAUSE)
    paused = rig.drive()
    assert (paused.state, paused.processed, paused.ended_at) == (State.PAUSED, 30, None)
    assert rig.announced == []
    assert rig.drive(paused) == paused  # nobody drives it until it is resumed
    rig.subscribers.clear()
    rig.clock.sleep(5)
    release(rig, paused)
    run = rig.drive(paused)
    assert (run.state, run.processed, run.fence) == (State.COMPLETED, 50, 2)
    assert (paused.claimed_at, run.claimed_at) == (NOW, NOW + timedelta(seconds=5))
    assert set(rig.handled().values()) == {1}


@pytest.mark.parametrize("selects_records", [True, False])
def test_records_named_by_id_are_not_reached_where_a_run_is_aborted_before_its_plan(
    rig: Rig, spy: type[Parcels], selects_records: bool
) -> None:
    spy.selects_records = selects_records  # type: ignore[assignment]
    rig.fill(RECORDS)
    run = rig.claimed(rig.submit(parameters={"ids": (1, 2, 3)}))
    ask(rig, run, Control.ABORT)
    with rig.database.write() as connection:
        runs.raise_fence(connection, run, "taker/2")
    ended = rig.dispatcher().work(rig.read(run))
    assert (ended.state, ended.not_reached) == (State.ABORTED, 3 if selects_records else 0)
    assert rig.ledger(ended)["not_reached"] == ended.not_reached


@pytest.mark.parametrize("wanted", [Control.ABORT, Control.PAUSE])
def test_a_run_that_is_asked_while_it_plans_obeys_before_a_scope_is_executed(
    rig: Rig, spy: type[Parcels], monkeypatch: pytest.MonkeyPatch, wanted: Control
) -> None:
    monkeypatch.setattr("batchwright.engine.preparing.SCOPES_PER_PLANNING_COMMIT", 1)
    portions = iter(["first", "second"])

    def listen(event: Event) -> None:
        if (
            isinstance(event, events.Reached)
            and event.point == "plan committed"
            and next(portions) == "first"
        ):
            with rig.database.read() as connection:
                run = every_run(connection)[0]
            assert run.state is State.PREPARING
            ask(rig, run, wanted)

    rig.subscribers.append(listen)
    rig.fill(RECORDS)
    run = rig.drive()
    assert (run.state, spy.calls) == (STATES[wanted], [])
    assert rig.rows(steering_table) == []
    if wanted is Control.ABORT:
        assert (run.total, run.not_reached, rig.rows(scope)) == (0, 0, [])
    else:
        rig.subscribers.clear()
        release(rig, run)
        assert rig.drive(run).processed == RECORDS
        assert set(rig.handled().values()) == {1}


@pytest.mark.parametrize("wanted", [Control.ABORT, Control.PAUSE])
def test_a_run_whose_scopes_are_all_done_obeys_before_finish(
    rig: Rig, spy: type[Parcels], wanted: Control
) -> None:
    rig.fill(RECORDS)
    ask_after_scope(rig, 5, wanted)
    run = rig.drive()
    assert (run.state, run.processed, run.not_reached) == (STATES[wanted], 50, 0)


def test_whoever_asks_while_finish_runs_is_too_late(rig: Rig, spy: type[Parcels]) -> None:
    raised: list[BaseException | None] = []
    rig.fill(10)
    run = rig.submit()

    def too_late() -> None:
        try:
            ask(rig, run, Control.ABORT)
            raised.append(None)
        except FenceLost as error:
            raised.append(error)

    asker = threading.Thread(target=too_late)

    def finish(self: Parcels, finish: Finish) -> None:
        asker.start()
        wait_until_blocked(asker, rig.database)

    spy.finish = finish  # type: ignore[method-assign]
    ended = rig.drive(run)
    asker.join()
    assert ended.state is State.COMPLETED
    assert [type(one) for one in raised] == [FenceLost]
    assert rig.rows(steering_table) == []


def test_a_run_that_fails_forgets_what_was_asked(rig: Rig, spy: type[Parcels]) -> None:
    def start(self: Parcels, context: StartContext) -> Iterable[Record]:
        raise ValueError("nothing to read")

    spy.start = start  # type: ignore[method-assign]
    rig.fill(0)
    run = rig.claimed()
    ask(rig, run, Control.PAUSE)
    assert rig.dispatcher().work(run).state is State.FAILED
    assert rig.rows(steering_table) == []


def test_only_a_run_at_work_is_asked(rig: Rig) -> None:
    rig.fill(0)
    run = rig.submit()
    with pytest.raises(FenceLost):
        ask(rig, run, Control.PAUSE)
    assert rig.rows(steering_table) == []


def test_who_holds_the_fence_hears_what_is_asked_last(rig: Rig) -> None:
    rig.fill(0)
    run = rig.claimed()
    heard = []
    for wanted in (None, Control.PAUSE, Control.ABORT):
        if wanted is not None:
            ask(rig, run, wanted)
        with rig.database.write() as connection:
            heard.append(runs.hold_fence(connection, run))
    assert heard == [None, Control.PAUSE, Control.ABORT]


# A process that dies


@pytest.fixture
def three_scopes(migrated_url: str) -> Iterator[Rig]:
    """An engine with 30 parcels in three scopes. A lease goes by on its clock alone: nobody waits for one."""
    rig = Rig(Database(migrated_url), [Parcels])
    rig.fill(30)
    yield rig
    rig.database.close()


@pytest.mark.parametrize("wanted", [Control.ABORT, Control.PAUSE])
def test_a_run_that_was_asked_and_whose_process_was_killed_obeys_its_next_process(
    three_scopes: Rig, owner_at: Callable[[Run, str], Owner], wanted: Control
) -> None:
    rig = three_scopes
    run = rig.submit()
    # On SQLite the process must not be in a scope: it would hold the write lock, and keep everybody from asking.
    owner = owner_at(run, "start" if rig.database.is_sqlite else "execute:2")
    ask(rig, run, wanted)
    owner.kill()
    owner.wait()
    obeyed = rig.dispatcher().resume(run.id)
    assert obeyed.state is STATES[wanted]
    assert obeyed.processed == (0 if rig.database.is_sqlite else 10)
    assert rig.rows(steering_table) == []
    if wanted is Control.PAUSE:
        release(rig, run)
        assert rig.drive(run).processed == 30
        assert set(rig.handled().values()) == {1}
