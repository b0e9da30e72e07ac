"""A price that would not do what it says is refused, and the refusal names the field and the remedy."""

import pickle
from decimal import Decimal

import pytest

from batchwright.billing.rating import MODELS, Price, PriceError, Tier

WHOLE: dict[str, dict[str, object]] = {
    "per_unit": {"unit_price": "1"},
    "tiered": {"tiers": [{"to": "10", "unit_price": "1"}]},
    "volume": {"tiers": [{"to": "10", "unit_price": "1"}]},
    "stairstep": {"tiers": [{"to": "10", "flat_fee": "1"}]},
    "package": {"unit_price": "1", "package_size": "10"},
    "flat": {"flat_fee": "1"},
    "discrete": {"tiers": [{"to": "10", "flat_fee": "1"}]},
    "percentage": {"percentage": "1"},
}


def refusal(mapping: dict[str, object]) -> PriceError:
    with pytest.raises(PriceError) as caught:
        Price.from_mapping(mapping)
    return caught.value


@pytest.mark.parametrize("model", MODELS)
def test_each_model_is_made_of_what_it_needs(model: str) -> None:
    assert Price.from_mapping({"model": model, **WHOLE[model]}).model == model


@pytest.mark.parametrize(("model", "name"), [(model, name) for model in MODELS for name in WHOLE[model]])
def test_a_missing_piece_of_the_model_is_named(model: str, name: str) -> None:
    others = {key: value for key, value in WHOLE[model].items() if key != name}
    error = refusal({"model": model, **others, name: None})
    assert error.field == name
    assert str(error) == f"{name}: is missing, and the model {model} needs it; give {name}"


@pytest.mark.parametrize("model", [None, "", "Tiered", "graduated", 3, ["tiered"]])
def test_an_unknown_model_is_refused_with_the_known_ones(model: object) -> None:
    error = refusal({"model": model})
    assert error.field == "model"
    assert "per_unit, tiered, volume, stairstep, package, flat, discrete, percentage" in error.remedy


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"unit_prise": "1"}, "unit_prise", "not a key of a price"),
        ({"usage_indexing": "true"}, "usage_indexing", "not a key of a price"),
        ({"unit_price": 1}, "unit_price", "1 is not a text"),
        ({"unit_price": 0.1}, "unit_price", "0.1 is not a text"),
        ({"unit_price": "1,5"}, "unit_price", "'1,5' is not a plain decimal number"),
        ({"unit_price": ""}, "unit_price", "'' is not a plain decimal number"),
        ({"unit_price": "1e400"}, "unit_price", "'1e400' is not a plain decimal number"),
        ({"unit_price": "-1"}, "unit_price", "-1 is negative"),
        ({"unit_price": "1" * 19}, "unit_price", "too many digits"),
        ({"included_quantity": "-1"}, "included_quantity", "-1 is negative"),
        ({"minimum_amount": "-1"}, "minimum_amount", "-1 is negative"),
        ({"maximum_amount": "NaN"}, "maximum_amount", "'NaN' is not a plain decimal number"),
        ({"minimum_amount": "5", "maximum_amount": "4"}, "minimum_amount", "5 is more than maximum_amount 4"),
        ({"flat_fee_per": "month"}, "flat_fee_per", "'month' is not known"),
        ({"flat_fee": "5"}, "flat_fee", "5 is not used by the model per_unit"),
        ({"tiers": [{"to": None, "unit_price": "1"}]}, "tiers", "not used by the model per_unit"),
        ({"tiers": "10"}, "tiers", "'10' is not a list"),
    ],
)
def test_a_wrong_field_of_a_price_is_named(change: dict[str, object], field: str, words: str) -> None:
    error = refusal({"model": "per_unit", "unit_price": "1", **change})
    assert error.field == field
    assert words in str(error)
    assert error.remedy


@pytest.mark.parametrize(
    ("model", "tiers", "field", "words"),
    [
        ("tiered", [], "tiers", "is empty"),
        ("tiered", ["10"], "tiers[0]", "'10' is not a mapping"),
        ("tiered", [{"to": "10"}], "tiers[0].unit_price", "is missing, and so is flat_fee"),
        ("tiered", [{"to": "10", "unit_price": "1", "from": "0"}], "tiers[0].from", "not a key of a price"),
        ("tiered", [{"to": "-1", "unit_price": "1"}], "tiers[0].to", "-1 is negative"),
        ("tiered", [{"to": "10", "unit_price": "-1"}], "tiers[0].unit_price", "-1 is negative"),
        ("tiered", [{"to": "10", "flat_fee": "-1"}], "tiers[0].flat_fee", "-1 is negative"),
        ("volume", [{"to": "x", "unit_price": "1"}], "tiers[0].to", "'x' is not a plain decimal number"),
        (
            "volume",
            [{"to": "9", "flat_fee": "1"}, {"to": "9", "flat_fee": "1"}],
            "tiers[1].to",
            "9 is not above 9",
        ),
        (
            "volume",
            [{"to": "9", "flat_fee": "1"}, {"to": "8", "flat_fee": "1"}],
            "tiers[1].to",
            "8 is not above 9",
        ),
        (
            "volume",
            [{"flat_fee": "1"}, {"to": "8", "flat_fee": "1"}],
            "tiers[0].to",
            "only the last tier may be",
        ),
        ("discrete", [{"to": None, "flat_fee": "1"}], "tiers[0].to", "exact quantities"),
        (
            "stairstep",
            [{"to": "9", "unit_price": "2"}],
            "tiers[0].unit_price",
            "not used by the model stairstep",
        ),
    ],
)
def test_a_wrong_tier_is_named(model: str, tiers: list[object], field: str, words: str) -> None:
    error = refusal({"model": model, "tiers": tiers})
    assert error.field == field
    assert words in str(error)


def test_a_package_of_size_zero_is_refused() -> None:
    assert refusal({"model": "package", "unit_price": "1", "package_size": "0"}).field == "package_size"


def test_zeros_for_what_a_model_does_not_use_change_nothing() -> None:
    spelt = {"model": "flat", "flat_fee": "1", "unit_price": "0", "tiers": [], "included_quantity": "0"}
    assert Price.from_mapping(spelt) == Price.from_mapping({"model": "flat", "flat_fee": "1"})


def test_a_price_made_in_code_is_checked_too() -> None:
    with pytest.raises(PriceError, match="tiers: is empty"):
        Price("volume")
    with pytest.raises(PriceError, match="not known"):
        Price("dynamic")


def test_equal_prices_are_one_key_and_survive_the_way_between_processes() -> None:
    mapping: dict[str, object] = {"model": "volume", "tiers": [{"to": "20", "unit_price": "200"}]}
    price = Price.from_mapping(mapping)
    assert {price: 1}[Price("volume", tiers=(Tier(Decimal(20), Decimal(200)),))] == 1
    again = pickle.loads(pickle.dumps(price))
    assert (again, again.bounds) == (price, (Decimal(20),))


def test_a_price_refusal_survives_the_way_between_processes() -> None:
    error = refusal({"model": "flat"})
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
