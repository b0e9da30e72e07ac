"""Steering runs: abort, pause, resume, and their order in the flex queue.

A run that waits is moved at once. A run at work is asked: its process, or whoever takes the run over, does so after the
scopes in flight.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Connection

from batchwright.engine import events
from batchwright.engine.errors import FenceLost, MoveRefused, NotFound, Refused
from batchwright.engine.queue import promote
from batchwright.engine.retry import remedy_of_ended
from batchwright.engine.run import ACTIVE, WAITING, Control, Run, State
from batchwright.engine.store import controls, queue, runs
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.mail import send_due_mail
from batchwright.operations.run_view import view_of
from batchwright.operations.runs.existing import existing_run
from batchwright.operations.views import View, instant

LOOKS = 5
"""How often a run is looked at again that others moved while it was steered."""

Facts = dict[str, tuple[Any, Any]]
Act = Callable[[Connection, Run], Facts]
"""What an act does to a run as it stands; returns what it changed besides the run's state: before and after."""


def abort_run(
    app: Application, run_id: str, *, actor: Actor, reason: str | None = None, mail: bool = True
) -> View:
    """End a run early and return its JSON: Aborted at once where it waits, else as it stands, asked to abort.

    What was committed stays, the other records are not reached, and the mail goes out as at every end; without `mail`
    the caller sees to that. Refuses with
    ``MoveRefused`` a run that has ended or was asked to abort before.
    """
    permit(app, actor, Right.OPERATE, "run.abort")
    names_records = _names_records(app, run_id)

    def act(connection: Connection, run: Run) -> Facts:
        if run.state in WAITING:
            queue.lock_queue(connection)
            app.dispatcher.endings.abort(connection, run, actor.name, names_records=names_records)
            return {}
        return _request(app, connection, run, Control.ABORT, actor)

    view = _steer(app, run_id, "run.abort", act, actor, reason)
    if mail and view["status"] == State.ABORTED:
        send_due_mail(app, run_id)
    return view


def pause_run(app: Application, run_id: str, *, actor: Actor, reason: str | None = None) -> View:
    """Let a run stand still without a process or a slot, and return its JSON: Paused at once where it waits.

    Refuses with ``MoveRefused`` a run that is paused, has ended, lives in its caller's thread, or was asked to pause
    or to abort before.
    """
    permit(app, actor, Right.OPERATE, "run.pause")

    def act(connection: Connection, run: Run) -> Facts:
        if run.state is State.PAUSED:
            raise _refused(run, "is paused already", f"Go on with it: `batchwright runs resume {run.run_id}`")
        if run.in_caller and not run.ended:
            raise _refused(run, "runs in its caller's thread, which would wait for it", _end(run))
        if run.state in WAITING:
            queue.lock_queue(connection)
            app.dispatcher.endings.pause(connection, run)
            return {}
        return _request(app, connection, run, Control.PAUSE, actor)

    return _steer(app, run_id, "run.pause", act, actor, reason)


def hold_run(app: Application, run_id: str, *, actor: Actor, reason: str | None = None) -> View:
    """Keep a run that waits from starting until an administrator resumes it; Paused from now on. Return its JSON.

    Anybody with the role of an operator may still abort it. Refuses with ``MoveRefused`` a run that is held already,
    is at work, has ended, or lives in its caller's thread.
    """
    permit(app, actor, Right.ADMINISTER, "run.hold")

    def act(connection: Connection, run: Run) -> Facts:
        if run.in_caller and not run.ended:
            raise _refused(run, "runs in its caller's thread, which would wait for it", _end(run))
        if run.state in ACTIVE:
            remedy = f"Let it stand still first: `batchwright runs pause {run.run_id}`"
            raise _refused(run, f"is at work ({run.state}): only a run that waits can be held", remedy)
        if run.ended:
            raise _refused(run, f"has ended ({run.state}): there is nothing to hold", _look(run))
        queue.lock_queue(connection)
        asked = controls.read(connection, run.id)
        if asked is not None:
            raise _refused(run, f"is held already, by {asked.actor}", _look(run))
        if run.state is not State.PAUSED:
            app.dispatcher.endings.pause(connection, run)
        elif runs.uncounted(connection, run.id).state is not State.PAUSED:
            raise FenceLost(run.run_id)  # it was resumed or aborted just now: look again
        controls.hold(connection, run, controls.ControlRequest(Control.HOLD, actor.name, app.clock.now()))
        return {"asked": (None, Control.HOLD)}

    return _steer(app, run_id, "run.hold", act, actor, reason)


