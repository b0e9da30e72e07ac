"""One field of an expression: its numbers and names, and how a term such as `5`, `MON-FRI` or `0/15` is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from batchwright.engine.cron.errors import CronError

MONTH_NAMES = (
    "January", "February", "March", "April", "May", "June", "July",
    "August", "September", "October", "November", "December",
)  # fmt: skip
DAY_NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

FIRST_YEAR, LAST_YEAR = 1970, 2199

_LETTERS = 3
_DIGITS = 4
_SHOWN = 40


def _names(full: tuple[str, ...]) -> Mapping[str, int]:
    """Three letters and the full word, in capitals, to the number; 1 is the first."""
    words = {name.upper(): number for number, name in enumerate(full, start=1)}
    return MappingProxyType({name[:_LETTERS]: number for name, number in words.items()} | words)


@dataclass(frozen=True)
class Piece:
    """A part of the text and where it begins in it."""

    text: str
    at: int

    def __str__(self) -> str:
        """As it stands in messages: quoted, control characters escaped, cut where it is long."""
        return repr(self.text if len(self.text) <= _SHOWN else self.text[:_SHOWN] + "…")

    def split(self) -> Iterator[Piece]:
        """The terms of a list, empty ones too."""
        at = self.at
        for part in self.text.split(","):
            yield Piece(part, at)
            at += len(part) + 1

    def after(self, place: int) -> Piece:
        """The rest from that character on."""
        return Piece(self.text[place:], self.at + place)


@dataclass(frozen=True)
class Field:
    """The rules of one field.

    ``names_step``: a step may follow names; Quartz drops such a step, Unix crons honour it.
    ``unix_weekday``: numbers are written 0-7, 0 and 7 for Sunday, and kept as Quartz has them, 1 for Sunday.
    """

    name: str
    lowest: int
    highest: int
    largest_step: int
    names: Mapping[str, int] = field(default_factory=dict)
    wraps: bool = True
    names_step: bool = False
    unix_weekday: bool = False

    @property
    def written(self) -> tuple[int, int]:
        """The lowest and the highest number that may be written."""
        return (0, 7) if self.unix_weekday else (self.lowest, self.highest)

    def error(self, problem: str, position: int, remedy: str) -> CronError:
        """A refusal of something in this field."""
        return CronError(problem, field=self.name, position=position, remedy=remedy)


@dataclass(frozen=True)
class Span:
    """Every ``step``-th value from ``first`` to ``last``, over the end of the field where ``last`` is the smaller.

    ``is_interval``: written with `*`, a range or a step, not as one value. ``is_stepped``: with a step.
    """

    first: int
    last: int
    step: int = 1
    is_interval: bool = False
    is_stepped: bool = False

    def values(self, field: Field) -> Iterator[int]:
        """The values in the order they are counted through. Steps go on over the end, as in Quartz."""
        size = field.highest - field.lowest + 1
        last = self.last if self.first <= self.last else self.last + size
        for value in range(self.first, last + 1, self.step):
            yield field.lowest + (value - field.lowest) % size


SECONDS = Field("seconds", 0, 59, 59)
MINUTES = Field("minutes", 0, 59, 59)
HOURS = Field("hours", 0, 23, 23)
DAY_OF_MONTH = Field("day of month", 1, 31, 31)
MONTH = Field("month", 1, 12, 12, _names(MONTH_NAMES))
DAY_OF_WEEK = Field("day of week", 1, 7, 7, _names(DAY_NAMES))
YEAR = Field("year", FIRST_YEAR, LAST_YEAR, LAST_YEAR - FIRST_YEAR + 1, wraps=False)

_SPAN = re.compile(r"(?:(\*)|([0-9]+|[A-Z]+)(?:(-)([0-9]+|[A-Z]+)?)?)?(?:(/)([0-9]+)?)?")


def read_spans(word: Piece, field: Field) -> tuple[Span, ...]:
    """Read a list of plain terms.

    Raises:
        CronError: for anything that Quartz refuses, and for what it would silently ignore.
    """
    return tuple(read_span(term, field) for term in word.split())


def read_span(term: Piece, field: Field) -> Span:
    """Read `*`, a value, a range, each with or without a step; `/n` is `*/n` (Quartz).

    Raises:
        CronError: as `read_spans`.
    """
    found = _SPAN.match(term.text)
    if found is None or found.end() == 0 or found.end() < len(term.text):
        raise _unreadable(term, found.end() if found else 0, field)
    star, first_word, dash, _, slash, step_word = found.groups()
    step = _read_step(term, found, field) if slash else 1
    is_interval = bool(star or dash or slash)
    if first_word is None:
        return Span(field.lowest, field.highest, step, is_interval, bool(slash))
    first = read_value(Piece(first_word, term.at), field)
    last = first
    if dash:
        last = _read_end(term, found, first, field)
    elif slash:
        last = field.highest
    if slash and not first_word.isdecimal() and not field.names_step:
        raise field.error(
            f"the step in {term} follows a name, and Quartz drops it",
            term.at + found.start(5),
            f"Write numbers: {_in_numbers(first, last, dash, step_word)}",
        )
    return Span(first, last, step, is_interval, bool(slash))


def read_value(word: Piece, field: Field) -> int:
    """Read one number or name.

    Raises:
        CronError: it is none, or not one of this field.
    """
    if not word.text.isdecimal():
        return _read_name(word, field)
    lowest, highest = field.written
    if len(word.text) > _DIGITS or not lowest <= int(word.text) <= highest:
        text = word.text if len(word.text) <= _DIGITS else f"{word.text[:_DIGITS]}…"
        raise field.error(f"{text} is not from {lowest} to {highest}", word.at, _choices(field))
    return int(word.text) % 7 + 1 if field.unix_weekday else int(word.text)


def _read_name(word: Piece, field: Field) -> int:
    if word.text in field.names:
        return field.names[word.text]
    alike = [name for name in field.names if name[:_LETTERS] == word.text[:_LETTERS]]
    remedy = f"Write {' or '.join(alike)}" if alike else _choices(field)
    if word.text in ("L", "W", "LW"):
        raise field.error(f"{word.text} cannot stand here", word.at, _LETTER_REMEDY)
    raise field.error(f"{word} is not a name of this field", word.at, remedy)


def _read_end(term: Piece, found: re.Match[str], first: int, field: Field) -> int:
    first_word, last_word = found[2], found[4]
    if last_word is None:
        raise field.error(f"the range {term} has no end", term.at + found.end(3), "Write it: 1-5")
    last = read_value(Piece(last_word, term.at + found.start(4)), field)
    if first_word.isdecimal() != last_word.isdecimal():
        problem = f"the range {first_word}-{last_word} mixes a number and a name"
        raise field.error(problem, term.at, "Write both as numbers or both as names")
    if last < first and not field.wraps:
        problem = f"the range {first_word}-{last_word} runs backwards"
        raise field.error(problem, term.at, f"Write {last_word}-{first_word}")
    # The week of a crontab from Sunday to Sunday, 0-7, is every day; 7-7 is Sunday.
    return field.highest if field.unix_weekday and first_word != last_word and last == first else last


def _read_step(term: Piece, found: re.Match[str], field: Field) -> int:
    word, at = found[6], term.at + found.end(5)
    if word is None:
        raise field.error(f"there is no number after / in {term}", at, "Write the step: */5")
    if len(word) > _DIGITS or not 1 <= int(word) <= field.largest_step:
        remedy = f"Write a step from 1 to {field.largest_step}"
        raise field.error(f"a step of {word[:_DIGITS]} does not fit this field", at, remedy)
    return int(word)


_LETTER_REMEDY = "L and W stand in day of month, L in day of week too: L, LW, L-3, 15W, 6L"
_REMEDIES = {
    "?": "A ? stands alone in day of month or in day of week",
    "W": "A W belongs to a single day: 15W, LW or L-3W",
    "L": "An L stands alone (L, LW, L-3) in day of month, or after one day of the week (6L)",
    "#": "A # stands in day of week, after one day: 6#3 is the third Friday",
    "-": "A range has one beginning and one end: 1-5",
    "/": "A step stands once, at the end of a term: 8-18/2",
    "*": "A * stands alone, or before a step: */5",
}


def _unreadable(term: Piece, place: int, field: Field) -> CronError:
    rest = term.after(place)
    if not term.text:
        return field.error("a list has an empty term", term.at, "Take the comma away, or write a value there")
    remedy = _REMEDIES.get(rest.text[0], _choices(field))
    if place == 0:
        return field.error(f"{term} cannot be read", term.at, remedy)
    problem = f"{rest} after {Piece(term.text[:place], term.at)} has no meaning here"
    return field.error(problem, rest.at, remedy)


def _choices(field: Field) -> str:
    lowest, highest = field.written
    if not field.names:
        return f"Write numbers from {lowest} to {highest}"
    short = [name for name in field.names if len(name) == _LETTERS]
    return f"Write numbers from {lowest} to {highest}, or {short[0]} to {short[-1]}"


def _in_numbers(first: int, last: int, dash: str | None, step: str) -> str:
    return f"{first}-{last}/{step}" if dash else f"{first}/{step}"
