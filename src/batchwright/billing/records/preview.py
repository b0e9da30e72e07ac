"""What a preview shows beside the amounts that a run computes: those that stand there, and whose money it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from batchwright.billing.records.basis import Kind
from batchwright.billing.records.driver import Driver

_AMOUNTS: Final[Mapping[Kind, str]] = {"rated": "rated_amount", "draft": "draft_rated_amount"}
_FEES: Final[Mapping[Kind, str]] = {"rated": "fee_amount", "draft": "draft_fee_amount"}


class CurrentAmount(NamedTuple):
    """A record's current amount: the id people see, its amount in minor units (``None`` is a blank), whose money it
    is, and the currency of its asset; none before a first price was known.
    """

    record_id: str
    amount: int | None
    customer_id: str
    currency: str | None


def inputs(connection: Connection, keys: Sequence[int], kind: Kind) -> dict[int, CurrentAmount]:
    """The rated or the draft amounts of usage inputs, by key; of deleted ones, too."""
    return _current(connection, keys, f"t.usage_input_id, t.{_AMOUNTS[kind]}", "usage_input")


def schedules(connection: Connection, keys: Sequence[int], kind: Kind) -> dict[int, CurrentAmount]:
    """The fees or the draft fees of usage schedules, by key."""
    return _current(connection, keys, f"t.usage_schedule_id, t.{_FEES[kind]}", "usage_schedule")


def _current(
    connection: Connection, keys: Sequence[int], columns: str, table: str
) -> dict[int, CurrentAmount]:
    driver = Driver(connection)
    rows = driver.rows(
        f"SELECT t.id, {columns}, c.customer_id, a.currency FROM {table} AS t"
        " JOIN asset_line_item AS a ON a.id = t.asset_key JOIN customer AS c ON c.id = a.customer_key"
        " WHERE t.id {among}",
        driver.keys(keys),
    )
    return {key: CurrentAmount(*current) for key, *current in rows}
