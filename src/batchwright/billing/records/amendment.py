"""What an amendment writes. The asset is locked (``assets.lock``), and rows are changed only as they were read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, update

from batchwright.billing.records import billing_schedules, inputs
from batchwright.billing.records.inputs import InputStatus
from batchwright.billing.tables import asset_line_item

TERMS: Final = ("end_date", "price_book_key", "currency", "billing_frequency", "usage_frequency")
"""The columns of an asset that an amendment may change."""

_ZERO: Final[Mapping[str, Any]] = {
    **inputs.NO_DRAFT,
    **inputs.NO_RATING,
    "draft_rated_amount": 0,
    "rated_amount": 0,
}
"""Amounts of nothing, which rest on nothing."""


def change_terms(connection: Connection, asset_key: int, terms: Mapping[str, Any]) -> None:
    """Set the columns of `TERMS`."""
    connection.execute(update(asset_line_item).where(asset_line_item.c.id == asset_key).values(dict(terms)))


def supersede(connection: Connection, schedules: Iterable[RowMapping]) -> int:
    """Move pending billing schedules to Superseded, and with them their usage schedules; how many moved."""
    return billing_schedules.set_status(connection, schedules, billing_schedules.SUPERSEDED)


def take_to_zero(connection: Connection, seen: Sequence[RowMapping]) -> int:
    """Set draft and rated amounts of inputs to zero; how many still had the status they were seen with.

    Rated ones become Loaded; Loaded and Error ones stay so, with their code and message.
    """
    rated = [row for row in seen if row["status"] == InputStatus.RATED]
    others = [row for row in seen if row["status"] != InputStatus.RATED]
    loaded = inputs.change(connection, rated, {**_ZERO, "status": InputStatus.LOADED})
    return loaded + inputs.change(connection, others, _ZERO)
