"""From the text to its fields: Salesforce's and Quartz's six or seven, or the five of a Unix crontab."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass, replace

from batchwright.engine.cron.days import DayRule, Month, read_month_days, read_weekdays
from batchwright.engine.cron.errors import CronError
from batchwright.engine.cron.fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    HOURS,
    MINUTES,
    MONTH,
    SECONDS,
    YEAR,
    Field,
    Piece,
    Span,
    read_spans,
)

UNIX_FIELDS = (
    MINUTES,
    HOURS,
    DAY_OF_MONTH,
    replace(MONTH, names_step=True),
    replace(DAY_OF_WEEK, names_step=True, unix_weekday=True),
)
UNIX_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

SALESFORCE_LAST_YEAR = 2099

_FULL_YEAR = (Span(YEAR.lowest, YEAR.highest, is_interval=True),)
_AT_ZERO = (Span(0, 0),)
LONGEST = 1_000
"""So many characters: all seconds, minutes, hours, days and months one by one are half of it."""
_LEAST, _MOST = 6, 7
_SHOWN = 40
_EXAMPLE = "second minute hour day-of-month month day-of-week [year], for example 0 0 2 * * ?"
_LENGTHS = {month: (28, 29) if month == 2 else (monthrange(1970, month)[1],) for month in range(1, 13)}


@dataclass(frozen=True)
class Fields:
    """An expression taken apart: the terms of each field as they were written."""

    seconds: tuple[Span, ...]
    minutes: tuple[Span, ...]
    hours: tuple[Span, ...]
    days: DayRule
    months: tuple[Span, ...]
    years: tuple[Span, ...] = _FULL_YEAR

    @property
    def is_interval(self) -> bool:
        """Whether seconds, minutes or hours are written with `*`, a range or a step: lists are fixed times."""
        return any(span.is_interval for span in (*self.seconds, *self.minutes, *self.hours))

    @property
    def meaning(self) -> tuple[object, ...]:
        """Equal where the same wall times are meant, and the same is done about clock changes, however written."""
        months = _values(self.months, MONTH)
        lengths = sorted({length for month in months for length in _LENGTHS[month]})
        shapes = [Month(weekday, length) for length in lengths for weekday in range(1, 8)]
        return (
            _values(self.seconds, SECONDS),
            _values(self.minutes, MINUTES),
            _values(self.hours, HOURS),
            months,
            _values(self.years, YEAR),
            tuple((shape, tuple(self.days.days(shape))) for shape in shapes),
            self.is_interval,
        )


def parse(text: str, *, strict_salesforce: bool = False) -> Fields:
    """Read a Salesforce or Quartz expression; `strict_salesforce` refuses what Salesforce's page does.

    That is: anything but a plain number in seconds and minutes, and years after 2099 (Apex Developer Guide,
    *Apex Scheduler*).

    Raises:
        CronError: it is refused.
    """
    words = words_of(text)
    _check_count(text, words)
    if strict_salesforce:
        _check_salesforce(words)
    second, minute, hour, month_day, month, weekday, *year = words
    seconds, minutes = read_spans(second, SECONDS), read_spans(minute, MINUTES)
    hours, months = read_spans(hour, HOURS), read_spans(month, MONTH)
    _check_question_marks(month_day, weekday)
    return Fields(
        seconds=seconds,
        minutes=minutes,
        hours=hours,
        days=DayRule(
            None if month_day.text == "?" else read_month_days(month_day),
            None if weekday.text == "?" else read_weekdays(weekday),
        ),
        months=months,
        years=read_spans(year[0], YEAR) if year else _FULL_YEAR,
    )


def parse_crontab(text: str) -> Fields:
    """Read the time of a crontab line: five Unix fields, `@daily` and the like, or a Salesforce expression.

    Unix weekdays are 0 to 7, 0 and 7 for Sunday. Where both day fields are restricted, that is, neither begins
    with `*`, a day of either will do; otherwise it must be of both (Vixie cron, crontab(5)).

    Raises:
        CronError: it is refused.
    """
    words = words_of(text)
    if words and words[0].text.startswith("@"):
        words = words_of(_line_of(words))
    if len(words) != len(UNIX_FIELDS):
        return parse(text)
    for word, field in zip(words, UNIX_FIELDS, strict=True):
        _check_is_unix(word, field)
    minutes, hours, month_day, month, weekday = words
    is_restricted = not (month_day.text.startswith("*") or weekday.text.startswith("*"))
    of_month = read_spans(month_day, UNIX_FIELDS[2])
    of_week = read_spans(weekday, UNIX_FIELDS[4])
    return Fields(
        seconds=_AT_ZERO,
        minutes=read_spans(minutes, UNIX_FIELDS[0]),
        hours=read_spans(hours, UNIX_FIELDS[1]),
        days=DayRule(of_month, of_week, either=is_restricted),
        months=read_spans(month, UNIX_FIELDS[3]),
    )


def words_of(text: str) -> list[Piece]:
    """The fields of the text in capitals, parted by blanks and tabs.

    Raises:
        CronError: it is longer than anybody writes one, or holds a character that cannot be seen, such as a line break.
    """
    if len(text) > LONGEST:
        problem = f"{len(text):,} characters, and {LONGEST:,} are the most"
        remedy = "Write ranges and steps for long lists, or several schedules"
        raise CronError(problem, field="expression", position=LONGEST, remedy=remedy)
    unseen = next((at for at, letter in enumerate(text) if not letter.isprintable() and letter != "\t"), None)
    if unseen is not None:
        problem = f"{text[unseen]!r} cannot stand in an expression"
        raise CronError(
            problem, field="expression", position=unseen, remedy="Write it in one line, with blanks"
        )
    return [Piece(_capitals(found[0]), found.start()) for found in re.finditer(r"[^ \t]+", text)]


def _values(spans: Sequence[Span], field: Field) -> frozenset[int]:
    return frozenset(value for span in spans for value in span.values(field))


def _capitals(word: str) -> str:
    # Only ASCII: other letters may change in number, and every position after them with it.
    return "".join(letter.upper() if letter.isascii() else letter for letter in word)


def _check_count(text: str, words: Sequence[Piece]) -> None:
    if words and words[0].text.startswith("@"):
        problem = f"{words[0].text.lower()[:_SHOWN]!r} is a word of Unix crontabs"
        raise CronError(problem, field="expression", position=words[0].at, remedy=f"Write {_EXAMPLE}")
    if len(words) < _LEAST:
        problem = f"{len(words)} of the 6 or 7 fields are there"
        raise CronError(problem, field="expression", position=len(text), remedy=_few_remedy(words))
    if len(words) > _MOST:
        extra = words[_MOST]
        problem = f"{len(words)} fields, and 7 are the most"
        raise CronError(problem, field="expression", position=extra.at, remedy=f"Write {_EXAMPLE}")


def _few_remedy(words: Sequence[Piece]) -> str:
    if len(words) != len(UNIX_FIELDS):
        return f"Write {_EXAMPLE}"
    return (
        "Five fields are a Unix line, read in crontab files only. Here put the second in front, ? for one of "
        "the days, and count the week from 1 for Sunday: 30 2 * * 1-5 is 0 30 2 ? * 2-6"
    )


def _check_salesforce(words: Sequence[Piece]) -> None:
    for word, field in zip(words[:2], (SECONDS, MINUTES), strict=True):
        found = re.match("[0-9]*", word.text)
        place = found.end() if found else 0
        if place < len(word.text):
            problem = f"Salesforce takes one whole number here, not {word}"
            remedy = f"Write a number from 0 to {field.highest}, and a schedule for each"
            raise field.error(problem, word.at + place, remedy)
    for year in words[_LEAST:]:
        for number in re.finditer("[0-9]+", year.text):
            if len(number[0]) == len(str(YEAR.highest)) and int(number[0]) > SALESFORCE_LAST_YEAR:
                problem = f"Salesforce's years end with {SALESFORCE_LAST_YEAR}"
                remedy = f"Write years up to {SALESFORCE_LAST_YEAR}, or leave the year out"
                raise YEAR.error(problem, year.at + number.start(), remedy)


def _check_question_marks(month_day: Piece, weekday: Piece) -> None:
    marks = [word.text == "?" for word in (month_day, weekday)]
    if all(marks):
        problem = "? stands in both day fields"
        raise DAY_OF_WEEK.error(problem, weekday.at, "Write * in one of them for every day")
    if any(marks) or "?" in month_day.text or "?" in weekday.text:
        return  # a ? that is not alone is refused where the field is read
    remedy = "Write ? in day of month or in day of week, in the one that shall not count"
    raise DAY_OF_WEEK.error("both day fields are given, and neither is ?", weekday.at, remedy)


def _line_of(words: Sequence[Piece]) -> str:
    word = words[0].text.lower()
    remedy = f"Write {', '.join(UNIX_WORDS)} or five fields"
    if word not in UNIX_WORDS:
        problem = f"{word[:_SHOWN]!r} is not known"
        raise CronError(problem, field="expression", position=words[0].at, remedy=remedy)
    if len(words) > 1:
        problem = f"{words[1]} after {word!r} has no meaning here"
        raise CronError(problem, field="expression", position=words[1].at, remedy=remedy)
    return UNIX_WORDS[word]


def _check_is_unix(word: Piece, field: Field) -> None:
    found = re.search(r"\?|#|(?<![A-Z])[LW](?![A-Z])", word.text)
    if found:
        problem = f"{found[0]} is not of Unix crontabs"
        remedy = "Write * for every day, or a Salesforce expression, which begins with the second"
        raise field.error(problem, word.at + found.start(), remedy)
