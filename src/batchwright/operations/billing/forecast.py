"""The forecast: what the drafts come to, beside what is already rated."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal

from sqlalchemy import RowMapping

from batchwright.billing.exact import EXACT, ZERO
from batchwright.billing.records.forecast import charged_inputs, figures
from batchwright.operations import views
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import check_one_of
from batchwright.operations.views import View

By = Literal["month", "customer", "product"]
CHOICES: Final = ("month", "customer", "product")


@dataclass
class _Sum:
    names: dict[str, str]
    draft_rated_quantity: Decimal | None = None
    draft_fee_amount: int | None = None
    actual_quantity: Decimal = ZERO
    fee_amount: int = 0
    draft_units: set[str] = field(default_factory=set)
    units: set[str] = field(default_factory=set)


def forecast(app: Application, by: By = "month", *, actor: Actor | None = None) -> list[View]:
    """Draft beside rated of the live usage schedules, a line for each month, customer or product and currency.

    Superseded schedules are left out, and so are those with neither figure. A period counts to the month it begins
    in. A draft is `None` where no schedule has one, a quantity where it would be one of several units. What is charged
    counts to the product that it was charged as. Sorted by month, customer id or product, then currency.

    Returns lines of `month` (YYYY-MM) | `customer_id, customer_name` | `product`, then
    `currency, draft_rated_quantity, draft_fee_amount, actual_quantity, fee_amount`.
    """
    permit(app, actor, Right.LOOK, "forecast")
    check_one_of(by, CHOICES, field="by")
    sums: dict[tuple[str, str], _Sum] = {}
    with app.database.read() as connection:
        several = {}
        for row in figures(connection):
            if row["draft_fee_amount"] is not None or row["draft_rated_quantity"] is not None:
                _add_draft(_sum(sums, row, by, _draft_product(row)), row)
            if row["several"]:
                several[row["id"]] = row
            elif row["rated_product"] or row["actual_quantity"] or row["fee_amount"]:
                figure = (row["actual_quantity"], row["fee_amount"], row["rated_uom"])
                _add(_sum(sums, row, by, row["rated_product"] or row["product"]), *figure)
        left = {key: (row["actual_quantity"], row["fee_amount"]) for key, row in several.items()}
        for one in charged_inputs(connection, list(several)):
            key = one["schedule_key"]
            total = _sum(sums, several[key], by, one["product"])
            _add(total, one["quantity"], one["amount"], one["product_uom"])
            quantity, fee = left[key]
            left[key] = (EXACT.subtract(quantity, one["quantity"]), fee - one["amount"])
        for key, (quantity, fee) in left.items():
            if quantity or fee:  # what the schedule was imported with
                _add(_sum(sums, several[key], by, several[key]["product"]), quantity, fee, None)
    return [_line(total, currency or None) for (_, currency), total in sorted(sums.items(), key=_order)]


def _draft_product(row: RowMapping) -> str:
    drafted = None if row["several_drafts"] else row["draft_product"]
    return str(drafted or row["product"])


def _sum(sums: dict[tuple[str, str], _Sum], row: RowMapping, by: By, product: str) -> _Sum:
    names = _names(row, by, product)
    key = (next(iter(names.values())), row["currency"] or "")
    return sums.setdefault(key, _Sum(names))


def _order(item: tuple[tuple[str, str], Any]) -> tuple[str, str]:
    return item[0]


def _names(row: RowMapping, by: By, product: str) -> dict[str, str]:
    if by == "month":
        return {"month": row["period_start_date"].isoformat()[:7]}
    if by == "customer":
        return {"customer_id": row["customer_id"], "customer_name": row["customer_name"]}
    return {"product": product}


def _add_draft(total: _Sum, row: RowMapping) -> None:
    if row["draft_fee_amount"] is not None:
        total.draft_fee_amount = (total.draft_fee_amount or 0) + row["draft_fee_amount"]
    if row["draft_rated_quantity"] is not None:
        drafted = total.draft_rated_quantity or ZERO
        total.draft_rated_quantity = EXACT.add(drafted, row["draft_rated_quantity"])
        if row["draft_rated_quantity"] and row["draft_uom"] is not None:
            total.draft_units.add(row["draft_uom"])
            if row["several_drafts"]:
                total.draft_units.add("")


def _add(total: _Sum, quantity: Decimal, fee: int, unit: str | None) -> None:
    total.actual_quantity = EXACT.add(total.actual_quantity, quantity)
    total.fee_amount += fee
    if quantity and unit is not None:
        total.units.add(unit)


def _line(total: _Sum, currency: str | None) -> View:
    return {
        **total.names,
        "currency": currency,
        "draft_rated_quantity": views.quantity(
            None if len(total.draft_units) > 1 else total.draft_rated_quantity
        ),
        "draft_fee_amount": views.money(total.draft_fee_amount, currency),
        "actual_quantity": views.quantity(None if len(total.units) > 1 else total.actual_quantity),
        "fee_amount": views.money(total.fee_amount, currency),
    }
