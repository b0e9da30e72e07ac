"""What the amounts of a usage input rest on: the very revisions they were computed with, whatever is in force now."""

from __future__ import annotations

from typing import Final, Literal

from sqlalchemy import Connection, RowMapping, select

from batchwright.billing.tables import billing_schedule, contract, price, price_book, usage_schedule

Kind = Literal["rated", "draft"]
KINDS: Final[tuple[Kind, ...]] = ("rated", "draft")


def price_facts(connection: Connection, key: int) -> RowMapping:
    """How people name a price revision: `price_book_id, product, effective_from, revision`."""
    statement = select(price_book.c.price_book_id, price.c.product, price.c.effective_from, price.c.revision)
    joined = statement.join_from(price, price_book, price_book.c.id == price.c.price_book_key)
    return connection.execute(joined.where(price.c.id == key)).mappings().one()


def contract_facts(connection: Connection, key: int | None) -> RowMapping | None:
    """How people name a contract revision: `contract_id, revision`."""
    statement = select(contract.c.contract_id, contract.c.revision).where(contract.c.id == key)
    return connection.execute(statement).mappings().one_or_none()


def schedule_facts(connection: Connection, usage_schedule_key: int | None) -> RowMapping | None:
    """The ids of a usage schedule and of the billing schedule above it, and their `status`."""
    ids = (usage_schedule.c.usage_schedule_id, billing_schedule.c.billing_schedule_id)
    statement = select(*ids, billing_schedule.c.status).join_from(
        usage_schedule, billing_schedule, billing_schedule.c.id == usage_schedule.c.billing_schedule_key
    )
    found = connection.execute(statement.where(usage_schedule.c.id == usage_schedule_key))
    return found.mappings().one_or_none()
