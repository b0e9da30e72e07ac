"""The jobs there are."""

from __future__ import annotations

from starlette.responses import Response

from batchwright.console.api.door import CALL, Call, Doors, answer, page_answer
from batchwright.console.api.models.jobs import Job, JobShown
from batchwright.console.api.models.shapes import Page
from batchwright.operations import paging
from batchwright.operations.access.permissions import Right
from batchwright.operations.runs.jobs import list_jobs, show_job

doors = Doors("jobs")


@doors.door("GET", "/jobs", list_jobs, Right.LOOK, answers={200: Page[Job]})
def jobs(call: Call = CALL) -> Response:
    """The jobs by name."""
    return page_answer(call, paging.Page(list_jobs(call.app, actor=call.actor), None))


@doors.door("GET", "/jobs/{job}", show_job, Right.LOOK, answers={200: JobShown})
def show(job: str, call: Call = CALL) -> Response:
    """One job, with the JSON schema of its parameters."""
    return answer(show_job(call.app, job, actor=call.actor), request=call.request)
