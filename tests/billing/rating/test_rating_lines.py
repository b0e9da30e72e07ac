"""An amount is the sum of named lines, and a bill adds discount and rounding to them."""

from decimal import Decimal

import pytest

from batchwright.billing.money import AmountOutOfRange
from batchwright.billing.rating import NetAmount, Price, PriceError, RatingLine, rate

TIERS = [{"to": "10", "unit_price": "2", "flat_fee": "5"}, {"to": None, "unit_price": "1", "flat_fee": "7"}]


def as_text(lines: tuple[RatingLine, ...]) -> list[tuple[str, str]]:
    return [(line.key, str(line.amount)) for line in lines]


def net_of(unit_price: str, currency: str = "USD", discount: str = "0", **others: str) -> NetAmount:
    price = Price.from_mapping({"model": "per_unit", "unit_price": unit_price, **others})
    return rate(price, Decimal(1)).net(currency, Decimal(discount))


def test_lines_name_each_tiers_usage_and_fee() -> None:
    lines = rate(Price.from_mapping({"model": "tiered", "tiers": TIERS}), Decimal(12)).lines
    assert as_text(lines) == [
        ("tier:1:usage", "20"),
        ("tier:1:fee", "5"),
        ("tier:2:usage", "2"),
        ("tier:2:fee", "7"),
    ]
    assert lines[2] == RatingLine("tier:2:usage", "usage", 2, Decimal(2), Decimal(1), Decimal(2))


def test_a_line_tells_how_much_was_included() -> None:
    price = Price.from_mapping({"model": "per_unit", "unit_price": "3", "included_quantity": "10"})
    included, usage = rate(price, Decimal(4), Decimal(8)).lines
    assert included == RatingLine("included", "included", None, Decimal(2), Decimal(0), Decimal(0))
    assert usage == RatingLine("usage", "usage", None, Decimal(2), Decimal(3), Decimal(6))


def test_minimum_and_maximum_are_lines_of_their_own() -> None:
    assert as_text(net_of("3", minimum_amount="5").lines) == [("usage", "3"), ("minimum", "2")]
    assert as_text(net_of("9", maximum_amount="5").lines) == [("usage", "9"), ("maximum", "-4")]


def test_stairstep_shows_the_step_reached_and_the_step_paid() -> None:
    steps = [{"to": "10", "flat_fee": "120"}, {"to": None, "flat_fee": "150"}]
    lines = rate(Price.from_mapping({"model": "stairstep", "tiers": steps}), Decimal(6), Decimal(5)).lines
    assert as_text(lines) == [("tier:2:fee", "150"), ("tier:1:paid", "-120")]


def test_packages_are_counted_on_their_line() -> None:
    price = Price.from_mapping({"model": "package", "unit_price": "15", "package_size": "10"})
    (line,) = rate(price, Decimal(5), Decimal(17)).lines
    assert line == RatingLine("package", "package", None, Decimal(1), Decimal(15), Decimal(15))


def test_a_flat_price_already_paid_has_no_lines() -> None:
    assert rate(Price.from_mapping({"model": "flat", "flat_fee": "9"}), Decimal(1), Decimal(1)).lines == ()


def test_a_bill_shows_discount_and_rounding() -> None:
    billed = net_of("10.05", discount="12.5")
    assert as_text(billed.lines) == [("usage", "10.05"), ("discount", "-1.25625"), ("rounding", "-0.00375")]
    assert billed.amount_minor == 879


def test_a_bill_without_discount_or_rounding_has_no_such_lines() -> None:
    assert as_text(net_of("10.05").lines) == [("usage", "10.05")]


def test_the_discount_is_taken_after_the_minimum_and_rounding_comes_last() -> None:
    billed = net_of("1", discount="33.335", minimum_amount="10")
    assert [line.key for line in billed.lines] == ["usage", "minimum", "discount", "rounding"]
    assert billed.amount_minor == 667


@pytest.mark.parametrize(
    ("unit_price", "currency", "minor"),
    [("1023.5", "JPY", 1024), ("1023.49", "JPY", 1023), ("1.0005", "BHD", 1001), ("10.275", "USD", 1028)],
)
def test_a_bill_is_rounded_half_up_to_the_currencys_minor_unit(
    unit_price: str, currency: str, minor: int
) -> None:
    assert net_of(unit_price, currency).amount_minor == minor


def test_a_half_of_a_negative_amount_goes_away_from_zero() -> None:
    steps = [{"to": "1", "flat_fee": "1.005"}, {"to": None, "flat_fee": "0"}]
    fall = rate(Price.from_mapping({"model": "stairstep", "tiers": steps}), Decimal(1), Decimal(1))
    assert str(fall.rounded("USD")) == "-1.01"
    half = fall.net("USD", Decimal(50))
    assert as_text(half.lines)[2:] == [("discount", "0.50250"), ("rounding", "0.00250")]
    assert half.amount_minor == -50


def test_a_rounded_amount_has_the_currencys_decimals() -> None:
    price = Price.from_mapping({"model": "per_unit", "unit_price": "4000"})
    assert [str(rate(price, Decimal(1)).rounded(currency)) for currency in ("USD", "JPY", "BHD")] == [
        "4000.00",
        "4000",
        "4000.000",
    ]


def test_a_discount_of_100_percent_leaves_nothing_to_pay() -> None:
    assert net_of("10.05", discount="100").amount_minor == 0


@pytest.mark.parametrize("discount", ["-1", "100.01"])
def test_a_discount_beyond_0_to_100_percent_is_refused(discount: str) -> None:
    with pytest.raises(PriceError, match=r"discount_percent: .* give 0 to 100"):
        net_of("1", discount=discount)


def test_an_amount_beyond_bigint_is_refused_and_never_cut() -> None:
    with pytest.raises(AmountOutOfRange):
        net_of("99999999999999999999"[:18])
