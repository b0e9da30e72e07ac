"""Usage of an asset in hand: which schedule each input falls on, what it comes to, in which order.

Pure: rows in, results out. A forecast and a rating compute alike; what they write differs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from billing.catalog import Catalog, Terms
from billing.exact import ZERO, exactly
from billing.money import BIGINT_MAX, AmountOutOfRange
from billing.rating import Bill, RatingError, charge, net_minor, rate
from billing.records.rating_rows import AssetRow, InputRow, ScheduleRow

PENDING = "Pending Billing"
SUPERSEDED = "Superseded"


class Rated(NamedTuple):
    """A good input: what it comes to in minor units, and what that rests on."""

    input: InputRow
    amount: int
    prior_quantity: Decimal
    first_in_window: bool
    terms: Terms

    def bill(self) -> Bill:
        """The amount with its lines, worked out again: a run needs them only for a preview."""
        price = self.terms.price
        rating = rate(
            price.price,
            self.input.quantity,
            self.prior_quantity,
            indexed=price.usage_indexing,
            first_in_window=self.first_in_window,
        )
        return rating.bill(price.currency, self.terms.discount_percent)


class Bad(NamedTuple):
    """An input that cannot be priced, and why."""

    input: InputRow
    code: str
    message: str


@dataclass(slots=True)
class Posting:
    """What the good inputs of a schedule sum to."""

    quantity: Decimal = ZERO
    fee: int = 0
    inputs: int = 0


@dataclass(slots=True)
class AssetUsage:
    """An asset's inputs in hand, rated, and its schedules with what falls on them.

    ``rated`` are the good inputs, each with the fields of :class:`Rated` as a plain tuple: there are a million of
    them, and few are looked at. ``postings`` has, by key, every schedule that an input in hand fell on, good or bad.
    """

    asset: AssetRow
    schedules: Sequence[ScheduleRow]
    rated: list[tuple[InputRow, int, Decimal, bool, Terms]] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)
    postings: dict[int, Posting] = field(default_factory=dict)

    @property
    def currency(self) -> str:
        """The currency of what falls on the schedules; only to be asked where something did."""
        return self.asset.currency or self.rated[0][4].price.currency


class _Unpriced(Exception):
    """Carries the outcome code of an input that cannot be priced."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class _Window:
    """How far the usage of one window has come."""

    so_far: Decimal
    begun: bool


def rate_asset(
    asset: AssetRow, inputs: Sequence[InputRow], schedules: Sequence[ScheduleRow], catalog: Catalog
) -> AssetUsage:
    """Rate an asset's inputs in hand; they come by usage date and order of arrival.

    «So far» is the quantity rated in the window, less that of inputs in hand (they would count twice), plus the
    good inputs in hand that come before.
    """
    usage = AssetUsage(asset, schedules)
    with exactly():
        _rate_into(usage, inputs, catalog)
    return usage


def _rate_into(usage: AssetUsage, inputs: Sequence[InputRow], catalog: Catalog) -> None:
    asset, rated = usage.asset, usage.rated
    live = _Live(usage.schedules)
    windows = _windows(live, inputs)
    at_hand: Terms | None = None
    since, until = date.max, date.min  # the days on which schedule and terms at hand both hold
    for one in inputs:
        _, day, _, quantity, uom, _, _, _ = one
        try:
            if not since <= day <= until:
                since, until = date.max, date.min
                schedule = _schedule_of(asset, day, live, usage)
                if at_hand is None or not at_hand.since <= day <= at_hand.until:
                    at_hand = None
                    at_hand = _terms_of(asset, day, catalog)
                terms = at_hand
                since = max(schedule.start, terms.since)
                # A schedule taken over from elsewhere may reach beyond its asset.
                until = min(schedule.end, asset.end_date, terms.until)
                window = windows[schedule.window]
                posting = usage.postings[schedule.key]
                price, product_uom, indexed, currency, kept = terms.in_short
            if uom != product_uom:
                raise _Unpriced("uom_mismatch", f"the input is in {uom}, its price in {product_uom}")
            so_far, first = window.so_far, not window.begun
            gross, _ = charge(price, quantity, so_far, indexed, first)
            amount = net_minor(gross, currency, kept)
            fee = posting.fee + amount
            if fee > BIGINT_MAX:
                period = f"{schedule.start} to {schedule.end}"
                raise _Unpriced(
                    "amount_out_of_range", f"the schedule {period} comes to more than can be kept"
                )
        except (_Unpriced, RatingError, AmountOutOfRange) as why:
            usage.bad.append(Bad(one, why.code, str(why)))
            continue
        rated.append((one, amount, so_far, first, terms))
        window.so_far = so_far + quantity
        window.begun = True
        posting.quantity += quantity
        posting.fee = fee
        posting.inputs += 1


