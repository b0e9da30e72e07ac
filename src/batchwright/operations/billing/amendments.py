"""Amending an asset line item: other terms from the first period on that nobody has billed.

Conga's outcome (*Effect of Asset Amendment on Forecasted Usage Input*): pending billing schedules and their usage
schedules are superseded and new ones made, and the amounts of the usage inputs on them go to zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, cast

from sqlalchemy import Connection, RowMapping

from batchwright.billing.amendment import Bill, Days, Meters, Terms, billed_until, new_periods
from batchwright.billing.exact import ZERO
from batchwright.billing.importing import cells
from batchwright.billing.importing.generation import IncludedQuantities, write_periods
from batchwright.billing.periods import FREQUENCIES, BillingPeriod, Period, divides
from batchwright.billing.records import amendment, assets, billing_schedules, catalog, inputs
from batchwright.billing.records.billing_schedules import PENDING_BILLING, SUPERSEDED
from batchwright.billing.records.inputs import InputStatus
from batchwright.billing.records.loading import NewAsset
from batchwright.engine.errors import Refused
from batchwright.operations import views
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.billing.asset_line_items import NOUN
from batchwright.operations.billing.fields import read_field
from batchwright.operations.checks import Unknown, check_one_of
from batchwright.operations.views import View

ACT: Final = "asset_line_item.amend"


@dataclass(frozen=True)
class Changes:
    """What is to be changed of an asset; None leaves it as it is. Raises `Refused` for what nobody can mean."""

    end_date: date | None = None
    price_book_id: str | None = None
    billing_frequency: str | None = None
    usage_frequency: str | None = None

    @classmethod
    def read(
        cls,
        end_date: str | None = None,
        price_book_id: str | None = None,
        billing_frequency: str | None = None,
        usage_frequency: str | None = None,
    ) -> Changes:
        """From texts as a person writes them."""
        for field, value in (("billing_frequency", billing_frequency), ("usage_frequency", usage_frequency)):
            if value is not None:
                check_one_of(value, FREQUENCIES, field=field)
        end = None if end_date is None else read_field(cells.day, end_date, field="end_date")
        return cls(end, price_book_id, billing_frequency, usage_frequency)


@dataclass(frozen=True)
class _Plan:
    """What an amendment does, worked out from what was read; ``meter_of`` has, by input, what it is taken off."""

    asset: RowMapping
    terms: Terms
    stored: dict[str, Any]
    bills: list[RowMapping]
    meters: list[RowMapping]
    inputs: list[RowMapping]
    meter_of: Mapping[int, RowMapping]
    periods: list[BillingPeriod]
    billed: list[Period]


def preview_amendment(
    app: Application,
    asset_line_item_id: str,
    *,
    end_date: str | None = None,
    price_book_id: str | None = None,
    billing_frequency: str | None = None,
    usage_frequency: str | None = None,
    actor: Actor | None = None,
) -> View:
    """What `amend_asset_line_item` would do, as its answer: ids of what it would make are `None`. Changes nothing."""
    permit(app, actor, Right.OPERATE, ACT)
    changes = Changes.read(end_date, price_book_id, billing_frequency, usage_frequency)
    app.database.require()
    with app.database.read() as connection:
        return _foreseen(connection, _planned(connection, asset_line_item_id, changes))


def amend_asset_line_item(
    app: Application,
    asset_line_item_id: str,
    *,
    end_date: str | None = None,
    price_book_id: str | None = None,
    billing_frequency: str | None = None,
    usage_frequency: str | None = None,
    foreseen: View | None = None,
    actor: Actor,
    reason: str | None = None,
) -> View:
    """Amend the asset, all of it in one transaction; without a change its schedules are made anew.

    Returns `asset_line_item_id, terms, billing_schedules, usage_schedules, charged_elsewhere, usage_inputs`: terms have
    `before` and `after`, schedules those `superseded` and those `created`; `charged_elsewhere` is what superseded
    billing schedules were taken over with, and no rating charges again; inputs have each their amounts and status
    `before` (with the superseded schedules that they were on) and `after`, and whether a schedule is there for their
    day (`covered`).

    Refuses what would change billed periods, and, where an answer of `preview_amendment` is given as `foreseen`,
    to do anything else than it says.
    """
    permit(app, actor, Right.OPERATE, ACT)
    changes = Changes.read(end_date, price_book_id, billing_frequency, usage_frequency)
    app.database.require()
    with app.database.write() as connection:
        key = assets.key_of(connection, asset_line_item_id)
        assets.lock(connection, [] if key is None else [key])
        plan = _planned(connection, asset_line_item_id, changes)
        view = _foreseen(connection, plan)
        if foreseen is not None and foreseen != view:
            raise Refused(
                f"{asset_line_item_id} was changed after this amendment of it was shown",
                remedy="Look at what it would do now, and try again",
            )
        _carry_out(connection, plan)
        view = _done(connection, plan, view)
        audit.record(
            connection,
            actor=actor,
            act=ACT,
            subject=asset_line_item_id,
            reason=reason,
            before=_told(plan, view, "before"),
            after=_told(plan, view, "after"),
            now=app.clock.now(),
        )
    return view


def _planned(connection: Connection, asset_line_item_id: str, changes: Changes) -> _Plan:
    asset = assets.shown(connection, asset_line_item_id)
    if asset is None:
        raise Unknown(NOUN, [asset_line_item_id], field="asset_line_item_id")
    terms = Terms(
        changes.end_date or asset["end_date"],
        changes.price_book_id or asset["price_book_id"],
        changes.billing_frequency or asset["billing_frequency"],
        changes.usage_frequency or asset["usage_frequency"],
    )
    listed = list(billing_schedules.list_billing(connection, asset_key=asset["id"]))
    metered = list(billing_schedules.list_usage(connection, asset_key=asset["id"]))
    standing = [_bill(row, metered) for row in listed if row["status"] != SUPERSEDED]
    stored = _stored(connection, asset, terms, changes)
    _check(asset, terms, changes, billed_until(standing))
    periods = new_periods(asset["first_billing_date"], terms, standing)
    bills = [row for row in listed if row["status"] == PENDING_BILLING]
    if not bills and not periods and terms == _terms_of(asset):
        raise Refused(
            f"there is nothing to amend: every period of {asset_line_item_id} is billed",
            field="asset_line_item_id",
            remedy="Give a later end date, or other terms for what comes late",
        )
    meters = [row for row in metered if row["status"] == PENDING_BILLING]
    touched, meter_of = _inputs_on(connection, asset["id"], meters)
    billed = [_period(row) for row in metered if row["status"] not in (PENDING_BILLING, SUPERSEDED)]
    return _Plan(asset, terms, stored, bills, meters, touched, meter_of, periods, billed)


def _inputs_on(
    connection: Connection, asset_key: int, meters: Sequence[RowMapping]
) -> tuple[list[RowMapping], dict[int, RowMapping]]:
    """The asset's inputs on these usage schedules, and by their keys the schedule that each is on."""
    held = Meters({row["id"]: _period(row) for row in meters})
    by_key = {row["id"]: row for row in meters}
    touched, meter_of = [], {}
    for row in inputs.listing(connection, asset_key=asset_key):
        key = held.holding(row["status"], row["rated_schedule_key"], row["usage_date"])
        if key is not None:
            touched.append(row)
            meter_of[row["id"]] = by_key[key]
    return touched, meter_of


