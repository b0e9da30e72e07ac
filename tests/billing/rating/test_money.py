"""Amounts are rounded in one place, half up, to the minor unit that ISO 4217 gives the currency."""

import pickle
from decimal import Decimal

import pytest

from batchwright.billing.exact import EXACT, DecimalError
from batchwright.billing.money import (
    BIGINT_MAX,
    BIGINT_MIN,
    AmountOutOfRange,
    CurrencyError,
    MoneyError,
    minor_digits,
    money_text,
    parse_money,
    price_text,
    round_half_up,
    to_decimal,
)


@pytest.mark.parametrize(
    ("currency", "digits"), [("USD", 2), ("JPY", 0), ("BHD", 3), ("CLF", 4), ("IQD", 3), ("AFN", 2)]
)
def test_minor_digits_are_those_of_iso_4217(currency: str, digits: int) -> None:
    assert minor_digits(currency) == digits


@pytest.mark.parametrize("currency", ["", "usd", "US", "ABC", "$", "USD "])
def test_an_unknown_currency_is_refused_by_name(currency: str) -> None:
    with pytest.raises(
        CurrencyError, match=rf"'{currency.replace('$', '[$]')}' is not known: use a code of ISO 4217"
    ):
        minor_digits(currency)


@pytest.mark.parametrize("currency", ["XAU", "XXX"])
def test_a_currency_without_minor_unit_is_refused(currency: str) -> None:
    with pytest.raises(CurrencyError, match="has no minor unit"):
        minor_digits(currency)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("0.005", "USD", 1),
        ("0.0049999999999999999999999999999999", "USD", 0),
        ("2.675", "USD", 268),
        ("0.025", "USD", 3),
        ("-0.005", "USD", -1),
        ("-0.004", "USD", 0),
        ("0.5", "JPY", 1),
        ("1.5", "JPY", 2),
        ("2.5", "JPY", 3),
        ("1.0005", "BHD", 1001),
        ("1.00049", "BHD", 1000),
        ("4000", "USD", 400000),
        ("4E+3", "USD", 400000),
    ],
)
def test_a_half_is_rounded_away_from_zero(amount: str, currency: str, minor: int) -> None:
    assert round_half_up(Decimal(amount), currency) == minor


def test_the_largest_and_smallest_bigint_are_kept() -> None:
    assert round_half_up(Decimal(BIGINT_MAX).scaleb(-2, EXACT), "USD") == BIGINT_MAX
    assert round_half_up(Decimal(BIGINT_MIN).scaleb(-2, EXACT), "USD") == BIGINT_MIN


@pytest.mark.parametrize(
    "amount",
    [
        Decimal(BIGINT_MAX + 1).scaleb(-2, EXACT),
        Decimal(BIGINT_MIN - 1).scaleb(-2, EXACT),
        Decimal("1e400"),
        Decimal("Infinity"),
    ],
)
def test_an_amount_beyond_bigint_is_refused(amount: Decimal) -> None:
    with pytest.raises(AmountOutOfRange, match=r"beyond 92233720368547758\.07") as caught:
        round_half_up(amount, "USD")
    assert caught.value.code == "amount_out_of_range"


def test_errors_survive_the_way_between_processes() -> None:
    for error in [
        AmountOutOfRange(Decimal(10) ** 20, "USD"),
        CurrencyError("ABC", "is not known"),
        MoneyError("1.5", "JPY"),
    ]:
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (400000, "USD", "4000.00"),
        (0, "USD", "0.00"),
        (5, "USD", "0.05"),
        (-5, "USD", "-0.05"),
        (-123456, "USD", "-1234.56"),
        (4000, "JPY", "4000"),
        (-4000, "JPY", "-4000"),
        (1, "BHD", "0.001"),
        (BIGINT_MIN, "USD", "-92233720368547758.08"),
    ],
)
def test_money_is_written_with_the_currencys_decimals_and_read_back(
    minor: int, currency: str, text: str
) -> None:
    assert money_text(minor, currency) == text
    assert parse_money(text, currency) == minor
    assert str(to_decimal(minor, currency)) == text


@pytest.mark.parametrize(("text", "minor"), [("4000", 400000), ("4000.5", 400050), ("-0.00", 0)])
def test_fewer_decimals_than_the_currency_has_are_read(text: str, minor: int) -> None:
    assert parse_money(text, "USD") == minor


@pytest.mark.parametrize(
    ("text", "currency"), [("1.005", "USD"), ("1.000", "USD"), ("1.5", "JPY"), ("1.0001", "BHD")]
)
def test_more_decimals_than_the_currency_has_are_refused(text: str, currency: str) -> None:
    with pytest.raises(MoneyError, match=rf"more decimals than {currency}: write at most"):
        parse_money(text, currency)


@pytest.mark.parametrize("text", ["", "1,000.00", "NaN", "1e2", "$5", "1" * 19])
def test_money_that_is_no_plain_number_is_refused(text: str) -> None:
    with pytest.raises(DecimalError):
        parse_money(text, "USD")


def test_money_beyond_bigint_is_refused_when_read() -> None:
    with pytest.raises(AmountOutOfRange):
        parse_money("9" * 18, "USD")


@pytest.mark.parametrize(
    ("price", "currency", "text"),
    [("100", "USD", "100.00"), ("0.0005", "USD", "0.0005"), ("1.5", "USD", "1.50"), ("100", "JPY", "100")],
)
def test_a_price_is_written_exactly_with_the_currencys_decimals_at_least(
    price: str, currency: str, text: str
) -> None:
    assert price_text(Decimal(price), currency) == text
