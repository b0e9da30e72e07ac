"""Billing schedules and usage schedules, and the way to the invoice."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from batchwright.console.api import door
from batchwright.console.api.door import CALL, Body, Call, Doors, PageQuery, answer, page_answer
from batchwright.console.api.models.billing_schedules import (
    BillingSchedule,
    StatusPlan,
    StatusReport,
    UsageSchedule,
)
from batchwright.console.api.models.shapes import Page
from batchwright.operations.access.permissions import Right
from batchwright.operations.billing.billing_schedules import (
    billing_schedules_page,
    preview_billing_schedule_status,
    set_billing_schedule_status,
    show_billing_schedule,
)
from batchwright.operations.billing.usage_schedules import usage_schedules_page

doors = Doors("schedules-of-billing")


class UsageSchedulesParams(PageQuery):
    """Which usage schedules."""

    asset_line_item_id: str | None = None


class BillingSchedulesParams(UsageSchedulesParams):
    """Which billing schedules: those for which all of it holds."""

    status: str | None = Field(None, description="As shown, or in snake case", examples=["pending_billing"])
    customer_id: str | None = None
    period: str | None = Field(None, description="A month, YYYY-MM")
    ready_by: str | None = Field(None, description="A day, YYYY-MM-DD")


class StatusParams(door.Query):
    """Which billing schedules would get which status: by id, or all that are ready for invoice by a day."""

    status: str
    billing_schedule_id: list[str] | None = None
    ready_by: str | None = None


class NewStatus(Body):
    """Which billing schedules get which status: by id, or all that are ready for invoice by a day."""

    status: str = Field(examples=["pending_invoice"])
    billing_schedule_ids: list[str] | None = None
    ready_by: str | None = None
    reason: str | None = None


@doors.door("GET", "/usage-schedules", usage_schedules_page, Right.LOOK, answers={200: Page[UsageSchedule]})
def usage_schedules(params: Annotated[UsageSchedulesParams, Query()], call: Call = CALL) -> Response:
    """The usage schedules."""
    page = usage_schedules_page(call.app, actor=call.actor, **params.model_dump())
    return page_answer(call, page)


@doors.door(
    "GET", "/billing-schedules", billing_schedules_page, Right.LOOK, answers={200: Page[BillingSchedule]}
)
def billing_schedules(params: Annotated[BillingSchedulesParams, Query()], call: Call = CALL) -> Response:
    """The billing schedules."""
    page = billing_schedules_page(call.app, actor=call.actor, **params.model_dump())
    return page_answer(call, page)


@doors.door(
    "GET",
    "/billing-schedules/status",
    preview_billing_schedule_status,
    Right.BILLING,
    answers={200: StatusPlan},
    others=(HTTPStatus.CONFLICT,),
    heavy=True,
)
def foresee_status(params: Annotated[StatusParams, Query()], call: Call = CALL) -> Response:
    """What setting a status would do."""
    plan = preview_billing_schedule_status(
        call.app, params.billing_schedule_id, params.status, ready_by=params.ready_by, actor=call.actor
    )
    return answer(plan, request=call.request)


@doors.door(
    "POST",
    "/billing-schedules/status",
    set_billing_schedule_status,
    Right.BILLING,
    answers={200: StatusReport},
    others=(HTTPStatus.PRECONDITION_FAILED, HTTPStatus.PRECONDITION_REQUIRED),
)
def set_status(new: NewStatus, call: Call = CALL) -> Response:
    """Set the status of billing schedules; where a day says of which, as it was foreseen (`If-Match`)."""
    is_named = new.ready_by is None and "if-match" not in call.request.headers
    report = set_billing_schedule_status(
        call.app,
        new.billing_schedule_ids,
        new.status,
        ready_by=new.ready_by,
        seen=None if is_named else door.versions_seen(call),
        actor=call.actor,
        reason=new.reason,
    )
    return answer(report)


@doors.door(
    "GET",
    "/billing-schedules/{billing_schedule_id:path}",
    show_billing_schedule,
    Right.LOOK,
    answers={200: BillingSchedule},
)
def show(billing_schedule_id: str, call: Call = CALL) -> Response:
    """One billing schedule."""
    shown = show_billing_schedule(call.app, billing_schedule_id, actor=call.actor)
    return answer(shown, request=call.request)