def _stored(connection: Connection, asset: RowMapping, terms: Terms, changes: Changes) -> dict[str, Any]:
    """The columns of the asset as they are to be. Refuses a price book that is not known or in another currency."""
    book_key, currency = asset["price_book_key"], asset["currency"]
    if changes.price_book_id is not None:
        found = catalog.price_books(connection, [changes.price_book_id]).get(changes.price_book_id)
        if found is None:
            raise Refused(
                f"unknown price book: {changes.price_book_id}",
                field="price_book_id",
                remedy="Import it first (price_books.csv), or name another",
            )
        if currency not in (None, found.currency):
            raise Refused(
                f"the price book {changes.price_book_id} is in {found.currency},"
                f" {asset['asset_line_item_id']} bills in {currency}",
                field="price_book_id",
                remedy=f"Name a price book in {currency}; an asset bills in one currency all its life",
            )
        book_key, currency = found.key, found.currency
    values = (terms.end_date, book_key, currency, terms.billing_frequency, terms.usage_frequency)
    return dict(zip(amendment.TERMS, values, strict=True))


def _check(asset: RowMapping, terms: Terms, changes: Changes, billed: date | None) -> None:
    if changes.end_date is not None:
        if changes.end_date < asset["first_billing_date"]:
            raise Refused(
                f"the end date {changes.end_date} is before the first billing date {asset['first_billing_date']}",
                field="end_date",
                remedy="Give a day on or after it",
            )
        if billed is not None and changes.end_date < billed:
            raise Refused(
                f"the end date {changes.end_date} lies in a period that is billed, up to {billed}",
                field="end_date",
                remedy=f"Give {billed} or a later day, or cancel the invoice first",
            )
    if not divides(terms.usage_frequency, terms.billing_frequency):
        raise Refused(
            f"{terms.usage_frequency} usage periods do not fill a {terms.billing_frequency} billing period",
            field="billing_frequency" if changes.usage_frequency is None else "usage_frequency",
            remedy="Give a usage frequency that divides the billing frequency",
        )