class _Live:
    """An asset's schedules that are not superseded, found by day."""

    def __init__(self, schedules: Sequence[ScheduleRow]) -> None:
        # Of two with one period the pending one comes last: late usage has its own beside the invoiced one.
        live = [
            (row.start, row.status == PENDING, row.key, row) for row in schedules if row.status != SUPERSEDED
        ]
        live.sort()
        self.schedules = [row for _, _, _, row in live]
        self.superseded = schedules if len(live) < len(schedules) else ()
        self._starts = [start for start, _, _, _ in live]

    def on(self, day: date) -> ScheduleRow | None:
        """The schedule that covers a day."""
        position = bisect_right(self._starts, day)
        if position and day <= self.schedules[position - 1].end:
            return self.schedules[position - 1]
        return None


def _windows(live: _Live, inputs: Sequence[InputRow]) -> dict[tuple[object, object], _Window]:
    windows: dict[tuple[object, object], _Window] = {}
    for row in live.schedules:
        window = windows.get(row.window)
        if window is None:
            windows[row.window] = _Window(row.actual_quantity, bool(row.actual_quantity))
        elif row.actual_quantity:
            window.so_far += row.actual_quantity
            window.begun = True
    for one in inputs:
        if one.status == "Rated" and (schedule := live.on(one.usage_date)) is not None:
            window = windows[schedule.window]
            # Not below zero: schedules taken over from elsewhere need not hold what our inputs say.
            window.so_far = max(ZERO, window.so_far - one.quantity)
            window.begun = bool(window.so_far)
    return windows


def _schedule_of(asset: AssetRow, day: date, live: _Live, usage: AssetUsage) -> ScheduleRow:
    """The schedule that covers the day; an input has fallen on it then, good or bad."""
    if not asset.start_date <= day <= asset.end_date:
        raise _Unpriced(
            "asset_not_active",
            f"{asset.asset_line_item_id} is active from {asset.start_date} to {asset.end_date}, not on {day}",
        )
    if day < asset.first_billing_date:
        raise _Unpriced(
            "before_first_billing_date",
            f"{day} is before the first billing date {asset.first_billing_date} of {asset.asset_line_item_id}",
        )
    found = live.on(day)
    if found is not None:
        if found.key not in usage.postings:
            usage.postings[found.key] = Posting()
        return found
    if any(row.start <= day <= row.end for row in live.superseded):  # no live one does
        raise _Unpriced("superseded_only", f"only superseded usage schedules cover {day}")
    raise _Unpriced("no_usage_schedule", f"no usage schedule of {asset.asset_line_item_id} covers {day}")


def _terms_of(asset: AssetRow, day: date, catalog: Catalog) -> Terms:
    """The price in force, of the asset's own book where it names one, else of the contract's."""
    contract = catalog.contract(asset.customer_key, asset.account_key, day)
    book = asset.price_book_key
    if book is None:
        if contract is None:
            raise _Unpriced("no_contract", f"no active contract covers {asset.asset_line_item_id} on {day}")
        book = contract.price_book_key
    terms = catalog.terms(book, asset.product, contract, day)
    if terms is None:
        raise _Unpriced("no_price", f"the price book has no price for {asset.product} on {day}")
    currency = terms.price.currency
    if asset.currency is not None and currency != asset.currency:
        raise _Unpriced(
            "no_price",
            f"the price in force is in {currency}, {asset.asset_line_item_id} bills in {asset.currency}",
        )
    return terms


def by_asset(inputs: Sequence[InputRow]) -> dict[int, list[InputRow]]:
    """Inputs in order of asset, as one list for each asset."""
    return {asset: list(of_asset) for asset, of_asset in groupby(inputs, key=itemgetter(0))}
