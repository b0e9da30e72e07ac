"""The flex queue: at most so many runs are active, and no key starves the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from batchwright.engine import events
from batchwright.engine.faults import is_transient
from batchwright.engine.queue import promote
from batchwright.engine.run import Run, State
from batchwright.engine.store import queue, runs
from batchwright.testing.clock import FakeClock
from tests.engine.jobs import Parcels
from tests.engine.rig import NOW, Rig

pytestmark = pytest.mark.on_both


@pytest.fixture(autouse=True)
def _parcels(rig: Rig) -> None:
    rig.fill(3)


def promoted(rig: Rig, slots: int, *waiting: Run) -> list[Run]:
    """Those of ``waiting`` that are in a slot after runs were promoted."""
    with rig.database.write() as connection:
        promote(connection, slots)
    return [run for run in waiting if rig.read(run).state is not State.HOLDING]


def test_a_submitted_run_holds_until_it_has_a_slot(rig: Rig) -> None:
    run = rig.submit()
    assert run.state is State.HOLDING
    assert promoted(rig, 1, run) == [run]
    assert rig.read(run).state is State.QUEUED


def test_no_more_runs_than_there_are_slots_are_promoted(rig: Rig) -> None:
    waiting = [rig.submit(actor=f"actor {number}") for number in range(4)]
    assert promoted(rig, 3, *waiting) == waiting[:3]
    assert promoted(rig, 3, *waiting) == waiting[:3]


def test_runs_of_one_key_go_in_their_order(rig: Rig) -> None:
    waiting = [rig.submit() for _ in range(4)]
    assert promoted(rig, 2, *waiting) == waiting[:2]


def test_the_key_with_the_fewest_active_runs_goes_first(rig: Rig) -> None:
    of_dana = [rig.submit(actor="dana") for _ in range(4)]
    assert promoted(rig, 2, *of_dana) == of_dana[:2]
    of_eve = [rig.submit(actor="eve") for _ in range(3)]
    assert promoted(rig, 4, *of_dana, *of_eve) == [*of_dana[:2], *of_eve[:2]]
    assert promoted(rig, 5, *of_dana, *of_eve) == [*of_dana[:3], *of_eve[:2]]


@pytest.mark.parametrize("state", [State.QUEUED, State.PREPARING, State.PROCESSING])
def test_a_queued_or_active_run_takes_a_slot(rig: Rig, state: State) -> None:
    rig.max_active_runs = 1
    run, waiting = rig.submit(), rig.submit()
    promoted(rig, 1, run)
    if state is not State.QUEUED:
        claimed = rig.claimed(run)
        if state is State.PROCESSING:
            with rig.database.write() as connection:
                runs.move(connection, claimed, state, total=0)
    assert promoted(rig, 1, waiting) == []


def test_a_run_in_its_callers_thread_takes_no_slot_and_waits_for_none(rig: Rig) -> None:
    in_caller = rig.submit(mode="sync", in_caller=True)
    assert in_caller.state is State.QUEUED
    held = rig.submit()
    assert promoted(rig, 1, held) == [held]
    rig.max_active_runs = 1
    assert rig.drive(in_caller).state is State.COMPLETED


def test_a_run_that_ends_promotes_the_next(rig: Rig) -> None:
    rig.max_active_runs = 1
    first, second = rig.submit(), rig.submit()
    rig.drive(first)
    assert rig.read(second).state is State.QUEUED


class Meanwhile(FakeClock):
    """Does something when somebody waits."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__(NOW)
        self._act = act

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self._act()


def test_a_run_waits_while_the_slots_are_taken_and_goes_on_when_one_becomes_free(rig: Rig) -> None:
    rig.max_active_runs = 1
    first, second = rig.submit(), rig.submit()
    promoted(rig, 1)
    at_work = rig.claimed(first)

    def end_the_first() -> None:
        with rig.database.write() as connection:
            runs.move(connection, at_work, State.FAILED)

    rig.clock = Meanwhile(end_the_first)
    assert rig.drive(second).state is State.COMPLETED
    (wait,) = [one for one in rig.published if isinstance(one, events.RunWaiting)]
    assert wait.run_id == second.run_id
    assert wait.reason.startswith(f"1 of 1 slots taken, by {first.run_id};")


def test_runs_that_nobody_drives_keep_nobody_from_working(rig: Rig) -> None:
    rig.max_active_runs = 1
    left, driven = rig.submit(), rig.submit()
    promoted(rig, 1)
    assert rig.read(left).state is State.QUEUED
    assert rig.drive(driven).state is State.COMPLETED
    assert [one for one in rig.published if isinstance(one, events.RunWaiting)] == []


def test_a_waiting_run_that_is_asked_to_stop_stays_in_line(rig: Rig) -> None:
    rig.max_active_runs = 1
    first, second = rig.submit(), rig.submit()
    promoted(rig, 1)
    rig.claimed(first)
    assert rig.dispatcher().drive(second.id, stop=lambda: True).state is State.HOLDING


def test_a_run_that_another_process_has_is_left_to_it(rig: Rig, spy: type[Parcels]) -> None:
    run = rig.claimed()
    assert rig.drive(run) == run
    assert spy.calls == []


def test_a_run_that_another_process_claims_first_is_left_to_it(rig: Rig, spy: type[Parcels]) -> None:
    run = rig.submit()
    promoted(rig, 1)
    move = runs.move

    def too_late(connection: Connection, shown: Run, to: State, **values: Any) -> None:
        move(connection, replace(shown, fence=shown.fence - 1), to, **values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "move", too_late)
        assert rig.drive(run).state is State.QUEUED
    assert spy.calls == []


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_a_process_that_stands_still_with_the_queue_locked_keeps_nobody_from_it_for_ever(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = rig.submit()
    with rig.database.engine.connect() as still:
        with monkeypatch.context() as patience:
            patience.setattr(queue, "MOST_SECONDS_IDLE_WITH_QUEUE", 0.5)
            queue.lock_queue(still)
        assert promoted(rig, 1, run) == [run]  # waits for the lock until the server has ended that session
        with pytest.raises(DBAPIError, match="idle-in-transaction") as lost:
            still.execute(text("SELECT 1"))
        assert is_transient(lost.value)


def test_a_run_behind_an_earlier_one_of_its_schedule_holds_until_that_has_ended(rig: Rig) -> None:
    first, second, third = (rig.submit(schedule="Nightly", after_earlier=True) for _ in range(3))
    other = rig.submit(schedule="Hourly", after_earlier=True)
    with rig.database.write() as connection:
        assert [run.id for run in promote(connection, 5).queued] == [first.id, other.id]
    for run in (first, other):
        rig.drive(run)
    with rig.database.write() as connection:
        assert [run.id for run in promote(connection, 5).queued] == [second.id]
        assert runs.by_key(connection, third.id).state is State.HOLDING


def test_nothing_is_to_be_claimed_while_all_that_hold_are_behind_others(rig: Rig) -> None:
    first = rig.claimed(rig.submit(schedule="Nightly"))
    rig.submit(schedule="Nightly", after_earlier=True)
    with rig.database.read() as connection:
        assert not queue.to_claim(connection, 5)
    with rig.database.write() as connection:
        runs.move(connection, first, State.FAILED)
    with rig.database.read() as connection:
        assert queue.to_claim(connection, 5)