def _carry_out(connection: Connection, plan: _Plan) -> None:
    moved = amendment.supersede(connection, plan.bills)
    zeroed = amendment.take_to_zero(connection, plan.inputs)
    if (moved, zeroed) != (len(plan.bills), len(plan.inputs)):
        raise RuntimeError("schedules or inputs changed under the asset's lock")
    amendment.change_terms(connection, plan.asset["id"], plan.stored)
    asset, included = _included(connection, plan)
    write_periods(connection, [(asset, period) for period in plan.periods], included)


def _included(connection: Connection, plan: _Plan) -> tuple[NewAsset, IncludedQuantities]:
    """The asset as its new schedules are made from it, and what its prices include."""
    row = plan.asset
    asset = NewAsset(
        *(row["id"], row["customer_key"], row["account_key"], row["product"], plan.terms.end_date),
        *(row["first_billing_date"], plan.terms.billing_frequency, plan.terms.usage_frequency),
        plan.stored["price_book_key"],
    )
    included = IncludedQuantities(connection)
    included.learn([asset])
    return asset, included


def _foreseen(connection: Connection, plan: _Plan) -> View:
    days = Days([*(part for period in plan.periods for part in period.usage), *plan.billed])
    asset, included = _included(connection, plan)
    shown = {"asset_line_item_id": plan.asset["asset_line_item_id"], "currency": plan.stored["currency"]}
    bills, meters = [], []
    for period in plan.periods:
        common = {**shown, "status": PENDING_BILLING, "billing_schedule_id": None, "fee_amount": 0}
        ready = {"ready_for_invoice_date": period.ready_for_invoice, "type": "Contracted"}
        bills.append(views.billing_schedule(_row(common, _dates(period), ready)))
        for part in period.usage:
            figures = {"included_quantity": included.at(asset, part.start), "actual_quantity": ZERO}
            blank = {"usage_schedule_id": None, "draft_rated_quantity": None, "draft_fee_amount": None}
            meters.append(views.usage_schedule(_row(common, _dates(part), figures, blank, {"type": "Usage"})))
    return {
        "asset_line_item_id": plan.asset["asset_line_item_id"],
        "terms": {"before": _terms(_terms_of(plan.asset)), "after": _terms(plan.terms)},
        "billing_schedules": {
            "superseded": [views.billing_schedule(row) for row in plan.bills],
            "created": bills,
        },
        "usage_schedules": {
            "superseded": [views.usage_schedule(row) for row in plan.meters],
            "created": meters,
        },
        "charged_elsewhere": _charged_elsewhere(plan),
        "usage_inputs": [
            _input(row, plan.meter_of[row["id"]], row["usage_date"] in days) for row in plan.inputs
        ],
    }


