"""The lines of a dry run over usage inputs: what an input or a schedule has, and what it would have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection

from batchwright.billing.explain import explained
from batchwright.billing.records import preview
from batchwright.billing.records.assets_and_inputs import ErrorOfInput
from batchwright.billing.records.basis import Kind
from batchwright.billing.records.preview import CurrentAmount
from batchwright.billing.usage import AssetUsage, Rated
from batchwright.engine.job import Amount, Change, Preview

INPUT = "usage_input"
SCHEDULE = "usage_schedule"
LATE_SCHEDULE = "late_usage_schedule"
ACCOUNT_CHARGE = "account_charge"


def line(
    kind: str, current: CurrentAmount, amount: Amount | None, after: int | None, detail: Mapping[str, Any]
) -> Preview:
    """A line of a record, which would come to ``after`` minor units.

    ``amount`` is what it adds to the run's totals; where it adds nothing, the currency is that of the asset.
    """
    currency = current.currency if amount is None else amount.currency
    change = None if currency is None else Change(current.amount, after, currency)
    return Preview(kind, current.record_id, amount, detail, change, current.customer_id)


def _lost(connection: Connection, kind: Kind, errors: Iterable[ErrorOfInput]) -> Iterator[Preview]:
    """Lines of the bad inputs that would lose an amount."""
    bad = {error.key: error for error in errors}
    for key, current in preview.inputs(connection, list(bad), kind).items():
        if current.amount:
            detail = {"code": bad[key].code, "message": bad[key].message}
            yield line(INPUT, current, None, None, detail)


def input_lines(
    connection: Connection, kind: Kind, usages: Iterable[AssetUsage], errors: Iterable[ErrorOfInput]
) -> Iterator[Preview]:
    """A line for each input that would be priced, and for each bad one that would lose an amount."""
    rated = [Rated._make(row) for usage in usages for row in usage.rated]
    current = preview.inputs(connection, [rated_input.key for rated_input in rated], kind)
    for rated_input in rated:
        amount = Amount(rated_input.amount, rated_input.terms.price.currency)
        yield line(INPUT, current[rated_input.key], amount, rated_input.amount, explained(rated_input))
    yield from _lost(connection, kind, errors)
