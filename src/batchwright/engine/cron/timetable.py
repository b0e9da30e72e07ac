"""The next wall time that an expression means, by jumps from field to field; no time zone yet."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from datetime import date, datetime
from itertools import accumulate
from typing import TypeAlias

from batchwright.engine.cron.days import DayRule, Month
from batchwright.engine.cron.fields import (
    DAY_OF_MONTH,
    FIRST_YEAR,
    HOURS,
    LAST_YEAR,
    MINUTES,
    MONTH,
    SECONDS,
    YEAR,
    Field,
    Span,
)
from batchwright.engine.cron.parsing import Fields

_NONE = -1

Wall: TypeAlias = tuple[int, int, int, int, int, int]
"""Year, month, day, hour, minute, second as a clock on the wall shows them."""
Following: TypeAlias = tuple[int, ...]
"""For each number from 0 to one past the field's highest: the first value of the field from there on, or -1."""

_NO_DAY = (_NONE,) * (DAY_OF_MONTH.highest + 2)


class Timetable:
    """Wall times, whole seconds from 1970 to 2199, that match an expression.

    Every step is one look into a table made beforehand, at most one per month that is passed over: no next time
    is known to be missing after some 2,800 of them.
    """

    def __init__(self, fields: Fields) -> None:
        self._seconds = _following_of(fields.seconds, SECONDS)
        self._minutes = _following_of(fields.minutes, MINUTES)
        self._hours = _following_of(fields.hours, HOURS)
        self._before = tuple(map(_numbers_before, (self._seconds, self._minutes, self._hours)))
        self._months = _following_of(fields.months, MONTH)
        self._years = _following_of(fields.years, YEAR)
        self._rule: DayRule = fields.days
        # Made when first needed; months of one shape share a table, so there are at most 28, and an empty one.
        self._days: dict[tuple[int, int], Following] = {}
        self._shapes: dict[Month, Following] = {}
        self._first_time = (self._hours[0], self._minutes[0], self._seconds[0])

    def first_from(self, wall: datetime) -> Wall | None:
        """The first match at or after a time in whole seconds, ``None`` when there is none up to 2199."""
        year, month, day = wall.year, wall.month, wall.day
        if self._day_from(year, month, day) == day:
            time = self._time_from(wall.hour, wall.minute, wall.second)
            if time is not None:
                return year, month, day, *time
        return self._first_on_day_from(year, month, day + 1)

    def count_on(self, year: int, month: int, day: int, time: tuple[int, int, int]) -> int:
        """How many matches that day has before a time, which may be one past the last: (24, 0, 0)."""
        if self._day_from(year, month, day) != day:
            return 0
        counted, values = 0, 1
        for before, value in zip(self._before, reversed(time), strict=True):
            is_value = before[value : value + 2] == (before[value], before[value] + 1)
            counted = values * before[value] + (counted if is_value else 0)
            values *= before[-1]
        return counted

    def _time_from(self, hour: int, minute: int, second: int) -> tuple[int, int, int] | None:
        if self._hours[hour] == hour:
            if self._minutes[minute] == minute and (found := self._seconds[second]) != _NONE:
                return hour, minute, found
            if (found := self._minutes[minute + 1]) != _NONE:
                return hour, found, self._first_time[2]
        if (found := self._hours[hour + 1]) != _NONE:
            return found, *self._first_time[1:]
        return None

    def _day_from(self, year: int, month: int, day: int) -> int:
        """The first day of that month from ``day`` on, -1 where there is none or the month is not meant."""
        days = self._days.get((year, month))
        if days is None:
            days = self._days[year, month] = self._days_of(year, month)
        return days[day]

    def _days_of(self, year: int, month: int) -> Following:
        is_meant = (
            FIRST_YEAR <= year <= LAST_YEAR and self._years[year] == year and self._months[month] == month
        )
        if not is_meant:
            return _NO_DAY
        shape = Month(date(year, month, 1).isoweekday() % 7 + 1, monthrange(year, month)[1])
        if shape not in self._shapes:
            self._shapes[shape] = _following(self._rule.days(shape), DAY_OF_MONTH.highest)
        return self._shapes[shape]

    def _first_on_day_from(self, year: int, month: int, day: int) -> Wall | None:
        while year <= LAST_YEAR:
            if (found := self._day_from(year, month, day)) != _NONE:
                return year, month, found, *self._first_time
            day, month = 1, self._months[month + 1] if self._years[year] == year else _NONE
            if month == _NONE:
                year, month = self._years[year + 1], self._months[0]
                if year == _NONE:
                    break
        return None


def _numbers_before(table: Following) -> tuple[int, ...]:
    """For each number from 0 to one past the field's highest how many values lie before it."""
    return tuple(accumulate((value == number for number, value in enumerate(table[:-1])), initial=0))


def _following_of(spans: Iterable[Span], field: Field) -> Following:
    return _following((value for span in spans for value in span.values(field)), field.highest)


def _following(values: Iterable[int], highest: int) -> Following:
    chosen = set(values)
    table = [_NONE] * (highest + 2)
    for number in range(highest, -1, -1):
        table[number] = number if number in chosen else table[number + 1]
    return tuple(table)
