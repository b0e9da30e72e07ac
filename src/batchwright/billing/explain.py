"""How an amount came about, as JSON values: its lines, and what it was computed with."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from batchwright.billing.exact import quantity_text
from batchwright.billing.money import money_text
from batchwright.billing.rating import NetAmount
from batchwright.billing.recalculation import Rerated
from batchwright.billing.records.assets_and_inputs import InputRow
from batchwright.billing.restating import Restated
from batchwright.billing.usage import Rated


def lines_of(amount: NetAmount) -> list[dict[str, str | None]]:
    """The lines that sum to the rounded amount: `key, quantity, unit_price, amount`."""
    return [
        {
            "key": line.key,
            "quantity": None if line.quantity is None else quantity_text(line.quantity),
            "unit_price": None if line.unit_price is None else quantity_text(line.unit_price),
            "amount": quantity_text(line.amount),
        }
        for line in amount.lines
    ]


def explained(one: Rated) -> dict[str, Any]:
    """What a good input's amount rests on, and its lines."""
    terms = one.terms
    return {
        "quantity": quantity_text(Decimal(InputRow._make(one.input).quantity)),
        "prior_quantity": quantity_text(Decimal(one.prior_quantity or 0)),
        "price_revision": terms.price.key,
        "contract_revision": None if terms.contract is None else terms.contract.key,
        "discount_percent": quantity_text(terms.discount_percent),
        "lines": lines_of(one.net()),
    }


def rerated_explained(one: Rerated) -> dict[str, Any]:
    """The same of one that is rated already, with where it started until now."""
    start = quantity_text(Decimal(one.before.prior_quantity or 0))
    return {"prior_quantity_before": start, **explained(one.after)}


def restated_explained(one: Restated) -> dict[str, Any]:
    """Where a restated input started, and starts now; what its amount rests on, and its lines."""
    before = one.before
    return {
        "quantity": quantity_text(Decimal(before.quantity)),
        "prior_quantity_before": quantity_text(Decimal(before.prior_quantity or 0)),
        "prior_quantity": quantity_text(Decimal(one.prior_quantity or 0)),
        "price_revision": one.price.key,
        "discount_percent": quantity_text(Decimal(before.discount_percent or 0)),
        "lines": lines_of(one.net()),
    }


def figures_changed(before: tuple[str, int], after: tuple[str, int], currency: str) -> dict[str, str]:
    """What a usage schedule's actual quantity (a decimal as text) and fee (minor units) were, and what they become."""
    (quantity_before, fee_before), (quantity_after, fee_after) = before, after
    return {
        "actual_quantity_before": quantity_text(Decimal(quantity_before)),
        "actual_quantity_after": quantity_text(Decimal(quantity_after)),
        "fee_amount_before": money_text(fee_before, currency),
        "fee_amount_after": money_text(fee_after, currency),
    }
