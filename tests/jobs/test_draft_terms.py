"""Which price and which contract a forecast uses, and how they are revised between two forecasts."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from batchwright.billing import tables
from batchwright.billing.records import catalog_of_rating
from batchwright.operations.app import Application
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.billing.usage_inputs import list_usage_inputs
from tests.jobs.company import Company
from tests.jobs.conftest import Write
from tests.jobs.drafting import amounts, basis, draft, drafts, outcomes, statuses
from tests.support.application import ACTOR
from tests.support.seed_table import FILES

JUNE = "06-05"


def test_the_usage_date_picks_the_price(app: Application, write: Write) -> None:
    def fill(books: Company) -> None:
        early = books.priced("data", unit_price="2", effective_from=date(2023, 1, 1))
        late = books.priced("data", unit_price="3", effective_from=date(2023, 6, 5))
        keys.extend((early, late))
        asset = books.metered(months_per_schedule=7)
        books.used(asset, "before", "06-04")
        books.used(asset, "on", "06-05")
        books.used(asset, "after", "07-05")

    keys: list[int] = []
    write(fill)
    draft(app)
    assert amounts(app) == {"before": "20.00", "on": "30.00", "after": "30.00"}
    assert [basis(app, name)["draft_price_key"] for name in ("before", "on", "after")] == [
        keys[0],
        keys[1],
        keys[1],
    ]


def test_the_newest_revision_of_a_day_counts_in_the_next_forecast_and_is_named_by_its_amounts(
    app: Application, write: Write
) -> None:
    def fill(books: Company) -> None:
        keys.append(books.priced("data", unit_price="2", effective_from=date(2023, 1, 1)))
        books.used(books.metered(), "IN-1", JUNE)

    def revise(books: Company) -> None:
        # Tiers in place of a unit price: a revision may even change the model.
        keys.append(
            books.priced(
                *("data", "volume"),
                tiers=[("5", "9", None), (None, "7", "1")],
                effective_from=date(2023, 1, 1),
                revision=2,
            )
        )

    keys: list[int] = []
    write(fill)
    first = draft(app)
    assert (amounts(app), basis(app, "IN-1")["draft_price_key"]) == ({"IN-1": "20.00"}, keys[0])
    run_of_first = basis(app, "IN-1")["draft_run_key"]
    write(revise)
    second = draft(app)
    assert (amounts(app), basis(app, "IN-1")["draft_price_key"]) == ({"IN-1": "71.00"}, keys[1])
    assert basis(app, "IN-1")["draft_run_key"] == run_of_first + 1
    assert first["run_id"] < second["run_id"]


def test_an_import_with_update_makes_revisions_that_the_next_forecast_uses(
    app: Application, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    for name, content in FILES.items():
        (first / name).write_text(content, encoding="utf-8")
    (second / "prices.csv").write_text(
        "price_book_id,product,effective_from,model,product_uom,unit_price\n"
        "PB-1,Internet Plans,2023-01-01,per_unit,Each,3\n",
        encoding="utf-8",
    )
    (second / "contracts.csv").write_text(
        "contract_id,customer_id,price_book_id,start_date,end_date,status,discount_percent\n"
        "K-1,C-1,PB-1,2023-01-01,,Active,10\n",
        encoding="utf-8",
    )
    import_paths(app, [first], actor=ACTOR)
    draft(app)
    before = basis(app, "IN-00007052")
    import_paths(app, [second], update=True, actor=ACTOR)
    draft(app)
    after = basis(app, "IN-00007052")
    assert amounts(app) == {"IN-00007052": "54.00", "IN-00007053": "27.00"}
    assert drafts(app) == {"US-00000006": ("20.00", "54.00"), "US-00000007": ("10.00", "27.00")}
    assert (before["draft_discount_percent"], after["draft_discount_percent"]) == (0, 10)
    with app.database.read() as connection:
        for table, column in ((tables.price, "draft_price_key"), (tables.contract, "draft_contract_key")):
            revisions = {row.id: row.revision for row in connection.execute(table.select())}
            assert (revisions[before[column]], revisions[after[column]]) == (1, 2)


def test_the_contract_s_discount_applies_to_the_asset_s_own_price_book_too(
    app: Application, write: Write
) -> None:
    def fill(books: Company) -> None:
        own = books.metered("own")
        book = books.price_book("list", "USD")
        books.priced_in(book, "data", unit_price="5")
        keys.append(books.contract(books.customer(), book, discount_percent=Decimal("12.5")))
        books.used(own, "by own book", JUNE, "1")
        books.used(books.metered("listed", price_book_key=None), "by contract", JUNE, "1")

    keys: list[int] = []
    write(fill)
    draft(app)
    assert amounts(app) == {"by own book": "1.75", "by contract": "4.38"}  # 2 and 5 less 12.5 percent
    for name in ("by own book", "by contract"):
        rests_on = basis(app, name)
        assert (rests_on["draft_contract_key"], rests_on["draft_discount_percent"]) == (
            keys[0],
            Decimal("12.5"),
        )


def test_an_own_price_book_needs_no_contract(app: Application, write: Write) -> None:
    write(lambda books: books.used(books.metered(), "IN-1", JUNE))
    draft(app)
    assert amounts(app) == {"IN-1": "20.00"}
    assert (basis(app, "IN-1")["draft_contract_key"], basis(app, "IN-1")["draft_discount_percent"]) == (
        None,
        0,
    )


def test_a_contract_counts_on_its_days_only_and_only_while_active(app: Application, write: Write) -> None:
    def fill(books: Company) -> None:
        book = books.price_book("list", "USD")
        books.priced_in(book, "data", unit_price="5")
        customer = books.customer()
        books.contract(customer, book, "old", end_date=date(2023, 3, 31), discount_percent=Decimal(20))
        books.contract(customer, book, "archived", status="Archived", start_date=date(2023, 4, 1))
        books.contract(customer, book, "new", start_date=date(2023, 6, 1), discount_percent=Decimal(10))
        asset = books.metered(price_book_key=None, months_per_schedule=7)
        for name, day in (("old", "03-31"), ("between", "04-01"), ("last", "05-31"), ("new", "06-01")):
            books.used(asset, name, day, "1")

    write(fill)
    run = draft(app)
    assert amounts(app) == {"old": "4.00", "between": None, "last": None, "new": "4.50"}
    assert outcomes(app, run)["between"] == outcomes(app, run)["last"] == ("error", "no_contract")


def test_the_newest_revision_of_a_contract_counts_even_where_it_is_archived(
    app: Application, write: Write
) -> None:
    def fill(books: Company) -> None:
        book = books.price_book("list", "USD")
        books.priced_in(book, "data", unit_price="5")
        customer = books.customer()
        books.contract(customer, book, "CO")
        books.contract(customer, book, "CO", revision=2, status="Archived")
        books.used(books.metered(price_book_key=None), "IN-1", JUNE)

    write(fill)
    draft(app)
    assert statuses(app) == {"IN-1": ("Error", "no_contract")}


def test_a_contract_limited_to_accounts_counts_for_their_assets_alone(app: Application, write: Write) -> None:
    def fill(books: Company) -> None:
        book = books.price_book("list", "USD")
        books.priced_in(book, "data", unit_price="5")
        accounts = [books.account(name) for name in ("north", "south")]
        books.contract_of_accounts(book, accounts[:1])
        for name, account in (("north", accounts[0]), ("south", accounts[1]), ("none", None)):
            books.used(books.metered(name, price_book_key=None, account_key=account), f"in {name}", JUNE, "1")

    write(fill)
    draft(app)
    assert amounts(app) == {"in north": "5.00", "in south": None, "in none": None}
    assert statuses(app)["in south"] == statuses(app)["in none"] == ("Error", "no_contract")


def test_a_price_in_another_currency_than_the_asset_s_is_no_price(app: Application, write: Write) -> None:
    def fill(books: Company) -> None:
        book = books.price_book("Liste", "EUR")
        books.priced_in(book, "data", unit_price="5")
        books.contract(books.customer(), book)
        books.used(books.metered(price_book_key=None), "IN-1", JUNE)

    write(fill)
    draft(app)
    (row,) = list_usage_inputs(app)
    assert (row["code"], row["message"]) == (
        "no_price",
        "the price in force is in EUR, AL-1 bills in USD",
    )


def test_currencies_are_totalled_apart_and_have_their_own_digits(app: Application, write: Write) -> None:
    def fill(books: Company) -> None:
        for currency in ("USD", "JPY", "BHD"):
            books.priced("data", currency=currency, unit_price="1.2345")
            books.used(books.metered(currency, currency=currency), f"in {currency}", JUNE, "1")

    write(fill)
    for scope_size in (1, 10):
        run = draft(app, scope_size=scope_size)
        assert run["totals"] == {"draft_fee_amount": {"BHD": "1.235", "JPY": "1", "USD": "1.23"}}
    assert amounts(app) == {"in USD": "1.23", "in JPY": "1", "in BHD": "1.235"}


def test_a_scope_gets_all_its_prices_however_few_are_remembered(
    app: Application, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(books: Company) -> None:
        for name, product in (("AL-1", "a"), ("AL-2", "a"), ("AL-3", "b"), ("AL-4", "a")):
            asset = books.metered(name, product)
            books.used(asset, f"{name}-1", JUNE)
            books.used(asset, f"{name}-2", JUNE)

    write(fill)
    for most in (0, 1):
        monkeypatch.setattr(catalog_of_rating, "MOST_CACHED_PRICES", most)
        for scope_size in (1, 4):
            run = draft(app, scope_size=scope_size)
            assert (run["status"], run["processed"]) == ("Completed", 8)
