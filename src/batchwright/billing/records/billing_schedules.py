"""Billing and usage schedules: listing, showing, and the status a person sets."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, func, select

from batchwright.billing.records.pages import chunks, update_as_seen
from batchwright.billing.tables import asset_line_item, billing_schedule, usage_schedule
from batchwright.engine.store.pages import Listing
from batchwright.engine.store.scopes import halves, whole

PENDING_BILLING: Final = "Pending Billing"
PENDING_INVOICE: Final = "Pending Invoice"
INVOICED: Final = "Invoiced"
SUPERSEDED: Final = "Superseded"

LIVE: Final[ColumnElement[bool]] = billing_schedule.c.status != SUPERSEDED
"""The schedules that count: every sum over schedules says so with this one name.

A superseded schedule was replaced by an amendment; it keeps its own figures as history.
"""


class Group(NamedTuple):
    """Billing schedules of one status and currency: how many, and what their fees sum to."""

    status: str
    currency: str | None
    number: int
    fee_amount: int


_IN_ORDER = (billing_schedule.c.asset_key, billing_schedule.c.period_start_date, billing_schedule.c.id)


def list_billing(
    asset_key: int | None = None, limit: int | None = None, narrowed: Sequence[ColumnElement[bool]] = ()
) -> Listing:
    """The billing schedules that meet the conditions, superseded ones too, by asset and period."""
    statement = _billing().where(*narrowed)
    if asset_key is not None:
        statement = statement.where(billing_schedule.c.asset_key == asset_key)
    return Listing(statement, _IN_ORDER, limit)


def walk_billing(status: str | None) -> Listing:
    """What an index alone leads through: the sort keys of all billing schedules, or of those in one status."""
    statement = select(*_IN_ORDER)
    return Listing(statement if status is None else statement.where(has_status(status)), _IN_ORDER)


def of_customer(customer_key: int) -> ColumnElement[bool]:
    """The condition that a schedule is of an asset of this customer."""
    return asset_line_item.c.customer_key == customer_key


def has_status(*statuses: str) -> ColumnElement[bool]:
    """The condition that a schedule has one of these statuses."""
    return billing_schedule.c.status.in_(statuses)


def within(first: date, last: date) -> ColumnElement[bool]:
    """The condition that a schedule's period has one of these days."""
    return and_(billing_schedule.c.period_start_date <= last, billing_schedule.c.period_end_date >= first)


def ready_by(day: date) -> ColumnElement[bool]:
    """The condition that a schedule is ready for invoice on a day."""
    return billing_schedule.c.ready_for_invoice_date <= day


def list_usage(asset_key: int | None = None, limit: int | None = None) -> Listing:
    """The usage schedules with the status of their billing schedule, superseded ones too, by asset and period."""
    statement = _usage()
    if asset_key is not None:
        statement = statement.where(usage_schedule.c.asset_key == asset_key)
    key = (usage_schedule.c.asset_key, usage_schedule.c.period_start_date, usage_schedule.c.id)
    return Listing(statement, key, limit)


def shown_billing(connection: Connection, billing_schedule_id: str) -> RowMapping | None:
    """The billing schedule of that id."""
    statement = _billing().where(billing_schedule.c.billing_schedule_id == billing_schedule_id)
    return connection.execute(statement).mappings().one_or_none()


def shown_usage(connection: Connection, usage_schedule_id: str) -> RowMapping | None:
    """The usage schedule of that id, as `list_usage` has it."""
    statement = _usage().where(usage_schedule.c.usage_schedule_id == usage_schedule_id)
    return connection.execute(statement).mappings().one_or_none()


def billing_by_ids(connection: Connection, ids: Collection[str]) -> dict[str, RowMapping]:
    """The billing schedules of these ids, by id; ids that nobody has are missing."""
    found: dict[str, RowMapping] = {}
    # An id is printable; other text is nobody's id, and PostgreSQL could not even be asked for it.
    for chunk in chunks([an_id for an_id in ids if an_id.isprintable()]):
        rows = connection.execute(_billing().where(billing_schedule.c.billing_schedule_id.in_(chunk)))
        found.update((row["billing_schedule_id"], row) for row in rows.mappings())
    return found


def billing_where(connection: Connection, *conditions: ColumnElement[bool]) -> list[RowMapping]:
    """The billing schedules that meet the conditions, in order of key."""
    statement = _billing().where(*conditions).order_by(billing_schedule.c.id)
    return list(connection.execute(statement).mappings())


def are_more(connection: Connection, at_most: int, *conditions: ColumnElement[bool]) -> bool:
    """Whether more billing schedules than that meet the conditions; counted no further."""
    beyond = select(billing_schedule.c.id).where(*conditions).offset(at_most).limit(1)
    return connection.execute(beyond).first() is not None


def stretch(
    connection: Connection, status: str, after: int, size: int
) -> tuple[list[ColumnElement[bool]], int | None]:
    """So many billing schedules in a status, of the assets after one, and of the last of these all: the conditions, and
    the key of that asset to go on after, ``None`` at the end.
    """
    key, these = billing_schedule.c.asset_key, [has_status(status)]
    ordered = select(key).where(*these, key > after).order_by(*_IN_ORDER)
    end = connection.scalar(ordered.offset(size - 1).limit(1))
    for one in (key, asset_line_item.c.id):  # of both: PostgreSQL would take up all assets
        these += [one > after, *([] if end is None else [one <= end])]
    return these, end


def groups_where(connection: Connection, *conditions: ColumnElement[bool]) -> list[Group]:
    """The billing schedules that meet the conditions, by status and currency."""
    kind = (billing_schedule.c.status, asset_line_item.c.currency)
    on = asset_line_item.c.id == billing_schedule.c.asset_key
    counted = select(*kind, func.count(), *halves(billing_schedule.c.fee_amount))
    grouped = counted.join_from(billing_schedule, asset_line_item, on).where(*conditions).group_by(*kind)
    return [
        Group(status, currency, number, whole(*fees) or 0)
        for status, currency, number, *fees in connection.execute(grouped)
    ]


def set_status(connection: Connection, seen: Iterable[RowMapping], status: str) -> int:
    """Move the billing schedules to `status` from the one they were `seen` in, and return how many moved."""
    return update_as_seen(connection, billing_schedule, seen, {"status": status})


def _billing() -> Select[Any]:
    return select(
        billing_schedule, asset_line_item.c.asset_line_item_id, asset_line_item.c.currency
    ).join_from(billing_schedule, asset_line_item, asset_line_item.c.id == billing_schedule.c.asset_key)


def _usage() -> Select[Any]:
    return (
        select(
            usage_schedule,
            billing_schedule.c.billing_schedule_id,
            billing_schedule.c.status,
            asset_line_item.c.asset_line_item_id,
            asset_line_item.c.currency,
        )
        .join_from(
            usage_schedule, billing_schedule, billing_schedule.c.id == usage_schedule.c.billing_schedule_key
        )
        .join(asset_line_item, asset_line_item.c.id == usage_schedule.c.asset_key)
    )
