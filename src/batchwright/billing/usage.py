"""Rates an asset's usage inputs: which schedule each falls on, what it comes to, in which order.

Pure: rows in, results out. A forecast and a rating compute alike; what they write differs.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import reduce
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple, TypeVar

from batchwright.billing.catalog import Catalog, PriceTerms
from batchwright.billing.counts import Counts, Tally
from batchwright.billing.exact import EXACT, ZERO, canonical, exactly
from batchwright.billing.money import BIGINT_MAX, AmountOutOfRange, whole_minor
from batchwright.billing.periods import FIRST_DAY, LAST_DAY, Day
from batchwright.billing.rating import NetAmount, RatingError, rate
from batchwright.billing.records.assets_and_inputs import (
    ACTUAL_QUANTITY,
    ASSET_KEY,
    END,
    GOOD,
    PENDING,
    RATED_INPUTS,
    SCHEDULE_KEY,
    START,
    STATUS,
    UNUSUAL,
    USAGE_DATE,
    WINDOW,
    AssetRow,
    InputRow,
    InputTuple,
    ScheduleRow,
    ScheduleTuple,
)
from batchwright.billing.records.billing_schedules import PENDING_BILLING, SUPERSEDED
from batchwright.billing.records.ratings import Charged


class Rated(NamedTuple):
    """A good input: what is written to it, and what that rests on."""

    amount: int
    """Minor units."""
    price_key: int
    contract_key: int | None
    discount_percent: str
    prior_quantity: str | None
    """Of that price in the window. None for its first input; "0" where only inputs of nothing came before."""
    key: int
    input: InputTuple
    schedule_key: int
    terms: PriceTerms

    @property
    def basis(self) -> tuple[int, int, int | None, str, str | None]:
        """The amount and what it rests on."""
        return self.amount, self.price_key, self.contract_key, self.discount_percent, self.prior_quantity

    def net(self) -> NetAmount:
        """The amount with its lines, worked out again: a run needs them only for a preview."""
        price = self.terms.price
        rating = rate(
            price.price,
            Decimal(InputRow._make(self.input).quantity),
            Decimal(self.prior_quantity or 0),
            indexed=price.usage_indexing,
            first_in_window=self.prior_quantity is None,
        )
        return rating.net(price.currency, self.terms.discount_percent)


RatedTuple = tuple[int, int, int | None, str, str | None, int, InputTuple, int, PriceTerms]
"""The fields of :class:`Rated`."""


class Bad(NamedTuple):
    """An input that cannot be priced, and why."""

    input: InputRow
    code: str
    message: str


@dataclass(slots=True)
class Posting:
    """What the good inputs of a schedule sum to; ``tallies`` by what their prices count as."""

    fee: int = 0
    tallies: dict[int, Tally] = field(default_factory=dict)

    @property
    def quantity(self) -> Decimal:
        """Of all of them."""
        return reduce(EXACT.add, [tally.quantity for tally in self.tallies.values()], ZERO)

    @property
    def inputs(self) -> int:
        """How many they are."""
        return sum([tally.inputs for tally in self.tallies.values()])

    def tally_of(self, counts_as: int) -> Tally:
        """What those of a price sum to."""
        tally = self.tallies.get(counts_as)
        if tally is None:
            tally = self.tallies[counts_as] = Tally()
        return tally


@dataclass(slots=True)
class ChargedSchedule:
    """A billing schedule that a rating charges: what it had, and the keys of the usage schedules charged under it.

    ``key`` is None where it is to be made, for late usage of that period.
    """

    key: int | None
    period: tuple[Day, Day]
    had: int
    usage_keys: list[int] = field(default_factory=list)


@dataclass(slots=True)
class AssetUsage:
    """An asset's inputs, rated, and its schedules with what falls on them.

    ``rated`` are the good inputs, each with the fields of :class:`Rated` as a plain tuple: there are a million of
    them, and few are looked at. ``postings`` has, by key, every schedule that an input fell on, good or bad;
    a key below zero is that of a schedule to be made, for late usage, beside the one of that key.
    ``billing_schedules`` are those that a rating charges; a forecast has none.
    """

    asset: AssetRow
    schedules: Sequence[ScheduleTuple]
    rated: list[RatedTuple] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)
    postings: dict[int, Posting] = field(default_factory=dict)
    billing_schedules: list[ChargedSchedule] = field(default_factory=list)

    def posting_on(self, schedule_key: int) -> Posting:
        """What falls on the schedule; from now on an input has, good or bad."""
        posting = self.postings.get(schedule_key)
        if posting is None:
            posting = self.postings[schedule_key] = Posting()
        return posting

    def recovered(self) -> list[int]:
        """Keys of the good inputs that were in Error until now."""
        return [key for _, _, _, _, _, key, row, _, _ in self.rated if row[UNUSUAL] not in GOOD]

    @property
    def currency(self) -> str:
        """The currency of what falls on the schedules; only to be asked where something did."""
        return self.asset.currency or Rated._make(self.rated[0]).terms.price.currency


class _Unpriced(Exception):
    """Carries the outcome code of an input that cannot be priced."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class _Window:
    """How far the usage of one window has come, of one price."""

    so_far: Decimal
    begun: bool


