"""The shapes of answers, for the description of the API; what is sent is what the operations give."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field

Amount = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", examples=["4000.00"])]
"""An amount with the digits of its currency."""
Quantity = Annotated[str, Field(pattern=r"^-?\d+\.\d{2,}$", examples=["20.00"])]
Instant = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", examples=["2026-11-21T23:05:00.000Z"])
]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$", examples=["2023-06-05"])]
Amounts = dict[str, Amount]
"""Amounts by currency."""
Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """A page of a listing: `next` is the `after` of the page behind it, and `null` only at the end."""

    items: list[Item]
    next: str | None


class Warning(BaseModel):
    """Something a run came upon that is no error of one record."""

    code: str
    message: str
    record_id: str | None


class Mail(BaseModel):
    """A mail of the outbox."""

    mail_id: str
    run_id: str | None
    kind: str
    recipient: str | None
    status: str
    attempts: int
    next_attempt_at: Instant | None
    error: str | None
    created_at: Instant
    sent_at: Instant | None


class Outcome(BaseModel):
    """What became of one record of a run."""

    record_id: str
    outcome: Literal["ok", "error", "skipped", "not_reached"]
    code: str | None
    message: str | None
    amount: Amount | None
    currency: str | None


class Run(BaseModel):
    """A run, as the run log shows it."""

    run_id: Annotated[str, Field(examples=["JR-00000001"])]
    job: str
    type: str
    mode: Literal["sync", "batch", "dry_run"]
    status: str
    badge: str
    actor: str
    reason: str | None
    explanation: str | None
    parameters: dict[str, Any]
    trigger: str
    schedule: str | None
    parent_run_id: str | None
    customer_id: str | None
    periods: list[str] | None
    total: int | None
    processed: int | None
    errored: int | None
    skipped: int | None
    not_reached: int | None
    totals: dict[str, Amounts]
    warnings: list[Warning]
    error: str | None
    created_at: Instant
    started_at: Instant | None
    ended_at: Instant | None
    duration_seconds: float | None


class RunWithOutcomes(Run):
    """A run that was driven at once, with the outcome of each of its records."""

    outcomes: list[Outcome]


class UsageInput(BaseModel):
    """A usage input; amounts are `null` until rated."""

    usage_input_id: Annotated[str, Field(examples=["IN-00007052"])]
    asset_line_item_id: str
    asset_number: str
    status: Literal["Loaded", "Rated", "Error"]
    code: str | None
    message: str | None
    quantity: Quantity
    usage_date: Day
    product_uom: str
    description: str | None
    currency: str | None
    rated_amount: Amount | None
    draft_rated_amount: Amount | None


class UsageSchedule(BaseModel):
    """A usage schedule; its draft figures are `null` until forecast."""

    usage_schedule_id: str
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


class BillingSchedule(BaseModel):
    """A billing schedule."""

    billing_schedule_id: str
    asset_line_item_id: str
    period_start_date: Day
    period_end_date: Day
    fee_amount: Amount
    ready_for_invoice_date: Day
    currency: str | None
    type: Literal["Contracted"]
    status: str
    superseded: bool


class AssetLineItem(BaseModel):
    """An asset line item: the columns of its CSV file, and its currency."""

    asset_line_item_id: str
    asset_number: str
    customer_id: str
    account_id: str | None
    product: str
    start_date: Day
    end_date: Day
    billing_frequency: str
    usage_frequency: str
    first_billing_date: Day
    price_book_id: str | None
    selling_frequency: str | None
    price_type: str
    list_price: str | None
    currency: str | None
