"""Pruning runs: what became of the records of old ones is deleted."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Query as InAddress
from pydantic import Field
from starlette.responses import Response

from batchwright.console.api.door import CALL, Call, Doors, Query, Why, answer
from batchwright.console.api.models.runs import Pruned, PruningPlan
from batchwright.operations.access.permissions import Right
from batchwright.operations.runs.pruning import preview_prune, prune_runs

doors = Doors("runs")
OlderThan = Annotated[str, Field(examples=["90d", "12w", "2026-01-31"])]
"""Days or weeks, or a date or a time."""


class PruneParams(Query):
    """Which runs."""

    older_than: OlderThan
    job: list[str] = Field(default_factory=list)


class Prune(Why):
    """Which runs are pruned; with `expected` only where they are so many."""

    older_than: OlderThan
    jobs: list[str] = Field(default_factory=list)
    expected: int | None = None


@doors.door("GET", "/runs/prune", preview_prune, Right.ADMINISTER, answers={200: PruningPlan}, heavy=True)
def preview(params: Annotated[PruneParams, InAddress()], call: Call = CALL) -> Response:
    """What pruning would delete, in numbers."""
    plan = preview_prune(call.app, params.older_than, params.job, actor=call.actor)
    return answer(plan, request=call.request)


@doors.door(
    "POST",
    "/runs/prune",
    prune_runs,
    Right.ADMINISTER,
    answers={200: Pruned},
    others=(HTTPStatus.PRECONDITION_FAILED,),
)
def prune(wanted: Prune, call: Call = CALL) -> Response:
    """Prune runs; a worker deletes their records then."""
    done = prune_runs(call.app, actor=call.actor, **wanted.model_dump())
    return answer(done)