def release_run(app: Application, run_id: str, *, actor: Actor, reason: str | None = None) -> View:
    """Put a paused run back in line, at its old place, for whichever process is free; return its JSON.

    Of one that is held only an administrator can. Refuses with ``MoveRefused`` a run that is not Paused.
    """
    permit(app, actor, Right.OPERATE, "run.resume")
    may_release = _is_held(app, run_id)
    if may_release:
        permit(app, actor, Right.ADMINISTER, "run.resume")

    def act(connection: Connection, run: Run) -> Facts:
        asked = controls.read(connection, run.id)
        if run.state is not State.PAUSED:
            raise _not_paused(run, asked, partial(remedy_of_ended, connection, app.registry, run))
        queue.lock_queue(connection)
        held = controls.read(connection, run.id)  # again: no one can hold it any more
        if held is not None and not may_release:
            raise _refused(run, f"was just held by {held.actor}", "Ask an administrator to resume it")
        runs.move(connection, run, State.HOLDING)
        controls.clear(connection, run.id)
        promote(connection, app.settings.max_active_runs)
        return {} if held is None else {"asked": (held.control, None)}

    return _steer(app, run_id, "run.resume", act, actor, reason)


def move_run(
    app: Application,
    run_id: str,
    *,
    actor: Actor,
    reason: str | None = None,
    front: bool = False,
    end: bool = False,
    before: str | None = None,
    after: str | None = None,
) -> View:
    """Give a Holding run another place among those of its queue key, and return its JSON.

    Exactly one of ``front``, ``end``, and the run ids ``before`` and ``after`` is given. Runs of other keys keep
    their places. Refuses with ``MoveRefused`` a run, or a neighbour, that is not Holding or has another key.
    """
    permit(app, actor, Right.OPERATE, "run.move")
    if [front, end, before is not None, after is not None].count(True) != 1:
        raise Refused(
            "a place is needed, and only one", remedy="Give one of front, end, before RUN, after RUN"
        )

    def act(connection: Connection, run: Run) -> Facts:
        queue.lock_queue(connection)
        line = controls.line(connection, run.queue_key)
        if run.id not in line:
            raise _not_in_line(run)
        rest = [key for key in line if key != run.id]
        if before is not None:
            place = rest.index(_neighbour(connection, run, before, "before"))
        elif after is not None:
            place = rest.index(_neighbour(connection, run, after, "after")) + 1
        else:
            place = 0 if front else len(rest)
        controls.order_line(connection, run.queue_key, [*rest[:place], run.id, *rest[place:]])
        return {"place": (line.index(run.id) + 1, place + 1)}

    return _steer(app, run_id, "run.move", act, actor, reason)


def what_is_asked(app: Application, run_id: str, *, actor: Actor | None = None) -> View | None:
    """`{to, actor, at}` while a run at work has not paused or aborted yet as somebody asked, or while one is held;
    else `None`.
    """
    permit(app, actor, Right.LOOK, "run.show")
    with app.database.read() as connection:
        asked = controls.read(connection, existing_run(app, connection, run_id).id)
    if asked is None:
        return None
    return {"to": str(asked.control), "actor": asked.actor, "at": instant(asked.asked_at)}


def _steer(app: Application, run_id: str, name: str, act: Act, actor: Actor, reason: str | None) -> View:
    """Do an act to a run in one transaction, with its audit entry; look again when somebody else moved the run."""
    for look in range(1, LOOKS + 1):
        try:
            with app.database.write() as connection:
                before = runs.by_id(connection, run_id)
                facts = act(connection, before)
                steered = runs.by_key(connection, before.id)
                audit.record(
                    connection,
                    actor,
                    name,
                    run_id,
                    reason=reason,
                    before={"status": before.state, **{name: was for name, (was, _) in facts.items()}},
                    after={"status": steered.state, **{name: now for name, (_, now) in facts.items()}},
                    now=app.clock.now(),
                )
                view = view_of(connection, steered, app.clock.now())
            break
        except FenceLost:
            if look == LOOKS:
                raise _refused(before, "is being moved by others all the time", "Try again") from None
    if steered.state is not before.state:
        _publish(app, steered)
    return view


