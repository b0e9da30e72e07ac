"""Usage inputs: look at them, add and edit one, rate many."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from batchwright.console.api.door import (
    CALL,
    Body,
    Call,
    Doors,
    PageQuery,
    answer,
    etag,
    page_answer,
    versions_seen,
)
from batchwright.console.api.door import Query as InQuery
from batchwright.console.api.models.shapes import Page
from batchwright.console.api.models.usage_inputs import History, Selection, UsageInput, UsageInputExplained
from batchwright.console.api.run_answers import RUN, run_answer
from batchwright.console.api.streams import CSV, NDJSON, file_answer
from batchwright.operations.access.permissions import Right
from batchwright.operations.billing.explanations import HISTORY_PAGE, explain_usage_input, usage_input_history
from batchwright.operations.billing.selections import select_usage_inputs
from batchwright.operations.billing.service import BillingService
from batchwright.operations.billing.usage_inputs import (
    IN_FILES,
    add_usage_input,
    edit_usage_input,
    list_usage_inputs,
    show_usage_input,
    usage_inputs_page,
)
from batchwright.operations.views import View

doors = Doors("usage-inputs")
DELETED = (HTTPStatus.GONE,)


class InputFilter(InQuery):
    """Which usage inputs: those for which all of it holds; what is repeated asks for either value."""

    status: list[str] | None = Field(None, examples=[["Error"]])
    code: list[str] | None = None
    customer_id: list[str] | None = None
    asset_line_item_id: list[str] | None = None
    product: list[str] | None = None
    since: str | None = Field(None, alias="from", examples=["2023-06-01"])
    before: str | None = Field(None, examples=["2023-07-01"])


class InputsParams(InputFilter, PageQuery):
    """The same in pages."""


class Wanted(Body):
    """Which usage inputs; a list asks for any of its values."""

    status: str | list[str] | None = None
    code: str | list[str] | None = None
    customer_id: str | list[str] | None = None
    asset_line_item_id: str | list[str] | None = None
    product: str | list[str] | None = None
    since: str | None = Field(None, alias="from")
    before: str | None = None


class NewSelection(Body):
    """What is to be selected."""

    kind: Literal["usage-inputs"]
    filter: Wanted


class NewInput(Body):
    """A usage input to add; without an id of its own it gets the next free one."""

    asset_line_item_id: str = Field(examples=["ALI-0001"])
    usage_date: str = Field(examples=["2023-06-05"])
    quantity: str = Field(examples=["20.00"])
    product_uom: str = Field(examples=["Each"])
    description: str | None = None
    usage_input_id: str | None = None
    reason: str | None = None


class Edit(Body):
    """What is to be changed of a usage input."""

    quantity: str | None = None
    usage_date: str | None = None
    description: str | None = None
    reason: str | None = None


class HistoryParams(PageQuery):
    """Which part of a history."""

    limit: int = Field(HISTORY_PAGE, ge=1, le=1_000)


class Which(Body):
    """Which usage inputs: their ids, those of their asset line items, or a selection. Without any: all.

    With `process_synchronously`, either way, the caller gets no mail; `true` does it at once, 1,000 inputs at most.
    """

    usage_input_ids: list[str] | None = Field(None, examples=[["IN-00007052", "IN-00007053"]])
    asset_line_item_ids: list[str] | None = None
    selection_id: str | None = None
    process_synchronously: bool | None = None
    reason: str | None = None


@doors.door("GET", "/usage-inputs", usage_inputs_page, Right.LOOK, answers={200: Page[UsageInput]})
def usage_inputs(params: Annotated[InputsParams, Query()], call: Call = CALL) -> Response:
    """Usage inputs that match."""
    page = usage_inputs_page(
        call.app, _pairs(params), limit=params.limit, after=params.after, actor=call.actor
    )
    return page_answer(call, page)


def _file(form: str, media_type: str) -> None:
    def download(params: Annotated[InputFilter, Query()], call: Call = CALL) -> Response:
        rows = list_usage_inputs(call.app, pairs=_pairs(params), with_owners=True, actor=call.actor)
        return file_answer(call, rows, f"usage-inputs.{form}", media_type, IN_FILES)

    path, answers = f"/usage-inputs.{form}", {200: media_type}
    doors.door("GET", path, list_usage_inputs, Right.LOOK, answers=answers, form=form)(download)


_file("csv", CSV)
_file("ndjson", NDJSON)


@doors.door("POST", "/usage-inputs", add_usage_input, Right.OPERATE, answers={201: UsageInput})
def add(new: NewInput, call: Call = CALL) -> Response:
    """Add one usage input."""
    added = add_usage_input(call.app, actor=call.actor, **new.model_dump())
    where = f"/api/v1/usage-inputs/{quote(added['usage_input_id'], safe='')}"
    return answer(added, status=201, headers={"Location": where, "ETag": etag(added)})


@doors.door("POST", "/selections", select_usage_inputs, Right.OPERATE, answers={201: Selection})
def select(new: NewSelection, call: Call = CALL) -> Response:
    """Store which usage inputs match a filter now."""
    return answer(select_usage_inputs(call.app, _pairs(new.filter), actor=call.actor), status=201)


def _rating(path: str, act: Callable[..., View], *, at_once_if_few: bool = False) -> None:
    def rate(which: Which, call: Call = CALL) -> Response:
        named = which.model_dump(include={"asset_line_item_ids", "selection_id", "reason"})
        service = BillingService(call.app, call.actor)
        return run_answer(act(service, which.usage_input_ids, which.process_synchronously, **named))

    def runs_here(which: Which) -> bool:
        here = which.process_synchronously
        return at_once_if_few if here is None else here

    doors.door("POST", f"/usage-inputs/{path}", act, Right.OPERATE, answers=RUN, runs_here=runs_here)(rate)


_rating("draft-rate", BillingService.draft_pending_usage_input)
_rating("rate", BillingService.process_pending_usage_input)
_rating("unrate", BillingService.process_rated_usage_input)
_rating("reset", BillingService.reset_usage_input, at_once_if_few=True)
_rating("delete", BillingService.delete_usage_input, at_once_if_few=True)


@doors.door(
    "GET",
    "/usage-inputs/{usage_input_id:path}/explanation",
    explain_usage_input,
    Right.LOOK,
    answers={200: UsageInputExplained},
    others=DELETED,
    heavy=True,
)
def explanation(usage_input_id: str, call: Call = CALL) -> Response:
    """How the amounts of a usage input came about."""
    return answer(explain_usage_input(call.app, usage_input_id, actor=call.actor), request=call.request)


@doors.door(
    "GET",
    "/usage-inputs/{usage_input_id:path}/history",
    usage_input_history,
    Right.LOOK,
    answers={200: Page[History]},
    others=DELETED,
)
def history(usage_input_id: str, params: Annotated[HistoryParams, Query()], call: Call = CALL) -> Response:
    """What became of a usage input in every run."""
    page = usage_input_history(
        call.app, usage_input_id, limit=params.limit, after=params.after, actor=call.actor
    )
    return page_answer(call, page)


@doors.door(
    "GET",
    "/usage-inputs/{usage_input_id:path}",
    show_usage_input,
    Right.LOOK,
    answers={200: UsageInput},
    others=DELETED,
)
def show(usage_input_id: str, call: Call = CALL) -> Response:
    """One usage input."""
    return answer(show_usage_input(call.app, usage_input_id, actor=call.actor), request=call.request)


@doors.door(
    "PATCH",
    "/usage-inputs/{usage_input_id:path}",
    edit_usage_input,
    Right.OPERATE,
    answers={200: UsageInput},
    others=(*DELETED, HTTPStatus.PRECONDITION_FAILED, HTTPStatus.PRECONDITION_REQUIRED),
)
def edit(usage_input_id: str, changes: Edit, call: Call = CALL) -> Response:
    """Change a usage input that is not rated."""
    seen = versions_seen(call)
    edited = edit_usage_input(call.app, usage_input_id, seen=seen, actor=call.actor, **changes.model_dump())
    return answer(edited, headers={"ETag": etag(edited)})


def _pairs(wanted: InputFilter | Wanted) -> list[tuple[str, str]]:
    """The filter as names and values."""
    given: dict[str, Any] = wanted.model_dump(by_alias=True, exclude={"limit", "after"}, exclude_none=True)
    return [
        (name, value)
        for name, values in given.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
