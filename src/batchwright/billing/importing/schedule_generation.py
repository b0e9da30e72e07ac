"""The billing and usage schedules of a new asset, made from its dates, its frequencies and the price in force."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from batchwright.billing.periods import BillingPeriod, billing_periods
from batchwright.billing.records import catalog
from batchwright.billing.records.catalog import ContractTerms, Included
from batchwright.billing.records.ids import next_ids
from batchwright.billing.records.loading import (
    NewAsset,
    Stored,
    assets_without_schedules,
    insert_rows,
    new_keys,
    stored,
)
from batchwright.billing.tables import billing_schedule, usage_schedule

_ASSETS_AT_A_TIME: Final = 2_000
_USAGE_SCHEDULES_AT_A_TIME: Final = 20_000
_BILLING_COLUMNS: Final = (
    "id billing_schedule_id asset_key period_start_date period_end_date fee_amount ready_for_invoice_date"
    " type status"
).split()
_USAGE_COLUMNS: Final = (
    "usage_schedule_id billing_schedule_key asset_key period_start_date period_end_date included_quantity"
    " actual_quantity fee_amount type"
).split()

Batch = list[tuple[NewAsset, BillingPeriod]]


def make_schedules(connection: Connection, after: int, left_out: set[int]) -> tuple[int, int]:
    """Make the schedules of the assets whose key is above ``after`` and that have none, but for ``left_out``.

    Returns how many billing schedules and usage schedules were made.
    """
    included = IncludedQuantities(connection)
    billing_made = usage_made = 0
    while assets := assets_without_schedules(connection, after, _ASSETS_AT_A_TIME):
        after = assets[-1].key
        included.learn(assets)
        for batch in _batches([asset for asset in assets if asset.key not in left_out]):
            billing_made += len(batch)
            usage_made += write_periods(connection, batch, included)
    return billing_made, usage_made


def _batches(assets: Sequence[NewAsset]) -> Iterator[Batch]:
    """The billing periods of the assets, in batches of so many usage schedules: an asset may run for centuries."""
    batch: Batch = []
    size = 0
    for asset in assets:
        for period in billing_periods(
            asset.first_billing_date, asset.end_date, asset.billing_frequency, asset.usage_frequency
        ):
            batch.append((asset, period))
            size += len(period.usage)
            if size >= _USAGE_SCHEDULES_AT_A_TIME:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def write_periods(connection: Connection, batch: Batch, included: IncludedQuantities) -> int:
    """Make a billing schedule for each period, Pending Billing, and its usage schedules; how many of the latter."""
    keys = new_keys(connection, billing_schedule, len(batch))
    ids = next_ids(connection, "BS-", len(batch))
    billing_rows: list[list[Stored]] = []
    usage_rows: list[list[Stored]] = []
    for key, an_id, (asset, period) in zip(keys, ids, batch, strict=True):
        start, end, ready = (
            period.start.isoformat(),
            period.end.isoformat(),
            period.ready_for_invoice.isoformat(),
        )
        billing_rows.append([key, an_id, asset.key, start, end, 0, ready, "Contracted", "Pending Billing"])
        granted = included.granted(asset, [usage.start for usage in period.usage])
        for usage, quantity in zip(period.usage, map(stored, granted), strict=True):
            days = (usage.start.isoformat(), usage.end.isoformat())
            usage_rows.append([None, key, asset.key, *days, quantity, "0", 0, "Usage"])
    for row, an_id in zip(usage_rows, next_ids(connection, "US-", len(usage_rows)), strict=True):
        row[0] = an_id
    insert_rows(connection, billing_schedule, _BILLING_COLUMNS, billing_rows)
    insert_rows(connection, usage_schedule, _USAGE_COLUMNS, usage_rows)
    return len(usage_rows)


class IncludedQuantities:
    """What the price in force includes: of the asset's own book, else of that of the contract in force."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._terms: dict[int, list[ContractTerms]] = {}
        self._books: set[int] = set()
        self._included: dict[tuple[int, str], list[Included]] = {}

    def learn(self, assets: Sequence[NewAsset]) -> None:
        """Read the contracts and prices that concern these assets."""
        self._terms = catalog.contracts_of(self._connection, {asset.customer_key for asset in assets})
        books = {asset.book_key for asset in assets if asset.book_key is not None}
        books |= {terms.book_key for listed in self._terms.values() for terms in listed}
        new = books - self._books
        if new:
            self._included |= catalog.included_quantities(self._connection, new)
            self._books |= new

    def granted(self, asset: NewAsset, days: Sequence[date]) -> list[Decimal]:
        """What is included from each of these days on, the first days of the usage periods of one window, in order.

        A window has it once for each price: 0 where the price in force was there before, or where none is known.
        """
        seen: set[Included] = set()
        found = []
        for day in days:
            one = self._in_force(asset, day)
            found.append(Decimal(0) if one is None or one in seen else one.quantity)
            if one is not None:
                seen.add(one)
        return found

    def _in_force(self, asset: NewAsset, day: date) -> Included | None:
        book = asset.book_key if asset.book_key is not None else self._book_of_contract(asset, day)
        listed = self._included.get((book, asset.product)) if book is not None else None
        if listed is None:
            return None
        place = bisect_right(listed, day, key=lambda one: one.effective_from)
        return listed[place - 1] if place else None

    def _book_of_contract(self, asset: NewAsset, day: date) -> int | None:
        for terms in self._terms.get(asset.customer_key, ()):
            in_time = terms.start_date <= day and (terms.end_date is None or day <= terms.end_date)
            if terms.status == "Active" and in_time and terms.covers(asset.account_key):
                return terms.book_key
        return None