def rate_assets(
    assets: Iterable[AssetRow],
    inputs: Iterable[InputTuple],
    schedules: Iterable[ScheduleTuple],
    catalog: Catalog,
    counts: Counts,
    charged: Mapping[int, Charged] | None = None,
) -> list[AssetUsage]:
    """Rate the inputs of each asset; inputs and schedules come sorted.

    «So far» is what was rated in the window by the same price (``counts``, without these inputs), plus those good
    ones of them that come before and are priced by it. ``charged`` says, for a rating, what the schedules have been
    charged with: usage of a schedule that is no longer pending then falls on one to be made beside it. A forecast has
    none of it.
    """
    inputs_of, schedules_of = _by_asset(inputs), _by_asset(schedules)
    usages = [AssetUsage(asset, schedules_of.get(asset.key, ())) for asset in assets]
    terms_of = _TermsCache(catalog)
    with exactly():
        for usage in usages:
            _rate_into(usage, inputs_of.get(usage.asset.key, ()), _Rates(usage, terms_of, counts, charged))
    return usages


def _rate_into(usage: AssetUsage, inputs: Sequence[InputTuple], rates: _Rates) -> None:
    for row in inputs:
        day = row[USAGE_DATE]
        try:
            if not rates.since <= day <= rates.until:
                rates.move_to(day)
            usage.rated.append(rates.charge(row))
        except (_Unpriced, RatingError, AmountOutOfRange) as error:
            usage.bad.append(Bad(InputRow._make(row), error.code, str(error)))


_NEVER: Final = (LAST_DAY, FIRST_DAY)
"""No day lies between these two."""


class _Rates:
    """What an asset's inputs are charged by on some days: their schedule, its window, the terms in force.

    These stay for about a month of days, ``since`` to ``until``, so an input costs no look-up.
    """

    def __init__(
        self,
        usage: AssetUsage,
        terms_of: _TermsCache,
        counts: Counts,
        charged: Mapping[int, Charged] | None,
    ) -> None:
        self._usage = usage
        self._index = _ScheduleIndex(usage.schedules)
        self._windows = _Windows(usage.asset, self._index, counts, terms_of)
        self._headroom = None if charged is None else _Headroom(usage, self._index, charged)
        self._terms_of = terms_of
        self._terms_since, self._terms_until = _NEVER
        self._limit = BIGINT_MAX
        self.since, self.until = _NEVER

    def move_to(self, day: Day) -> None:
        """Find what inputs of that day are charged by, and until when; its schedule has a posting from now on.

        Raises _Unpriced where there is no schedule or no price.
        """
        self.since, self.until = _NEVER
        asset = self._usage.asset
        schedule = _schedule_of(asset, day, self._index)
        if self._headroom is not None and not schedule[PENDING]:
            schedule = self._index.open_beside(schedule)
        self._schedule, self._schedule_key = schedule, schedule[SCHEDULE_KEY]
        self._posting = self._usage.posting_on(schedule[SCHEDULE_KEY])
        if not self._terms_since <= day <= self._terms_until:
            self._terms = terms = self._terms_of(asset, day)
            self._terms_since, self._terms_until = terms.since, terms.until
            self._basis, self._rating_inputs = terms.basis, terms.rating_inputs
        counts_as = self._terms.price.counts_as
        self._window = self._windows.of(schedule, counts_as)
        self._tally = self._posting.tally_of(counts_as)
        if self._headroom is not None:
            self._limit = self._headroom.limit(schedule)
        start, end = schedule[START], schedule[END]
        if end > asset.end_date:  # a schedule taken over from elsewhere may reach beyond its asset
            end = asset.end_date
        self.since = start if start > self._terms_since else self._terms_since
        self.until = end if end < self._terms_until else self._terms_until

    def charge(self, row: InputTuple) -> RatedTuple:
        """Rate an input of these days, and count it in its window and on its schedule.

        Raises _Unpriced, RatingError, AmountOutOfRange; it is not counted then.
        """
        _, _, key, text, uom, _ = row
        charge, product_uom, currency, in_minor_units = self._rating_inputs
        if uom != product_uom:
            raise _Unpriced("uom_mismatch", f"the input is in {uom}, its price in {product_uom}")
        window, posting, tally = self._window, self._posting, self._tally
        quantity, so_far = Decimal(text), window.so_far
        gross, _ = charge(quantity, so_far, not window.begun)
        amount = whole_minor(gross * in_minor_units, currency)
        fee = posting.fee + amount
        if fee > self._limit:
            period = f"{self._schedule[START]} to {self._schedule[END]}"
            raise _Unpriced("amount_out_of_range", f"the schedule {period} comes to more than can be kept")
        prior = canonical(so_far) if so_far else "0" if window.begun else None
        window.so_far = so_far + quantity
        window.begun = True
        tally.quantity += quantity
        tally.inputs += 1
        posting.fee = fee
        price_key, contract_key, discount = self._basis
        return amount, price_key, contract_key, discount, prior, key, row, self._schedule_key, self._terms


