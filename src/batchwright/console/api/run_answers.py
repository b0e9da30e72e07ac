"""How a door answers that submitted a run."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from batchwright.console.api.door import answer
from batchwright.console.api.models.runs import Run, RunWithOutcomes
from batchwright.operations.app import Application
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.submitting import Submitted
from batchwright.operations.views import View

RUN: Final[dict[int, Any]] = {202: Run, 200: RunWithOutcomes}
"""The models of the answers."""
PRUNED: Final = (HTTPStatus.GONE,)
"""How a door refuses that needs the records of a run, where these are not kept any more."""


def is_synchronous(body: Any) -> bool:
    """Whether a body asks for a run whose outcomes are waited for, by its mode."""
    return body.mode == "sync"  # type: ignore[no-any-return]


def submitted_answer(app: Application, submitted: Submitted) -> Response:
    """The answer; a run of which its caller is to hear the outcomes is driven here first."""
    here = submitted.claim.run.in_caller
    return run_answer(drive_submitted(app, submitted, mail=False) if here else submitted.view)


def run_answer(run: View) -> Response:
    """200 with the run and its outcomes where it was done at once; else 202 with the run and where to look."""
    if "outcomes" in run:
        return answer(run)
    headers = {"Location": f"/api/v1/runs/{run['run_id']}", "Retry-After": "2"}
    return answer(run, status=202, headers=headers)
