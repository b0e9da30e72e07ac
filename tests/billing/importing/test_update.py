# ruff: noqa: E501  (a table, a case to a line)
"""`--update`: what a second import of an id changes, and what it is refused for."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from batchwright.billing.importing import ImportRefused
from tests.billing.importing.books import COMPANY, TAKEN_OVER, Books

pytestmark = pytest.mark.on_both

_PRICES = "SELECT product, effective_from, revision, CAST(unit_price AS text) FROM price ORDER BY id"
_INPUT_HEADER = "usage_input_id,asset_line_item_id,usage_date,quantity,product_uom,description\n"


def test_the_whole_company_can_be_imported_again(company: Books) -> None:
    before = company.counts()
    files = {name: text for name, text in COMPANY.items() if name != "usage_inputs.csv"}
    report = company.load(files, update=True)
    assert {(file.loaded, file.updated == file.rows) for file in report.files} == {(0, True)}
    grown = {"price": 8, "price_tier": 4, "contract": 4, "contract_account": 4}
    assert company.counts() == {**before, **grown}


def test_an_update_makes_a_new_revision_of_a_price(company: Books) -> None:
    header, _, calls, *_ = COMPANY["prices.csv"].splitlines()
    company.load({"prices.csv": f"{header}\n{calls.replace('0.125', '0.20')}\n"}, update=True)
    assert [row for row in company.rows(_PRICES) if row[0] == "calls"] == [
        ("calls", "2023-01-01", 1, "0.125"),
        ("calls", "2023-03-01", 1, "0.15"),
        ("calls", "2023-01-01", 2, "0.2"),
    ]


_TIERS = (
    "SELECT p.revision, t.ordinal, CAST(t.to_quantity AS text), CAST(t.unit_price AS text)"
    " FROM price_tier t JOIN price p ON p.id = t.price_key ORDER BY p.revision, t.ordinal"
)


def test_a_new_revision_has_the_tiers_given_with_it(company: Books) -> None:
    header, first, _ = COMPANY["price_tiers.csv"].splitlines()
    company.load({"price_tiers.csv": f"{header}\n{first.replace('20,200', ',150')}\n"}, update=True)
    assert company.rows(_TIERS) == [(1, 1, "20", "200"), (1, 2, "40", "400"), (2, 1, None, "150")]


def test_a_new_revision_without_tiers_keeps_those_of_the_one_before(company: Books) -> None:
    header, internet, *_ = COMPANY["prices.csv"].splitlines()
    company.load({"prices.csv": f"{header}\n{internet.replace('false', 'true')}\n"}, update=True)
    assert company.rows(_TIERS) == [
        (r, *tier) for r in (1, 2) for tier in ((1, "20", "200"), (2, "40", "400"))
    ]
    assert company.rows("SELECT usage_indexing FROM price WHERE revision = 2") == [(1,)]


def test_an_update_makes_a_new_revision_of_a_contract_with_its_accounts(company: Books) -> None:
    header, first, _ = COMPANY["contracts.csv"].splitlines()
    company.load({"contracts.csv": f"{header}\n{first.replace('A-1;A-2', 'A-2')}\n"}, update=True)
    assert company.rows(
        "SELECT c.contract_id, c.revision, a.account_id FROM contract c"
        " LEFT JOIN contract_account x ON x.contract_key = c.id LEFT JOIN account a ON a.id = x.account_key"
        " ORDER BY c.id, a.account_id"
    ) == [("K-1", 1, "A-1"), ("K-1", 1, "A-2"), ("K-2", 1, None), ("K-1", 2, "A-2")]


def test_contracts_that_swap_their_dates_are_judged_as_a_whole(company: Books) -> None:
    header = COMPANY["contracts.csv"].splitlines()[0]
    second = "K-3,C-1,PB-1,2024-01-01,2024-12-31,Active,,\n"
    company.load({"contracts.csv": f"{header}\n{second}"})
    swapped = "K-3,C-1,PB-1,2023-01-01,2023-12-31,Active,,\nK-1,C-1,PB-1,2024-01-01,2024-12-31,Active,,\n"
    report = company.load({"contracts.csv": f"{header}\n{swapped}"}, update=True)
    assert report.files[0].updated == 2


def test_contracts_of_different_accounts_may_overlap(company: Books) -> None:
    header = COMPANY["contracts.csv"].splitlines()[0]
    company.load({"accounts.csv": "account_id,customer_id,name\nA-3,C-1,x\n"})
    line = "K-4,C-1,PB-1,2023-01-01,,Active,,A-3\n"
    assert company.load({"contracts.csv": f"{header}\n{line}"}).files[0].loaded == 1


def test_an_archived_contract_may_overlap(company: Books) -> None:
    header = COMPANY["contracts.csv"].splitlines()[0]
    line = "K-4,C-1,PB-1,2023-01-01,,Archived,,\n"
    assert company.load({"contracts.csv": f"{header}\n{line}"}).files[0].loaded == 1


def test_an_update_changes_names(company: Books) -> None:
    company.load(
        {
            "customers.csv": "customer_id,name\nC-1,New name\nC-3,Third\n",
            "accounts.csv": "account_id,customer_id,name\nA-1,C-1,New north\n",
            "price_books.csv": "price_book_id,name,currency\nPB-1,New list,USD\n",
        },
        update=True,
    )
    assert company.rows("SELECT name FROM customer ORDER BY id") == [
        ("New name",),
        ("Zürich Netze AG",),
        ("Third",),
    ]
    assert company.rows("SELECT name FROM account WHERE account_id = 'A-1'") == [("New north",)]
    assert company.rows("SELECT name FROM price_book WHERE price_book_id = 'PB-1'") == [("New list",)]


def test_an_input_in_error_begins_anew(company: Books) -> None:
    company.change(
        "UPDATE usage_input SET status = 'Error', error_by = 'draft', code = 'no_price', message = 'x',"
        " draft_rated_amount = 5, draft_run_key = 1, draft_prior_quantity = '2' WHERE usage_input_id = 'IN-00007052'"
    )
    line = "IN-00007052,AL-2,2023-02-06,7.50,Hour,again\n"
    company.load({"usage_inputs.csv": _INPUT_HEADER + line}, update=True)
    assert company.rows(
        "SELECT a.asset_line_item_id, i.usage_date, CAST(i.quantity AS text), i.product_uom, i.description, i.status,"
        " i.error_by, i.code, i.message, i.draft_rated_amount, i.draft_run_key, i.draft_prior_quantity"
        " FROM usage_input i JOIN asset_line_item a ON a.id = i.asset_key WHERE i.usage_input_id = 'IN-00007052'"
    ) == [("AL-2", "2023-02-06", "7.5", "Hour", "again", "Loaded", *[None] * 6)]


# What each file says of a record that is there, the columns that a second import of it leaves out, and the columns of
# the database that they are kept in.
_LEFT_OUT = [
    ("prices.csv", "unit_price,included_quantity,usage_indexing", ["unit_price", "included_quantity", "usage_indexing"],
     "PB-1,calls,2023-01-01,per_unit,Hour,0.125,100,true", "SELECT * FROM price WHERE product = 'calls' AND effective_from = '2023-01-01' ORDER BY revision"),
    ("prices.csv", "unit_price,minimum_amount,maximum_amount,flat_fee_per", ["minimum_amount", "maximum_amount", "flat_fee_per"],
     "PB-1,calls,2023-01-01,per_unit,Hour,0.125,1,2,input", "SELECT * FROM price WHERE product = 'calls' AND effective_from = '2023-01-01' ORDER BY revision"),
    ("prices.csv", "unit_price,package_size", ["unit_price", "package_size"],
     "PB-1,calls,2023-01-01,package,Hour,0.125,10", "SELECT * FROM price WHERE product = 'calls' AND effective_from = '2023-01-01' ORDER BY revision"),
    ("prices.csv", "flat_fee", ["flat_fee"],
     "PB-1,calls,2023-01-01,flat,Hour,0.125", "SELECT * FROM price WHERE product = 'calls' AND effective_from = '2023-01-01' ORDER BY revision"),
    ("prices.csv", "percentage", ["percentage"],
     "PB-1,calls,2023-01-01,percentage,Hour,12.5", "SELECT * FROM price WHERE product = 'calls' AND effective_from = '2023-01-01' ORDER BY revision"),
    ("contracts.csv", "end_date,discount_percent", ["end_date", "discount_percent"],
     "K-1,C-1,PB-1,2023-01-01,Active,2023-11-30,12.5", "SELECT * FROM contract WHERE contract_id = 'K-1' ORDER BY revision"),
    ("custom_line_items.csv", "account_id,end_date", ["account_key", "end_date"],
     "L-1,K-1,Loyalty,percentage_discount,5,2023-01-01,A-2,2023-11-30", "SELECT * FROM custom_line_item WHERE line_item_id = 'L-1'"),
    ("asset_line_items.csv", "usage_frequency,first_billing_date,price_book_id",
     ["usage_frequency", "first_billing_date", "price_book_key"],
     "AL-9,n,C-1,calls,2023-01-01,2023-12-31,Half Yearly,Quarterly,2023-02-01,PB-1", "SELECT * FROM asset_line_item WHERE asset_line_item_id = 'AL-9'"),
    ("asset_line_items.csv", "account_id,selling_frequency,price_type,list_price",
     ["account_key", "selling_frequency", "price_type", "list_price"],
     "AL-9,n,C-1,calls,2023-01-01,2023-12-31,Half Yearly,A-2,Yearly,Fee,7.5", "SELECT * FROM asset_line_item WHERE asset_line_item_id = 'AL-9'"),
    ("usage_inputs.csv", "description", ["description"],
     "IN-00007053,AL-1,2023-07-08,10,Each,of July", "SELECT * FROM usage_input WHERE usage_input_id = 'IN-00007053'"),
]  # fmt: skip
_REQUIRED = {
    "prices.csv": "price_book_id,product,effective_from,model,product_uom",
    "contracts.csv": "contract_id,customer_id,price_book_id,start_date,status",
    "custom_line_items.csv": "line_item_id,contract_id,description,kind,amount,start_date",
    "asset_line_items.csv": "asset_line_item_id,asset_number,customer_id,product,start_date,end_date,billing_frequency",
    "usage_inputs.csv": "usage_input_id,asset_line_item_id,usage_date,quantity,product_uom",
}


def _newest(books: Books, statement: str) -> dict[str, Any]:
    with books.database.read() as connection:
        return dict(connection.execute(text(statement)).mappings().all()[-1])


@pytest.mark.parametrize(("file", "more", "kept", "line", "statement"), _LEFT_OUT)
def test_a_column_that_the_file_has_not_leaves_what_stands(
    company: Books, file: str, more: str, kept: list[str], line: str, statement: str
) -> None:
    required = _REQUIRED[file]
    company.load({file: f"{required},{more}\n{line}\n"}, update=True)
    before = _newest(company, statement)
    assert None not in (before[name] for name in kept)
    fewer = ",".join(line.split(",")[: required.count(",") + 1])
    company.load({file: f"{required}\n{fewer}\n"}, update=True)
    after = _newest(company, statement)
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


# Blanks in columns that the file has: what becomes of them.
_BLANKED = [
    ("prices.csv", "unit_price,included_quantity,usage_indexing,flat_fee_per", "PB-1,calls,2023-01-01,per_unit,Hour,0.2,,,",
     "SELECT * FROM price WHERE product = 'calls' AND effective_from = '2023-01-01' ORDER BY revision",
     {"included_quantity": None, "usage_indexing": 0, "flat_fee_per": "window"}),
    ("contracts.csv", "end_date,discount_percent", "K-2,C-2,PB-2,2023-01-01,Active,,",
     "SELECT * FROM contract WHERE contract_id = 'K-2' ORDER BY revision", {"end_date": None, "discount_percent": None}),
    ("custom_line_items.csv", "account_id,end_date", "L-1,K-1,Loyalty,percentage_discount,5,2023-01-01,,",
     "SELECT * FROM custom_line_item WHERE line_item_id = 'L-1'", {"account_key": None, "end_date": None}),
    ("asset_line_items.csv", "account_id,selling_frequency,price_type,list_price", "AL-1,n,C-1,internet,2023-01-01,2023-12-31,Half Yearly,,,,",
     "SELECT * FROM asset_line_item WHERE asset_line_item_id = 'AL-1'",
     {"account_key": None, "selling_frequency": None, "price_type": "Usage", "list_price": None}),
    ("usage_inputs.csv", "description", "IN-00007053,AL-1,2023-07-08,10,Each,",
     "SELECT * FROM usage_input WHERE usage_input_id = 'IN-00007053'", {"description": None}),
]  # fmt: skip


@pytest.mark.parametrize(("file", "more", "line", "statement", "blank"), _BLANKED)
def test_an_empty_cell_blanks_what_stands_or_gives_the_default(
    company: Books, file: str, more: str, line: str, statement: str, blank: dict[str, Any]
) -> None:
    company.load({file: f"{_REQUIRED[file]},{more}\n{line}\n"}, update=True)
    after = _newest(company, statement)
    assert {name: after[name] for name in blank} == blank


def test_a_contract_keeps_its_accounts_where_the_file_has_not_the_column(company: Books) -> None:
    company.load(
        {"contracts.csv": f"{_REQUIRED['contracts.csv']}\nK-1,C-1,PB-1,2023-02-01,Active\n"}, update=True
    )
    accounts = (
        "SELECT a.account_id FROM contract c JOIN contract_account x ON x.contract_key = c.id"
        " JOIN account a ON a.id = x.account_key WHERE c.contract_id = 'K-1' AND c.revision = :revision"
    )
    assert company.rows(accounts, revision=2) == [("A-1",), ("A-2",)]
    assert company.rows("SELECT start_date, end_date FROM contract WHERE revision = 2") == [
        ("2023-02-01", "2023-12-31")
    ]
    blank = f"{_REQUIRED['contracts.csv']},account_ids\nK-1,C-1,PB-1,2023-02-01,Active,\n"
    company.load({"contracts.csv": blank}, update=True)
    assert company.rows(accounts, revision=3) == []


def test_what_stands_is_judged_with_what_the_file_says(company: Books) -> None:
    with pytest.raises(ImportRefused, match="end_date: is before start_date 2024-01-01"):
        company.load(
            {"contracts.csv": f"{_REQUIRED['contracts.csv']}\nK-1,C-1,PB-1,2024-01-01,Active\n"}, update=True
        )


def test_a_new_first_day_is_a_new_price_that_inherits_nothing(company: Books) -> None:
    header = f"{_REQUIRED['prices.csv']},unit_price"
    company.load({"prices.csv": f"{header}\nPB-1,calls,2023-05-01,per_unit,Hour,0.3\n"}, update=True)
    new = _newest(company, "SELECT * FROM price WHERE effective_from = '2023-05-01'")
    assert (new["included_quantity"], new["usage_indexing"], new["flat_fee_per"]) == (None, 0, "window")


def test_the_tiers_that_a_file_names_are_replaced_as_a_set(company: Books) -> None:
    with_fee = "price_book_id,product,effective_from,from_quantity,to_quantity,unit_price,flat_fee\nPB-1,internet,2023-01-01,0,20,200,5\n"
    company.load({"price_tiers.csv": with_fee}, update=True)
    without = (
        "price_book_id,product,effective_from,from_quantity,unit_price\nPB-1,internet,2023-01-01,0,150\n"
    )
    company.load({"price_tiers.csv": without}, update=True)
    tier = _newest(
        company,
        "SELECT t.* FROM price_tier t JOIN price p ON p.id = t.price_key ORDER BY p.revision, t.ordinal",
    )
    assert (tier["to_quantity"], tier["flat_fee"]) == (None, None)


def test_amounts_that_the_new_model_does_not_use_go_with_the_old_one(company: Books) -> None:
    header = f"{_REQUIRED['prices.csv']},flat_fee"
    company.load({"prices.csv": f"{header}\nPB-1,calls,2023-01-01,flat,Hour,99\n"}, update=True)
    new = _newest(company, "SELECT * FROM price WHERE model = 'flat'")
    kept = (new["unit_price"], int(new["included_quantity"]), new["usage_indexing"])
    assert kept == (None, 100, True)


_REFUSED = [
    ("usage_inputs.csv", "IN-00007052,AL-1,2023-06-05,1,Each,", "usage_input_id", "is Rated and stays as it is"),
    ("usage_inputs.csv", "IN-00007053,AL-1,2023-06-05,1,Each,", "usage_input_id", "stays taken"),
    ("price_books.csv", "PB-1,x,EUR", "currency", "keeps its currency"),
    ("accounts.csv", "A-1,C-2,x", "customer_id", "stays with its customer"),
    ("contracts.csv", "K-1,C-2,PB-1,2023-01-01,,Archived,,", "customer_id", "stays with its customer"),
    ("asset_line_items.csv", "AL-1,n,C-1,A-1,internet,2023-01-02,2023-12-31,Half Yearly,,2023-01-02,,,,", "start_date", "amend"),
    ("asset_line_items.csv", "AL-1,n,C-1,A-1,internet,2023-01-01,2023-12-30,Half Yearly,,,,,,", "end_date", "amend"),
    ("asset_line_items.csv", "AL-1,n,C-1,A-1,internet,2023-01-01,2023-12-31,Half Yearly,,2023-02-01,,,,", "first_billing_date", "amend"),
    ("asset_line_items.csv", "AL-1,n,C-1,A-1,internet,2023-01-01,2023-12-31,Yearly,,,,,,", "billing_frequency", "amend"),
    ("asset_line_items.csv", "AL-1,n,C-1,A-1,internet,2023-01-01,2023-12-31,Half Yearly,Quarterly,,,,,", "usage_frequency", "amend"),
    ("asset_line_items.csv", "AL-1,n,C-1,A-1,internet,2023-01-01,2023-12-31,Half Yearly,,,PB-1,,,", "price_book_id", "amend"),
    ("asset_line_items.csv", "AL-1,n,C-2,,internet,2023-01-01,2023-12-31,Half Yearly,,,,,,", "customer_id", "stays with"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "line", "column", "remedy"), _REFUSED)
def test_an_update_is_refused_where_it_would_undo_what_stands(
    company: Books, file: str, line: str, column: str, remedy: str
) -> None:
    company.change(
        "UPDATE usage_input SET status = 'Rated', rated_amount = 1 WHERE usage_input_id = 'IN-00007052'"
    )
    company.change(f"UPDATE usage_input SET deleted = {_true(company)} WHERE usage_input_id = 'IN-00007053'")
    before = company.counts()
    with pytest.raises(ImportRefused) as refused:
        company.load({file: f"{COMPANY[file].splitlines()[0]}\n{line}\n"}, update=True)
    first = refused.value.problems[0]
    assert (first.file, first.line, first.column) == (file, 2, column)
    assert remedy in refused.value.message
    assert company.counts() == before


def test_an_update_changes_what_else_an_asset_says(company: Books) -> None:
    header = COMPANY["asset_line_items.csv"].splitlines()[0]
    line = "AL-1,new-number,C-1,A-2,calls,2023-01-01,2023-12-31,Half Yearly,Monthly,,,Monthly,Usage,7.5\n"
    company.load({"asset_line_items.csv": f"{header}\n{line}"}, update=True)
    assert company.rows(
        "SELECT asset_number, product, selling_frequency, CAST(list_price AS text) FROM asset_line_item"
        " WHERE asset_line_item_id = 'AL-1'"
    ) == [("new-number", "calls", "Monthly", "7.5")]
    assert company.counts()["billing_schedule"] == 7


def test_an_id_twice_in_an_update_is_refused(company: Books) -> None:
    with pytest.raises(ImportRefused, match="twice, first on line 2"):
        company.load({"customers.csv": "customer_id,name\nC-1,a\nC-1,b\n"}, update=True)


def test_taken_over_schedules_of_an_asset_that_has_some_are_refused(company: Books) -> None:
    with pytest.raises(ImportRefused, match="overlaps billing schedule BS-00000001"):
        company.load(TAKEN_OVER, update=True)


def _true(books: Books) -> str:
    return "1" if books.database.is_sqlite else "true"
