"""The shapes of usage inputs, and of how an amount came about."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from batchwright.console.api.models.shapes import Amount, Amounts, Answer, Day, Instant, Quantity


class UsageInput(Answer):
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


class Selection(Answer):
    """What matched a filter when it was made; good for whoever made it, until `expires_at`."""

    selection_id: str
    count: int
    by_status: dict[str, int]
    sums: dict[str, Amounts]
    assets: int
    partial_assets: int
    expires_at: Instant


class PriceOfAmount(Answer):
    """The revision of a price that an amount rests on."""

    price_book_id: str
    product: str
    effective_from: Day
    revision: int
    model: str
    usage_indexing: bool


class ContractOfAmount(Answer):
    """The revision of a contract that an amount rests on."""

    contract_id: str
    revision: int


class Line(Answer):
    """A line of an amount; they sum to it."""

    key: str
    quantity: Quantity | None
    unit_price: Quantity | None
    amount: Quantity


class AmountExplained(Answer):
    """What an amount was computed with."""

    amount: Amount
    currency: str
    run_id: str
    quantity: Quantity
    prior_quantity: Quantity
    first_in_window: bool
    price: PriceOfAmount
    contract: ContractOfAmount | None
    discount_percent: Quantity | None
    usage_schedule_id: str | None
    billing_schedule_id: str | None
    billing_schedule_status: str | None
    lines: list[Line]


class ByAmendment(Answer):
    """An amount that an amendment took to zero."""

    amount: Amount
    currency: str | None
    amendment: dict[str, Any]
    lines: list[Line]


class Explanations(Answer):
    """Of the rated and of the draft amount."""

    rated: AmountExplained | ByAmendment | None
    draft: AmountExplained | ByAmendment | None


class History(Answer):
    """What became of a usage input in one run; `before` and `after` where that restated it."""

    run_id: str
    type: str
    mode: str
    started_at: Instant | None
    actor: str
    reason: str | None
    outcome: Literal["ok", "error", "skipped", "not_reached", "restated"]
    code: str | None
    message: str | None
    amount: Amount | None
    currency: str | None
    before: Amount | None = None
    after: Amount | None = None


class ActOnInput(Answer):
    """What somebody did to a usage input, and what changed of it."""

    at: Instant
    actor: str
    act: str
    reason: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class UsageInputExplained(UsageInput):
    """A usage input: how its amounts came about, and what became of it; `history_next` leads to what was before."""

    explanation: Explanations
    history: list[History]
    history_next: str | None
    history_pruned_until: dict[str, Instant] = Field({})
    acts: list[ActOnInput]
