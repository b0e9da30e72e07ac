"""Billing utilities: the dialog *Data recalculation*, and the account charges that recalculations left."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Query
from pydantic import Field
from starlette.datastructures import FormData
from starlette.responses import Response

from batchwright.billing.recalculation import EXPLANATION
from batchwright.console.api.bodies import check_text
from batchwright.console.pages.customer_choice import held_months
from batchwright.console.pages.visit import FORM, NOTICES, VISIT, ListParams, Pages, Params, Visit, text_of
from batchwright.engine.errors import Refused
from batchwright.engine.faults import ReadTooLong
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.billing.recalculation import (
    CUSTOMERS_FOUND,
    find_recalculation_customers,
    page_of_account_charges,
    recalculation_offer,
)
from batchwright.operations.paging import Page
from batchwright.operations.runs.foreseeing import foresee_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.views import View

pages = Pages()
NOTICES["recalculating"] = "The recalculation is submitted."
NOTICES["previewing"] = (
    "The preview is submitted: it shows the difference in money before anything is written."
)
JOB: Final = "data-recalculation"
DIALOG: Final = "/billing-utilities/recalculation"


class ChargesParams(ListParams):
    """Whose account charges."""

    customer_id: str | None = None


class RecalculationParams(Params):
    """What the dialog holds: words that find a customer, or the customer with months, reason and explanation."""

    q: str | None = None
    customer_id: str | None = None
    periods: list[str] = Field(default_factory=list)
    reason: str | None = None
    explanation: str | None = None


@pages.page("/billing-utilities")
def billing_utilities(params: Annotated[ChargesParams, Query()], visit: Visit = VISIT) -> Response:
    """The operations, and below them the account charges."""
    check_text(params.customer_id or "", "customer_id")
    refused: Refused | None = None
    page: Page[View] | None = None
    try:
        page = page_of_account_charges(
            visit.app, params.customer_id, limit=params.limit, after=params.after, actor=visit.actor
        )
    except Refused as why:
        if params.customer_id is None or why.field != "customer_id":
            raise
        refused = why
    return visit.page(
        "billing_utilities.html",
        params=params,
        charges=page,
        refused=refused,
        pager=None if page is None else visit.pager(page),
    )


@pages.page(DIALOG, Right.BILLING)
def recalculation(params: Annotated[RecalculationParams, Query()], visit: Visit = VISIT) -> Response:
    """The dialog: first the customer, then the months under its contract, the reason and its explanation."""
    for text in (params.q, params.customer_id):
        check_text(text or "", "q")
    if params.customer_id is None:
        return _customers(visit, params.q or "")
    return _terms(visit, params.customer_id, params.model_dump(exclude={"done", "q"}))


@pages.act(DIALOG, Right.BILLING)
def recalculate(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Submit the recalculation, or its preview."""
    typed = {
        "customer_id": text_of(form, "customer_id"),
        "periods": [str(month) for month in form.getlist("periods")],
        "reason": text_of(form, "reason"),
        "explanation": text_of(form, "explanation"),
    }
    mode = "batch" if form.get("mode") == "batch" else "dry_run"
    given = {name: value for name, value in typed.items() if value}

    def act() -> Response:
        run = submit_run(visit.app, JOB, given, actor=visit.actor, mode=mode, trigger="console")
        return visit.go(f"/runs/{run.run_id}", done="recalculating" if mode == "batch" else "previewing")

    try:
        return visit.once(form, act)
    except Forbidden:
        raise
    except Refused as refused:
        if typed["customer_id"] is None:
            return _customers(visit, "", refused)
        return _terms(visit, str(typed["customer_id"]), typed, refused)


def _customers(visit: Visit, words: str, refused: Refused | None = None) -> Response:
    found = find_recalculation_customers(visit.app, words, actor=visit.actor)
    offered = [one for one in found if one["missing"] is None]
    return visit.page(
        "recalculation_customer.html",
        status=_status(refused),
        words=words,
        offered=offered,
        others=[one for one in found if one["missing"] is not None],
        is_whole=len(found) < CUSTOMERS_FOUND,
        refused=refused,
    )


def _terms(visit: Visit, customer_id: str, typed: View, refused: Refused | None = None) -> Response:
    """The form for a customer. For a customer that cannot be recalculated, why not in place of it."""
    offer = recalculation_offer(visit.app, customer_id, actor=visit.actor)
    customer = next(iter(offer["customers"]), None)
    held = held_months(customer) if customer else {}
    seconds = None if customer is None else customer["estimated_seconds_per_period"]
    return visit.page(
        "recalculation.html",
        status=_status(refused),
        customer_id=customer_id,
        customer=customer,
        missing=None if customer else _missing(visit, customer_id),
        held=held,
        reasons=offer["reasons"],
        about_explanation=f"{EXPLANATION[:1].upper()}{EXPLANATION[1:]}.",
        typed=typed,
        seconds=seconds,
        months_seconds=None if seconds is None else seconds * max(len(typed["periods"]), 1),
        takes=_takes(visit, customer_id, typed["periods"], offer["reasons"][0]),
        refused=refused,
    )


def _takes(visit: Visit, customer_id: str, periods: list[str], reason: str) -> View | None:
    """How many rated inputs the months have; None where none is ticked, or one cannot be recalculated."""
    wanted = {"customer_id": customer_id, "periods": periods, "reason": reason}
    try:
        return foresee_run(visit.app, JOB, wanted, actor=visit.actor) if periods else None
    except (Refused, ReadTooLong):  # the form is good without
        return None


def _missing(visit: Visit, customer_id: str) -> str | None:
    found = find_recalculation_customers(visit.app, customer_id, actor=visit.actor)
    return next((one["missing"] for one in found if one["customer_id"] == customer_id), None)


def _status(refused: Refused | None) -> int:
    return 200 if refused is None else HTTPStatus.UNPROCESSABLE_ENTITY.value
