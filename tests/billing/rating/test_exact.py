"""Numbers are read strictly, written in one way, and never rounded unseen."""

import pickle
from decimal import Decimal, Inexact, localcontext

import pytest

from batchwright.billing.exact import (
    EXACT,
    DecimalError,
    NotPlainDecimal,
    TooManyDigits,
    canonical,
    parse_decimal,
    quantity_text,
)


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            " ",
            " 5",
            "5 ",
            "5\n",
            "NaN",
            "nan",
            "sNaN",
            "inf",
            "-Infinity",
            "1e400",
            "1E5",
            "1,000",
            "1_000",
        ],
        *["1.", ".5", "+5", "--5", "-", ".", "1.2.3", "0x10", "٣", "５", "½", "−5", "5€", "=1", "’5"],  # noqa: RUF001
    ],
)
def test_what_is_not_plain_decimal_notation_is_refused(text: str) -> None:
    with pytest.raises(NotPlainDecimal, match="plain decimal number"):
        parse_decimal(text)


@pytest.mark.parametrize(
    "text", ["1" * 19, "-" + "1" * 19, "1" * 30, "0." + "1" * 13, "0" * 19, "1" * 100_000]
)
def test_more_than_18_digits_before_or_12_after_the_point_are_refused(text: str) -> None:
    with pytest.raises(TooManyDigits, match="at most 18 digits before and 12 after the point"):
        parse_decimal(text)


def test_18_digits_before_and_12_after_the_point_are_kept() -> None:
    text = "-" + "9" * 18 + "." + "9" * 12
    assert canonical(parse_decimal(text)) == text


def test_a_refusal_is_a_value_error_that_shows_the_value_and_the_remedy() -> None:
    with pytest.raises(
        ValueError, match=r"'1,000' is not a plain decimal number: write digits .* such as 1234\.5"
    ):
        parse_decimal("1,000")


def test_a_refusal_shows_no_more_than_the_beginning_of_a_long_text() -> None:
    with pytest.raises(DecimalError) as caught:
        parse_decimal("x" * 10_000)
    assert len(str(caught.value)) < 300


def test_a_refusal_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(TooManyDigits("1" * 19)))
    assert (type(error), error.value) == (TooManyDigits, "1" * 19)


def test_negative_zero_is_read_as_zero() -> None:
    assert str(parse_decimal("-0.00")) == "0.00"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20", "20"),
        ("20.00", "20"),
        ("2E+3", "2000"),
        ("100", "100"),
        ("0.125", "0.125"),
        ("1E-12", "0.000000000001"),
        ("-0.50", "-0.5"),
        ("-0.00", "0"),
        ("0E+5", "0"),
    ],
)
def test_the_canonical_text_has_no_exponent_and_no_trailing_zeros(value: str, expected: str) -> None:
    assert canonical(Decimal(value)).lstrip() == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20", "20.00"),
        ("0.125", "0.125"),
        ("0.1", "0.10"),
        ("1.2500", "1.25"),
        ("2E+3", "2000.00"),
        ("-1", "-1.00"),
    ],
)
def test_a_quantity_shows_at_least_two_decimals(value: str, expected: str) -> None:
    assert quantity_text(Decimal(value)) == expected


def test_text_is_exact_whatever_the_context_of_the_thread() -> None:
    with localcontext() as context:
        context.prec = 3
        assert canonical(Decimal("123456789.123456")) == "123456789.123456"


def test_a_division_that_does_not_end_is_trapped() -> None:
    with pytest.raises(Inexact):
        EXACT.divide(Decimal(1), Decimal(3))
