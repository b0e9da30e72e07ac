"""The shapes of the forecast, of what can be recalculated, and of account charges."""

from __future__ import annotations

from batchwright.console.api.models.shapes import Amount, Answer, Day, Instant, Page, Quantity


class ForecastLine(Answer):
    """Draft beside rated, for a `month`, a customer or a `product`, and a currency."""

    month: str = ""
    customer_id: str = ""
    customer_name: str = ""
    product: str = ""
    currency: str | None
    draft_rated_quantity: Quantity | None
    draft_fee_amount: Amount | None
    actual_quantity: Quantity | None
    fee_amount: Amount


class Forecast(Page[ForecastLine]):
    """All lines. Up to `changed_assets` assets are counted as they were at `changed_since`, and up to `missing_assets`
    are not counted: a worker has not added them up yet. With `no_worker`, none is there to do so.
    """

    changed_assets: int
    changed_since: Instant | None
    missing_assets: int
    no_worker: bool


class LivePeriods(Answer):
    """A run that holds months of a customer."""

    run_id: str
    periods: list[str]


class OfferedCustomer(Answer):
    """A customer that can be recalculated, and the months."""

    customer_id: str
    name: str
    contract_ids: list[str]
    account_ids: list[str]
    periods: list[str]
    periods_without_rating: list[str] | None
    estimated_seconds_per_period: float | None
    live: list[LivePeriods]


class Offer(Answer):
    """What can be recalculated today, and for which reasons."""

    today: Day
    reasons: list[str]
    customers: list[OfferedCustomer]


class AccountCharge(Answer):
    """What a custom line item came to for an account and a month."""

    customer_id: str
    account_id: str
    period: str
    line_item_id: str
    contract_id: str
    contract_revision: int
    description: str
    kind: str
    rate: str
    base_amount: Amount | None
    amount: Amount
    currency: str
    run_id: str | None
    computed_at: Instant
