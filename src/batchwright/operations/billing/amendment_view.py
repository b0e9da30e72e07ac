"""An amendment as a person and the audit trail see it: what it would do, and what it did."""

from __future__ import annotations

from sqlalchemy import Connection, RowMapping

from batchwright.billing.amendment import AssetTerms, Days
from batchwright.billing.exact import ZERO
from batchwright.billing.periods import Period
from batchwright.billing.records import billing_schedules
from batchwright.billing.records.billing_schedules import PENDING_BILLING
from batchwright.billing.records.inputs import InputStatus
from batchwright.engine.store.pages import rows_within
from batchwright.operations import views
from batchwright.operations.billing.amendment_invoiced import Stays
from batchwright.operations.billing.amendment_plan import Plan, included_in, terms_of
from batchwright.operations.views import View


def preview(connection: Connection, plan: Plan) -> View:
    """What the amendment would do; ids of what it would make are `None`."""
    days = Days([*(part for period in plan.periods for part in period.usage), *plan.billed])
    asset, included = included_in(connection, plan)
    shown = {"asset_line_item_id": plan.asset["asset_line_item_id"], "currency": plan.stored["currency"]}
    billing, usage = [], []
    for period in plan.periods:
        common = {**shown, "status": PENDING_BILLING, "billing_schedule_id": None, "fee_amount": 0}
        ready = {"ready_for_invoice_date": period.ready_for_invoice, "type": "Contracted"}
        billing.append(views.billing_schedule({**common, **_dates(period), **ready}))
        granted = included.granted(asset, [part.start for part in period.usage])
        for part, quantity in zip(period.usage, granted, strict=True):
            figures = {"included_quantity": quantity, "actual_quantity": ZERO}
            blank = {"usage_schedule_id": None, "draft_rated_quantity": None, "draft_fee_amount": None}
            usage.append(
                views.usage_schedule({**common, **_dates(part), **figures, **blank, "type": "Usage"})
            )
    return {
        "asset_line_item_id": plan.asset["asset_line_item_id"],
        "terms": {"before": _terms(terms_of(plan.asset)), "after": _terms(plan.terms)},
        "billing_schedules": {
            "superseded": [views.billing_schedule(row) for row in plan.billing_schedules],
            "created": billing,
        },
        "usage_schedules": {
            "superseded": [views.usage_schedule(row) for row in plan.usage_schedules],
            "created": usage,
        },
        "charged_elsewhere": _charged_elsewhere(plan),
        "invoiced": list(map(_invoiced, plan.stays)),
        "usage_inputs": [
            _input(row, plan.schedule_of[row["id"]], row["usage_date"] in days) for row in plan.inputs
        ],
    }


def result(connection: Connection, plan: Plan, view: View) -> View:
    """The same with the schedules as they are now."""
    asset_key = plan.asset["id"]
    listed = rows_within(connection, billing_schedules.list_billing(asset_key))
    billing = [views.billing_schedule(row) for row in listed]
    metered = rows_within(connection, billing_schedules.list_usage(asset_key))
    usage = [views.usage_schedule(row) for row in metered]
    superseded = {row["billing_schedule_id"] for row in plan.billing_schedules}
    made = {row["billing_schedule_id"] for row in billing if row["status"] == PENDING_BILLING}
    return {
        **view,
        "billing_schedules": {
            "superseded": [row for row in billing if row["billing_schedule_id"] in superseded],
            "created": [row for row in billing if row["billing_schedule_id"] in made],
        },
        "usage_schedules": {
            "superseded": [row for row in usage if row["billing_schedule_id"] in superseded],
            "created": [row for row in usage if row["billing_schedule_id"] in made],
        },
    }


def audit_values(plan: Plan, view: View, when: str) -> View:
    """What the audit trail keeps: terms, schedules by id, inputs with their amounts, and what was charged, summed.

    An input's amount of zero is explained from it (`operations/billing/explanations.py`).
    """
    kind = "superseded" if when == "before" else "created"
    values = {
        **view["terms"][when],
        "billing_schedules": [row["billing_schedule_id"] for row in view["billing_schedules"][kind]],
        "usage_schedules": [row["usage_schedule_id"] for row in view["usage_schedules"][kind]],
        "usage_inputs": {row["usage_input_id"]: row[when] for row in view["usage_inputs"]},
    }
    if when == "before":
        values["rated_amount"] = _charged(plan)
    return values


def _charged_elsewhere(plan: Plan) -> list[View]:
    """What superseded schedules were taken over with: no input of ours stands for it, so no rating charges it again."""
    fees: dict[int, int] = {row["id"]: row["fee_amount"] for row in plan.billing_schedules}
    for row in plan.inputs:
        if row["status"] == InputStatus.RATED:
            fees[plan.schedule_of[row["id"]]["billing_schedule_key"]] -= row["rated_amount"]
    currency = plan.asset["currency"]
    return [
        {
            "billing_schedule_id": row["billing_schedule_id"],
            "amount": views.money(fees[row["id"]], currency),
            "currency": currency,
        }
        for row in plan.billing_schedules
        if fees[row["id"]]
    ]


def _invoiced(one: Stays) -> View:
    more = None if one.would_be is None else one.would_be - one.amount
    return {
        "billing_schedule_id": one.schedule["billing_schedule_id"],
        "status": one.schedule["status"],
        "amount": views.money(one.amount, one.currency),
        "would_be": views.money(one.would_be, one.currency),
        "difference": views.money(more, one.currency),
        "currency": one.currency,
    }


def _charged(plan: Plan) -> str | None:
    rated = sum(row["rated_amount"] for row in plan.inputs if row["status"] == InputStatus.RATED)
    return views.money(rated, plan.asset["currency"])


def _input(row: RowMapping, schedule: RowMapping, covered: bool) -> View:
    zero = views.money(0, row["currency"])
    after = InputStatus.LOADED if row["status"] == InputStatus.RATED else row["status"]
    return {
        "usage_input_id": row["usage_input_id"],
        "usage_date": views.day(row["usage_date"]),
        "quantity": views.quantity(row["quantity"]),
        "currency": row["currency"],
        "before": {
            "status": row["status"],
            "rated_amount": views.money(row["rated_amount"], row["currency"]),
            "draft_rated_amount": views.money(row["draft_rated_amount"], row["currency"]),
            "usage_schedule_id": schedule["usage_schedule_id"],
            "billing_schedule_id": schedule["billing_schedule_id"],
        },
        "after": {"status": after, "rated_amount": zero, "draft_rated_amount": zero},
        "covered": covered,
    }


def _terms(terms: AssetTerms) -> View:
    return {**terms._asdict(), "end_date": views.day(terms.end_date)}


def _dates(period: Period) -> View:
    return {"period_start_date": period.start, "period_end_date": period.end}
