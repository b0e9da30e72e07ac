"""Abort, pause, resume and move, for a run in every state, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from batchwright.engine import events
from batchwright.engine.errors import FenceLost, MoveRefused, Refused
from batchwright.engine.run import ENDED, Control, Run, State
from batchwright.engine.store import controls, queue, runs
from batchwright.engine.store.tables import run as run_table
from batchwright.operations.app import Application
from batchwright.operations.mail import list_mail
from batchwright.operations.runs.controls import abort_run, move_run, pause_run, release_run
from batchwright.operations.runs.driving import drive_run, resume_run
from batchwright.operations.runs.looking import run_outcomes, show_run
from batchwright.operations.runs.submitting import submit_run
from tests.engine.jobs import Parcels, fill
from tests.support.application import ACTOR, NOW

Entries = Callable[[], list[dict[str, Any]]]
Steer = Callable[..., dict[str, Any]]

RECORDS = 30
ACTS: dict[str, Steer] = {
    "abort": abort_run,
    "pause": pause_run,
    "resume": release_run,
    "move": lambda app, run_id, **who: move_run(app, run_id, front=True, **who),
}
MOVED = {
    ("abort", State.HOLDING): State.ABORTED,
    ("abort", State.QUEUED): State.ABORTED,
    ("abort", State.PAUSED): State.ABORTED,
    ("pause", State.HOLDING): State.PAUSED,
    ("pause", State.QUEUED): State.PAUSED,
    ("resume", State.PAUSED): State.QUEUED,  # by way of Holding: there is a free slot
    ("move", State.HOLDING): State.HOLDING,
}
"""What becomes of a run that an act moves there and then."""
ASKED = {
    (act, state): Control(act) for act in ("abort", "pause") for state in (State.PREPARING, State.PROCESSING)
}
"""What the process of a run is asked for."""
REFUSALS: dict[tuple[str, State], str] = {
    ("abort", State.COMPLETED): "has ended (Completed): there is nothing to abort",
    ("abort", State.FAILED): "has ended (Failed): there is nothing to abort",
    ("abort", State.ABORTED): "has ended (Aborted): there is nothing to abort",
    ("pause", State.PAUSED): "is paused already",
    ("pause", State.COMPLETED): "has ended (Completed): there is nothing to pause",
    ("pause", State.FAILED): "has ended (Failed): there is nothing to pause",
    ("pause", State.ABORTED): "has ended (Aborted): there is nothing to pause",
    ("resume", State.HOLDING): "is not paused: it waits already (Holding)",
    ("resume", State.QUEUED): "is not paused: it waits already (Queued)",
    ("resume", State.PREPARING): "is not paused: it is at work (Preparing)",
    ("resume", State.PROCESSING): "is not paused: it is at work (Processing)",
    ("resume", State.COMPLETED): "has ended (Completed)",
    ("resume", State.FAILED): "has ended (Failed)",
    ("resume", State.ABORTED): "has ended (Aborted)",
    **{
        ("move", state): f"does not wait in line: it is {state}"
        for state in State
        if state is not State.HOLDING
    },
}


@pytest.fixture
def parcels(app: Application) -> None:
    """The parcels job, and thirty parcels for it."""
    app.registry.add(Parcels)
    with app.database.write() as connection:
        fill(connection, RECORDS)


@pytest.fixture
def one_slot(app: Application) -> None:
    """One run at most is active."""
    app.settings = app.settings.model_copy(update={"max_active_runs": 1})


def submitted(app: Application, state: State = State.HOLDING, **values: Any) -> str:
    """A run that was put into that state."""
    run_id = submit_run(app, "parcels", {}, actor=ACTOR, **values).run_id
    put(app, run_id, state=state)
    return run_id


def put(app: Application, run_id: str, **values: Any) -> None:
    with app.database.write() as connection:
        connection.execute(update(run_table).where(run_table.c.run_id == run_id).values(**values))


def read(app: Application, run_id: str) -> Run:
    with app.database.read() as connection:
        return runs.by_id(connection, run_id)


def asked(app: Application, run_id: str) -> controls.ControlRequest | None:
    with app.database.read() as connection:
        return controls.read(connection, runs.by_id(connection, run_id).id)


def partly_done(app: Application, run_id: str) -> None:
    """Drive the first of the run's three scopes and hand it back."""
    stops = iter([False, True])
    view = drive_run(app, run_id, lambda: next(stops))
    assert (view["status"], view["processed"]) == ("Queued", 10)


def lines(app: Application) -> list[str]:
    """The runs in the order of their places."""
    standing = select(run_table.c.run_id).where(run_table.c.state.not_in(ENDED))
    with app.database.read() as connection:
        return list(connection.execute(standing.order_by(run_table.c.queue_position)).scalars())


# Every state


