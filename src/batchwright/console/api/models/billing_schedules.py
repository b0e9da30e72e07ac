"""The shapes of billing and usage schedules."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from batchwright.console.api.models.shapes import Amount, Amounts, Answer, Day, Quantity


class UsageSchedule(Answer):
    """A usage schedule; its draft figures are `null` until forecast."""

    usage_schedule_id: Annotated[str, Field(examples=["US-00008311"])]
    billing_schedule_id: str
    asset_line_item_id: str
    period_start_date: Day
    period_end_date: Day
    included_quantity: Quantity
    actual_quantity: Quantity
    fee_amount: Amount
    draft_rated_quantity: Quantity | None
    draft_fee_amount: Amount | None
    currency: str | None
    type: Literal["Usage"]
    status: str
    superseded: bool


class BillingSchedule(Answer):
    """A billing schedule."""

    billing_schedule_id: Annotated[str, Field(examples=["BS-01311820"])]
    asset_line_item_id: str
    period_start_date: Day
    period_end_date: Day
    fee_amount: Amount
    ready_for_invoice_date: Day
    currency: str | None
    type: Literal["Contracted"]
    status: str
    superseded: bool


class StatusPlan(Answer):
    """What setting a status would do, in numbers."""

    status: str
    moving: int
    untouched: int
    by_status: dict[str, int]
    fee_amounts: Amounts


class StatusReport(Answer):
    """Ids of the billing schedules that were set to the status, and of those that had it."""

    moved: list[str]
    untouched: list[str]
