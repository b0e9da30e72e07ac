"""Looking at what was loaded: lists, single records, and the way of a list back into an import, on both databases."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest

from batchwright.engine.errors import Refused
from batchwright.engine.store import pages
from batchwright.operations import paging
from batchwright.operations.app import Application
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.billing.loaded import (
    Kind,
    columns_of,
    filters_of_kind,
    list_loaded,
    loaded_page,
    show_loaded,
)
from batchwright.operations.checks import Unknown
from tests.support.application import ACTOR
from tests.support.rungs import depth

Row = dict[str, Any]
Load = Callable[..., None]

BOOKS = {"PB/1": "USD", "PB%2F1": "JPY", "PB-3": "BHD"}
PRODUCTS = ("data", "API Calls", "a/b", "%25")
PRICE_ID = {"PB/1": "PB%2F1", "PB%2F1": "PB%252F1", "PB-3": "PB-3"} | {
    "data": "data",
    "API Calls": "API Calls",
    "a/b": "a%2Fb",
    "%25": "%2525",
}

TEXTS = {
    Kind.CUSTOMER: ("customer_id", "name"),
    Kind.ACCOUNT: ("account_id", "name"),
    Kind.PRICE_BOOK: ("price_book_id", "name"),
    Kind.PRICE: ("product",),
    Kind.CONTRACT: ("contract_id",),
    Kind.CUSTOM_LINE_ITEM: ("line_item_id", "description"),
}
"""What a search for words looks through."""


@pytest.fixture
def load(app: Application, tmp_path: Path) -> Load:
    """Imports rows by the names of their files, cells as text and `None` for a blank one."""

    def call(*, update: bool = False, **files: Sequence[Row]) -> None:
        for name, rows in files.items():
            with (tmp_path / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows({column: _cell(value) for column, value in row.items()} for row in rows)
        paths = [tmp_path / f"{name}.csv" for name in files]
        import_paths(app, paths, update=update, actor=ACTOR)

    return call


def _cell(value: object) -> object:
    if isinstance(value, list):
        return ";".join(value)
    return str(value).lower() if isinstance(value, bool) else value


def random_company(random: Random) -> dict[str, list[Row]]:
    """The files of a company that may be imported, and imported again with --update."""
    customers = [{"customer_id": f"C-{n}", "name": f"Customer {random.random()}"} for n in range(4)]
    accounts = [
        {"account_id": f"A-{n}", "customer_id": f"C-{n % 4}", "name": f"Account {random.random()}"}
        for n in range(10)
    ]
    days = ("2022-01-01", "2023-02-28", "2023-07-01")
    prices = [
        {"price_book_id": book, "product": product, "effective_from": day, **random_price(random)}
        for book in BOOKS
        for product in PRODUCTS
        for day in random.sample(days, 2)
    ]
    tiers = [
        {name: price[name] for name in ("price_book_id", "product", "effective_from")} | tier
        for price in prices
        if price["model"] == "tiered"
        for tier in random_tiers(random)
    ]
    contracts = [random_contract(random, n) for n in range(8)]
    return {
        "customers": customers,
        "accounts": accounts,
        "price_books": [
            {"price_book_id": book, "name": f"Book {random.random()}", "currency": currency}
            for book, currency in BOOKS.items()
        ],
        "prices": prices,
        "price_tiers": tiers,
        "contracts": contracts,
        "custom_line_items": [random_item(random, n, contracts) for n in range(6)],
    }


def random_price(random: Random) -> Row:
    model = random.choice(["per_unit", "tiered", "flat", "percentage"])
    amount = {"per_unit": "unit_price", "flat": "flat_fee", "percentage": "percentage"}.get(model)
    row = dict.fromkeys(["unit_price", "flat_fee", "percentage", "package_size"])
    return {
        "model": model,
        "product_uom": random.choice(["Each", "Hour"]),
        **row,
        **({amount: random_number(random)} if amount else {}),
        "included_quantity": random.choice([None, random_number(random)]) if model != "flat" else None,
        "minimum_amount": random.choice([None, "0.01", "0"]),
        "maximum_amount": random.choice([None, "1000000", "999999999999999999.123"]),
        "usage_indexing": random.choice([True, False, None]),
        "flat_fee_per": random.choice(["window", "input", None]),
    }


def random_tiers(random: Random) -> list[Row]:
    first = random.randint(1, 100)
    return [
        {"from_quantity": "0", "to_quantity": first, "unit_price": random_number(random), "flat_fee": None},
        {
            "from_quantity": first,
            "to_quantity": random.choice([None, first + 1]),
            "unit_price": random_number(random),
            "flat_fee": random.choice([None, "5.5"]),
        },
    ]


def random_contract(random: Random, number: int) -> Row:
    """An archived one, or the only active one of its customer."""
    return {
        "contract_id": f"CT-{number}",
        "customer_id": f"C-{number % 4}",
        "price_book_id": random.choice(list(BOOKS)),
        "start_date": random.choice(["2022-01-01", "2023-01-15"]),
        "end_date": random.choice([None, "2023-06-30", "2024-12-31"]),
        "status": random.choice(["Active", "Archived"]) if number < 4 else "Archived",
        "discount_percent": random.choice([None, "0", "12.5", "100"]),
        "account_ids": random.choice([[], [f"A-{number % 4}"], [f"A-{number % 4 + 4}", f"A-{number % 4}"]]),
    }


def random_item(random: Random, number: int, contracts: Sequence[Row]) -> Row:
    contract = random.choice(contracts)
    return {
        "line_item_id": f"CL-{number}",
        "contract_id": contract["contract_id"],
        "account_id": random.choice([None, *contract["account_ids"]]),
        "description": f"Item {random.random()}",
        "kind": random.choice(["fixed_charge", "percentage_discount"]),
        "amount": random.choice(["0", "12", "100"]),
        "start_date": "2023-01-01",
        "end_date": random.choice([None, "2023-12-31"]),
    }


def random_number(random: Random) -> str:
    return random.choice(["0", "2", "2.5", "0.000000000001", "999999999999999999", "10.00"])


def listed(app: Application) -> dict[Kind, list[Row]]:
    return {kind: list(list_loaded(app, kind)) for kind in Kind}


def paged(app: Application, kind: Kind) -> list[Row]:
    """The same in pages of one record."""
    page = loaded_page(app, kind, limit=1)
    rows = page.items
    while page.next is not None:
        page = loaded_page(app, kind, limit=1, after=page.next)
        rows += page.items
    return rows


def narrowed(app: Application, kind: Kind, **by: Any) -> list[Row]:
    """What is left of a list, in pages of two."""
    page = loaded_page(app, kind, limit=2, **by)
    rows = page.items
    while page.next is not None:
        page = loaded_page(app, kind, limit=2, after=page.next, **by)
        rows += page.items
    return rows


@pytest.mark.on_both
@pytest.mark.parametrize("seed", range(depth(1, 20)))
def test_a_list_that_is_narrowed_down_has_those_that_meet_it_in_their_order(
    seed: int, app: Application, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "LONGEST_WALK", 3)
    load(**random_company(Random(seed)))
    on = "2023-03-01"
    for kind, rows in listed(app).items():
        for name in filters_of_kind(kind):
            if name == "words":
                query = rows[-1][TEXTS[kind][-1]][1:].upper()
                expected = [row for row in rows if any(query in row[text].upper() for text in TEXTS[kind])]
            elif name == "on":
                query = on
                expected = [row for row in rows if show_loaded(app, kind, id_of(kind, row), on)["in_force"]]
            else:
                query = rows[-1][name]
                expected = [row for row in rows if row[name] == query]
            assert narrowed(app, kind, **{name: query}) == expected, (kind, name)
    first, *_ = list_loaded(app, Kind.CONTRACT)
    both = {"customer_id": first["customer_id"], "status": first["status"]}
    contracts = [row for row in list_loaded(app, Kind.CONTRACT) if both.items() <= row.items()]
    assert narrowed(app, Kind.CONTRACT, **both) == contracts
    assert narrowed(app, Kind.CUSTOMER, words="%") == narrowed(app, Kind.CUSTOMER, words="C_0") == []


@pytest.mark.parametrize(
    ("kind", "by", "field"),
    [
        (Kind.CUSTOMER, {"on": "2023-01-01"}, "on"),
        (Kind.CUSTOMER, {"words": "a\0"}, "words"),
        (Kind.CUSTOMER, {"words": "a" * 201}, "words"),
        (Kind.CONTRACT, {"customer_id": "C-9"}, "customer_id"),
        (Kind.CONTRACT, {"status": "Lapsed"}, "status"),
        (Kind.PRICE, {"on": "June"}, "on"),
        (Kind.PRICE, {"price_book_id": "PB-9"}, "price_book_id"),
        (Kind.CUSTOM_LINE_ITEM, {"contract_id": "K-9"}, "contract_id"),
    ],
)
def test_what_a_list_cannot_be_narrowed_down_to_is_refused(
    app: Application, kind: Kind, by: dict[str, Any], field: str
) -> None:
    with pytest.raises(Refused) as refused:
        loaded_page(app, kind, **by)
    assert refused.value.field == field


def id_of(kind: Kind, row: Row) -> str:
    if kind is not Kind.PRICE:
        return str(next(iter(row.values())))
    return f"{PRICE_ID[row['price_book_id']]}/{PRICE_ID[row['product']]}/{row['effective_from']}"


@pytest.mark.on_both
@pytest.mark.parametrize("seed", range(depth(1, 50)))
def test_list_and_detail_agree_column_by_column_and_a_list_imported_again_changes_nothing(
    seed: int, app: Application, load: Load
) -> None:
    random = Random(seed)
    first = random_company(random)
    load(**first)
    changed = random_company(random)
    load(update=True, prices=first["prices"][:5], contracts=changed["contracts"])

    before = listed(app)
    for kind, rows in before.items():
        assert len(rows) == len(first[f"{kind}s"])
        for row in rows:
            assert list(row) == columns_of(kind)
            shown = show_loaded(app, kind, id_of(kind, row))
            assert {name: shown[name] for name in row} == row
            if "revisions" in shown:
                newest = shown["revisions"][0]
                assert {name: shown[name] for name in newest} == newest
                assert [one["revision"] for one in shown["revisions"]] == list(
                    range(shown["revision"], 0, -1)
                )

    details = {
        kind: [terms(show_loaded(app, kind, id_of(kind, row))) for row in before[kind]] for kind in Kind
    }
    load(update=True, **{f"{kind}s": rows for kind, rows in before.items()})
    assert listed(app) == before
    assert details == {
        kind: [terms(show_loaded(app, kind, id_of(kind, row))) for row in before[kind]] for kind in Kind
    }


def terms(shown: Row) -> Row:
    """What is shown, without what tells one revision from another."""
    return {
        name: value for name, value in shown.items() if name not in ("revision", "created_at", "revisions")
    }


@pytest.fixture
def company(load: Load) -> None:
    load(
        customers=[{"customer_id": "C-1", "name": "One"}, {"customer_id": "C-2", "name": "Two"}],
        accounts=[{"account_id": f"A-{n}", "customer_id": "C-1", "name": "x"} for n in (1, 2)],
        price_books=[{"price_book_id": "PB", "name": "Book", "currency": "USD"}],
        prices=[
            price("data", "2023-01-01", "1"),
            price("data", "2023-07-01", "2"),
            price("voice", "2023-07-01"),
        ],
        contracts=[contract("CT-1", "2022-01-01", "2022-12-31"), contract("CT-2", "2023-01-01", None, "A-1")],
        custom_line_items=[
            {
                "line_item_id": "CL-1",
                "contract_id": "CT-2",
                "description": "x",
                "kind": "fixed_charge",
                "amount": "5",
                "start_date": "2023-02-01",
                "end_date": "2023-02-28",
            }
        ],
    )


def price(product: str, day: str, unit_price: str = "1") -> Row:
    return {
        "price_book_id": "PB",
        "product": product,
        "effective_from": day,
        "model": "per_unit",
        "product_uom": "Each",
        "unit_price": unit_price,
    }


def contract(contract_id: str, start: str, end: str | None, account_ids: str | None = None) -> Row:
    return {
        "contract_id": contract_id,
        "customer_id": "C-1",
        "price_book_id": "PB",
        "start_date": start,
        "end_date": end,
        "status": "Active",
        "account_ids": account_ids,
    }


@pytest.mark.usefixtures("company")
@pytest.mark.parametrize(
    ("kind", "record_id", "on", "expected"),
    [
        (
            Kind.CUSTOMER,
            "C-1",
            "2022-12-31",
            {"account_count": 2, "contract_count": 2, "contracts_in_force": ["CT-1"]},
        ),
        (Kind.CUSTOMER, "C-1", "2021-12-31", {"contracts_in_force": []}),
        (Kind.CUSTOMER, "C-2", None, {"account_count": 0, "contract_count": 0, "contracts_in_force": []}),
        (Kind.ACCOUNT, "A-1", "2023-01-01", {"contracts_in_force": ["CT-2"]}),
        (Kind.ACCOUNT, "A-2", "2023-01-01", {"contracts_in_force": []}),
        (Kind.ACCOUNT, "A-2", "2022-01-01", {"contracts_in_force": ["CT-1"]}),
        (Kind.PRICE_BOOK, "PB", "2023-06-30", {"price_count": 3, "products_in_force": 1}),
        (Kind.PRICE_BOOK, "PB", None, {"on": "2023-07-01", "price_count": 3, "products_in_force": 2}),
        (Kind.CONTRACT, "CT-1", "2022-12-31", {"in_force": True}),
        (Kind.CONTRACT, "CT-1", "2023-01-01", {"in_force": False}),
        (
            Kind.CUSTOM_LINE_ITEM,
            "CL-1",
            "2023-02-28",
            {"in_force": True, "currency": "USD", "amount": "5.00"},
        ),
        (Kind.CUSTOM_LINE_ITEM, "CL-1", "2023-03-01", {"in_force": False}),
        (Kind.PRICE, "PB/data", "2023-06-30", {"price_id": "PB/data/2023-01-01", "in_force": True}),
        (Kind.PRICE, "PB/data", None, {"price_id": "PB/data/2023-07-01", "unit_price": "2.00"}),
        (Kind.PRICE, "PB/data/2023-01-01", None, {"in_force": False, "price_in_force": "PB/data/2023-07-01"}),
        (Kind.PRICE, "PB/data/2023-01-01", "2022-12-31", {"in_force": False, "price_in_force": None}),
    ],
)
def test_a_record_is_shown_with_what_is_in_force_on_a_day(
    kind: Kind, record_id: str, on: str | None, expected: Row, app: Application
) -> None:
    shown = show_loaded(app, kind, record_id, on)
    assert {name: shown[name] for name in expected} == expected


@pytest.mark.usefixtures("company")
def test_an_archived_contract_is_in_force_on_no_day_nor_is_what_hangs_on_it(
    app: Application, load: Load
) -> None:
    load(update=True, contracts=[{**contract("CT-2", "2023-01-01", None), "status": "Archived"}])
    assert show_loaded(app, Kind.CONTRACT, "CT-2")["in_force"] is False
    assert show_loaded(app, Kind.CUSTOM_LINE_ITEM, "CL-1", "2023-02-15")["in_force"] is False
    assert show_loaded(app, Kind.CUSTOMER, "C-1")["contract_count"] == 2


@pytest.mark.usefixtures("company")
def test_an_update_is_a_revision_with_the_tiers_that_it_had(app: Application, load: Load) -> None:
    tier = {"price_book_id": "PB", "product": "data", "effective_from": "2023-01-01", "from_quantity": "0"}
    tiered = {**price("data", "2023-01-01"), "model": "tiered", "unit_price": None}
    load(update=True, prices=[tiered], price_tiers=[{**tier, "to_quantity": None, "unit_price": "0.5"}])
    shown = show_loaded(app, Kind.PRICE, "PB/data/2023-01-01")
    open_tier = {"from_quantity": "0.00", "to_quantity": None, "unit_price": "0.50", "flat_fee": None}
    assert [one["tiers"] for one in shown["revisions"]] == [[open_tier], []]
    assert [one["model"] for one in shown["revisions"]] == ["tiered", "per_unit"]
    assert shown["tiers"] == [open_tier]
    [listed, *_] = list_loaded(app, Kind.PRICE)
    assert (listed["effective_from"], listed["model"]) == ("2023-01-01", "tiered")


@pytest.mark.usefixtures("company")
@pytest.mark.parametrize("record_id", ["NONE", "", "\0", "x\ny", "é" * 65])
@pytest.mark.parametrize("kind", Kind)
def test_an_id_that_nobody_has_is_refused_by_its_name(kind: Kind, record_id: str, app: Application) -> None:
    if kind is Kind.PRICE:
        record_id = f"PB/{record_id}/2023-01-01"
    with pytest.raises(Unknown) as refused:
        show_loaded(app, kind, record_id)
    assert refused.value.field is not None
    assert refused.value.field.endswith("_id")


@pytest.mark.parametrize(
    ("record_id", "on", "field"),
    [
        ("PB", None, "price_id"),
        ("PB/a/b/2023-01-01", None, "price_id"),
        ("PB/data/soon", None, "price_id"),
        ("PB/data/", None, "price_id"),
        ("PB/data", "2023-02-30", "on"),
        ("PB/data", "", "on"),
    ],
)
def test_what_is_no_id_of_a_price_or_no_day_is_refused(
    record_id: str, on: str | None, field: str, app: Application
) -> None:
    with pytest.raises(Refused) as refused:
        show_loaded(app, Kind.PRICE, record_id, on)
    assert refused.value.field == field


@pytest.mark.on_both
@pytest.mark.usefixtures("company")
def test_a_list_of_several_pages_loses_nothing_and_names_nothing_twice(
    app: Application, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = listed(app)
    monkeypatch.setattr(pages, "ROWS_AT_A_TIME", 1)
    assert listed(app) == whole
    assert {kind: paged(app, kind) for kind in Kind} == whole
    assert list(list_loaded(app, Kind.PRICE, 2)) == whole[Kind.PRICE][:2]
    rows = list_loaded(app, Kind.CONTRACT)
    seen = [next(rows)["contract_id"]]
    load(update=True, contracts=[contract("CT-2", "2023-01-01", date(2023, 9, 30).isoformat(), "A-1")])
    assert [*seen, *(row["contract_id"] for row in rows)] == ["CT-1", "CT-2"]
