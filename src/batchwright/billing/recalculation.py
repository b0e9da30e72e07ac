"""What Rated inputs come to by the rules in force now, beside what they came to when they were rated. Pure.

DoiT: «Contract rules from the currently active contract are applied to the selected billing periods».
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Final, NamedTuple

from batchwright.billing.catalog import Catalog, ContractRevision, PriceRevision, PriceTerms
from batchwright.billing.counts import Counts, Share, Tally
from batchwright.billing.exact import EXACT, ZERO
from batchwright.billing.money import money_text
from batchwright.billing.periods import Day
from batchwright.billing.records.assets_and_inputs import AssetRow, InputRow, InputTuple, ScheduleTuple
from batchwright.billing.records.billing_schedules import PENDING_BILLING
from batchwright.billing.records.counts import Count
from batchwright.billing.records.ratings import Charged, NewFee, NewFigures
from batchwright.billing.records.recalculation import CurrentRating, NewAmount, Span
from batchwright.billing.usage import AssetUsage, Bad, Rated, rate_assets

OTHER: Final = "Other"
REASONS: Final = ("Credit and adjustment issues", "Incorrect Charges", OTHER)
"""Why a recalculation may be run, as DoiT's dialog has it."""
EXPLANATION: Final = "what the reason Other stands for, in a sentence for the log; may be left out"
"""What is asked for beside the reason, at every door."""

Month = str
"""A calendar month as ``YYYY-MM``; texts sort as the months do."""


@cache
def span_of(month: Month) -> Span:
    """The first and the last day of a month."""
    year, number = int(month[:4]), int(month[5:])
    return f"{month}-01", f"{month}-{monthrange(year, number)[1]:02}"


def months_between(first: date, last: date) -> list[Month]:
    """The months from that of ``first`` to that of ``last``, both included; newest first."""
    numbers = range(last.year * 12 + last.month - 1, first.year * 12 + first.month - 2, -1)
    return [f"{number // 12:04}-{number % 12 + 1:02}" for number in numbers]


class RetroactiveCatalog(Catalog):
    """A catalog in which the contract in force at the end of a recalculated month counts for all of that month.

    That is the active contract: it covers the month and today. It so counts also for the days of its first month that
    come before its own first day. Prices are those of the usage date.
    """

    def __init__(
        self,
        months: Iterable[Month],
        contracts: Iterable[ContractRevision],
        prices: Mapping[tuple[int, str], Sequence[PriceRevision]],
    ) -> None:
        super().__init__(contracts, prices)
        self._last_days = {month: span_of(month)[1] for month in months}

    def contract(self, customer_key: int, account_key: int | None, day: Day) -> ContractRevision | None:
        """The contract in force that day, or at the end of its month where that is recalculated."""
        return super().contract(customer_key, account_key, self._last_days.get(day[:7], day))

    def terms(
        self, price_book_key: int, product: str, contract: ContractRevision | None, day: Day
    ) -> PriceTerms | None:
        """As in any catalog, but said to hold no longer than the month: the next may have another contract."""
        terms = super().terms(price_book_key, product, contract, day)
        if terms is None:
            return None
        first, last = span_of(day[:7])
        return terms._replace(since=max(terms.since, first), until=min(terms.until, last))


class Rerated(NamedTuple):
    """A Rated input's current rating and its new one."""

    before: CurrentRating
    after: Rated

    @property
    def difference(self) -> int:
        """Minor units that it comes to more."""
        return self.after.amount - self.before.amount

    @property
    def changed(self) -> bool:
        """Whether its amount, or what that rests on, is another one now."""
        return self.before.basis != self.after.basis


@dataclass(slots=True)
class Recalculated:
    """An asset's Rated inputs, done again.

    ``rerated`` can be written; ``billed`` are on their way to an invoice, and only reported. ``bad`` and, where they
    are billed, ``billed_bad`` cannot be priced any more; they keep what they have.
    """

    asset: AssetRow
    rerated: list[Rerated] = field(default_factory=list)
    billed: list[Rerated] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)
    billed_bad: list[Bad] = field(default_factory=list)
    currency: str = ""
    """Empty where nothing could be priced."""

    def sums(self, inputs: Iterable[Rerated]) -> tuple[int, int]:
        """What these inputs came to, and what they come to, in minor units."""
        before = after = 0
        for usage_input in inputs:
            before += usage_input.before.amount
            after += usage_input.after.amount
        return before, after