class _ScheduleIndex:
    """An asset's schedules that are not superseded, found by day."""

    def __init__(self, schedules: Sequence[ScheduleTuple]) -> None:
        self.schedules = [row for row in schedules if row[STATUS] != SUPERSEDED]
        self.superseded = schedules if len(self.schedules) < len(schedules) else ()
        self._begun = 0  # how many of them have, by the day asked for last

    def on(self, day: Day) -> ScheduleTuple | None:
        """The schedule that covers a day; quick where days are asked for in their order."""
        schedules, begun = self.schedules, self._begun
        if begun and day < schedules[begun - 1][START]:
            begun = 0
        while begun < len(schedules) and schedules[begun][START] <= day:
            begun += 1
        self._begun = begun
        if begun and day <= schedules[begun - 1][END]:
            return schedules[begun - 1]
        return None

    def open_beside(self, billed: ScheduleTuple) -> ScheduleTuple:
        """A pending schedule of the same days; from now on it is the one that covers them."""
        row = ScheduleRow._make(billed)
        opened = row._replace(
            pending=True,
            key=-row.key,
            actual_quantity="0",
            rated_inputs=0,
            has_draft=False,
            status=PENDING_BILLING,
        )
        insort(self.schedules, opened)
        return opened

    def pending_of(self, period: tuple[Day, Day]) -> int | None:
        """The key of a usage schedule under a pending billing schedule of that period."""
        for row in self.schedules:
            if row[PENDING] and row[SCHEDULE_KEY] > 0 and row[WINDOW:] == period:
                return row[SCHEDULE_KEY]
        return None


class _Windows:
    """How far the usage of an asset's windows has come, for each price by itself."""

    def __init__(self, asset: AssetRow, index: _ScheduleIndex, counts: Counts, terms_of: _TermsCache) -> None:
        self._asset = asset
        self._index = index
        self._counts = counts
        self._terms_of = terms_of
        self._windows: dict[tuple[tuple[Day, Day], int], _Window] = {}

    def of(self, schedule: ScheduleTuple, counts_as: int) -> _Window:
        """The window that the schedule lies in, as it counts for that price."""
        key = schedule[WINDOW:], counts_as
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = self._begin(*key)
        return window

    def _begin(self, period: tuple[Day, Day], counts_as: int) -> _Window:
        so_far, inputs = ZERO, 0
        for row in self._index.schedules:
            if (row[RATED_INPUTS] or row[ACTUAL_QUANTITY] != "0") and row[WINDOW:] == period:
                rated = self._counts.of(row[SCHEDULE_KEY]).get(counts_as)
                if rated is not None:
                    so_far += rated.quantity
                    inputs += rated.inputs
                imported = self._counts.imported(row[SCHEDULE_KEY], Decimal(row[ACTUAL_QUANTITY]))
                if imported and self._counted_on(row[START]) in (None, counts_as):
                    so_far += imported
        return _Window(so_far, begun=bool(so_far) or inputs > 0)

    def _counted_on(self, day: Day) -> int | None:
        """What the price in force on that day counts as; None where there is none."""
        try:
            return self._terms_of(self._asset, day).price.counts_as
        except _Unpriced:
            return None


