"""Which contract and which price is in force on a day."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from random import Random

from batchwright.billing.catalog import Catalog, ContractRevision, PriceRevision
from batchwright.billing.periods import LAST_DAY, Day
from batchwright.billing.rating import Price

BOOK, CUSTOMER = 5, 3
CONTRACT = ContractRevision(
    key=7,
    customer_key=CUSTOMER,
    price_book_key=BOOK,
    currency="USD",
    start="2023-01-01",
    end="2023-12-31",
    active=True,
    discount_percent=Decimal(5),
    account_keys=frozenset(),
)


def price(key: int, day: Day) -> PriceRevision:
    parts = {"model": "per_unit", "unit_price": str(key)}
    return PriceRevision(key, day, "Each", False, "USD", Price.from_mapping(parts), key)


def catalog(*contracts: ContractRevision, prices: tuple[PriceRevision, ...] = ()) -> Catalog:
    return Catalog(contracts, {(BOOK, "data"): prices})


def test_a_contract_covers_its_first_and_its_last_day() -> None:
    days = ["2022-12-31", "2023-01-01", "2023-12-31", "2024-01-01"]
    assert [CONTRACT.covers(day, None) for day in days] == [False, True, True, False]


def test_a_contract_without_an_end_covers_every_later_day() -> None:
    assert replace(CONTRACT, end=None).covers(LAST_DAY, None)


def test_an_archived_contract_covers_no_day() -> None:
    assert not replace(CONTRACT, active=False).covers("2023-06-05", None)


def test_a_contract_limited_to_accounts_covers_those_alone() -> None:
    limited = replace(CONTRACT, account_keys=frozenset({11, 12}))
    day = "2023-06-05"
    assert [limited.covers(day, account) for account in (11, 12, 13, None)] == [True, True, False, False]


def test_a_contract_is_the_customer_s_own() -> None:
    assert catalog(CONTRACT).contract(CUSTOMER, None, "2023-06-05") == CONTRACT
    assert catalog(CONTRACT).contract(CUSTOMER + 1, None, "2023-06-05") is None


def test_the_contract_that_covers_the_day_is_found_among_those_that_do_not() -> None:
    archived = replace(CONTRACT, key=6, active=False)
    later = replace(CONTRACT, key=8, start="2024-01-01", end=None)
    listed = catalog(archived, CONTRACT, later)
    days = ("2022-06-01", "2023-06-01", "2025-06-01")
    found = [listed.contract(CUSTOMER, None, day) for day in days]
    assert [one and one.key for one in found] == [None, 7, 8]


def test_a_price_is_in_force_from_its_day_on_until_the_next_one_s() -> None:
    prices = (price(1, "2023-02-01"), price(2, "2023-07-01"))
    listed = catalog(CONTRACT, prices=prices)
    days = ["2023-01-31", "2023-02-01", "2023-06-30", "2023-07-01", "2023-12-31"]
    found = [listed.terms(BOOK, "data", CONTRACT, day) for day in days]
    assert [terms and terms.price.key for terms in found] == [None, 1, 1, 2, 2]


def test_a_product_or_book_that_is_not_listed_has_no_price() -> None:
    listed = catalog(CONTRACT, prices=(price(1, "2023-01-01"),))
    day = "2023-06-05"
    assert listed.terms(BOOK, "voice", CONTRACT, day) is None
    assert listed.terms(BOOK + 1, "data", CONTRACT, day) is None


def test_the_contract_s_discount_goes_with_the_price_and_none_without_a_contract() -> None:
    listed = catalog(CONTRACT, prices=(price(1, "2023-01-01"),))
    day = "2023-06-05"
    with_contract, without = listed.terms(BOOK, "data", CONTRACT, day), listed.terms(BOOK, "data", None, day)
    assert with_contract is not None
    assert without is not None
    assert (with_contract.discount_percent, with_contract.contract) == (Decimal(5), CONTRACT)
    assert (without.discount_percent, without.contract) == (Decimal(0), None)


def test_terms_hold_on_each_of_the_days_they_name() -> None:
    chance = Random(20230605)
    compared = 0
    for _ in range(300):
        prices = tuple(price(n, f"2023-{month:02}-10") for n, month in enumerate(_months(chance), 1))
        ends = chance.choice([None, f"2023-{chance.randint(6, 12):02}-20"])
        first = replace(CONTRACT, end=ends)
        second = replace(CONTRACT, key=8, start="2024-01-01", end=None, discount_percent=Decimal(1))
        listed = catalog(first, second, prices=prices)
        for _ in range(10):
            day = _day(chance)
            terms = listed.terms(BOOK, "data", listed.contract(CUSTOMER, None, day), day)
            if terms is None:
                continue
            other = chance.choice([_day(chance), terms.since, terms.until])
            if terms.since <= other <= terms.until:
                assert listed.terms(BOOK, "data", listed.contract(CUSTOMER, None, other), other) == terms
                compared += 1
    assert compared > 1000


def _months(chance: Random) -> list[int]:
    return sorted(chance.sample(range(1, 13), chance.randint(1, 4)))


def _day(chance: Random) -> Day:
    return f"{chance.choice([2022, 2023, 2023, 2024])}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
