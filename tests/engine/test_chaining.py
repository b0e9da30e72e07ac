"""``finish`` submits the next run in the transaction that ends its own: both are there, or neither."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from batchwright.engine import events
from batchwright.engine.errors import KeyInUse
from batchwright.engine.job import BatchJob, Finish, Record, Scope, StartContext
from batchwright.engine.run import Run, State
from batchwright.engine.store import runs
from batchwright.engine.store.database import Database
from batchwright.engine.store.tables import run as run_table
from batchwright.engine.store.tables import run_selection
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig
from tests.support.faults import sqlite_busy
from tests.support.run_log import every_run


class Next(BatchJob):
    """Follows; one live run at a time."""

    name = "next"
    type = "Next"
    scope_size = 7
    dedup_key = "the one"

    def start(self, context: StartContext) -> Iterable[Record]:
        return [Record(1)]

    def execute(self, scope: Scope) -> None:
        """Nothing to do."""


@pytest.fixture(autouse=True)
def _jobs(rig: Rig) -> None:
    rig.registry.add(Next)
    rig.fill(12)


def at_finish(spy: type[Parcels], act: Callable[[Finish], object]) -> None:
    """What the parcels job does at its end; what it leads to does nothing there."""
    spy.finish = lambda self, finish: finish.run.trigger == "job" or act(finish)  # type: ignore[method-assign,assignment]


def children(rig: Rig, run: Run) -> list[Run]:
    with rig.database.read() as connection:
        return [runs.by_id(connection, run_id) for run_id in runs.children(connection, run.id)]


def test_the_next_run_stands_in_line_when_the_first_has_ended_as_its_child(
    rig: Rig, spy: type[Parcels]
) -> None:
    given: list[str | None] = []
    at_finish(spy, lambda finish: given.append(finish.submit(Next())))
    options: dict[str, Any] = {
        "actor": "eve",
        "reason": "June",
        "explanation": "all of it",
        "notify": ["a@example.com"],
        "mail_actor": False,
        "error_ceiling": "5%",
    }
    first = rig.drive(**options)
    (child,) = children(rig, first)
    assert given == [child.run_id]
    assert (child.job, child.mode, child.trigger, child.parent_id) == ("next", "batch", "job", first.id)
    assert {name: getattr(child, name) for name in options} == options
    assert (child.scope_size, child.dedup_key, child.state) == (7, "the one", State.QUEUED)
    assert rig.drive(child).state is State.COMPLETED


def test_the_next_run_may_have_a_reason_and_a_scope_size_of_its_own(rig: Rig, spy: type[Parcels]) -> None:
    at_finish(spy, lambda finish: finish.submit(Next(), reason="follow-up", scope_size=3))
    first = rig.drive(reason="June", explanation="all of it")
    (child,) = children(rig, first)
    assert (child.reason, child.explanation, child.scope_size) == ("follow-up", None, 3)


def test_several_runs_may_follow_with_what_they_select(rig: Rig, spy: type[Parcels]) -> None:
    def submit_two(finish: Finish) -> None:
        for ids in ((1, 2), (3,)):
            finish.submit(spy(ids=ids))

    at_finish(spy, submit_two)
    first = rig.drive()
    assert [child.parameters["ids"] for child in children(rig, first)] == [[1, 2], [3]]
    assert [row.key for row in rig.rows(run_selection)] == [1, 2, 3]


def test_a_subscriber_hears_of_the_next_run_once_it_is_there(rig: Rig, spy: type[Parcels]) -> None:
    at_finish(spy, lambda finish: finish.submit(Next()))
    first = rig.drive(actor="eve")
    (child,) = children(rig, first)
    published = [event for event in rig.published if isinstance(event, events.RunSubmitted)]
    assert published == [events.RunSubmitted(child.run_id, "next", "batch", "eve")]


def test_a_finish_that_raises_leaves_no_child(rig: Rig, spy: type[Parcels]) -> None:
    def submit_and_raise(finish: Finish) -> None:
        finish.submit(Next())
        raise ValueError("the report is full")

    at_finish(spy, submit_and_raise)
    run = rig.drive()
    assert run.state is State.FAILED
    assert (run.error or "").startswith("ValueError: the report is full [tests/")
    assert len(rig.rows(run_table)) == 1
    assert [event for event in rig.published if isinstance(event, events.RunSubmitted)] == []


def test_a_finish_that_is_repeated_after_a_passing_fault_leaves_one_child(
    rig: Rig, spy: type[Parcels]
) -> None:
    tries: list[str | None] = []

    def lose_the_first(finish: Finish) -> None:
        tries.append(finish.submit(Next()))
        if len(tries) == 1:
            raise sqlite_busy()

    at_finish(spy, lose_the_first)
    first = rig.drive()
    assert len(tries) == 2
    assert [child.run_id for child in children(rig, first)] == tries[1:]


def test_a_dry_run_leads_to_dry_runs_only(rig: Rig, spy: type[Parcels]) -> None:
    at_finish(spy, lambda finish: finish.submit(spy(ids=(1,))))
    (child,) = children(rig, rig.drive(mode="dry_run"))
    assert child.mode == "dry_run"
    at_finish(spy, lambda finish: finish.submit(Next()))
    alone = rig.drive(mode="dry_run")
    assert (alone.state, children(rig, alone)) == (State.COMPLETED, [])


def test_a_synchronous_run_leads_to_one_that_waits_in_line(rig: Rig, spy: type[Parcels]) -> None:
    at_finish(spy, lambda finish: finish.submit(Next()))
    (child,) = children(rig, rig.drive(mode="sync", in_caller=True))
    assert (child.mode, child.in_caller) == ("batch", False)


def test_a_key_in_use_may_be_let_pass_and_fails_the_run_otherwise(rig: Rig, spy: type[Parcels]) -> None:
    def unless_there_is_one(finish: Finish) -> None:
        try:
            finish.submit(Next())
        except KeyInUse as refusal:
            finish.warn("already", str(refusal.run_id))

    live = rig.submit("next")
    at_finish(spy, unless_there_is_one)
    passed = rig.drive()
    assert (passed.state, children(rig, passed)) == (State.COMPLETED, [])
    with rig.database.read() as connection:
        assert runs.warnings(connection, passed.id) == [("already", live.run_id, None)]
    at_finish(spy, lambda finish: finish.submit(Next()))
    failed = rig.drive()
    assert failed.state is State.FAILED
    assert failed.error is not None
    assert failed.error.startswith(f"{live.run_id} of next has the key 'the one'")


def test_a_job_that_is_not_registered_does_not_follow(rig: Rig, spy: type[Parcels]) -> None:
    class Stranger(Next):
        name = "stranger"

    at_finish(spy, lambda finish: finish.submit(Stranger()))
    run = rig.drive()
    assert run.error is not None
    assert "Stranger is not registered as the job 'stranger'" in run.error
    assert len(rig.rows(run_table)) == 1


def test_nobody_sees_the_next_run_before_the_first_has_ended(rig: Rig, spy: type[Parcels]) -> None:
    seen: list[int] = []

    def submit_and_look(finish: Finish) -> None:
        finish.submit(Next())
        other = Database(rig.database.url.render_as_string(hide_password=False))
        with other.read() as connection:
            seen.append(len(every_run(connection)))
        other.close()

    at_finish(spy, submit_and_look)
    rig.drive()
    assert (seen, len(rig.rows(run_table))) == ([1], 2)
