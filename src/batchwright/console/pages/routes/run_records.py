"""What a run did, or would do, to its records: its outcomes, its preview, and applying just that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Final, Literal

from fastapi import Query
from starlette.datastructures import FormData
from starlette.responses import Response

from batchwright.console.api.routes.outcome_files import COLUMNS
from batchwright.console.api.streams import CSV, file_answer
from batchwright.console.pages.formats import amount_words
from batchwright.console.pages.run_acts import check_kept
from batchwright.console.pages.visit import (
    FORM,
    NOTICES,
    VISIT,
    Confirmation,
    ListParams,
    Pages,
    Params,
    Visit,
    text_of,
)
from batchwright.engine.errors import Refused
from batchwright.engine.ledger import REPORTED
from batchwright.jobs.usage_restating import REASONS
from batchwright.notifications import humanize
from batchwright.operations.access.permissions import Forbidden, Right, permit_for_run, right_to_run
from batchwright.operations.outcomes import Row
from batchwright.operations.paging import Page
from batchwright.operations.runs.looking import outcome_summary, page_of_outcomes, run_outcomes, show_run
from batchwright.operations.runs.previews import apply_run, page_of_preview, preview_parts, run_preview
from batchwright.operations.runs.submitting import RunTerms
from batchwright.operations.views import View

pages = Pages()
NOTICES["applied"] = "This run applies the preview. It fails where anything would come to something else."
OUTCOMES: Final = (("ok", "OK"), ("error", "Errors"), ("skipped", "Skipped"), ("not_reached", "Not reached"))
PARTS: Final = (
    ("customer", "By customer"),
    ("account", "By account and month"),
    ("charge", "Account charges"),
    ("schedule", "Schedules"),
    ("input", "Usage inputs"),
    ("other", "Other"),
)
KINDS: Final = {
    "customer": "Customer",
    "customer_charges": "Charges of the customer",
    "account": "Account",
    "account_charge": "Account charge",
    "usage_input": "Usage input",
    "usage_schedule": "Usage schedule",
    "late_usage_schedule": "Usage schedule, late",
    "billing_schedule": "Billing schedule",
}
Outcome = Literal["ok", "error", "skipped", "not_reached"]


class OutcomesParams(ListParams):
    """Which outcomes."""

    outcome: Outcome | None = None
    code: str | None = None
    first_record: int | None = None
    record_id: str | None = None

    @property
    def in_order(self) -> bool:
        """Whether they come in the order of the run, so that one may begin at a record's number."""
        return self.code is None and self.outcome not in REPORTED


class FileParams(Params):
    """Which outcomes of a file."""

    outcome: Outcome | None = None
    code: str | None = None


Part = Literal["customer", "account", "charge", "schedule", "input", "other"]
PREVIEW_COLUMNS: Final = (
    *("kind", "record_id", "customer_id", "currency", "before", "after", "difference", "detail"),
)
"""As the file of the command has them."""


class PreviewParams(ListParams):
    """Which lines of a preview."""

    by: Part | None = None


class PreviewFileParams(Params):
    """Which lines of a file."""

    by: Part | None = None


@pages.page("/runs/{run_id}/outcomes")
def outcomes(run_id: str, params: Annotated[OutcomesParams, Query()], visit: Visit = VISIT) -> Response:
    """What became of the records of a run."""
    shown = show_run(visit.app, run_id, actor=visit.actor)
    counted = outcome_summary(visit.app, run_id, actor=visit.actor)
    page: Page[Row] = Page([], None)
    refused = None
    try:
        page = page_of_outcomes(visit.app, run_id, actor=visit.actor, **params.model_dump(exclude={"done"}))
    except Refused as wrong:
        if wrong.field != "first_record":
            raise
        refused = wrong
    return visit.page(
        "run_outcomes.html",
        status=200 if refused is None else HTTPStatus.UNPROCESSABLE_ENTITY.value,
        run=shown,
        params=params,
        refused=refused,
        tabs=list(_tabs(visit, counted, params.outcome)),
        codes=[one for one in counted if one["code"] and params.outcome in (None, one["outcome"])],
        page=page,
        pager={
            "newest": visit.link(first_record=None) if params.after or params.first_record else None,
            "older": page.next and visit.link(first_record=None, after=page.next),
        },
    )


def _tabs(visit: Visit, counted: list[View], chosen: str | None) -> Iterator[tuple[str, int, str, bool]]:
    """The words of each tab, its number of records, its address, and whether it is the one that is shown."""
    every = {"code": None, "first_record": None, "record_id": None}
    yield "All", sum(one["count"] for one in counted), visit.link(outcome=None, **every), chosen is None
    for outcome, words in OUTCOMES:
        number = sum(one["count"] for one in counted if one["outcome"] == outcome)
        yield words, number, visit.link(outcome=outcome, **every), chosen == outcome


