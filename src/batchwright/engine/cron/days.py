"""The two day fields: terms that hang on the month (`L`, `15W`, `6#3`, `6L`), and the days they choose of a month."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from batchwright.engine.cron.fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    Field,
    Piece,
    Span,
    read_span,
    read_value,
)

SUNDAY, SATURDAY = 1, 7
_WEEK = 7
_LARGEST_OFFSET = 30
_FIFTH = 5


class Month(NamedTuple):
    """All that a day rule needs to know of a month: the weekday of its first day (1 = Sunday) and its length."""

    first_weekday: int
    length: int

    def weekday(self, day: int) -> int:
        """The weekday of a day, 1 for Sunday."""
        return (self.first_weekday + day - 2) % _WEEK + 1


@dataclass(frozen=True)
class LastDay:
    """`L`, `L-3`: so many days before the last. A month that is too short has none (Quartz)."""

    before: int = 0

    def days(self, month: Month) -> Iterator[int]:
        if self.before < month.length:
            yield month.length - self.before


@dataclass(frozen=True)
class NearestWeekday:
    """`15W`, `LW`, `L-3W`: the weekday, Monday to Friday, nearest to a day, in the same month (Quartz).

    Saturday goes back to Friday, on the 1st forward to the 3rd; Sunday goes forward to Monday, on the last day
    back to Friday. A month without the day has none.
    """

    to: int | LastDay

    def days(self, month: Month) -> Iterator[int]:
        for day in [self.to] if isinstance(self.to, int) else self.to.days(month):
            if day > month.length:
                continue
            if month.weekday(day) == SATURDAY:
                yield day - 1 if day > 1 else day + 2
            elif month.weekday(day) == SUNDAY:
                yield day + 1 if day < month.length else day - 2
            else:
                yield day


@dataclass(frozen=True)
class NthWeekday:
    """`6#3`: the third Friday. A month without a fifth one has none."""

    weekday: int
    number: int

    def days(self, month: Month) -> Iterator[int]:
        day = 1 + (self.weekday - month.first_weekday) % _WEEK + (self.number - 1) * _WEEK
        if day <= month.length:
            yield day


@dataclass(frozen=True)
class LastWeekday:
    """`6L`: the last Friday."""

    weekday: int

    def days(self, month: Month) -> Iterator[int]:
        yield month.length - (month.weekday(month.length) - self.weekday) % _WEEK


MonthDayTerm: TypeAlias = Span | LastDay | NearestWeekday
WeekdayTerm: TypeAlias = Span | NthWeekday | LastWeekday


@dataclass(frozen=True)
class DayRule:
    """Which days of a month are meant. ``None`` stands for `?`.

    ``either``: where both fields are given, a day of either will do (Unix), else it must be of both.
    """

    of_month: tuple[MonthDayTerm, ...] | None
    of_week: tuple[WeekdayTerm, ...] | None
    either: bool = False

    def days(self, month: Month) -> list[int]:
        """The days of that month, in order."""
        whole = set(range(1, month.length + 1))
        of_month = whole if self.of_month is None else _month_days(self.of_month, month)
        of_week = whole if self.of_week is None else _weekdays(self.of_week, month)
        return sorted((of_month | of_week if self.either else of_month & of_week) & whole)


def _month_days(terms: Iterable[MonthDayTerm], month: Month) -> set[int]:
    chosen: set[int] = set()
    for term in terms:
        chosen.update(term.values(DAY_OF_MONTH) if isinstance(term, Span) else term.days(month))
    return chosen


def _weekdays(terms: Iterable[WeekdayTerm], month: Month) -> set[int]:
    chosen: set[int] = set()
    for term in terms:
        if isinstance(term, Span):
            weekdays = set(term.values(DAY_OF_WEEK))
            chosen.update(day for day in range(1, month.length + 1) if month.weekday(day) in weekdays)
        else:
            chosen.update(term.days(month))
    return chosen


_LAST = re.compile(r"L(-([0-9]*))?(W?)")
_NEAREST = re.compile(r"([0-9]+)W")
_LAST_WEEKDAY = re.compile(r"([0-9]+|[A-Z]+)L")
_NTH_WEEKDAY = re.compile(r"([0-9]+|[A-Z]+)#(.*)")


def read_month_days(word: Piece, field: Field = DAY_OF_MONTH) -> tuple[MonthDayTerm, ...]:
    """Read the day of month: a list is the union of its terms, `L`, `LW`, `L-3` and `15W` among them.

    Raises:
        CronError: a term cannot be read whole.
    """
    return tuple(_read_month_day(term, field) for term in word.split())


def read_weekdays(word: Piece, field: Field = DAY_OF_WEEK) -> tuple[WeekdayTerm, ...]:
    """Read the day of week; `L` alone is Saturday (Quartz), `6L` and `6#3` stand alone.

    Raises:
        CronError: a term cannot be read whole, or a list holds an `L` or a `#`: Quartz drops the other terms.
    """
    terms = list(word.split())
    for term in terms:
        if len(terms) > 1 and (term.text == "L" or _LAST_WEEKDAY.fullmatch(term.text) or "#" in term.text):
            problem = f"{term} cannot stand in a list"
            raise field.error(problem, term.at, "Write it alone, and make a schedule for each")
    return tuple(_read_weekday(term, field) for term in terms)


def _read_month_day(term: Piece, field: Field) -> MonthDayTerm:
    if nearest := _NEAREST.fullmatch(term.text):
        return NearestWeekday(read_value(Piece(nearest[1], term.at), field))
    if last := _LAST.fullmatch(term.text):
        offset, at = last[2], term.at + 2
        if last[1] and not offset:
            raise field.error(f"there is no number after - in {term}", at, "Write it: L-3")
        if offset and (len(offset) > 2 or int(offset) > _LARGEST_OFFSET):
            remedy = f"Write L-0 to L-{_LARGEST_OFFSET}"
            raise field.error("no month has that many days before its last", at, remedy)
        day_before = LastDay(int(offset or 0))
        return NearestWeekday(day_before) if last[3] else day_before
    return read_span(term, field)


def _read_weekday(term: Piece, field: Field) -> WeekdayTerm:
    if term.text == "L":
        return Span(SATURDAY, SATURDAY)
    if last := _LAST_WEEKDAY.fullmatch(term.text):
        return LastWeekday(read_value(Piece(last[1], term.at), field))
    if nth := _NTH_WEEKDAY.fullmatch(term.text):
        if nth[2] not in tuple("12345"):
            problem = f"{Piece(nth[2], term.at)} after # is not from 1 to {_FIFTH}"
            raise field.error(problem, term.at + nth.start(2), "Write 6#1 for the first Friday, up to 6#5")
        return NthWeekday(read_value(Piece(nth[1], term.at), field), int(nth[2]))
    return read_span(term, field)