def _names_records(app: Application, run_id: str) -> bool:
    with app.database.read() as connection:
        run = runs.by_id(connection, run_id)
        if run.state not in WAITING or not runs.selection_page(connection, run.id, -(2**63), 1):
            return False
    return app.dispatcher.endings.names_records(run)


def _is_held(app: Application, run_id: str) -> bool:
    """Whether an administrator keeps the run from starting. Refuses an unknown run."""
    with app.database.read() as connection:
        asked = controls.read(connection, existing_run(app, connection, run_id).id)
    return asked is not None and asked.control is Control.HOLD


def _request(app: Application, connection: Connection, run: Run, wanted: Control, actor: Actor) -> Facts:
    """Ask the process of an active run."""
    if run.state not in ACTIVE:
        raise _refused(run, f"has ended ({run.state}): there is nothing to {wanted}", _look(run))
    asked = controls.read(connection, run.id)
    if asked is not None and asked.control in (wanted, Control.ABORT):
        said = f"was asked to {asked.control} by {asked.actor}, and does so after the scope at hand"
        raise _refused(run, said, _if_gone(run))
    controls.request(connection, run, controls.ControlRequest(wanted, actor.name, app.clock.now()))
    return {"asked": (asked and asked.control, wanted)}


def _neighbour(connection: Connection, run: Run, run_id: str, field: str) -> int:
    """The key of the run that ``run`` is to stand beside."""
    try:
        other = runs.by_id(connection, run_id)
    except NotFound as unknown:
        raise NotFound(unknown.message, field=field, remedy=unknown.remedy) from None
    if other.id == run.id:
        raise _refused(run, "cannot stand beside itself", "Name another run")
    if other.state is not State.HOLDING:
        raise _not_in_line(other)
    if other.queue_key != run.queue_key:
        said = f"waits in the line of {run.queue_key}, and {run_id} in that of {other.queue_key}"
        raise _refused(run, said, "Name a run of the same line: order is kept within a line")
    return other.id


def _publish(app: Application, run: Run) -> None:
    event: events.Event | None = None
    if run.ended:
        event = events.RunEnded(run.run_id, run.job, run.state, run.error, not_reached=run.not_reached)
    elif run.state is State.PAUSED:
        event = events.RunPaused(run.run_id)
    if event is not None:
        app.database.when_committed(partial(app.events.publish, event))


def _not_paused(
    run: Run, asked: controls.ControlRequest | None, once_ended: Callable[[], str]
) -> MoveRefused:
    if run.ended:
        return _refused(run, f"has ended ({run.state})", once_ended())
    if run.state in WAITING:
        return _refused(run, f"is not paused: it waits already ({run.state})", _drive(run))
    if asked is None:
        return _refused(run, f"is not paused: it is at work ({run.state})", _if_gone(run))
    return _refused(
        run, f"was asked to {asked.control} by {asked.actor}, and has not done so yet", _if_gone(run)
    )


def _not_in_line(run: Run) -> MoveRefused:
    remedy = "Only Holding runs stand in line: `batchwright runs list --status Holding`"
    return _refused(run, f"does not wait in line: it is {run.state}", remedy)


def _drive(run: Run) -> str:
    return f"A worker takes it in its turn; to drive it here: `batchwright runs resume {run.run_id}`"


def _end(run: Run) -> str:
    return f"End it: `batchwright runs abort {run.run_id}`"


def _look(run: Run) -> str:
    return f"See `batchwright runs show {run.run_id}`"


def _if_gone(run: Run) -> str:
    return f"Should its process be gone: `batchwright runs resume {run.run_id}`"


def _refused(run: Run, said: str, remedy: str) -> MoveRefused:
    return MoveRefused(f"{run.run_id} {said}", field="run_id", remedy=remedy)
