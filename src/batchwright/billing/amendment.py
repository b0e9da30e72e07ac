"""What amending an asset line item does to its schedules and usage inputs (Conga: *Effect of Asset Amendment*).

Pending billing schedules are superseded and new ones made; what an invoice is made of stays. Pure: no statement.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from operator import attrgetter, itemgetter
from typing import Final, NamedTuple

from batchwright.billing.periods import BillingPeriod, Period, billing_periods
from batchwright.billing.records.billing_schedules import INVOICED, PENDING_INVOICE
from batchwright.billing.records.inputs import InputStatus

BILLED: Final = frozenset({PENDING_INVOICE, INVOICED})
"""The statuses of billing schedules that an amendment leaves alone, with all that hangs on them."""

_DAY: Final = timedelta(days=1)
_by_start: Final = attrgetter("start")


class AssetTerms(NamedTuple):
    """What an amendment may change of an asset."""

    end_date: date
    price_book_id: str | None
    billing_frequency: str
    usage_frequency: str


class LiveSchedule(NamedTuple):
    """A billing schedule that is not superseded, and the days of its usage schedules."""

    period: Period
    status: str
    usage: tuple[Period, ...]


def billed_until(schedules: Iterable[LiveSchedule]) -> date | None:
    """The last day of the last billed period; None where nothing is billed yet."""
    return max((live.period.end for live in schedules if live.status in BILLED), default=None)


def new_periods(
    first_billing_date: date, terms: AssetTerms, schedules: Sequence[LiveSchedule]
) -> list[BillingPeriod]:
    """The periods that stand in the place of the pending ones: from the day after the last billed period on.

    They go on by the anniversaries of the first billing date (see `billing_periods`). A pending period before it stands
    again with the same days where usage of it could not be billed otherwise: invoices were made out of
    order, or its own was cancelled while that of its late usage was not.
    """
    until = billed_until(schedules)
    start = first_billing_date if until is None else max(first_billing_date, until + _DAY)
    frequencies = (terms.billing_frequency, terms.usage_frequency)
    following = billing_periods(first_billing_date, terms.end_date, *frequencies, start=start)
    return [*_still_pending(schedules, start), *following]


def _still_pending(schedules: Sequence[LiveSchedule], before: date) -> list[BillingPeriod]:
    """Pending periods that end before a day, except those of late usage, which is billed beside them."""
    billed = [live.period for live in schedules if live.status in BILLED]
    covered = {part for live in schedules if live.status in BILLED for part in live.usage}
    days: dict[Period, set[Period]] = {}
    for live in schedules:
        if live.status in BILLED or live.period.end >= before:
            continue
        apart = not any(other.start <= live.period.end and live.period.start <= other.end for other in billed)
        if apart or not covered.issuperset(live.usage):
            days.setdefault(live.period, set()).update(live.usage)
    return [
        BillingPeriod(period.start, period.end, tuple(sorted(parts, key=_by_start)))
        for period, parts in sorted(days.items(), key=lambda item: item[0].start)
    ]


class SupersededUsage:
    """The usage schedules that are superseded: which inputs are on them."""

    def __init__(self, periods_by_key: Mapping[int, Period]) -> None:
        self._keys = periods_by_key.keys()
        self._days = Days(periods_by_key.values())
        self._key_of = {period: key for key, period in sorted(periods_by_key.items(), key=itemgetter(0))}

    def holding(self, status: str, charged_to: int | None, usage_date: date) -> int | None:
        """The key of the one that an input is on: charged to it, or, where it is not Rated, used on its days."""
        if status == InputStatus.RATED:
            return charged_to if charged_to in self._keys else None
        period = self._days.around(usage_date)
        return None if period is None else self._key_of[period]


class Days:
    """The days of periods, which are apart or the same."""

    def __init__(self, periods: Iterable[Period]) -> None:
        self._periods = sorted(set(periods), key=_by_start)
        self._starts = [period.start for period in self._periods]

    def around(self, day: date) -> Period | None:
        """The period that a day lies in."""
        place = bisect_right(self._starts, day)
        return self._periods[place - 1] if place and day <= self._periods[place - 1].end else None

    def __contains__(self, day: date) -> bool:
        return self.around(day) is not None
