"""Conga's documented pricing scenarios and the figures of its page on draft usage rating."""

from decimal import Decimal

from batchwright.billing.rating import Price, rate

BOUNDS = ("10", "20", "30", None)


def price(model: str, name: str, *amounts: str, **others: str) -> Price:
    tiers = [{"to": to, name: amount} for to, amount in zip(BOUNDS, amounts, strict=True)]
    return Price.from_mapping({"model": model, "tiers": tiers, **others})


def amounts_in_turn(price: Price, *quantities: int) -> list[Decimal]:
    return [rate(price, Decimal(q), Decimal(sum(quantities[:n]))).amount for n, q in enumerate(quantities)]


def test_scenario_1_flat_discrete_takes_the_price_of_the_exact_quantity() -> None:
    table = [{"to": "10", "flat_fee": "120"}, {"to": "20", "flat_fee": "150"}]
    assert rate(Price.from_mapping({"model": "discrete", "tiers": table}), Decimal(10)).amount == 120


def test_scenario_4_per_unit_cumulative_prices_each_unit_in_its_tier() -> None:
    graduated = price("tiered", "unit_price", "120", "150", "275", "500")
    assert rate(graduated, Decimal(15)).amount == 1950
    assert rate(graduated, Decimal(25)).amount == 4075


def test_scenario_8_per_unit_cumulative_with_indexing_goes_on_where_the_last_input_ended() -> None:
    graduated = price("tiered", "unit_price", "105", "110", "115", "120")
    assert amounts_in_turn(graduated, 5, 20, 15) == [525, 2200, 1775]


def test_scenario_9_flat_cumulative_with_indexing_charges_every_tier_an_input_touches() -> None:
    by_input = price("tiered", "flat_fee", "120", "150", "275", "500", flat_fee_per="input")
    assert amounts_in_turn(by_input, 5, 20, 10) == [120, 545, 775]


def test_scenario_10_the_customers_rating_chooses_one_of_two_prices() -> None:
    # The page has one matrix of quantity range by customer rating. A price here has one dimension, so that matrix
    # is two prices, Gold's and Silver's, and the customer's price book chooses between them. Of Gold we know only
    # the figure for 15 units, so its other steps are Silver's.
    gold = price("stairstep", "flat_fee", "120", "180", "275", "500")
    silver = price("stairstep", "flat_fee", "120", "200", "275", "500")
    assert rate(gold, Decimal(15)).amount == 180
    assert rate(silver, Decimal(15)).amount == 200


SEED = Price.from_mapping(
    {"model": "volume", "tiers": [{"to": "20", "unit_price": "200"}, {"to": "40", "unit_price": "400"}]}
)


def test_the_first_table_of_the_draft_rating_page_is_volume_pricing() -> None:
    # The page's second table shows 400 and 200 for the same inputs and prices. That contradicts the prices it
    # states (it fits neither a price per unit nor a flat one) and is not imitated: docs/rating.md.
    assert str(rate(SEED, Decimal("20.00")).rounded("USD")) == "4000.00"
    assert str(rate(SEED, Decimal("10.00")).rounded("USD")) == "2000.00"
