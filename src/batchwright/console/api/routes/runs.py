"""Runs: submit one, look at it, steer it."""

from __future__ import annotations

from collections.abc import Coroutine
from hashlib import sha256
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import Query
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from batchwright.console.api.door import CALL, Body, Call, Doors, PageQuery, answer, page_answer, seen_tags
from batchwright.console.api.models.runs import Run, RunShown
from batchwright.console.api.models.shapes import Page
from batchwright.console.api.run_answers import RUN, is_synchronous, submitted_answer
from batchwright.console.waiting import MOST_SECONDS
from batchwright.engine.run import ENDED
from batchwright.engine.store.controls import Version
from batchwright.operations.access.permissions import Right
from batchwright.operations.runs.looking import page_of_runs, show_run
from batchwright.operations.runs.submitting import RunTerms, submit_run
from batchwright.operations.views import View

doors = Doors("runs")


class NewRun(Body):
    """A run to submit: the job, its parameters, and how it is wanted."""

    job: str = Field(examples=["draft-usage-rating"])
    parameters: dict[str, Any] = Field(default_factory=dict)
    mode: Literal["batch", "sync", "dry_run"] = "batch"
    reason: str | None = None
    notify: list[str] = Field(default_factory=list)
    scope_size: int | None = None
    error_ceiling: str | None = None


class RunsParams(PageQuery):
    """Which runs: those for which all of it holds; `status` may be repeated for either."""

    status: list[str] | None = None
    job: str | None = None
    customer_id: str | None = None
    period: str | None = Field(None, description="A month, YYYY-MM")
    actor: str | None = None
    schedule: str | None = None
    trigger: str | None = None
    since: AwareDatetime | None = Field(None, alias="from", examples=["2026-11-01T00:00:00Z"])
    before: AwareDatetime | None = None
    errors: bool = False


@doors.door("GET", "/runs", page_of_runs, Right.LOOK, answers={200: Page[Run]})
def runs(params: Annotated[RunsParams, Query()], call: Call = CALL) -> Response:
    """The run log."""
    of = params.model_dump(exclude={"actor", "after", "limit"})
    page = page_of_runs(call.app, params.after, params.limit, actor=call.actor, run_actor=params.actor, **of)
    return page_answer(call, page)


@doors.door("POST", "/runs", submit_run, Right.OPERATE, answers=RUN, runs_here=is_synchronous)
def submit(new: NewRun, call: Call = CALL) -> Response:
    """Submit a run; with the mode `sync` it is done at once and comes with its outcomes."""
    terms: RunTerms = {"sync": new.mode == "sync", "notify": new.notify}
    if new.reason is not None:
        terms["reason"] = new.reason
    if new.scope_size is not None:
        terms["scope_size"] = new.scope_size
    if new.error_ceiling is not None:
        terms["error_ceiling"] = new.error_ceiling
    submitted = submit_run(
        call.app, new.job, new.parameters, actor=call.actor, mode=new.mode, trigger="api", **terms
    )
    return submitted_answer(call.app, submitted)


Wait = Annotated[
    int | None,
    Query(
        ge=1,
        le=MOST_SECONDS,
        description="Answer when the status, or what is asked of the run, is another than at the request (than in"
        " the answer of If-None-Match), or after so many seconds.",
    ),
]


@doors.door("GET", "/runs/{run_id}", show_run, Right.LOOK, answers={200: RunShown})
def show(run_id: str, wait: Wait = None, call: Call = CALL) -> Response | Coroutine[Any, Any, Response]:
    """One run, at once or when it has changed."""
    version, view = _look(call, run_id)
    if wait is not None and view["status"] not in ENDED and _has_seen(call, version):
        return _when_changed(call, run_id, version, wait)
    return answer(view, request=call.request, version=_tag(version))


async def _when_changed(call: Call, run_id: str, seen: Version | None, wait: int) -> Response:
    changed = await call.changed(run_id, seen, wait)
    if changed is not None:
        return answer(changed.body, request=call.request, version=_tag(changed.version))
    version, view = await to_thread.run_sync(_look, call, run_id, limiter=call.traffic.reads_lane)
    return answer(view, request=call.request, version=_tag(version))


def _look(call: Call, run_id: str) -> tuple[Version | None, View]:
    """Both of one state of the database: what changes after that wakes the waiter."""
    with call.app.database.snapshot():
        return call.traffic.watch.version(run_id), show_run(call.app, run_id, actor=call.actor)


def _has_seen(call: Call, version: Version | None) -> bool:
    """Whether the caller's last answer was of this version; who names none waits from now on."""
    tags = seen_tags(call.request)
    return not tags or "*" in tags or any(tag.startswith(f'"{_tag(version)}') for tag in tags)


def _tag(version: Version | None) -> str:
    return f"{sha256(repr(version).encode()).hexdigest()[:8]}-"
