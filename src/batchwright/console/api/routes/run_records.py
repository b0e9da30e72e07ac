"""What a run did, or would do, to its records; how far it is."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from starlette.responses import Response

from batchwright.console.api.door import CALL, Call, Doors, PageQuery, answer, page_answer
from batchwright.console.api.models.runs import Outcome, OutcomeCount, PreviewLine, Progress
from batchwright.console.api.models.shapes import Page
from batchwright.console.api.run_answers import PRUNED
from batchwright.operations import paging
from batchwright.operations.access.permissions import Right
from batchwright.operations.runs.looking import outcome_summary, page_of_outcomes
from batchwright.operations.runs.previews import page_of_preview
from batchwright.operations.runs.progress import run_progress

doors = Doors("runs")


class OutcomesParams(PageQuery):
    """Which outcomes."""

    outcome: Literal["ok", "error", "skipped", "not_reached"] | None = None
    code: str | None = None
    first_record: int | None = None
    record_id: str | None = None


class PreviewParams(PageQuery):
    """Which lines of a preview."""

    by: Literal["customer", "account", "charge", "schedule", "input", "other"] | None = None


@doors.door(
    "GET",
    "/runs/{run_id}/outcomes",
    page_of_outcomes,
    Right.LOOK,
    answers={200: Page[Outcome]},
    others=PRUNED,
)
def outcomes(run_id: str, params: Annotated[OutcomesParams, Query()], call: Call = CALL) -> Response:
    """What became of the records of a run."""
    page = page_of_outcomes(call.app, run_id, actor=call.actor, **params.model_dump())
    return page_answer(call, page)


@doors.door(
    "GET", "/runs/{run_id}/outcomes/summary", outcome_summary, Right.LOOK, answers={200: Page[OutcomeCount]}
)
def summary(run_id: str, call: Call = CALL) -> Response:
    """How many records came to what."""
    return page_answer(call, paging.Page(outcome_summary(call.app, run_id, actor=call.actor), None))


@doors.door(
    "GET",
    "/runs/{run_id}/preview",
    page_of_preview,
    Right.LOOK,
    answers={200: Page[PreviewLine]},
    heavy=True,
    others=PRUNED,
)
def preview(run_id: str, params: Annotated[PreviewParams, Query()], call: Call = CALL) -> Response:
    """What a dry run would have written."""
    return page_answer(
        call, page_of_preview(call.app, run_id, params.by, params.after, params.limit, actor=call.actor)
    )


@doors.door(
    "GET", "/runs/{run_id}/progress", run_progress, Right.LOOK, answers={200: Progress}, others=PRUNED
)
def progress(run_id: str, call: Call = CALL) -> Response:
    """How far a run is."""
    return answer(run_progress(call.app, run_id, actor=call.actor), request=call.request)