def _done(connection: Connection, plan: _Plan, view: View) -> View:
    """The same with the schedules as they are now."""
    asset_key = plan.asset["id"]
    bills = [
        views.billing_schedule(row) for row in billing_schedules.list_billing(connection, asset_key=asset_key)
    ]
    meters = [
        views.usage_schedule(row) for row in billing_schedules.list_usage(connection, asset_key=asset_key)
    ]
    old_bills = {row["billing_schedule_id"] for row in plan.bills}
    made = {row["billing_schedule_id"] for row in bills if row["status"] == PENDING_BILLING}
    return {
        **view,
        "billing_schedules": {
            "superseded": [row for row in bills if row["billing_schedule_id"] in old_bills],
            "created": [row for row in bills if row["billing_schedule_id"] in made],
        },
        "usage_schedules": {
            "superseded": [row for row in meters if row["billing_schedule_id"] in old_bills],
            "created": [row for row in meters if row["billing_schedule_id"] in made],
        },
    }


def _told(plan: _Plan, view: View, when: str) -> View:
    """What the audit trail keeps: terms, schedules by id, inputs with their amounts, and what was charged, summed.

    An input's amount of zero is explained from it (`operations/explanations.py`).
    """
    kind = "superseded" if when == "before" else "created"
    told = {
        **view["terms"][when],
        "billing_schedules": [row["billing_schedule_id"] for row in view["billing_schedules"][kind]],
        "usage_schedules": [row["usage_schedule_id"] for row in view["usage_schedules"][kind]],
        "usage_inputs": {row["usage_input_id"]: row[when] for row in view["usage_inputs"]},
    }
    if when == "before":
        told["rated_amount"] = _charged(plan)
    return told


def _charged_elsewhere(plan: _Plan) -> list[View]:
    """What superseded schedules were taken over with: no input of ours stands for it, so no rating charges it again."""
    fees: dict[int, int] = {row["id"]: row["fee_amount"] for row in plan.bills}
    for row in plan.inputs:
        if row["status"] == InputStatus.RATED:
            fees[plan.meter_of[row["id"]]["billing_schedule_key"]] -= row["rated_amount"]
    currency = plan.asset["currency"]
    return [
        {
            "billing_schedule_id": row["billing_schedule_id"],
            "amount": views.money(fees[row["id"]], currency),
            "currency": currency,
        }
        for row in plan.bills
        if fees[row["id"]]
    ]


def _charged(plan: _Plan) -> str | None:
    rated = sum(row["rated_amount"] for row in plan.inputs if row["status"] == InputStatus.RATED)
    return views.money(rated, plan.asset["currency"])


def _input(row: RowMapping, meter: RowMapping, covered: bool) -> View:
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
            "usage_schedule_id": meter["usage_schedule_id"],
            "billing_schedule_id": meter["billing_schedule_id"],
        },
        "after": {"status": after, "rated_amount": zero, "draft_rated_amount": zero},
        "covered": covered,
    }


def _terms_of(asset: RowMapping) -> Terms:
    return Terms(*(asset[name] for name in Terms._fields))


def _terms(terms: Terms) -> View:
    return {**terms._asdict(), "end_date": views.day(terms.end_date)}


def _bill(row: RowMapping, meters: list[RowMapping]) -> Bill:
    usage = tuple(_period(meter) for meter in meters if meter["billing_schedule_key"] == row["id"])
    return Bill(_period(row), row["status"], usage)


def _row(*parts: View) -> RowMapping:
    """A row that is not written yet."""
    return cast(RowMapping, {name: value for part in parts for name, value in part.items()})


def _dates(period: Period) -> View:
    return {"period_start_date": period.start, "period_end_date": period.end}


def _period(row: RowMapping) -> Period:
    return Period(row["period_start_date"], row["period_end_date"])
