"""Runs: submit one, look at it, steer it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from starlette.responses import Response

from batchwright.console.api.door import CALL, Body, Call, Doors, answer
from batchwright.console.api.models import Run, RunWithOutcomes
from batchwright.operations.access.permissions import Right
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.looking import show_run
from batchwright.operations.runs.steering import abort_run
from batchwright.operations.runs.submitting import RunTerms, submit_run

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


class Why(Body):
    """Why an act on a run is done; it stands in the audit trail."""

    reason: str | None = None


@doors.door("POST", "/runs", submit_run, Right.OPERATE, answers={202: Run, 200: RunWithOutcomes})
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
    if new.mode == "sync":
        return answer(drive_submitted(call.app, submitted, mail=False))
    where = {"Location": f"/api/v1/runs/{submitted.run_id}", "Retry-After": "2"}
    return answer(submitted.view, status=202, headers=where)


@doors.door("GET", "/runs/{run_id}", show_run, Right.LOOK, answers={200: Run})
def show(run_id: str, call: Call = CALL) -> Response:
    """One run."""
    return answer(show_run(call.app, run_id, actor=call.actor), request=call.request)


@doors.door("POST", "/runs/{run_id}/abort", abort_run, Right.OPERATE, answers={202: Run})
def abort(run_id: str, why: Why, call: Call = CALL) -> Response:
    """End a run early."""
    return answer(abort_run(call.app, run_id, actor=call.actor, reason=why.reason, mail=False), status=202)