@pytest.mark.usefixtures("parcels")
@pytest.mark.parametrize("act", ACTS)
def test_each_act_moves_asks_or_refuses_as_the_state_of_the_run_has_it(
    app: Application, entries: Entries, act: str
) -> None:
    for state in State:
        run_id = submitted(app, state)
        after = MOVED.get((act, state), state)
        refusal = REFUSALS.get((act, state))
        if refusal is None:
            view = ACTS[act](app, run_id, actor=ACTOR, reason="wrong month")
            assert (view["run_id"], view["status"]) == (run_id, after)
            entry = entries()[0]
            assert (entry["act"], entry["subject"], entry["reason"]) == (f"run.{act}", run_id, "wrong month")
            assert (entry["actor"], entry["os_user"]) == (ACTOR.name, ACTOR.os_user)
            assert (entry["before"]["status"], entry["after"]["status"]) == (state, after)
        else:
            with pytest.raises(MoveRefused) as refused:
                ACTS[act](app, run_id, actor=ACTOR)
            assert refused.value.message == f"{run_id} {refusal}"
            assert (refused.value.field, bool(refused.value.remedy)) == ("run_id", True)
            assert (entries()[0]["act"], entries()[0]["subject"]) == ("run.submit", run_id)
        assert read(app, run_id).state is after
        wanted = ASKED.get((act, state))
        assert asked(app, run_id) == (wanted and controls.ControlRequest(wanted, ACTOR.name, NOW))
        put(app, run_id, state=State.FAILED)  # out of the way of the next


def test_every_act_has_an_answer_for_every_state() -> None:
    answers = [*MOVED, *ASKED, *REFUSALS]
    assert len(answers) == len(set(answers))
    assert set(answers) == {(act, state) for act in ACTS for state in State}


@pytest.mark.parametrize("act", ACTS)
def test_a_run_that_is_not_there_is_refused(app: Application, act: str) -> None:
    with pytest.raises(Refused, match="there is no run 'JR-9'"):
        ACTS[act](app, "JR-9", actor=ACTOR)


# Abort


@pytest.mark.usefixtures("parcels")
@pytest.mark.parametrize("pause_first", [False, True], ids=["queued", "paused"])
def test_an_aborted_run_keeps_what_was_done_counts_the_rest_as_not_reached_and_sends_its_mail(
    app: Application, pause_first: bool
) -> None:
    run_id = submitted(app)
    partly_done(app, run_id)
    if pause_first:
        pause_run(app, run_id, actor=ACTOR)
    view = abort_run(app, run_id, actor=ACTOR)
    assert (view["status"], view["badge"]) == ("Aborted", "Failed (aborted by dana@example.com)")
    assert (view["total"], view["processed"], view["not_reached"]) == (30, 10, 20)
    assert view["ended_at"] is not None
    counted = [line["outcome"] for line in run_outcomes(app, run_id)]
    assert (counted.count("ok"), counted.count("not_reached")) == (10, 20)
    (mail,) = show_run(app, run_id)["mails"]
    assert (mail["recipient"], mail["status"]) == ("dana@example.com", "sent")


@pytest.mark.usefixtures("parcels")
def test_an_aborted_run_that_never_began_has_no_records_and_still_its_mail(app: Application) -> None:
    run_id = submitted(app)
    view = abort_run(app, run_id, actor=ACTOR)
    assert (view["total"], view["processed"], view["not_reached"]) == (0, 0, 0)
    assert [mail["run_id"] for mail in list_mail(app)] == [run_id]


