"""The edges of each price model: bounds, zero, what came before, fees, included quantity, limits."""

import pickle
from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext

import pytest

from batchwright.billing.rating import NegativeQuantity, NoTier, Price, rate

Tiers = Sequence[Mapping[str, str | None]]

FEES: Tiers = [
    {"to": "10", "unit_price": "2", "flat_fee": "5"},
    {"to": None, "unit_price": "1", "flat_fee": "7"},
]
STEPS: Tiers = [
    {"to": "10", "flat_fee": "120"},
    {"to": "20", "flat_fee": "150"},
    {"to": None, "flat_fee": "90"},
]
CLOSED: Tiers = [{"to": "10", "unit_price": "2"}, {"to": "20", "unit_price": "1"}]


def make(model: str, tiers: Tiers | None = None, **others: str) -> Price:
    return Price.from_mapping({"model": model, "tiers": tiers, **others})


def amount(
    price: Price, quantity: str, prior: str = "0", *, indexed: bool = True, first: bool = True
) -> Decimal:
    return rate(price, Decimal(quantity), Decimal(prior), indexed=indexed, first_in_window=first).amount


def test_a_tiers_upper_bound_is_inclusive() -> None:
    assert amount(make("volume", CLOSED), "10") == 20
    assert amount(make("volume", CLOSED), "10.000000000001") == Decimal("10.000000000001")
    assert amount(make("tiered", CLOSED), "10.5") == Decimal("20.5")


@pytest.mark.parametrize("model", ["tiered", "volume"])
def test_a_quantity_beyond_the_last_closed_tier_has_no_amount(model: str) -> None:
    assert amount(make(model, CLOSED), "20") > 0
    with pytest.raises(NoTier, match=r"quantity 20\.5 is beyond the last tier, which ends at 20: add a tier"):
        amount(make(model, CLOSED), "20.5")


@pytest.mark.parametrize("model", ["tiered", "volume"])
def test_what_came_before_counts_towards_the_last_tier(model: str) -> None:
    with pytest.raises(NoTier):
        amount(make(model, CLOSED), "1", "20")
    assert amount(make(model, CLOSED), "1", "20", indexed=False) == 2


def test_a_quantity_that_is_not_in_a_discrete_table_has_no_amount() -> None:
    table = make("discrete", [{"to": "10", "flat_fee": "120"}, {"to": "20", "flat_fee": "150"}])
    for quantity in ("0", "9.99", "15", "21"):
        with pytest.raises(NoTier, match=r"is not in the price's table \(10, 20\)"):
            amount(table, quantity)


def test_a_discrete_price_looks_up_the_inputs_own_quantity() -> None:
    table = make(
        "discrete", [{"to": "10", "flat_fee": "120"}, {"to": "20", "unit_price": "2", "flat_fee": "150"}]
    )
    assert amount(table, "10.0", "10") == 120
    assert amount(table, "20", "10") == 190


def test_a_discrete_input_that_is_wholly_included_is_free() -> None:
    table = make("discrete", [{"to": "10", "flat_fee": "120"}], included_quantity="5")
    assert amount(table, "5") == 0
    assert amount(table, "5", indexed=False) == 0
    assert amount(table, "15") == 120
    with pytest.raises(NoTier):
        amount(table, "5", "5")


@pytest.mark.parametrize("model", ["per_unit", "tiered"])
def test_a_negative_quantity_has_no_amount(model: str) -> None:
    price = make("per_unit", unit_price="1") if model == "per_unit" else make("tiered", FEES)
    with pytest.raises(NegativeQuantity, match="quantity -1 is negative"):
        amount(price, "-1")
    with pytest.raises(NegativeQuantity, match="quantity -2 is negative"):
        amount(price, "1", "-2")


@pytest.mark.parametrize(
    "error", [NegativeQuantity(Decimal(-1)), NoTier("tiered", Decimal(5), (Decimal(4),))]
)
def test_errors_survive_the_way_between_processes(error: NegativeQuantity | NoTier) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.code) == (str(error), error.code)


def test_errors_carry_the_outcome_code() -> None:
    assert (NegativeQuantity.code, NoTier.code) == ("negative_quantity", "no_tier")


def test_a_first_input_of_zero_pays_the_first_tiers_fee() -> None:
    assert amount(make("tiered", FEES), "0") == 5
    assert amount(make("volume", FEES), "0") == 5


def test_after_an_input_of_zero_the_next_one_does_not_pay_that_fee_again() -> None:
    assert amount(make("tiered", FEES), "3", first=False) == 6
    assert amount(make("tiered", FEES), "12", first=False) == 20 + 2 + 7
    assert amount(make("volume", FEES), "3", first=False) == 6
    assert amount(make("volume", FEES), "12", first=False) == 12 + 7
    assert amount(make("flat", flat_fee="9"), "3", first=False) == 0
    assert amount(make("stairstep", STEPS), "3", first=False) == 0


@pytest.mark.parametrize(
    ("quantity", "prior", "by_window", "by_input"),
    [
        ("10", "0", 25, 25),
        ("5", "5", 10, 15),
        ("5", "10", 12, 12),
        ("5", "8", 4 + 3 + 7, 5 + 4 + 3 + 7),
        ("0", "10", 0, 5),
        ("0", "5", 0, 5),
        ("0", "11", 0, 7),
        ("2", "11", 2, 9),
    ],
)
def test_tier_fees_are_paid_once_or_by_each_input_that_touches(
    quantity: str, prior: str, by_window: int, by_input: int
) -> None:
    assert amount(make("tiered", FEES), quantity, prior) == by_window
    assert amount(make("tiered", FEES, flat_fee_per="input"), quantity, prior) == by_input


