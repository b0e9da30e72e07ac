"""The run queue and log, and what is opened from its badges."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from batchwright.console.pages.formats import instant_of
from batchwright.console.pages.visit import VISIT, ListParams, Pages, Visit
from batchwright.engine.errors import Refused
from batchwright.engine.run import ACTIVE, ENDED
from batchwright.operations.paging import Page
from batchwright.operations.runs.jobs import list_jobs
from batchwright.operations.runs.looking import page_of_runs, show_run
from batchwright.operations.runs.waiting import MOST, list_waiting
from batchwright.operations.views import View

pages = Pages()
STATES: Final = ("Holding", "Queued", "Running", "Paused", "Complete", "Failed", "Aborted")
"""What the filter offers; a state of a run that is not called so is taken, too."""
IN_LOG: Final = (*ACTIVE, *ENDED)
AT_WORK: Final = {"Holding", "Queued", *ACTIVE}
"""While a run is in one of these, the page follows it."""
_ROW: Final = (
    *("run_id", "type", "mode", "schedule", "status", "processed", "errored", "skipped", "total"),
    *("customer_id", "reason", "explanation", "actor"),
)
QUEUE_ROW: Final = (*_ROW, "place", "why", "created_at")
LOG_ROW: Final = (*_ROW, "periods", "started_at", "duration_seconds", "pruned_at")
"""What a row shows of a run: nothing else is known where it is made, for it is kept by that (`cells.KeptRows`)."""


class RunsParams(ListParams):
    """Which runs of the log. A day in place of a time begins at midnight UTC, as the column says."""

    status: str | None = None
    job: str | None = None
    customer_id: str | None = None
    period: str | None = None
    actor: str | None = None
    schedule: str | None = None
    trigger: str | None = None
    since: date | AwareDatetime | None = Field(None, alias="from")
    before: date | AwareDatetime | None = None
    errors: bool = False

    def filter(self) -> dict[str, Any]:
        """What is asked of the operation."""
        params = self.model_dump(exclude={"actor", "after", "limit", "done"})
        times = {"since": instant_of(self.since), "before": instant_of(self.before)}
        return {**params, **times, "run_actor": self.actor}

    @property
    def is_set(self) -> bool:
        """Whether anything is filtered away."""
        return any(self.model_dump(exclude={"after", "limit", "done"}).values())


@pages.page("/runs", shared=True)
def runs(params: Annotated[RunsParams, Query()], visit: Visit = VISIT) -> Response:
    """The run queue and log: on its first page the queue, with the log of all others below."""
    wanted = params.filter()
    shows_queue = not params.is_set and params.after is None
    queue = list_waiting(visit.app, actor=visit.actor) if shows_queue else []
    if not params.is_set:
        wanted["status"] = [str(state) for state in IN_LOG]
    page: Page[View] = Page([], None)
    refused: Refused | None = None
    try:
        page = page_of_runs(visit.app, params.after, params.limit, actor=visit.actor, **wanted)
    except Refused as wrong:
        if wrong.field not in wanted:
            raise
        refused = wrong
    at_work = sum(run["status"] in AT_WORK for run in [*queue, *page.items])
    return visit.page(
        "runs.html",
        status=200 if refused is None else HTTPStatus.UNPROCESSABLE_ENTITY.value,
        refused=refused,
        params=params,
        states=STATES,
        jobs=[job["name"] for job in list_jobs(visit.app, actor=visit.actor)],
        queue=[_row(run, QUEUE_ROW) for run in queue],
        log=[_row(run, LOG_ROW) for run in page.items],
        queue_is_whole=len(queue) < MOST,
        page=page,
        pager=visit.pager(page),
        is_live=bool(at_work) and params.after is None,
        at_work=at_work,
        count=count_of,
    )


@pages.page("/runs/{run_id}/error")
def error(run_id: str, visit: Visit = VISIT) -> Response:
    """Why a run failed: what its badge opens."""
    return visit.page("run_error.html", run=show_run(visit.app, run_id, actor=visit.actor))


@pages.page("/runs/{run_id}/reason")
def reason(run_id: str, visit: Visit = VISIT) -> Response:
    """Why a run was wanted: what the reason *Other* opens."""
    return visit.page("run_reason.html", run=show_run(visit.app, run_id, actor=visit.actor))


def _row(run: View, names: Sequence[str]) -> View:
    return {name: run[name] for name in names if name in run}


def count_of(run: View) -> int:
    """How many records are through."""
    return sum(run[name] or 0 for name in ("processed", "errored", "skipped"))
