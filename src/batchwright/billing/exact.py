"""Exact decimals: one context in which nothing is lost unseen, and the one way to read and write a number.

Amounts, quantities and prices are `Decimal`s. The operators of `Decimal` take the precision of whatever
context the thread happens to be in, so calculations stand in a block of `exactly()`, or call `EXACT.multiply`,
`EXACT.add` and so on.
"""

import re
from contextlib import AbstractContextManager
from decimal import (
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    Underflow,
    localcontext,
)
from typing import Final

MAX_INTEGER_DIGITS: Final = 18
MAX_FRACTION_DIGITS: Final = 12

# A product of two numbers of 30 digits has 60, a sum of a million of them 66: 100 digits never run out, and
# if they did the trap on Inexact would say so instead of rounding.
EXACT: Final = Context(prec=100, traps=[DivisionByZero, Inexact, InvalidOperation, Overflow, Underflow])

ZERO: Final = Decimal(0)


def exactly() -> AbstractContextManager[Context]:
    """A block in which the operators of Decimals are exact in this thread, or raise `Inexact`.

    For calculations in bulk: an operator takes a third of the time of a method of `EXACT`.
    """
    return localcontext(EXACT)


_PLAIN = re.compile(r"-?([0-9]+)(?:\.([0-9]+))?")
_SHOWN_CHARACTERS = 60


class DecimalError(ValueError):
    """A text that is not a number we take. `value` is the text; the message says why, and what to write."""

    problem = "is not a plain decimal number"
    remedy = "write digits with at most one point, such as 1234.5, and no exponent, comma or blank"

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value

    def __str__(self) -> str:
        shown = repr(self.value[:_SHOWN_CHARACTERS]) + ("…" if len(self.value) > _SHOWN_CHARACTERS else "")
        return f"{shown} {self.problem}: {self.remedy}"


class NotPlainDecimal(DecimalError):
    """The text is not plain decimal notation (NaN, an exponent, a thousands comma, a blank …)."""


class TooManyDigits(DecimalError):
    """The number has more digits than we store."""

    problem = "has too many digits"
    remedy = f"write at most {MAX_INTEGER_DIGITS} digits before and {MAX_FRACTION_DIGITS} after the point"


def parse_decimal(text: str) -> Decimal:
    """The number that `text` writes in plain decimal notation: "20", "-0.125".

    Raises NotPlainDecimal, TooManyDigits (both DecimalError, a ValueError).
    """
    match = _PLAIN.fullmatch(text)
    if match is None:
        raise NotPlainDecimal(text)
    whole, fraction = match.groups()
    if len(whole) > MAX_INTEGER_DIGITS or (fraction is not None and len(fraction) > MAX_FRACTION_DIGITS):
        raise TooManyDigits(text)
    value = Decimal(text)
    return value if value else value.copy_abs()


def canonical(value: Decimal) -> str:
    """The one text of a number: no exponent, no trailing zeros, no negative zero ("20", "0.125", "0")."""
    text = str(value)
    if "E" in text:  # str() is twice as fast, and writes an exponent for very small numbers only
        text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def quantity_text(value: Decimal) -> str:
    """A quantity as people and JSON see it: at least two decimals ("20.00", "0.125"), else as `canonical`."""
    text = canonical(value)
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction:0<2}"
