"""An expression in plain English."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod

from batchwright.engine.cron.days import (
    DayRule,
    LastDay,
    LastWeekday,
    MonthDayTerm,
    NearestWeekday,
    NthWeekday,
    WeekdayTerm,
)
from batchwright.engine.cron.fields import (
    DAY_NAMES,
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    HOURS,
    MINUTES,
    MONTH,
    MONTH_NAMES,
    SECONDS,
    YEAR,
    Field,
    Span,
)
from batchwright.engine.cron.parsing import Fields

_MOST_TIMES = 6
"""Up to so many times of the day are written out."""
_ORDINALS = ("", "first", "second", "third", "fourth", "fifth")
_WEEKDAY = "weekday (Monday to Friday)"


def describe(fields: Fields) -> str:
    """One sentence without a full stop. Expressions with the same words fire at the same times."""
    times = _times(fields)
    parts = [f"at {_and(times)}" if times else _cadence(fields)]
    days = _days(fields.days)
    if days:
        parts.append(f"on {days}")
    elif times:
        parts.append("every day")
    if not _is_whole(fields.months, MONTH):
        parts.append(f"in {_listed(fields.months, 'month', _month)}")
    if not _is_whole(fields.years, YEAR):
        parts.append(f"in {_listed(fields.years, 'year', str)}")
    sentence = " ".join(parts)
    return sentence[0].upper() + sentence[1:]


def _times(fields: Fields) -> list[str]:
    """The times of the day one by one, where they are fixed and few."""
    if fields.is_interval:
        return []
    choices = [
        sorted({span.first for span in spans}) for spans in (fields.hours, fields.minutes, fields.seconds)
    ]
    if prod(map(len, choices)) > _MOST_TIMES:
        return []
    times = list(product(*choices))
    shown = 3 if any(second for *_, second in times) else 2
    return [":".join(f"{number:02}" for number in time[:shown]) for time in times]


def _cadence(fields: Fields) -> str:
    """`every 15 minutes of hours 8 through 18`: the finest field leads, the coarser follow with `of`."""
    levels = [(fields.minutes, MINUTES, "minute"), (fields.hours, HOURS, "hour")]
    if _only_zero(fields.seconds):
        (spans, field, noun), *levels = levels
    else:
        spans, field, noun = fields.seconds, SECONDS, "second"
    every = _every(spans, field, noun)
    parts = [every or f"at {_numbered(spans, noun)}"]
    for spans, field, noun in levels:
        is_whole = _is_whole(spans, field)
        if not (every and is_whole):
            parts.append(f"every {noun}" if is_whole else _numbered(spans, noun))
        every = f"every {noun}" if is_whole else ""
    return " of ".join(parts)


def _every(spans: Sequence[Span], field: Field, noun: str) -> str:
    """`every minute`, `every 15 minutes`; nothing where that would not be all of it."""
    if _is_whole(spans, field):
        return f"every {noun}"
    span, size = spans[0], field.highest - field.lowest + 1
    is_even = (
        len(spans) == 1 and (span.first, span.last) == (field.lowest, field.highest) and size % span.step == 0
    )
    return f"every {span.step} {noun}s" if is_even else ""


def _numbered(spans: Sequence[Span], noun: str) -> str:
    """`minute 5`, `minutes 5, 10 through 20 and 40`, `every 7th minute from 0 through 59`."""
    plain = [span for span in spans if span.step == 1]
    stepped = [_span(span, noun, str) for span in spans if span.step > 1]
    if not plain:
        return _and(stepped)
    is_one = len({(span.first, span.last) for span in plain}) == 1 and not plain[0].is_interval
    numbers = [_span(span, noun, str) for span in plain]
    return f"{noun if is_one else noun + 's'} {_and([*numbers, *stepped])}"


def _days(rule: DayRule) -> str:
    """Which days, after the word `on`; nothing for every day."""
    month = (
        "" if rule.of_month is None or _is_whole(rule.of_month, DAY_OF_MONTH) else _month_days(rule.of_month)
    )
    week = "" if rule.of_week is None or _is_whole(rule.of_week, DAY_OF_WEEK) else _weekdays(rule.of_week)
    if month and week:
        return f"{month} or on {week}" if rule.either else f"{month} where it is also {week}"
    return "" if rule.either else month or week


def _month_days(terms: Sequence[MonthDayTerm]) -> str:
    return f"{_and([_month_day(term) for term in terms])} of the month"


def _month_day(term: MonthDayTerm) -> str:
    if isinstance(term, LastDay):
        return f"the day {_many(term.before, 'day')} before the last" if term.before else "the last day"
    if isinstance(term, NearestWeekday):
        if isinstance(term.to, int):
            return f"the {_WEEKDAY} nearest to day {term.to}"
        return (
            f"the {_WEEKDAY} nearest to {_month_day(term.to)}" if term.to.before else f"the last {_WEEKDAY}"
        )
    words = _span(term, "day", str)
    if term.step > 1:
        return words
    return f"days {words}" if term.is_interval else f"day {words}"


def _weekdays(terms: Sequence[WeekdayTerm]) -> str:
    return _and([_weekday(term) for term in terms])


def _weekday(term: WeekdayTerm) -> str:
    if isinstance(term, NthWeekday):
        return f"the {_ORDINALS[term.number]} {_day(term.weekday)} of the month"
    if isinstance(term, LastWeekday):
        return f"the last {_day(term.weekday)} of the month"
    return _span(term, "day of the week", _day)


def _listed(spans: Sequence[Span], noun: str, name: Callable[[int], str]) -> str:
    return _and([_span(span, noun, name) for span in spans])


def _span(span: Span, noun: str, name: Callable[[int], str]) -> str:
    if not span.is_interval:
        return name(span.first)
    reach = f"{name(span.first)} through {name(span.last)}"
    return reach if span.step == 1 else f"every {_nth(span.step)} {noun} from {reach}"


def _and(words: Sequence[str]) -> str:
    different = list(dict.fromkeys(words))
    return " and ".join(filter(None, [", ".join(different[:-1]), different[-1]]))


def _nth(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _month(number: int) -> str:
    return MONTH_NAMES[number - 1]


def _day(number: int) -> str:
    return DAY_NAMES[number - 1]


def _only_zero(spans: Sequence[Span]) -> bool:
    return all(span.first == span.last == 0 for span in spans)


def _is_whole(terms: Sequence[object], field: Field) -> bool:
    """Whether `*`, a range or a step names every value; a list of all of them stays a list, of fixed times."""
    spans = [term for term in terms if isinstance(term, Span)]
    values = {value for span in spans for value in span.values(field)}
    return len(values) == field.highest - field.lowest + 1 and any(span.is_interval for span in spans)