def recalculate(
    assets: Sequence[AssetRow],
    inputs: Sequence[InputTuple],
    current: Mapping[int, CurrentRating],
    schedules: Sequence[ScheduleTuple],
    charged: Mapping[int, Charged],
    counts: Counts,
    catalog: Catalog,
) -> list[Recalculated]:
    """Rate Rated inputs again, asset by asset; ``current`` is what each came to so far.

    In each window what is billed comes first, whatever its day: it stays, so what is still pending was used after it,
    as when it was rated. It counts for the price in force now, since what that would come to is reported. An input that
    cannot be priced stays, too, and counts for its own price as usage before the others.
    """
    done: dict[int, Recalculated] = {asset.key: Recalculated(asset) for asset in assets}
    rows = sorted(
        map(InputRow._make, inputs),
        key=lambda row: (row.asset_key, _is_pending(current[row.key], charged), row.usage_date, row.key),
    )
    again = list(assets)
    while again:
        usages = rate_assets(again, rows, schedules, catalog, counts.without(_shares(rows, current)))
        again = []
        out: set[int] = set()
        for usage in usages:
            if usage.bad:
                again.append(usage.asset)
                for bad in usage.bad:
                    out.add(bad.input.key)
                    result = done[usage.asset.key]
                    pending = _is_pending(current[bad.input.key], charged)
                    (result.bad if pending else result.billed_bad).append(bad)
            else:
                _take(done[usage.asset.key], usage, current, charged)
        left = {asset.key for asset in again}
        rows = [row for row in rows if row.asset_key in left and row.key not in out]
    return list(done.values())


def _shares(rows: Iterable[InputRow], current: Mapping[int, CurrentRating]) -> Iterator[Share]:
    for row in rows:
        one = current[row.key]
        yield Share(one.schedule_key, one.counts_as, Decimal(row.quantity))


def _is_pending(one: CurrentRating, charged: Mapping[int, Charged]) -> bool:
    return charged[one.schedule_key].status == PENDING_BILLING


def _take(
    into: Recalculated,
    usage: AssetUsage,
    current: Mapping[int, CurrentRating],
    charged: Mapping[int, Charged],
) -> None:
    for rated in map(Rated._make, usage.rated):
        one = Rerated(current[rated.key], rated)
        (into.rerated if _is_pending(one.before, charged) else into.billed).append(one)
    if usage.rated:
        into.currency = usage.currency


def new_amounts(results: Iterable[Recalculated]) -> list[NewAmount]:
    """What is written to inputs: those whose amount, or what it rests on, is another one now."""
    return [
        (*change.after.basis, change.before.key, change.before.amount)
        for result in results
        for change in result.rerated
        if change.changed
    ]


def new_sums(
    results: Iterable[Recalculated], charged: Mapping[int, Charged]
) -> tuple[list[NewFigures], list[NewFee]]:
    """What is written to usage schedules and billing schedules: those whose fee is another one now."""
    more: dict[int, int] = {}
    for result in results:
        for change in result.rerated:
            key = change.before.schedule_key
            more[key] = more.get(key, 0) + change.difference
    figures: list[NewFigures] = []
    fees: dict[int, int] = {}
    had: dict[int, int] = {}
    for key, difference in more.items():
        if difference:
            before = charged[key]
            figures.append((before.quantity, before.fee + difference, before.inputs, key, before.fee))
            fees[before.billing_key] = fees.get(before.billing_key, before.billing_fee) + difference
            had[before.billing_key] = before.billing_fee
    return figures, [(fee, key, had[key]) for key, fee in fees.items() if fee != had[key]]


def difference_text(before: int, after: int, currency: str) -> str:
    """What is said of an amount that stays, in minor units, and of what it would be."""
    if before == after:
        return f"stays at {money_text(before, currency)} {currency}, and would not change"
    difference = ("+" if after > before else "") + money_text(after - before, currency)
    stays, would = money_text(before, currency), money_text(after, currency)
    return f"stays at {stays} {currency}, and would be {would} (difference {difference})"


def new_counts(results: Iterable[Recalculated], counts: Counts) -> list[Count]:
    """What is written to counts: the inputs that are priced by another price now count for that."""
    changes: list[tuple[int, int, Tally]] = []
    for result in results:
        for before, after in result.rerated:
            now = after.terms.price.counts_as
            if now != before.counts_as:
                quantity = Decimal(InputRow._make(after.input).quantity)
                taken = Tally(EXACT.subtract(ZERO, quantity), -1)
                changes.append((before.schedule_key, before.counts_as, taken))
                changes.append((before.schedule_key, now, Tally(quantity, 1)))
    return counts.after(changes)