def test_a_first_tier_up_to_zero_makes_the_next_tiers_fee_depend_on_use() -> None:
    tiers: Tiers = [{"to": "0", "flat_fee": "0"}, {"to": None, "flat_fee": "50"}]
    for model in ("tiered", "volume", "stairstep"):
        assert amount(make(model, tiers), "0") == 0
        assert amount(make(model, tiers), "1") == 50
        assert amount(make(model, tiers), "1", first=False) == 50


def test_volume_with_a_prior_quantity_prices_only_the_inputs_own_units() -> None:
    tiers: Tiers = [{"to": "10", "unit_price": "3"}, {"to": None, "unit_price": "2"}]
    volume = make("volume", tiers)
    assert amount(volume, "4", "6") == 12
    assert amount(volume, "5", "6") == 10
    assert amount(volume, "5", "6", indexed=False) == 15


def test_volume_charges_a_tiers_fee_to_the_input_that_enters_it() -> None:
    assert amount(make("volume", FEES), "5", "5") == 10
    assert amount(make("volume", FEES), "5", "6") == 5 + 7
    assert amount(make("volume", FEES), "5", "11") == 5
    assert amount(make("volume", FEES, flat_fee_per="input"), "5", "11") == 5 + 7


def test_stairstep_charges_the_difference_to_the_step_already_paid() -> None:
    steps = make("stairstep", STEPS)
    assert amount(steps, "5") == 120
    assert amount(steps, "5", "5") == 0
    assert amount(steps, "6", "5") == 30
    assert amount(steps, "0", "15") == 0
    assert amount(steps, "10", "15") == -60
    assert amount(make("stairstep", STEPS, flat_fee_per="input"), "5", "11") == 150


def test_flat_is_charged_to_the_first_input_or_to_each() -> None:
    assert amount(make("flat", flat_fee="9"), "0") == 9
    assert amount(make("flat", flat_fee="9"), "5", "1") == 0
    assert amount(make("flat", flat_fee="9"), "5", "1", indexed=False) == 9
    assert amount(make("flat", flat_fee="9", flat_fee_per="input"), "5", "1") == 9


def test_a_started_package_is_charged_once_in_the_window() -> None:
    package = make("package", unit_price="15", package_size="2.5")
    assert amount(package, "2.5") == 15
    assert amount(package, "2.6") == 30
    assert amount(package, "0.4", "2.6") == 0
    assert amount(package, "0.4", "2.6", indexed=False) == 15


def test_packages_of_the_smallest_size_are_counted_exactly() -> None:
    package = make("package", unit_price="1", package_size="0.000000000001")
    assert amount(package, "999999999999999999.999999999999") == 10**30 - 1


def test_percentage_is_a_share_of_the_quantity() -> None:
    assert amount(make("percentage", percentage="2.9"), "4") == Decimal("0.116")


def test_included_quantity_is_spent_over_the_window_with_or_without_indexing() -> None:
    price = make("per_unit", unit_price="3", included_quantity="10")
    for indexed in (True, False):
        turns = [("4", "0"), ("4", "4"), ("4", "8"), ("4", "12")]
        assert [amount(price, q, p, indexed=indexed) for q, p in turns] == [0, 0, 6, 12]


def test_included_quantity_comes_off_before_tiers_are_counted() -> None:
    price = make("tiered", FEES, included_quantity="10")
    assert amount(price, "22") == 20 + 5 + 2 + 7
    assert amount(price, "12", "10") == 20 + 2 + 7
    assert amount(price, "12", "10", indexed=False) == 20 + 5 + 2 + 7


def test_an_input_that_is_wholly_included_still_opens_the_window() -> None:
    price = make("tiered", FEES, included_quantity="10")
    assert amount(price, "5") == 5
    assert amount(price, "10", "5") == 10


def test_the_minimum_applies_to_each_input() -> None:
    price = make("per_unit", unit_price="1", minimum_amount="8")
    assert [amount(price, q, p) for q, p in [("0", "0"), ("7", "0"), ("8", "7"), ("9", "15")]] == [8, 8, 8, 9]


def test_the_maximum_applies_to_each_input() -> None:
    price = make("per_unit", unit_price="1", maximum_amount="8")
    assert [amount(price, q, p) for q, p in [("7", "0"), ("8", "7"), ("9", "15")]] == [7, 8, 8]


def test_an_amount_does_not_depend_on_the_context_of_the_thread() -> None:
    price = make(
        "tiered", [{"to": "10", "unit_price": "1.23456789"}, {"to": None, "unit_price": "0.123456789"}]
    )
    expected = Decimal("12.3456789") + Decimal("123456779.123456") * Decimal("0.123456789")
    with localcontext() as context:
        context.prec = 3
        rating = rate(price, Decimal("123456789.123456"))
        minor = rating.net("USD").amount_minor
    assert rating.amount == expected
    assert minor == 1524158988


def test_the_longest_numbers_are_multiplied_exactly() -> None:
    longest = "9" * 18 + "." + "9" * 12
    exact = (10**30 - 1) ** 2
    assert amount(make("per_unit", unit_price=longest), longest).as_tuple().digits == tuple(
        map(int, str(exact))
    )
