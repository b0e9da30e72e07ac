"""``finish`` runs in the transaction that ends the run, with its mail."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import Connection, insert

from batchwright.engine import events
from batchwright.engine.job import Finish, Scope
from batchwright.engine.run import Control, Run, State
from batchwright.engine.store import controls, runs
from tests.engine.jobs import Parcels, parcel
from tests.engine.rig import NOW, Rig

pytestmark = pytest.mark.on_both


def scope_done(run: Run, scope: int, *, ok: int, done: int) -> events.ScopeDone:
    """A scope of good records has committed, on a clock that stands still."""
    return events.ScopeDone(
        run_id=run.run_id,
        job="parcels",
        scope=scope,
        ok=ok,
        errored=0,
        skipped=0,
        seconds=0.0,
        done=done,
        total=run.total or 0,
    )


def test_finish_runs_once_with_the_final_figures(rig: Rig, spy: type[Parcels]) -> None:
    finished: list[Finish] = []
    spy.finish = lambda self, finish: finished.append(finish)  # type: ignore[method-assign]

    def report(scope: Scope) -> None:
        if 3 in scope.keys:
            scope.error(3, "no_price", "none")

    spy.on_execute = staticmethod(report)
    rig.fill(30)
    ended = rig.drive()
    (finish,) = finished
    assert (finish.run.processed, finish.run.errored, finish.run.skipped) == (29, 1, 0)
    assert finish.totals == {"worth": {"USD": sum(range(1, 31))}} == ended.totals
    assert [run.state for run in rig.announced] == [State.COMPLETED]


def test_what_finish_writes_adds_and_warns_of_is_saved_with_the_end(rig: Rig, spy: type[Parcels]) -> None:
    def finish(self: Parcels, finish: Finish) -> None:
        finish.connection.execute(insert(parcel).values(id=99, handled=7))
        finish.totals["charges"] = {"EUR": 5}
        finish.warn("late", "some are late", "P-1")

    spy.finish = finish  # type: ignore[method-assign]
    rig.fill(2)
    run = rig.drive()
    assert run.totals == {"worth": {"USD": 3}, "charges": {"EUR": 5}}
    assert rig.handled()[99] == 7
    with rig.database.read() as connection:
        assert runs.warnings(connection, run.id) == [("late", "some are late", "P-1")]


def test_a_finish_that_raises_fails_the_run_with_its_text_and_one_mail(rig: Rig, spy: type[Parcels]) -> None:
    def finish(self: Parcels, finish: Finish) -> None:
        finish.connection.execute(insert(parcel).values(id=99, handled=7))
        raise RuntimeError("no charges today")

    spy.finish = finish  # type: ignore[method-assign]
    rig.fill(12)
    run = rig.drive()
    assert run.state is State.FAILED
    assert re.fullmatch(
        r"RuntimeError: no charges today \[tests/engine/test_finish\.py:[0-9]+\]", run.error or ""
    )
    assert (run.total, run.processed, run.not_reached) == (12, 12, 0)
    assert 99 not in rig.handled()
    assert [(one.state, one.error) for one in rig.announced] == [(State.FAILED, run.error)]
    assert rig.published[-1] == events.RunEnded(run.run_id, "parcels", State.FAILED, run.error)


def test_a_retry_of_a_run_that_failed_at_its_end_does_the_end_alone_with_that_run(
    rig: Rig, spy: type[Parcels]
) -> None:
    seen: list[tuple[str, int, dict[str, dict[str, int]]]] = []

    def finish(self: Parcels, finish: Finish) -> None:
        seen.append((finish.run.run_id, finish.run.processed, {**finish.totals}))
        if len(seen) < 3:
            raise RuntimeError("no charges today")
        finish.totals["charges"] = {"EUR": 5}

    spy.finish = finish  # type: ignore[method-assign]
    rig.fill(12)
    failed = rig.drive(parameters={"ids": (1, 2, 3)})
    again = rig.drive(parameters={"ids": (1, 2, 3)}, trigger="retry", parent=failed)
    assert (again.state, again.total, again.not_reached) == (State.FAILED, 0, 0)
    ended = rig.drive(parameters={"ids": (1, 2, 3)}, trigger="retry", parent=again)
    assert seen == [(failed.run_id, 3, {"worth": {"USD": 6}})] * 3
    assert (ended.state, ended.total) == (State.COMPLETED, 0)
    assert ended.totals == {"worth": {"USD": 6}, "charges": {"EUR": 5}}
    assert sum(rig.handled().values()) == 3


def test_the_end_and_its_mail_commit_together(rig: Rig) -> None:
    class PowerCut(BaseException):
        """Nobody catches it."""

    def write_and_die(connection: Connection, run: Run) -> None:
        connection.execute(insert(parcel).values(id=99, handled=7))
        raise PowerCut

    def write(connection: Connection, run: Run) -> None:
        connection.execute(insert(parcel).values(id=99, handled=8))

    rig.fill(2)
    rig.on_announce = write_and_die
    run = rig.submit()
    with pytest.raises(PowerCut):
        rig.drive(run)
    assert rig.read(run).state is State.PROCESSING
    assert 99 not in rig.handled()
    rig.on_announce = write
    assert rig.dispatcher().resume(run.id).state is State.COMPLETED
    assert rig.handled()[99] == 8


def test_a_run_tells_its_story_in_events(rig: Rig) -> None:
    rig.fill(15)
    run = rig.drive()
    assert rig.published == [
        events.RunStarted(run.run_id, "parcels", 1),
        events.RunPlanned(run.run_id, 15, 2, 0),
        scope_done(run, 1, ok=10, done=10),
        scope_done(run, 2, ok=5, done=15),
        events.RunEnded(run.run_id, "parcels", State.COMPLETED, None),
    ]


def test_a_run_that_is_asked_to_stop_is_handed_back_and_goes_on_from_there(
    rig: Rig, spy: type[Parcels]
) -> None:
    rig.fill(30)
    run = rig.submit()
    handed_back = rig.dispatcher().drive(run.id, stop=lambda: len(spy.calls) == 2)
    assert (handed_back.state, handed_back.owner, handed_back.processed) == (State.QUEUED, None, 20)
    ended = rig.drive(run)
    assert (ended.state, ended.fence, len(spy.calls)) == (State.COMPLETED, 2, 3)
    assert ended.started_at == handed_back.started_at
    assert set(rig.handled().values()) == {1}


def test_a_scope_knows_all_keys_that_were_planned(rig: Rig, spy: type[Parcels]) -> None:
    seen: list[tuple[int, int]] = []

    def look(scope: Scope) -> None:
        seen.append((len(scope.keys), len(scope.planned_keys)))
        if 2 in scope.keys:
            raise ValueError("bad")

    spy.on_execute = staticmethod(look)
    rig.fill(4)
    rig.drive()
    assert seen[0] == (4, 4)
    assert seen[-1] == (3, 4)
    assert {planned for _, planned in seen} == {4}


def test_a_run_with_nothing_to_do_ends_in_the_transaction_of_its_plan(rig: Rig, spy: type[Parcels]) -> None:
    seen: list[State] = []

    def look(event: events.Event) -> None:
        if isinstance(event, events.Reached) and event.point == "finish saved":
            seen.append(rig.read(run).state)  # as others see it: nothing of it is committed yet

    rig.fill(0)
    run = rig.submit()
    rig.subscribers.append(look)
    ended = rig.drive(run)
    assert seen == [State.PREPARING]
    assert (ended.state, ended.total, ended.processed) == (State.COMPLETED, 0, 0)
    assert [one for one in rig.published if isinstance(one, events.RunPlanned)] == [
        events.RunPlanned(run.run_id, 0, 0, 0)
    ]


@pytest.mark.parametrize(("ask", "state"), [(Control.PAUSE, State.PAUSED), (Control.ABORT, State.ABORTED)])
def test_a_run_with_nothing_to_do_obeys_before_it_ends(rig: Rig, ask: Control, state: State) -> None:
    rig.fill(0)
    run = rig.claimed(rig.submit())
    with rig.database.write() as connection:
        controls.request(connection, run, controls.ControlRequest(ask, "erin", NOW))
    assert rig.dispatcher().work(run).state is state