@pytest.mark.usefixtures("parcels")
@pytest.mark.on_both
def test_an_abort_and_its_mail_are_recorded_together_or_not_at_all(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = submitted(app)

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the power went")

    monkeypatch.setattr("batchwright.operations.access.audit.record", broken)
    with pytest.raises(RuntimeError):
        abort_run(app, run_id, actor=ACTOR)
    assert read(app, run_id).state is State.HOLDING
    assert list_mail(app) == []


@pytest.mark.usefixtures("one_slot", "parcels")
def test_an_aborted_run_frees_its_slot_for_the_next(app: Application) -> None:
    first, second = submitted(app, State.QUEUED), submitted(app)
    abort_run(app, first, actor=ACTOR)
    assert read(app, second).state is State.QUEUED


@pytest.mark.usefixtures("parcels")
def test_an_abort_takes_the_place_of_a_pause_that_was_asked_for(app: Application, entries: Entries) -> None:
    run_id = submitted(app, State.PROCESSING)
    pause_run(app, run_id, actor=ACTOR)
    abort_run(app, run_id, actor=ACTOR)
    assert asked(app, run_id) == controls.ControlRequest(Control.ABORT, ACTOR.name, NOW)
    assert [(one["before"]["asked"], one["after"]["asked"]) for one in entries()[:2]] == [
        ("pause", "abort"),
        (None, "pause"),
    ]


@pytest.mark.usefixtures("parcels")
def test_what_was_asked_before_is_told_to_whoever_asks_again(app: Application, entries: Entries) -> None:
    for before, act in [("abort", "abort"), ("pause", "pause"), ("abort", "pause"), ("pause", "resume")]:
        run_id = submitted(app, State.PROCESSING)
        ACTS[before](app, run_id, actor=ACTOR)
        with pytest.raises(MoveRefused, match=f"{run_id} was asked to {before} by dana@example.com, and"):
            ACTS[act](app, run_id, actor=ACTOR)
        assert entries()[0]["act"] == f"run.{before}"


# Pause and resume


@pytest.mark.usefixtures("one_slot", "parcels")
def test_a_paused_run_holds_no_slot_and_no_process(app: Application) -> None:
    first, second = submitted(app, State.QUEUED), submitted(app)
    pause_run(app, first, actor=ACTOR)
    assert read(app, second).state is State.QUEUED
    assert drive_run(app, first)["status"] == "Paused"
    assert drive_run(app, second)["status"] == "Completed"


@pytest.mark.usefixtures("one_slot", "parcels")
def test_a_resumed_run_stands_in_line_again_at_its_old_place(app: Application) -> None:
    at_work = submitted(app, State.PROCESSING)
    first, second = submitted(app), submitted(app)
    pause_run(app, first, actor=ACTOR)
    assert release_run(app, first, actor=ACTOR)["status"] == "Holding"
    assert lines(app) == [at_work, first, second]


@pytest.mark.usefixtures("parcels")
def test_a_paused_run_that_is_resumed_here_goes_on_where_it_stopped(
    app: Application, entries: Entries
) -> None:
    run_id = submitted(app)
    partly_done(app, run_id)
    pause_run(app, run_id, actor=ACTOR)
    view = resume_run(app, run_id, actor=ACTOR, reason="prices are in")
    assert (view["status"], view["processed"], view["not_reached"]) == ("Completed", 30, 0)
    entry = entries()[0]
    assert (entry["act"], entry["subject"], entry["reason"]) == ("run.resume", run_id, "prices are in")
    assert [one["act"] for one in entries()].count("run.resume") == 1


@pytest.mark.usefixtures("parcels")
@pytest.mark.parametrize("state", [State.QUEUED, State.PROCESSING])
def test_a_synchronous_run_is_not_paused(app: Application, state: State) -> None:
    run_id = submitted(app, state, sync=True)
    with pytest.raises(MoveRefused, match="runs in its caller's thread"):
        pause_run(app, run_id, actor=ACTOR)


@pytest.mark.usefixtures("parcels")
def test_subscribers_hear_what_was_moved_at_once_and_nothing_of_what_is_only_asked(app: Application) -> None:
    heard: list[events.Event] = []
    app.events.subscribe(heard.append)
    first, second, third = submitted(app), submitted(app), submitted(app, State.PROCESSING)
    heard.clear()
    pause_run(app, first, actor=ACTOR)
    abort_run(app, second, actor=ACTOR)
    pause_run(app, third, actor=ACTOR)
    published = [event for event in heard if isinstance(event, events.RunPaused | events.RunEnded)]
    assert published == [
        events.RunPaused(first),
        events.RunEnded(second, "parcels", "Aborted", "aborted by dana@example.com"),
    ]


# What others do meanwhile


@pytest.mark.usefixtures("parcels")
@pytest.mark.parametrize("act", ["abort", "pause"])
def test_a_run_that_is_claimed_while_it_is_steered_is_asked_instead(
    app: Application, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    run_id = submitted(app, State.QUEUED)
    moves = moved_meanwhile(app, monkeypatch, queue, "lock_queue", run_id, State.PROCESSING)
    view = ACTS[act](app, run_id, actor=ACTOR)
    assert (view["status"], moves) == ("Processing", [State.PROCESSING])
    assert asked(app, run_id) == controls.ControlRequest(Control(act), ACTOR.name, NOW)


@pytest.mark.usefixtures("parcels")
@pytest.mark.parametrize("act", ["abort", "pause"])
@pytest.mark.parametrize("meanwhile", [State.COMPLETED, State.QUEUED])
def test_a_run_that_leaves_its_process_while_it_is_asked_is_looked_at_again(
    app: Application, monkeypatch: pytest.MonkeyPatch, act: str, meanwhile: State
) -> None:
    run_id = submitted(app, State.PROCESSING)
    moved_meanwhile(app, monkeypatch, controls, "request", run_id, meanwhile)
    if meanwhile is State.COMPLETED:
        with pytest.raises(MoveRefused, match="has ended"):
            ACTS[act](app, run_id, actor=ACTOR)
    else:
        assert ACTS[act](app, run_id, actor=ACTOR)["status"] == MOVED[act, State.QUEUED]
    assert asked(app, run_id) is None


def moved_meanwhile(
    app: Application, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, run_id: str, to: State
) -> list[State]:
    """Have another process move the run right before that statement of the act, once.

    On SQLite nobody can: the act holds the write lock. There it is moved on the act's own connection, and the act
    then finds the row unlike what it read, too.
    """
    statement = getattr(module, name)
    moves: list[State] = []

    def once(connection: Connection, *arguments: Any) -> None:
        monkeypatch.setattr(module, name, statement)
        moves.append(to)
        change = update(run_table).where(run_table.c.run_id == run_id).values(state=to)
        if app.database.is_sqlite:
            connection.execute(change)
            connection.commit()
            raise FenceLost(run_id)
        with app.database.write() as other:
            other.execute(change)
        statement(connection, *arguments)

    monkeypatch.setattr(module, name, once)
    return moves


@pytest.mark.usefixtures("parcels")
def test_a_run_that_is_always_moved_by_others_is_refused_in_the_end(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = submitted(app, State.PROCESSING)

    def lost(*_: Any) -> None:
        raise FenceLost(run_id)

    monkeypatch.setattr(controls, "request", lost)
    with pytest.raises(MoveRefused, match="is being moved by others"):
        pause_run(app, run_id, actor=ACTOR)


# Order in the flex queue


@pytest.fixture
def line(app: Application, parcels: None) -> list[str]:
    """Four runs of dana, with one of eve in between."""
    ids = [submitted(app) for _ in range(4)]
    put(app, ids[1], queue_key="eve")
    return ids


PLACES: list[tuple[int, dict[str, Any], list[int]]] = [
    (3, {"front": True}, [3, 1, 0, 2]),
    (0, {"end": True}, [2, 1, 3, 0]),
    (3, {"before": 2}, [0, 1, 3, 2]),
    (0, {"after": 2}, [2, 1, 0, 3]),
    (3, {"after": 0}, [0, 1, 3, 2]),
    (0, {"before": 3}, [2, 1, 0, 3]),
    (0, {"front": True}, [0, 1, 2, 3]),
    (3, {"end": True}, [0, 1, 2, 3]),
]
"""Which of the four is moved, where to, and how they stand then; 1 is eve's."""


def test_a_moved_run_stands_where_it_was_put_and_other_lines_are_as_they_were(
    app: Application, entries: Entries, line: list[str]
) -> None:
    for mover, place, order in PLACES:
        for position, run_id in enumerate(line):
            put(app, run_id, queue_position=position)
        where: dict[str, Any] = {
            word: value if value is True else line[value] for word, value in place.items()
        }
        assert move_run(app, line[mover], actor=ACTOR, **where)["status"] == "Holding"
        assert lines(app) == [line[one] for one in order]
        of_dana = [one for one in order if one != 1]
        was = {"status": "Holding", "place": [0, 2, 3].index(mover) + 1}
        assert (entries()[0]["before"], entries()[0]["after"]) == (
            was,
            {**was, "place": of_dana.index(mover) + 1},
        )


@pytest.mark.usefixtures("one_slot")
def test_a_moved_run_is_the_next_to_get_a_slot(app: Application, line: list[str]) -> None:
    move_run(app, line[3], actor=ACTOR, before=line[0])
    at_work = submitted(app, State.QUEUED)
    abort_run(app, at_work, actor=ACTOR)
    assert read(app, line[3]).state is State.QUEUED


@pytest.mark.parametrize("word", ["before", "after"])
def test_a_neighbour_must_hold_in_the_same_line_and_be_another_run(
    app: Application, line: list[str], word: str
) -> None:

    def beside(neighbour: str) -> None:
        place: dict[str, Any] = {word: neighbour}
        move_run(app, line[0], actor=ACTOR, **place)

    with pytest.raises(MoveRefused, match=f"in the line of dana@example.com, and {line[1]} in that of eve"):
        beside(line[1])
    with pytest.raises(MoveRefused, match=f"{line[0]} cannot stand beside itself"):
        beside(line[0])
    put(app, line[2], state=State.QUEUED)
    with pytest.raises(MoveRefused, match=f"{line[2]} does not wait in line: it is Queued"):
        beside(line[2])
    with pytest.raises(Refused, match="no run 'JR-9'"):
        beside("JR-9")
    assert lines(app) == line


def test_exactly_one_place_is_needed(app: Application, line: list[str]) -> None:
    many: list[dict[str, Any]] = [{}, {"front": True, "end": True}, {"front": True, "before": line[1]}]
    for places in [*many, {"before": line[1], "after": line[2]}]:
        with pytest.raises(Refused, match="a place is needed, and only one"):
            move_run(app, line[0], actor=ACTOR, **places)
