"""A run moves as the table of moves says, and not otherwise; that the table is right, test_concepts.py says."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from sqlalchemy import update

from batchwright.engine.errors import FenceLost, MoveRefused
from batchwright.engine.run import ACTIVE, ENDED, MOVES, Run, State, badge
from batchwright.engine.store import runs
from batchwright.engine.store.tables import run as run_table
from tests.engine.rig import NOW, Rig

BADGES = {
    State.HOLDING: "Queued",
    State.QUEUED: "Queued",
    State.PREPARING: "Running",
    State.PROCESSING: "Running",
    State.PAUSED: "Running",
    State.COMPLETED: "Complete",
    State.FAILED: "Failed (why)",
    State.ABORTED: "Failed (why)",
}


def stands(rig: Rig, run: Run, state: State) -> Run:
    """The run, put into that state whatever it was in."""
    with rig.database.write() as connection:
        connection.execute(update(run_table).where(run_table.c.id == run.id).values(state=state))
    return replace(run, state=state)


def test_a_run_moves_where_the_table_says_and_nowhere_else(rig: Rig) -> None:
    rig.fill(0)
    run = rig.submit()
    for before, after in product(State, State):
        shown = stands(rig, run, before)
        with rig.database.write() as connection:
            if (before, after) in MOVES:
                runs.move(connection, shown, after)
            else:
                with pytest.raises(MoveRefused):
                    runs.move(connection, shown, after)
        assert rig.read(run).state is (after if (before, after) in MOVES else before)


def test_a_move_is_refused_when_the_state_is_not_the_one_that_was_read(rig: Rig) -> None:
    rig.fill(0)
    run = stands(rig, rig.submit(), State.QUEUED)
    stands(rig, run, State.PREPARING)
    with rig.database.write() as connection, pytest.raises(FenceLost):
        runs.move(connection, run, State.PREPARING)


def test_a_move_is_refused_under_an_old_fence(rig: Rig) -> None:
    rig.fill(0)
    run = stands(rig, rig.submit(), State.PROCESSING)
    with rig.database.write() as connection:
        runs.raise_fence(connection, run, "somebody/2")
    with rig.database.write() as connection, pytest.raises(FenceLost):
        runs.move(connection, run, State.COMPLETED)


def test_nothing_leaves_an_ended_state() -> None:
    assert not [move for move in MOVES if move[0] in ENDED]


def test_every_state_that_a_process_works_in_can_be_left() -> None:
    assert {before for before, _ in MOVES} >= {*ACTIVE, State.HOLDING, State.QUEUED}


A_RUN = Run(
    id=1, run_id="JR-00000001", job="parcels", type="Parcel handling", mode="batch", in_caller=False,
    state=State.HOLDING, actor="dana", reason=None, explanation=None, parameters={}, trigger="cli", schedule=None,
    after_earlier=False,
    parent_id=None, customer_id=None, periods=None, scope_size=10, error_ceiling=None, notify=[], mail_actor=True,
    queue_key="dana", queue_position=1, dedup_key=None, fence=0, owner=None, claimed_at=None,
    takeovers_without_progress=0, progress_at_takeover=None, total=None, processed=0, errored=0,
    skipped=0, not_reached=0, totals={}, error="why", created_at=NOW, started_at=None, ended_at=None,
    start_number=None, pruned_at=None,
)  # fmt: skip


@pytest.mark.parametrize("state", State)
def test_every_state_has_its_badge(state: State) -> None:
    assert badge(replace(A_RUN, state=state)) == BADGES[state]


@pytest.mark.parametrize(("errored", "shown"), [(1, "Complete (1 error)"), (12, "Complete (12 errors)")])
def test_a_completed_run_shows_its_errors(errored: int, shown: str) -> None:
    assert badge(replace(A_RUN, state=State.COMPLETED, errored=errored)) == shown
