"""The shapes of asset line items and of their amendments."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from batchwright.console.api.models.billing_schedules import BillingSchedule, UsageSchedule
from batchwright.console.api.models.shapes import Amount, Answer, Day, Quantity


class AssetLineItem(Answer):
    """An asset line item: the columns of its CSV file, and its currency."""

    asset_line_item_id: Annotated[str, Field(examples=["ALI-0001"])]
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
    list_price: Amount | None
    currency: str | None


class Terms(Answer):
    """What an amendment can change."""

    end_date: Day
    price_book_id: str | None
    billing_frequency: str
    usage_frequency: str


class TermsChanged(Answer):
    """Terms before and after an amendment."""

    before: Terms
    after: Terms


class FutureBillingSchedule(BillingSchedule):
    """A billing schedule; one that would be made has no id yet."""

    billing_schedule_id: str | None  # type: ignore[assignment]


class FutureUsageSchedule(UsageSchedule):
    """A usage schedule; one that would be made has no id yet."""

    usage_schedule_id: str | None  # type: ignore[assignment]
    billing_schedule_id: str | None  # type: ignore[assignment]


class AmendedBillingSchedules(Answer):
    """Billing schedules that give way, and those in their place."""

    superseded: list[BillingSchedule]
    created: list[FutureBillingSchedule]


class AmendedUsageSchedules(Answer):
    """Usage schedules that give way, and those in their place."""

    superseded: list[UsageSchedule]
    created: list[FutureUsageSchedule]


class ChargedElsewhere(Answer):
    """What a superseded billing schedule was taken over with; no rating charges it again."""

    billing_schedule_id: str
    amount: Amount
    currency: str | None


class StaysInvoiced(Answer):
    """A billing schedule that stays, charged for what came after usage that goes to zero.

    `would_be` is what that would come to without it; null where it could not be priced.
    """

    billing_schedule_id: str
    status: str
    amount: Amount
    would_be: Amount | None
    difference: Amount | None
    currency: str


class InputBefore(Answer):
    """A usage input before an amendment."""

    status: str
    rated_amount: Amount | None
    draft_rated_amount: Amount | None
    usage_schedule_id: str
    billing_schedule_id: str


class InputAfter(Answer):
    """A usage input after an amendment."""

    status: str
    rated_amount: Amount
    draft_rated_amount: Amount


class AmendedInput(Answer):
    """A usage input whose amounts go to zero; `covered` says whether a schedule is there for its day."""

    usage_input_id: str
    usage_date: Day
    quantity: Quantity
    currency: str | None
    before: InputBefore
    after: InputAfter
    covered: bool


class Amendment(Answer):
    """What an amendment does, or would do."""

    asset_line_item_id: str
    terms: TermsChanged
    billing_schedules: AmendedBillingSchedules
    usage_schedules: AmendedUsageSchedules
    charged_elsewhere: list[ChargedElsewhere]
    invoiced: list[StaysInvoiced]
    usage_inputs: list[AmendedInput]
