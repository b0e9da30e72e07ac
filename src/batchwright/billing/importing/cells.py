"""The cells of a CSV file: text in, a checked value out. Each reader raises `CellError` with the remedy."""

from __future__ import annotations

import re
import unicodedata
from calendar import monthrange
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Final

from batchwright.billing.exact import DecimalError, canonical, parse_decimal
from batchwright.billing.money import CurrencyError, minor_digits
from batchwright.config.texts import unlike_itself
from batchwright.formulas import FORMULA_STARTS

MAX_ID: Final = 64
MAX_TEXT: Final = 1000
FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2999

_ISO_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
# Most ids and numbers are as plain as this, and millions of them are read: the rules below would say yes.
_PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")
_CANONICAL = re.compile(r"(?!-0$)-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{0,11}[1-9])?")
_THOUSANDS = re.compile(r"-?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")
_DECIMAL_COMMA = re.compile(r"-?[0-9]+,[0-9]+")
_TYPOGRAPHIC = re.compile("[\u2018-\u201f\u00ab\u00bb\u2039\u203a]")
_CONTROLS = ("Cc", "Zl", "Zp", "Cs", "Co")
# They turn the direction of what follows, so that a text reads as another one.
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_MONTHS = "January February March April May June July August September October November December".split()


class CellError(ValueError):
    """A cell that is refused: what is wrong with it, and the remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy


def public_id(text: str) -> str:
    """An id that people see: at most 64 printable characters, no blanks around it, not a formula."""
    if _PLAIN_ID.fullmatch(text):
        return text
    _refuse_formula(text)
    _refuse_blanks(text)
    if not text.isprintable():
        raise CellError("has a line break, a tab or another character that is not printable", "take it out")
    if _TYPOGRAPHIC.search(text):
        raise CellError("has typographic quotes", "take them out")
    if fault := unlike_itself(text):
        raise CellError(*fault)
    if len(text) > MAX_ID:
        raise CellError(f"has {len(text)} characters", f"an id has at most {MAX_ID}")
    return text


def line_of_text(text: str) -> str:
    """A name or description: one line, not a formula."""
    _refuse_formula(text)
    _refuse_blanks(text)
    if len(text) > MAX_TEXT:
        raise CellError(f"has {len(text)} characters", f"write at most {MAX_TEXT}")
    if not text.isprintable() and (
        _DIRECTIONS.search(text) or any(unicodedata.category(sign) in _CONTROLS for sign in text)
    ):
        raise CellError("has a line break or another control character", "write it in one line of plain text")
    return text


def decimal_text(text: str) -> str:
    """The canonical text of a decimal number, see `batchwright.billing.exact.parse_decimal`."""
    return text if _CANONICAL.fullmatch(text) else canonical(decimal(text))


def decimal(text: str) -> Decimal:
    """A plain decimal number: at most 18 digits before the point and 12 after."""
    try:
        return parse_decimal(text)
    except DecimalError as error:
        if _THOUSANDS.fullmatch(text):
            remedy = f"it has a thousands comma: write {text.replace(',', '')}"
        elif _DECIMAL_COMMA.fullmatch(text):
            remedy = f"write a decimal point: {text.replace(',', '.')}"
        elif _TYPOGRAPHIC.search(text):
            remedy = "it has typographic quotes: write the digits alone"
        else:
            remedy = error.remedy
        raise CellError(error.problem, remedy) from None


def not_negative(text: str) -> Decimal:
    """A decimal number of zero or more."""
    value = decimal(text)
    if value < 0:
        raise CellError("is negative", "give zero or more")
    return value


def percentage(text: str) -> Decimal:
    """A decimal number from 0 to 100."""
    value = decimal(text)
    if not 0 <= value <= 100:
        raise CellError("is not a percentage from 0 to 100", "write 12.5 for 12.5 %")
    return value


@lru_cache(maxsize=4096)
def day(text: str) -> date:
    """A date as YYYY-MM-DD, from 1900 to 2999."""
    match = _ISO_DATE.fullmatch(text)
    if match is None:
        raise CellError("is not a date", "write it as YYYY-MM-DD, such as 2023-06-05")
    year, month, number = (int(part) for part in match.groups())
    if not 1 <= month <= 12:
        raise CellError(f"has a month {month}", "write it as YYYY-MM-DD with a month from 01 to 12")
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise CellError("is out of range", f"give a date from {FIRST_YEAR}-01-01 to {LAST_YEAR}-12-31")
    days = monthrange(year, month)[1]
    if not 1 <= number <= days:
        name = f"February {year}" if month == 2 else _MONTHS[month - 1]
        raise CellError("is not a day of the calendar", f"{name} has {days} days")
    return date(year, month, number)


def currency(text: str) -> str:
    """A currency of ISO 4217 that has a minor unit."""
    try:
        minor_digits(text)
    except CurrencyError as error:
        raise CellError(error.problem, "use a code of ISO 4217 such as USD, EUR or JPY") from None
    return text


def true_or_false(text: str) -> bool:
    """``true`` or ``false``."""
    if text not in ("true", "false"):
        raise CellError("is neither true nor false", "write true or false")
    return text == "true"


def one_of(*words: str) -> Callable[[str], str]:
    """A reader of one of these words, spelt exactly so."""

    def read(text: str) -> str:
        if text not in words:
            raise CellError("is not known", f"use one of {', '.join(words)}")
        return text

    return read


def short_text(limit: int) -> Callable[[str], str]:
    """A reader of an id-like text of at most so many characters."""

    def read(text: str) -> str:
        public_id(text)
        if len(text) > limit:
            raise CellError(f"has {len(text)} characters", f"write at most {limit}")
        return text

    return read


def ids(text: str) -> tuple[str, ...]:
    """Ids separated by semicolons, each once."""
    parts = text.split(";")
    if "" in parts:
        raise CellError("has an empty id", "put one semicolon between two ids, and none around them")
    return tuple(dict.fromkeys(map(public_id, parts)))


def _refuse_formula(text: str) -> None:
    if text.startswith(FORMULA_STARTS):
        raise CellError(
            f"begins with {text[0]!r}, which a spreadsheet takes for a formula",
            "begin it with a letter or a digit",
        )


def _refuse_blanks(text: str) -> None:
    if text != text.strip():
        raise CellError("has blanks around it", "take them out")


Id = Annotated[str, public_id]
Text = Annotated[str, line_of_text]
Day = Annotated[date, day]
Number = Annotated[Decimal, decimal]
NotNegative = Annotated[Decimal, not_negative]
YesOrNo = Annotated[bool, true_or_false]
"""Types of cells: of the value, with what reads it."""