class _Headroom:
    """What a rating charges to which billing schedule, and how much it can still take."""

    def __init__(self, usage: AssetUsage, index: _ScheduleIndex, charged: Mapping[int, Charged]) -> None:
        self._usage = usage
        self._index = index
        self._charged = charged
        self._entries: dict[int | tuple[Day, Day], ChargedSchedule] = {}

    def limit(self, schedule: ScheduleTuple) -> int:
        """The most minor units that the schedule can take: it and its billing schedule must both have room."""
        key, entry = schedule[SCHEDULE_KEY], self._entry_of(schedule)
        own = self._charged[key].fee if key > 0 else 0
        of_others = sum(
            self._usage.postings[schedule].fee for schedule in entry.usage_keys if schedule != key
        )
        return BIGINT_MAX - max(own, entry.had + of_others, 0)

    def _entry_of(self, schedule: ScheduleTuple) -> ChargedSchedule:
        """The billing schedule above it; above one to be made the pending one of the period, or one to be made, too."""
        key, period = schedule[SCHEDULE_KEY], schedule[WINDOW:]
        known = self._charged.get(key if key > 0 else self._index.pending_of(period) or 0)
        name = period if known is None else known.billing_key
        entry = self._entries.get(name)
        if entry is None:
            entry = ChargedSchedule(None, period, 0)
            if known is not None:
                entry = ChargedSchedule(known.billing_key, period, known.billing_fee)
            self._entries[name] = entry
            self._usage.billing_schedules.append(entry)
        if key not in entry.usage_keys:
            entry.usage_keys.append(key)
        return entry


def _schedule_of(asset: AssetRow, day: Day, index: _ScheduleIndex) -> ScheduleTuple:
    """The schedule that covers the day."""
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
    found = index.on(day)
    if found is not None:
        return found
    if any(row[START] <= day <= row[END] for row in index.superseded):  # no live one does
        raise _Unpriced("superseded_only", f"only superseded usage schedules cover {day}")
    raise _Unpriced("no_usage_schedule", f"no usage schedule of {asset.asset_line_item_id} covers {day}")


class _TermsCache:
    """The terms of assets. Those of one account and product share theirs, so the last ones of each are kept."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._last: dict[tuple[object, ...], PriceTerms] = {}

    def __call__(self, asset: AssetRow, day: Day) -> PriceTerms:
        """The price in force, of the asset's own book where it names one, else of the contract's."""
        alike = (asset.customer_key, asset.account_key, asset.product, asset.price_book_key, asset.currency)
        terms = self._last.get(alike)
        if terms is None or not terms.since <= day <= terms.until:
            terms = self._last[alike] = self._found(asset, day)
        return terms

    def _found(self, asset: AssetRow, day: Day) -> PriceTerms:
        contract = self._catalog.contract(asset.customer_key, asset.account_key, day)
        book = asset.price_book_key
        if book is None:
            if contract is None:
                raise _Unpriced(
                    "no_contract", f"no active contract covers {asset.asset_line_item_id} on {day}"
                )
            book = contract.price_book_key
        terms = self._catalog.terms(book, asset.product, contract, day)
        if terms is None:
            raise _Unpriced("no_price", f"the price book has no price for {asset.product} on {day}")
        currency = terms.price.currency
        if asset.currency is not None and currency != asset.currency:
            raise _Unpriced(
                "no_price",
                f"the price in force is in {currency}, {asset.asset_line_item_id} bills in {asset.currency}",
            )
        return terms


T = TypeVar("T", InputTuple, ScheduleTuple)


def _by_asset(rows: Iterable[T]) -> Mapping[int, Sequence[T]]:
    """Rows in order of asset, as one list for each asset."""
    return {asset: list(of_asset) for asset, of_asset in groupby(rows, key=itemgetter(ASSET_KEY))}
