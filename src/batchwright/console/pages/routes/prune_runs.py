"""Pruning runs: which, what that deletes in numbers, and doing so."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from starlette.datastructures import FormData
from starlette.responses import Response

from batchwright.console.pages.open_forms import status_of
from batchwright.console.pages.visit import FORM, NOTICES, VISIT, Pages, Params, Visit, text_of
from batchwright.engine.errors import Refused
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.runs.jobs import list_jobs
from batchwright.operations.runs.pruning import preview_prune, prune_runs
from batchwright.operations.views import View

pages = Pages()
NOTICES["runs-pruned"] = (
    "The runs are pruned. A worker deletes what became of their records, little by little."
)


class PruneParams(Params):
    """Which runs; without a time that is asked first."""

    older_than: str | None = None
    job: list[str] = Field(default_factory=list)


@pages.page("/prune-runs", Right.ADMINISTER)
def ask_to_prune(params: Annotated[PruneParams, Query()], visit: Visit = VISIT) -> Response:
    """Which runs, and what pruning them deletes."""
    return _page(visit, params.older_than, params.job)


@pages.act("/prune-runs", Right.ADMINISTER)
def prune(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Prune the runs that were shown."""
    older_than, jobs = text_of(form, "older_than") or "", [str(job) for job in form.getlist("job")]

    def do() -> Response:
        expected = _typed(text_of(form, "typed") or "nothing", text_of(form, "expected") or "")
        reason = text_of(form, "reason")
        prune_runs(visit.app, older_than, jobs, expected=expected, reason=reason, actor=visit.actor)
        return visit.go("/runs", done="runs-pruned")

    try:
        return visit.once(form, do)
    except Forbidden:
        raise
    except Refused as refused:
        return _page(visit, older_than, jobs, refused, form)


def _typed(typed: str, expected: str) -> int:
    if re.fullmatch("[0-9]{1,9}", expected) is None or typed.replace(",", "") != expected:
        raise Refused(f"{typed} was typed, not {expected}", field="typed", remedy=f"Type {expected}")
    return int(expected)


def _page(
    visit: Visit,
    older_than: str | None,
    jobs: Sequence[str],
    refused: Refused | None = None,
    values: Mapping[str, Any] | None = None,
) -> Response:
    plan: View | None = None
    if older_than is not None:
        try:
            plan = preview_prune(visit.app, older_than, jobs, actor=visit.actor)
        except Forbidden:
            raise
        except Refused as wrong:
            refused = refused or wrong
    return visit.page(
        "prune_runs.html",
        status=status_of(refused).value,
        plan=plan,
        older_than=older_than,
        chosen=jobs,
        jobs=[job["name"] for job in list_jobs(visit.app, actor=visit.actor)],
        refused=refused,
        values=values or {},
    )
