"""Money: exact amounts, and whole minor units of an ISO 4217 currency once an amount is final.

The number of minor digits comes from ISO 4217 (not from CLDR, which differs for a dozen currencies).
"""

from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cache
from typing import Final

from iso4217 import Currency

from batchwright.billing.exact import EXACT, canonical, parse_decimal

# Rounding as a method of a context of its own: rounding a million amounts takes half the time so.
_round_to_integer = Context(prec=100, rounding=ROUND_HALF_UP).to_integral_value

BIGINT_MIN: Final = -(2**63)
BIGINT_MAX: Final = 2**63 - 1


class CurrencyError(ValueError):
    """A currency that amounts cannot be kept in. `currency` is the code that was given."""

    def __init__(self, currency: str, problem: str) -> None:
        super().__init__(currency, problem)
        self.currency = currency
        self.problem = problem

    def __str__(self) -> str:
        return f"currency {self.currency!r} {self.problem}: use a code of ISO 4217 such as USD, EUR or JPY"


class MoneyError(ValueError):
    """A text with more decimals than its currency has. `text` and `currency` are what was given."""

    def __init__(self, text: str, currency: str) -> None:
        super().__init__(text, currency)
        self.text = text
        self.currency = currency

    def __str__(self) -> str:
        digits = minor_digits(self.currency)
        return f"{self.text!r} has more decimals than {self.currency}: write at most {digits} after the point"


class AmountOutOfRange(ValueError):
    """An amount beyond what a BIGINT of minor units holds. `amount` is in major units."""

    code: Final = "amount_out_of_range"

    def __init__(self, amount: Decimal, currency: str) -> None:
        super().__init__(amount, currency)
        self.amount = amount
        self.currency = currency

    def __str__(self) -> str:
        limit = money_text(BIGINT_MAX, self.currency)
        return (
            f"amount {self.amount:.0f} {self.currency} is beyond {limit}, the largest that can be kept: "
            "check the quantity and the unit price"
        )


@cache
def minor_digits(currency: str) -> int:
    """Decimals of the currency's minor unit by ISO 4217: USD 2, JPY 0, BHD 3.

    Raises CurrencyError for an unknown code, or one without minor units (gold, testing).
    """
    try:
        digits = Currency(currency).exponent
    except ValueError:
        raise CurrencyError(currency, "is not known") from None
    if digits is None:
        raise CurrencyError(currency, "has no minor unit")
    return digits


def round_half_up(amount: Decimal, currency: str) -> int:
    """`amount` (major units) in whole minor units; a half goes away from zero.

    Raises AmountOutOfRange beyond BIGINT, CurrencyError.
    """
    return whole_minor(amount.scaleb(minor_digits(currency), EXACT), currency)


def whole_minor(exact: Decimal, currency: str) -> int:
    """`exact` minor units in whole ones; a half goes away from zero. The one place that rounds.

    Raises AmountOutOfRange beyond BIGINT.
    """
    try:
        minor = int(_round_to_integer(exact))
    except OverflowError:
        raise AmountOutOfRange(exact, currency) from None
    if not BIGINT_MIN <= minor <= BIGINT_MAX:
        raise AmountOutOfRange(exact.scaleb(-minor_digits(currency), EXACT), currency)
    return minor


def to_decimal(minor: int, currency: str) -> Decimal:
    """Minor units as major units with the currency's decimals: 400000 USD → Decimal("4000.00")."""
    return Decimal(minor).scaleb(-minor_digits(currency), EXACT)


def money_text(minor: int, currency: str) -> str:
    """Minor units with the currency's decimals: "4000.00", "-0.05"; JPY "4000".  Raises CurrencyError."""
    digits = minor_digits(currency)
    if digits == 0:
        return str(minor)
    text = str(abs(minor)).zfill(digits + 1)
    return f"{'-' if minor < 0 else ''}{text[:-digits]}.{text[-digits:]}"


def price_text(price: Decimal, currency: str) -> str:
    """A price in major units, exact, with the currency's decimals at least: "100.00", "0.0005"; JPY "100".

    Raises CurrencyError.
    """
    whole, _, fraction = canonical(price).partition(".")
    fraction = fraction.ljust(minor_digits(currency), "0")
    return f"{whole}.{fraction}" if fraction else whole


def parse_money(text: str, currency: str) -> int:
    """Minor units of an amount written in plain decimal notation: "4000.00" USD → 400000.

    Raises DecimalError, MoneyError (more decimals than the currency has), AmountOutOfRange, CurrencyError.
    """
    digits = minor_digits(currency)
    amount = parse_decimal(text)
    if len(text.partition(".")[2]) > digits:
        raise MoneyError(text, currency)
    return round_half_up(amount, currency)
