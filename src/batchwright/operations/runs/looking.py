"""Look at runs: the list, one of them, what became of its records."""

from __future__ import annotations

from collections.abc import Iterator

from batchwright.engine import ledger
from batchwright.engine.run import State
from batchwright.engine.store import runs
from batchwright.notifications import outbox
from batchwright.operations import views
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import check_limit, check_one_of
from batchwright.operations.outcomes import Row, outcome_rows
from batchwright.operations.run_view import view_of, views_of
from batchwright.operations.views import View
from batchwright.operations.workers import why_no_worker


def list_runs(
    app: Application,
    status: str | None = None,
    job: str | None = None,
    limit: int | None = None,
    *,
    actor: Actor | None = None,
) -> list[View]:
    """The runs, newest first by start (by creation while one waits).

    `status` is a state, or what the log shows and no state is called: `Complete`, `Running`; in any case.
    """
    permit(app, actor, Right.LOOK, "run.list")
    check_limit(limit)
    states = None if status is None else _states(status)
    with app.database.read() as connection:
        listed = runs.listing(connection, states, job, limit)
        return list(views_of(connection, listed, app.clock.now()))


def _states(status: str) -> list[State]:
    named = {state.lower(): [state] for state in State}
    named |= {"complete": [State.COMPLETED], "running": [State.PREPARING, State.PROCESSING, State.PAUSED]}
    if status.lower() not in named:
        check_one_of(status, [*State, "Complete", "Running"], field="status")
    return named[status.lower()]


def show_run(app: Application, run_id: str, *, actor: Actor | None = None) -> View:
    """One run, with its `children` (ids of the runs submitted from it) and its `mails`.

    While no worker that is there can do it, with `no_worker`: why.
    """
    permit(app, actor, Right.LOOK, "run.show")
    with app.database.read() as connection:
        run = runs.by_id(connection, run_id)
        no_worker = why_no_worker(connection, run, app.clock.now())
        return {
            **view_of(connection, run, app.clock.now()),
            "children": runs.children(connection, run.id),
            "mails": [views.mail(line) for line in outbox.of_run(connection, run.id)],
            **({} if no_worker is None else {"no_worker": no_worker}),
        }


def run_outcomes(
    app: Application,
    run_id: str,
    outcome: str | None = None,
    code: str | None = None,
    *,
    with_facts: bool = False,
    actor: Actor | None = None,
) -> Iterator[Row]:
    """What became of the records of a run; streamed. Refuses an unknown run or outcome before the first.

    `with_facts` adds the columns that the job knows, such as asset, date and quantity.
    """
    permit(app, actor, Right.LOOK, "run.outcomes")
    if outcome is not None:
        check_one_of(outcome, ledger.OUTCOMES, field="outcome")
    with app.database.read() as connection:
        runs.by_id(connection, run_id)
    return outcome_rows(app.database, app.registry, run_id, outcome, code, with_facts=with_facts)
