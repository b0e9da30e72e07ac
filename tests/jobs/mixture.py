"""A company of every price model, drawn by chance, and what its usage comes to by a slow meter in fractions.

The meter knows nothing of how rating or the job is written: it keeps each window's usage in hand one by one.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from random import Random
from typing import Any

from batchwright.billing.rating import MODELS
from batchwright.operations.app import Application
from tests.billing.rating.meter import Meter, OutOfTable, random_price, random_quantity
from tests.jobs.company import Company, last_day
from tests.jobs.drafting import empty

MONTHS = 6
NEW_PRICES = date(2023, 5, 10)
DIGITS = {"USD": 2, "JPY": 0}


@dataclass(frozen=True)
class Used:
    """An input, as it is written into the database."""

    name: str
    day: date
    quantity: Decimal
    status: str = "Loaded"
    uom: str = "Each"


@dataclass
class Metered:
    """An asset: `prices` are those from the start and those from NEW_PRICES on.

    `imported` is what schedules were taken over with, by month.
    """

    name: str
    product: str
    currency: str
    prices: tuple[dict[str, Any], dict[str, Any]]
    indexed: bool
    discount: str | None
    own_book: bool
    months_per_schedule: int
    imported: dict[int, Decimal] = field(default_factory=dict)
    inputs: list[Used] = field(default_factory=list)

    def window(self, day: date) -> tuple[int, bool]:
        """The billing period, and whether the new prices are in force: it counts for each price by itself."""
        return (day.month - 1) // self.months_per_schedule, day >= NEW_PRICES


def drawn(seed: int, *, assets: int = 2 * len(MODELS), inputs: int = 8) -> list[Metered]:
    """Assets of every model, half of them indexed, with good, bad and rated inputs."""
    chance = Random(seed)
    return [_asset(chance, number, inputs) for number in range(assets)]


def _asset(chance: Random, number: int, inputs: int) -> Metered:
    model = MODELS[number % len(MODELS)]
    # Names that sort otherwise by code point than as words do.
    name = f"{'aBcD'[number % 4]}-{number}"
    asset = Metered(
        name=name,
        product=f"{'Zz'[number % 2]} {name}",
        currency=chance.choice(["USD", "USD", "JPY"]),
        prices=(random_price(chance, model), random_price(chance, chance.choice([model, model, "tiered"]))),
        indexed=number >= len(MODELS),
        discount=chance.choice([None, "5", "33.333"]),
        own_book=chance.random() < 0.5,
        months_per_schedule=chance.choice([1, 3, 6]),
    )
    if chance.random() < 0.5:
        asset.imported[chance.randint(1, MONTHS)] = random_quantity(chance, asset.prices[0])
    for place in range(inputs):
        used = Used(
            f"{chance.choice('aAbB')}{place}-{name}",
            date(2023, 1, 1) + timedelta(days=chance.randrange(last_day(MONTHS).timetuple().tm_yday)),
            random_quantity(chance, asset.prices[0]),
        )
        fault = chance.random()
        if fault < 0.05:
            used = replace(used, uom="Gallon")
        elif fault < 0.1:
            used = replace(used, quantity=Decimal(-1))
        elif fault < 0.25:
            used = replace(used, status="Rated")
        asset.inputs.append(used)
    return asset


def write_company(books: Company, company: list[Metered], chance: Random) -> None:
    """Write the assets; their inputs arrive in an order of their own, asset among asset."""
    keys, prices = {}, {}
    for asset in company:
        book = books.price_book(f"book of {asset.name}", asset.currency)
        prices[asset.name] = _write_prices(books, book, asset)
        customer = books.customer(f"customer of {asset.name}")
        discount = None if asset.discount is None else Decimal(asset.discount)
        books.contract(customer, book, f"contract of {asset.name}", discount_percent=discount)
        keys[asset.name] = books.metered(
            asset.name,
            asset.product,
            months=MONTHS,
            months_per_schedule=asset.months_per_schedule,
            actual={month: format(quantity, "f") for month, quantity in asset.imported.items()},
            customer_id=f"customer of {asset.name}",
            currency=asset.currency,
            price_book_key=book if asset.own_book else None,
        )
    arrivals = [(asset, used) for asset in company for used in asset.inputs]
    chance.shuffle(arrivals)
    for asset, used in arrivals:
        asset.inputs.remove(used)  # an asset's inputs stand in order of arrival
        asset.inputs.append(used)
        key = books.usage_input(
            keys[asset.name], used.name, usage_date=used.day, quantity=used.quantity, product_uom=used.uom
        )
        if used.status == "Rated":
            books.rated(
                key, f"US-{asset.name}-{used.day.month:02}", prices[asset.name][used.day >= NEW_PRICES]
            )


def _write_prices(books: Company, book: int, asset: Metered) -> list[int]:
    keys = []
    for price, day in zip(asset.prices, (date(2000, 1, 1), NEW_PRICES), strict=True):
        values = {name: value for name, value in price.items() if name != "tiers"}
        tiers = [(tier["to"], tier["unit_price"], tier["flat_fee"]) for tier in price.get("tiers", [])]
        keys.append(
            books.priced_in(
                book, asset.product, tiers=tiers, effective_from=day, usage_indexing=asset.indexed, **values
            )
        )
    return keys


@dataclass
class Expected:
    """Minor units by good input, names of bad ones, and (quantity, minor units) by usage schedule."""

    amounts: dict[str, int] = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)
    schedules: dict[str, tuple[Fraction, int]] = field(default_factory=dict)


def expected_of(company: list[Metered], *, include_rated: bool) -> Expected:
    """What a forecast of everything comes to."""
    expected = Expected()
    for asset in company:
        in_hand = [used for used in asset.inputs if include_rated or used.status == "Loaded"]
        sums: dict[str, tuple[Fraction, int]] = defaultdict(lambda: (Fraction(0), 0))
        for used, amount in _metered(asset, in_hand):
            if amount is None:
                expected.bad.add(used.name)
                continue
            expected.amounts[used.name] = amount
            quantity, fee = sums[schedule := f"US-{asset.name}-{used.day.month:02}"]
            sums[schedule] = (quantity + Fraction(used.quantity), fee + amount)
        expected.schedules |= sums
    return expected


def _metered(asset: Metered, in_hand: list[Used]) -> Iterator[tuple[Used, int | None]]:
    before: dict[tuple[int, bool], list[Fraction]] = defaultdict(list)
    for month, quantity in asset.imported.items():
        if quantity:
            before[asset.window(date(2023, month, 1))].append(Fraction(quantity))
    for used in asset.inputs:
        if used.status == "Rated" and used not in in_hand:
            before[asset.window(used.day)].append(Fraction(used.quantity))
    # Sorting is stable, so those of one day stay in order of arrival.
    for used in sorted(in_hand, key=lambda used: used.day):
        so_far = before[asset.window(used.day)]
        due = _due(asset, used, so_far)
        if due is not None:
            so_far.append(Fraction(used.quantity))
            due = due * (100 - Fraction(asset.discount or 0)) / 100
        yield used, None if due is None else _minor(due, asset.currency)


def _due(asset: Metered, used: Used, so_far: list[Fraction]) -> Fraction | None:
    if used.quantity < 0 or used.uom != "Each":
        return None
    meter = Meter(copy.deepcopy(asset.prices[used.day >= NEW_PRICES]), asset.indexed)
    if so_far:
        with suppress(OutOfTable):
            meter.rate(sum(so_far, Fraction(0)))
    try:
        return meter.rate(Fraction(used.quantity))
    except OutOfTable:
        return None


def _minor(amount: Fraction, currency: str) -> int:
    rounded: int = floor(abs(amount) * 10 ** DIGITS[currency] + Fraction(1, 2))
    return rounded if amount > 0 else -rounded


def filled(app: Application, seed: int) -> list[Metered]:
    """The company of that seed, alone in the database."""
    empty(app)
    company = drawn(seed)
    with app.database.write() as connection:
        write_company(Company(connection), company, Random(seed))
    return company


def to_rate(seed: int, indexed: bool | None = None) -> list[Metered]:
    """A company of every model in which nothing is rated yet."""
    company = drawn(seed)
    for asset in company:
        asset.imported = {}
        asset.inputs = [used for used in asset.inputs if used.status == "Loaded"]
        asset.indexed = asset.indexed if indexed is None else indexed
    return company