@pages.page("/runs/{run_id}/outcomes.csv")
def outcomes_csv(run_id: str, params: Annotated[FileParams, Query()], visit: Visit = VISIT) -> Response:
    """The same as a file, all of them."""
    rows = run_outcomes(visit.app, run_id, params.outcome, params.code, actor=visit.actor)
    return file_answer(visit.call(), rows, f"{run_id}-outcomes.csv", CSV, COLUMNS)


@pages.page("/runs/{run_id}/preview")
def preview(run_id: str, params: Annotated[PreviewParams, Query()], visit: Visit = VISIT) -> Response:
    """What a dry run would have written."""
    shown = show_run(visit.app, run_id, actor=visit.actor)
    page = page_of_preview(visit.app, run_id, params.by, params.after, params.limit, actor=visit.actor)
    return visit.page(
        "run_preview.html",
        run=shown,
        role=right_to_run(visit.app, shown["job"]).value,
        params=params,
        parts=_parts(visit, run_id, params.by),
        kinds=KINDS,
        restated_because=REASONS[shown["job"]].of_all if shown["job"] in REASONS else None,
        page=page,
        pager=visit.pager(page),
    )


@pages.page("/runs/{run_id}/preview.csv")
def preview_csv(run_id: str, params: Annotated[PreviewFileParams, Query()], visit: Visit = VISIT) -> Response:
    """The same as a file, all of it."""
    lines = run_preview(visit.app, run_id, params.by, actor=visit.actor)
    rows = ({**line, "detail": json.dumps(line["detail"])} for line in lines)
    return file_answer(visit.call(), rows, f"{run_id}-preview.csv", CSV, PREVIEW_COLUMNS)


def _parts(visit: Visit, run_id: str, chosen: str | None) -> list[tuple[str, str, bool]]:
    """The tabs of the parts that there are, and of the one that is asked for; none where there is but one part."""
    there = preview_parts(visit.app, run_id, actor=visit.actor)
    words = dict(PARTS)
    if len(others := there.get("other", [])) == 1:
        words["other"] = humanize.plural(others[0].replace("_", " ")).capitalize()
    tabs = [
        (words[part], visit.link(by=part), part == chosen)
        for part in words
        if part in there or part == chosen
    ]
    return [("All", visit.link(by=None), chosen is None), *tabs] if len(tabs) > 1 or chosen else []


@pages.page("/runs/{run_id}/apply", Right.OPERATE)
def ask_apply(run_id: str, visit: Visit = VISIT) -> Response:
    """What is asked before a preview is applied."""
    permit_for_run(visit.app, visit.actor, run_id, "run.apply")
    return visit.confirmation(_applying(show_run(visit.app, run_id, actor=visit.actor)))


@pages.act("/runs/{run_id}/apply", Right.OPERATE)
def apply(run_id: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Do what a dry run previewed."""
    reason = text_of(form, "reason")
    terms: RunTerms = {} if reason is None else {"reason": reason}
    shown = show_run(visit.app, run_id, actor=visit.actor)

    def act() -> Response:
        submitted = apply_run(visit.app, run_id, actor=visit.actor, **terms)
        return visit.go(f"/runs/{submitted.run_id}", done="applied")

    try:
        _check_typed(run_id, text_of(form, "typed"))
        return visit.once(form, act)
    except Forbidden:
        raise
    except Refused as refused:
        return visit.confirmation(_applying(shown), refused=refused, values=dict(form))


def _check_typed(run_id: str, typed: str | None) -> None:
    if typed != run_id:
        raise Refused(f"{typed or 'nothing'} was typed, not {run_id}", field="typed", remedy=f"Type {run_id}")


def _applying(run: View) -> Confirmation:
    check_kept(run)
    totals = [
        (name.replace("_", " ").capitalize(), ", ".join(amount_words(*pair) for pair in amounts.items()))
        for name, amounts in run["totals"].items()
    ]
    done = f" It was followed by {', '.join(run['children'])} already." if run["children"] else ""
    return Confirmation(
        f"Apply exactly what {run['run_id']} shows?",
        "Apply exactly this",
        f"/runs/{run['run_id']}/preview",
        facts=[("Job", run["type"]), ("Records", f"{run['total'] or 0:,}"), *totals],
        warning=f"A new run writes what the preview shows. Where anything has changed, it fails and says what.{done}",
        typed=run["run_id"],
    )
