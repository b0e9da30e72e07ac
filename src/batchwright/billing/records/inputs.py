"""Usage inputs: listing, showing, and the changes a person makes to them. A deleted one is only marked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, FromClause, RowMapping, Select, insert, select

from batchwright.billing.records.pages import chunks, update_as_seen
from batchwright.billing.tables import asset_line_item, usage_input
from batchwright.engine.store.pages import Listing


class InputStatus(StrEnum):
    """The status of a usage input, as it is stored and shown."""

    LOADED = "Loaded"
    RATED = "Rated"
    ERROR = "Error"


CODES: Final = (
    "not_found",
    "asset_not_active",
    "before_first_billing_date",
    "no_usage_schedule",
    "superseded_only",
    "no_contract",
    "no_price",
    "uom_mismatch",
    "negative_quantity",
    "no_tier",
    "amount_out_of_range",
    "unforeseen",
    "ended_process",
    "unrated",
)
"""What an input in Error can say of why."""

NO_DRAFT: Final[Mapping[str, Any]] = {
    "draft_rated_amount": None,
    "draft_run_key": None,
    "draft_price_key": None,
    "draft_contract_key": None,
    "draft_discount_percent": None,
    "draft_prior_quantity": None,
}
NO_RATING: Final[Mapping[str, Any]] = {
    "rated_amount": None,
    "rated_run_key": None,
    "rated_price_key": None,
    "rated_contract_key": None,
    "rated_discount_percent": None,
    "rated_prior_quantity": None,
    "rated_schedule_key": None,
}
NO_ERROR: Final[Mapping[str, Any]] = {"error_by": None, "code": None, "message": None}


def listing(asset_key: int) -> Listing:
    """Every usage input of an asset that is not deleted, in order of arrival."""
    mine = (usage_input.c.deleted.is_(False), usage_input.c.asset_key == asset_key)
    return Listing(shown().where(*mine), (usage_input.c.id,))


def by_ids(connection: Connection, ids: Collection[str]) -> dict[str, RowMapping]:
    """The usage inputs of these ids, deleted ones too, by id; ids that nobody has are missing."""
    found: dict[str, RowMapping] = {}
    # An id is printable; other text is nobody's id, and PostgreSQL could not even be asked for it.
    for chunk in chunks([an_id for an_id in ids if an_id.isprintable()]):
        rows = connection.execute(shown().where(usage_input.c.usage_input_id.in_(chunk))).mappings()
        found.update((row["usage_input_id"], row) for row in rows)
    return found


def assets_with_errors(connection: Connection, code: str | None, asset_key: int | None) -> set[int]:
    """The keys of the assets that have an input in Error: any, of that code, that asset alone."""
    return set(connection.execute(_errored(code, asset_key, usage_input.c.asset_key).distinct()).scalars())


def errors(connection: Connection, code: str | None, asset_key: int | None) -> list[RowMapping]:
    """The inputs in Error in order of arrival: key, id, asset, status and what the error says."""
    columns = ("id", "usage_input_id", "asset_key", "status", "error_by", "code", "message")
    statement = _errored(code, asset_key, *(usage_input.c[name] for name in columns))
    return list(connection.execute(statement.order_by(usage_input.c.id)).mappings())


def add(connection: Connection, values: Mapping[str, Any]) -> None:
    """Insert a Loaded usage input. An id that is taken violates the unique constraint."""
    connection.execute(insert(usage_input).values({"status": InputStatus.LOADED, "deleted": False, **values}))


def change(
    connection: Connection, seen: Iterable[RowMapping | Mapping[str, Any]], values: Mapping[str, Any]
) -> int:
    """Set `values` on the inputs that still have the status they were `seen` with, and return how many those were.

    The caller holds the lock of their assets.
    """
    return update_as_seen(connection, usage_input, seen, values, usage_input.c.deleted.is_(False))


def _errored(code: str | None, asset_key: int | None, *columns: ColumnElement[Any]) -> Select[Any]:
    statement = select(*columns).where(
        usage_input.c.status == InputStatus.ERROR, usage_input.c.deleted.is_(False)
    )
    if code is not None:
        statement = statement.where(usage_input.c.code == code)
    if asset_key is not None:
        statement = statement.where(usage_input.c.asset_key == asset_key)
    return statement


def shown(rows: FromClause = usage_input) -> Select[Any]:
    """The statement of inputs with what is shown of their assets; ``rows`` may be some of the inputs."""
    return select(
        rows,
        asset_line_item.c.asset_line_item_id,
        asset_line_item.c.asset_number,
        asset_line_item.c.currency,
    ).join_from(rows, asset_line_item, asset_line_item.c.id == rows.c.asset_key)
