"""The forecast: what the drafts come to, beside what is already rated."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from sqlalchemy import RowMapping

from batchwright.billing.exact import EXACT, ZERO
from batchwright.billing.records.forecast import figures
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


def forecast(app: Application, by: By = "month", *, actor: Actor | None = None) -> list[View]:
    """Draft beside rated of the live usage schedules, a line for each month, customer or product and currency.

    Superseded schedules are left out, and so are those with neither figure. A period counts to the month it begins
    in. A draft is `None` where no schedule has one. Sorted by month, customer id or product, then currency.

    Returns lines of `month` (YYYY-MM) | `customer_id, customer_name` | `product`, then
    `currency, draft_rated_quantity, draft_fee_amount, actual_quantity, fee_amount`.
    """
    permit(app, actor, Right.LOOK, "forecast")
    check_one_of(by, CHOICES, field="by")
    sums: dict[tuple[str, str], _Sum] = {}
    with app.database.read() as connection:
        for row in figures(connection):
            names = _names(row, by)
            key = (next(iter(names.values())), row["currency"] or "")
            _add(sums.setdefault(key, _Sum(names)), row)
    return [_line(total, currency or None) for (_, currency), total in sorted(sums.items(), key=_order)]


def _order(item: tuple[tuple[str, str], Any]) -> tuple[str, str]:
    return item[0]


def _names(row: RowMapping, by: By) -> dict[str, str]:
    if by == "month":
        return {"month": row["period_start_date"].isoformat()[:7]}
    if by == "customer":
        return {"customer_id": row["customer_id"], "customer_name": row["customer_name"]}
    return {"product": row["product"]}


def _add(total: _Sum, row: RowMapping) -> None:
    if row["draft_fee_amount"] is not None:
        total.draft_fee_amount = (total.draft_fee_amount or 0) + row["draft_fee_amount"]
    if row["draft_rated_quantity"] is not None:
        drafted = total.draft_rated_quantity or ZERO
        total.draft_rated_quantity = EXACT.add(drafted, row["draft_rated_quantity"])
    total.actual_quantity = EXACT.add(total.actual_quantity, row["actual_quantity"])
    total.fee_amount += row["fee_amount"]


def _line(total: _Sum, currency: str | None) -> View:
    return {
        **total.names,
        "currency": currency,
        "draft_rated_quantity": views.quantity(total.draft_rated_quantity),
        "draft_fee_amount": views.money(total.draft_fee_amount, currency),
        "actual_quantity": views.quantity(total.actual_quantity),
        "fee_amount": views.money(total.fee_amount, currency),
    }
