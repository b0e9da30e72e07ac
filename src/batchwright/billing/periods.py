"""Billing and usage periods: pure calendar arithmetic.

Periods run by anniversary: each start is computed from the first day, never from the period before, and is cut to
the month's end. Monthly from 31 January 2024 they start on 31 January, 29 February, 31 March, 30 April …
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

# Months of each frequency, by the names Conga gives them. Each divides the ones after it.
MONTHS: Final = {"Monthly": 1, "Quarterly": 3, "Half Yearly": 6, "Yearly": 12}
FREQUENCIES: Final = tuple(MONTHS)

_DAY = timedelta(days=1)

Day = str
"""A day as ISO 8601 writes it: texts sort as the days do, and both databases give them without a conversion."""
FIRST_DAY: Final[Day] = date.min.isoformat()
LAST_DAY: Final[Day] = date.max.isoformat()


def day_before(day: Day) -> Day:
    """The day before; there is one before all but the first."""
    return (date.fromisoformat(day) - _DAY).isoformat()


@dataclass(frozen=True, slots=True)
class Period:
    """A run of days; ``start`` and ``end`` both belong to it."""

    start: date
    end: date

    @property
    def ready_for_invoice(self) -> date:
        """The day after the period (Conga bills usage in arrears)."""
        return self.end + _DAY


@dataclass(frozen=True, slots=True)
class BillingPeriod(Period):
    """A billing period and the usage periods that fill it."""

    usage: tuple[Period, ...]


def divides(usage_frequency: str, billing_frequency: str) -> bool:
    """True when whole usage periods fill a billing period."""
    return MONTHS[billing_frequency] % MONTHS[usage_frequency] == 0


def periods(first: date, end: date, frequency: str) -> list[Period]:
    """The periods from ``first`` to ``end`` (both inclusive); a rest makes a shorter last one.

    ``frequency`` is one of `FREQUENCIES`. Empty when ``end`` lies before ``first``.
    """
    return list(_periods(first, end, MONTHS[frequency]))


def billing_periods(
    first: date, end: date, billing: str, usage: str, *, start: date | None = None
) -> list[BillingPeriod]:
    """The billing periods to ``end``, each with its usage periods, all by anniversaries of ``first``.

    They begin on ``start`` (default ``first``; not before it). Where a month from ``first`` on begins that day, whole
    periods follow; else the first is the rest of the period in which the day lies.

    Raises ValueError when the frequency ``usage`` does not divide ``billing``.
    """
    if not divides(usage, billing):
        raise ValueError(f"usage frequency {usage!r} does not divide billing frequency {billing!r}")
    start = first if start is None else start
    if end < start:
        return []
    per_billing = MONTHS[billing] // MONTHS[usage]
    parts = list(_periods(first, end, MONTHS[usage], _months_before(first, start, MONTHS[billing])))
    groups = [parts[place : place + per_billing] for place in range(0, len(parts), per_billing)]
    cut = [
        tuple(Period(max(start, part.start), part.end) for part in group if start <= part.end)
        for group in groups
    ]
    return [BillingPeriod(group[0].start, group[-1].end, group) for group in cut]


def _periods(first: date, end: date, months: int, passed: int = 0) -> Iterator[Period]:
    """The periods after so many months have ``passed``."""
    start = _add_months(first, passed)
    while start <= end:
        passed += months
        following = _add_months(first, passed)
        yield Period(start, min(following - _DAY, end))
        start = following


def _months_before(first: date, day: date, months: int) -> int:
    """How many months after ``first`` the period begins that has this day: on it, or with a whole number of periods."""
    passed = (day.year - first.year) * 12 + day.month - first.month
    if _add_months(first, passed) == day:
        return passed
    if day < _add_months(first, passed):
        passed -= 1
    return passed - passed % months


def _add_months(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
