"""What an amendment will do, worked out from what was read, and what of it is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, RowMapping

from batchwright.billing.amendment import AssetTerms, LiveSchedule, SupersededUsage, billed_until, new_periods
from batchwright.billing.importing import cells
from batchwright.billing.importing.schedule_generation import IncludedQuantities
from batchwright.billing.periods import FREQUENCIES, BillingPeriod, Period, divides
from batchwright.billing.records import amendment, assets, billing_schedules, catalog, inputs
from batchwright.billing.records.billing_schedules import PENDING_BILLING, SUPERSEDED
from batchwright.billing.records.inputs import InputStatus
from batchwright.billing.records.loading import NewAsset
from batchwright.engine.errors import Conflict, Refused
from batchwright.engine.store.pages import rows_within
from batchwright.operations.billing.amendment_invoiced import Stays, stays_invoiced
from batchwright.operations.billing.asset_line_items import NOUN
from batchwright.operations.billing.fields import read_field
from batchwright.operations.checks import Unknown, check_one_of


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
class Plan:
    """What an amendment does, worked out from what was read; ``schedule_of`` has, by input, what it is taken off."""

    asset: RowMapping
    terms: AssetTerms
    stored: dict[str, Any]
    billing_schedules: list[RowMapping]
    usage_schedules: list[RowMapping]
    inputs: list[RowMapping]
    schedule_of: Mapping[int, RowMapping]
    periods: list[BillingPeriod]
    billed: list[Period]
    stays: list[Stays]


def plan_amendment(connection: Connection, asset_line_item_id: str, changes: Changes) -> Plan:
    """What the changes come to. Refuses an unknown asset and what would change billed periods or nothing."""
    asset = assets.shown(connection, asset_line_item_id)
    if asset is None:
        raise Unknown(NOUN, [asset_line_item_id], field="asset_line_item_id")
    terms = AssetTerms(
        changes.end_date or asset["end_date"],
        changes.price_book_id or asset["price_book_id"],
        changes.billing_frequency or asset["billing_frequency"],
        changes.usage_frequency or asset["usage_frequency"],
    )
    listed = list(rows_within(connection, billing_schedules.list_billing(asset["id"])))
    metered = list(rows_within(connection, billing_schedules.list_usage(asset["id"])))
    current = [_live_schedule(row, metered) for row in listed if row["status"] != SUPERSEDED]
    stored = _stored(connection, asset, terms, changes)
    _check(asset, terms, changes, billed_until(current))
    periods = new_periods(asset["first_billing_date"], terms, current)
    pending = [row for row in listed if row["status"] == PENDING_BILLING]
    if not pending and not periods and terms == terms_of(asset):
        raise Conflict(
            f"there is nothing to amend: every period of {asset_line_item_id} is billed",
            field="asset_line_item_id",
            remedy="Give a later end date, or other terms for what comes late",
        )
    pending_usage = [row for row in metered if row["status"] == PENDING_BILLING]
    touched, schedule_of = _inputs_on(connection, asset["id"], pending_usage)
    billed = [_period(row) for row in metered if row["status"] not in (PENDING_BILLING, SUPERSEDED)]
    rated = {row["id"] for row in touched if row["status"] == InputStatus.RATED}
    stays = stays_invoiced(connection, asset["id"], listed, metered, rated)
    return Plan(asset, terms, stored, pending, pending_usage, touched, schedule_of, periods, billed, stays)


def _inputs_on(
    connection: Connection, asset_key: int, pending_usage: Sequence[RowMapping]
) -> tuple[list[RowMapping], dict[int, RowMapping]]:
    """The asset's inputs on these usage schedules, and by their keys the schedule that each is on."""
    on_pending = SupersededUsage({row["id"]: _period(row) for row in pending_usage})
    by_key = {row["id"]: row for row in pending_usage}
    touched, schedule_of = [], {}
    for row in rows_within(connection, inputs.listing(asset_key)):
        key = on_pending.holding(row["status"], row["rated_schedule_key"], row["usage_date"])
        if key is not None:
            touched.append(row)
            schedule_of[row["id"]] = by_key[key]
    return touched, schedule_of


def _stored(connection: Connection, asset: RowMapping, terms: AssetTerms, changes: Changes) -> dict[str, Any]:
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


def _check(asset: RowMapping, terms: AssetTerms, changes: Changes, billed: date | None) -> None:
    if changes.end_date is not None:
        if changes.end_date < asset["first_billing_date"]:
            raise Refused(
                f"the end date {changes.end_date} is before the first billing date {asset['first_billing_date']}",
                field="end_date",
                remedy="Give a day on or after it",
            )
        if billed is not None and changes.end_date < billed:
            raise Conflict(
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


def included_in(connection: Connection, plan: Plan) -> tuple[NewAsset, IncludedQuantities]:
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


def terms_of(asset: RowMapping) -> AssetTerms:
    """The terms that the asset has."""
    return AssetTerms(*(asset[name] for name in AssetTerms._fields))


def _live_schedule(row: RowMapping, pending_usage: list[RowMapping]) -> LiveSchedule:
    usage = tuple(
        _period(schedule) for schedule in pending_usage if schedule["billing_schedule_key"] == row["id"]
    )
    return LiveSchedule(_period(row), row["status"], usage)


def _period(row: RowMapping) -> Period:
    return Period(row["period_start_date"], row["period_end_date"])
