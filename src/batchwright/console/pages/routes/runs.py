"""The run queue and log."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import AwareDatetime, Field
from starlette.responses import RedirectResponse, Response

from batchwright.console.pages.visit import VISIT, ListAsked, Pages, Visit
from batchwright.operations.runs.looking import page_of_runs

pages = Pages()


class RunsAsked(ListAsked):
    """Which runs of the log."""

    status: str | None = None
    job: str | None = None
    customer_id: str | None = None
    period: str | None = None
    actor: str | None = None
    schedule: str | None = None
    trigger: str | None = None
    since: AwareDatetime | None = Field(None, alias="from")
    before: AwareDatetime | None = None
    errors: bool = False


@pages.page("/")
def first_page(visit: Visit = VISIT) -> Response:
    """The first page is the log."""
    return RedirectResponse("/runs", 303)


@pages.page("/runs")
def runs(asked: Annotated[RunsAsked, Query()], visit: Visit = VISIT) -> Response:
    """The run queue and log."""
    of = asked.model_dump(exclude={"actor", "after", "limit", "done"})
    page = page_of_runs(visit.app, asked.after, asked.limit, actor=visit.actor, run_actor=asked.actor, **of)
    return visit.page("runs.html", asked=asked, page=page, pager=visit.pager(page))
