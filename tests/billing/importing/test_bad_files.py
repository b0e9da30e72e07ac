# ruff: noqa: E501  (tables, a case to a line)
"""Bad input: each kind gives a message that names file, line, column, value and remedy, and changes nothing."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from batchwright.billing.importing import ImportRefused
from batchwright.engine.errors import Refused
from tests.billing.importing.books import BILLING_HEADER, COMPANY, TAKEN_OVER, USAGE_HEADER, Books

INPUTS = "usage_input_id,asset_line_item_id,usage_date,quantity,product_uom,description\n"
ASSETS = (
    "asset_line_item_id,asset_number,customer_id,account_id,product,start_date,end_date,billing_frequency,"
    "usage_frequency,first_billing_date,price_book_id,selling_frequency,price_type,list_price\n"
)
PRICES = (
    "price_book_id,product,effective_from,model,product_uom,unit_price,flat_fee,package_size,"
    "minimum_amount,maximum_amount,usage_indexing,flat_fee_per\n"
)
TIERS = "price_book_id,product,effective_from,from_quantity,to_quantity,unit_price,flat_fee\n"
CONTRACTS = "contract_id,customer_id,price_book_id,start_date,end_date,status,discount_percent,account_ids\n"
ITEMS = "line_item_id,contract_id,account_id,description,kind,amount,start_date,end_date\n"
ASSET = ASSETS + "AL-9,n,{},internet,{},{},{},{},{},{},,,\n"
NEW_ASSET = ASSETS + "AL-9,n,C-1,,internet,2023-01-01,2023-12-31,Yearly,,,PB-1,,,\n"
VOLUME = PRICES + "PB-1,new,2023-01-01,volume,Each,,,,,,,\n"
TIERED = TIERS + "PB-1,new,2023-01-01,{},{},1,\nPB-1,new,2023-01-01,{},{},2,\n"


class Bad(NamedTuple):
    """Files that must be refused, and what the message says: the place, and parts of problem and remedy."""

    name: str
    files: dict[str, str | bytes]
    place: str
    says: tuple[str, ...]


def _input(name: str, row: str, column: str, *says: str) -> Bad:
    return Bad(
        name, {"usage_inputs.csv": f"{INPUTS}{row}\n"}, f"usage_inputs.csv, line 2, column {column}", says
    )


def _one(name: str, file: str, content: str | bytes, place: str, *says: str) -> Bad:
    return Bad(name, {file: content}, f"{file}{place}", says)


FILES = [
    _one("an empty file", "customers.csv", "", ":", "is empty", "customer_id,name"),
    _one("blank lines only", "customers.csv", "\n\n", ":", "is empty"),
    _one("a byte order mark only", "customers.csv", "\ufeff", ":", "is empty"),
    _one("a header only", "customers.csv", "customer_id,name\n", ", line 1", "no line below it"),
    _one(
        "a missing column",
        "customers.csv",
        "customer_id\nC-5\n",
        ", line 1, column name",
        "missing",
        "add it",
    ),
    _one(
        *("an unknown column", "customers.csv", "customer_id,nmae\nC-5,x\n"),
        *(", line 1, column nmae", "did you mean name?"),
    ),
    _one(
        "a column twice",
        "customers.csv",
        "customer_id,name,name\nC-5,x,y\n",
        ", line 1, column name",
        "twice",
    ),
    _one(
        "a column without a name",
        "customers.csv",
        "customer_id,name,\nC-5,x,\n",
        ", line 1",
        "without a name",
    ),
    _one("semicolons", "customers.csv", "customer_id;name\nC-5;x\n", ", line 1", "semicolons", "commas"),
    _one("tabs", "customers.csv", "customer_id\tname\nC-5\tx\n", ", line 1", "tabs", "commas"),
    _one(
        *("Latin-1", "customers.csv", "customer_id,name\nC-5,Z\u00fcrich\n".encode("latin-1")),
        *(", line 2", "0xfc at position 22", "UTF-8"),
    ),
    _one("UTF-16", "customers.csv", "customer_id,name\nC-5,x\n".encode("utf-16"), ", line 1", "UTF-16"),
    _one(
        "a NUL byte", "customers.csv", b"customer_id,name\nC-5,x\0\n", ", line 2", "NUL byte at position 22"
    ),
    _one("an open quote", "customers.csv", 'customer_id,name\nC-5,"x\n', ", line 2", "not closed"),
    _one(
        "text after a quote",
        "customers.csv",
        'customer_id,name\nC-5,"x"y\n',
        ", line 2",
        "after a closing quote",
    ),
    _one(
        "a bare carriage return",
        "customers.csv",
        "customer_id,name\nC-5,x\rC-6,y\n",
        ", line 2",
        "carriage return",
    ),
    _one(
        "a very long line",
        "customers.csv",
        "customer_id,name\nC-5," + "x" * (1 << 20),
        ", line 2",
        "longer than",
    ),
    _one("a very long cell", "customers.csv", "customer_id,name\nC-5," + "x" * 140_000, ", line 2", "quote"),
    _one("a row too short", "customers.csv", "customer_id,name\nC-5\n", ", line 2", "1 cells, the header 2"),
    _one(
        "a row too long", "customers.csv", "customer_id,name\nC-5,x,y\n", ", line 2", "3 cells", "in quotes"
    ),
    _one("an unknown file", "usage_input.csv", INPUTS, ":", "did you mean usage_inputs.csv?"),
    _one("another file", "notes.csv", "a\n1\n", ":", "name it as one of"),
]
CELLS = [
    _one("a duplicate id in the file", "customers.csv", "customer_id,name\nC-5,x\nC-5,y\n", ", line 3", "first on line 2"),
    _one("a duplicate id in the database", "customers.csv", "customer_id,name\nC-1,x\n", ", line 2", "--update"),
    _one("an empty cell", "customers.csv", "customer_id,name\nC-5,\n", ", line 2, column name", "empty"),
    _one("CRLF in a name", "customers.csv", 'customer_id,name\nC-5,"a\r\nb"\nC-1,x\n', ", line 2", "'a\\r\\nb'", "line break"),
    _one("a line after it", "customers.csv", 'customer_id,name\nC-5,"a\r\nb"\nC-1,x\n', ", line 4, column customer_id"),
    _one("LF in an id", "customers.csv", 'customer_id,name\n"C\n5",x\n', ", line 2, column customer_id", "line break"),
    _one("a control character", "customers.csv", "customer_id,name\nC-5,a\x1bb\n", ", line 2", "control character"),
    _one("a direction mark", "customers.csv", "customer_id,name\nC-5,a\u202eb\n", ", line 2", "control character"),
    _one("a 200-character id", "customers.csv", f"customer_id,name\n{'C' * 200},x\n", ", line 2", "200 characters", "at most 64"),
    _one("a long name", "customers.csv", f"customer_id,name\nC-5,{'x' * 1001}\n", ", line 2", "1001 characters"),
    _one("a formula for a name", "customers.csv", "customer_id,name\nC-5,=cmd()\n", ", line 2", "'=cmd()'", "formula"),
    _one("a formula for an id", "customers.csv", "customer_id,name\n@SUM(1),x\n", ", line 2", "formula"),
    _one("a tab before a name", "customers.csv", "customer_id,name\nC-5,\tx\n", ", line 2", "formula"),
    _one("a blank after an id", "customers.csv", "customer_id,name\nC-5 ,x\n", ", line 2", "blanks", "take them out"),
    _one("typographic quotes in an id", "customers.csv", "customer_id,name\n\u201cC-5\u201d,x\n", ", line 2", "typographic"),
    _one("an invisible character", "customers.csv", "customer_id,name\nC-\u200b5,x\n", ", line 2", "not printable"),
    _one("an unknown customer", "accounts.csv", "account_id,customer_id,name\nA-5,C-7,x\n", ", line 2", "'C-7'", "customer"),
    _one("another customer", "accounts.csv", "account_id,customer_id,name\nA-1,C-2,x\n", ", line 2", "--update"),
    _one("a bad currency", "price_books.csv", "price_book_id,name,currency\nPB-5,x,DOLLAR\n", ", line 2", "ISO 4217"),
    _one("a currency in lower case", "price_books.csv", "price_book_id,name,currency\nPB-5,x,usd\n", ", line 2", "ISO 4217"),
    _one("a currency without cents", "price_books.csv", "price_book_id,name,currency\nPB-5,x,XAU\n", ", line 2", "minor unit"),
    _input("2023-06-31", "IN-1,AL-1,2023-06-31,1,Each,", "usage_date", "'2023-06-31'", "June has 30 days"),
    _input("29 February", "IN-1,AL-1,2023-02-29,1,Each,", "usage_date", "February 2023 has 28 days"),
    _input("a month 13", "IN-1,AL-1,2023-13-01,1,Each,", "usage_date", "month"),
    _input("an American date", "IN-1,AL-1,6/5/2023,1,Each,", "usage_date", "YYYY-MM-DD"),
    _input("a date without dashes", "IN-1,AL-1,20230605,1,Each,", "usage_date", "YYYY-MM-DD"),
    _input("a time", "IN-1,AL-1,2023-06-05T00:00,1,Each,", "usage_date", "YYYY-MM-DD"),
    _input("the year 1899", "IN-1,AL-1,1899-12-31,1,Each,", "usage_date", "out of range"),
    _input("the year 3000", "IN-1,AL-1,3000-01-01,1,Each,", "usage_date", "2999"),
    _input("Arabic digits in a date", "IN-1,AL-1,٢٠٢٣-06-05,1,Each,", "usage_date", "YYYY-MM-DD"),
    _input("NaN", "IN-1,AL-1,2023-06-05,NaN,Each,", "quantity", "'NaN'", "plain decimal"),
    _input("infinity", "IN-1,AL-1,2023-06-05,Infinity,Each,", "quantity", "plain decimal"),
    _input("1e400", "IN-1,AL-1,2023-06-05,1e400,Each,", "quantity", "no exponent"),
    _input("30 digits", f"IN-1,AL-1,2023-06-05,{'9' * 30},Each,", "quantity", "too many digits", "18"),
    _input("13 decimals", "IN-1,AL-1,2023-06-05,0.1234567890123,Each,", "quantity", "12 after"),
    _input("a thousands comma", 'IN-1,AL-1,2023-06-05,"1,000",Each,', "quantity", "thousands comma", "write 1000"),
    _input("a decimal comma", 'IN-1,AL-1,2023-06-05,"1,5",Each,', "quantity", "1.5"),
    _input("typographic quotes", "IN-1,AL-1,2023-06-05,\u201c1\u201d,Each,", "quantity", "typographic quotes"),
    _input("a currency sign", "IN-1,AL-1,2023-06-05,$1,Each,", "quantity", "plain decimal"),
    _input("a plus sign", "IN-1,AL-1,2023-06-05,+1,Each,", "quantity", "plain decimal"),
    _input("an empty quantity", "IN-1,AL-1,2023-06-05,,Each,", "quantity", "empty"),
    _input("a blank unit", "IN-1,AL-1,2023-06-05,1,,", "product_uom", "empty"),
    _input("an unknown asset", "IN-1,AL-77,2023-06-05,1,Each,", "asset_line_item_id", "'AL-77'", "import the asset"),
    _input("a formula for a description", "IN-1,AL-1,2023-06-05,1,Each,+1", "description", "formula"),
    _input("an input that is there", "IN-00007052,AL-1,2023-06-05,1,Each,", "usage_input_id", "--update"),
    _one("a bad frequency", "asset_line_items.csv", ASSET.format("C-1,", "2023-01-01", "2023-12-31", "Weekly", "", "", ""), ", line 2, column billing_frequency", "Half Yearly"),
    _one("usage longer than billing", "asset_line_items.csv", ASSET.format("C-1,", "2023-01-01", "2023-12-31", "Monthly", "Quarterly", "", ""), ", line 2, column usage_frequency", "does not divide"),
    _one("an end before the start", "asset_line_items.csv", ASSET.format("C-1,", "2023-01-02", "2023-01-01", "Monthly", "", "", ""), ", line 2, column end_date", "before start_date"),
    _one("first billing before the start", "asset_line_items.csv", ASSET.format("C-1,", "2023-01-02", "2023-12-31", "Monthly", "", "2023-01-01", ""), ", line 2, column first_billing_date", "not within"),
    _one("the account of another customer", "asset_line_items.csv", ASSET.format("C-1,A-9", "2023-01-01", "2023-12-31", "Monthly", "", "", ""), ", line 2, column account_id", "another customer"),
    _one("an unknown price book", "asset_line_items.csv", ASSET.format("C-1,", "2023-01-01", "2023-12-31", "Monthly", "", "", "PB-7"), ", line 2, column price_book_id", "not a known price book"),
    _one("an asset that is there", "asset_line_items.csv", ASSETS + COMPANY["asset_line_items.csv"].splitlines()[1], ", line 2, column asset_line_item_id", "--update"),
]  # fmt: skip
TERMS = [
    _one("an unknown model", "prices.csv", PRICES + "PB-1,new,2023-01-01,graduated,Each,1,,,,,,\n", ", line 2, column model", "tiered"),
    _one("a price without what its model needs", "prices.csv", PRICES + "PB-1,new,2023-01-01,per_unit,Each,,,,,,,\n", ", line 2, column unit_price", "missing"),
    _one("a price with what its model has not", "prices.csv", PRICES + "PB-1,new,2023-01-01,per_unit,Each,1,2,,,,,\n", ", line 2, column flat_fee", "leave it out"),
    _one("an empty package", "prices.csv", PRICES + "PB-1,new,2023-01-01,package,Each,1,,0,,,,\n", ", line 2, column package_size", "more than zero"),
    _one("a minimum above the maximum", "prices.csv", PRICES + "PB-1,new,2023-01-01,per_unit,Each,1,,,9,8,,\n", ", line 2, column minimum_amount", "maximum"),
    _one("a negative price", "prices.csv", PRICES + "PB-1,new,2023-01-01,per_unit,Each,-1,,,,,,\n", ", line 2, column unit_price", "negative"),
    _one("neither true nor false", "prices.csv", PRICES + "PB-1,new,2023-01-01,per_unit,Each,1,,,,,yes,\n", ", line 2, column usage_indexing", "true or false"),
    _one("an unknown fee rule", "prices.csv", PRICES + "PB-1,new,2023-01-01,per_unit,Each,1,,,,,,month\n", ", line 2, column flat_fee_per", "window"),
    _one("a price twice", "prices.csv", PRICES + "PB-1,new,2023-01-01,per_unit,Each,1,,,,,,\n" * 2, ", line 3, column product", "first on line 2"),
    _one("a price that is there", "prices.csv", PRICES + "PB-1,calls,2023-01-01,per_unit,Hour,1,,,,,,\n", ", line 2, column product", "--update"),
    _one("a price in an unknown book", "prices.csv", PRICES + "PB-7,new,2023-01-01,per_unit,Each,1,,,,,,\n", ", line 2, column price_book_id", "price book"),
    _one("no tiers", "prices.csv", VOLUME, ", line 2, column model", "price_tiers.csv"),
    _one("tiers without a price", "price_tiers.csv", TIERED.format(0, 20, 21, 40), ", line 2, column product", "prices.csv"),
    Bad("tiers that overlap", {"prices.csv": VOLUME, "price_tiers.csv": TIERED.format(0, 20, 15, 40)}, "price_tiers.csv, line 3, column from_quantity", ("overlaps", "ends at 20")),
    Bad("a gap between tiers", {"prices.csv": VOLUME, "price_tiers.csv": TIERED.format(0, 20, "21.5", 40)}, "price_tiers.csv, line 3, column from_quantity", ("gap", "20")),
    Bad("a gap before the first tier", {"prices.csv": VOLUME, "price_tiers.csv": TIERED.format(2, 20, 21, 40)}, "price_tiers.csv, line 2, column from_quantity", ("gap",)),
    Bad("a tier upside down", {"prices.csv": VOLUME, "price_tiers.csv": TIERED.format(0, 20, 41, 40)}, "price_tiers.csv, line 3, column from_quantity", ("swap",)),
    Bad("two open tiers", {"prices.csv": VOLUME, "price_tiers.csv": TIERED.format(0, "", 0, "")}, "price_tiers.csv, line 2, column to_quantity", ("open",)),
    Bad("a bound twice", {"prices.csv": VOLUME, "price_tiers.csv": TIERED.format(0, 20, 20, 20)}, "price_tiers.csv, line 3, column to_quantity", ("rising",)),
    _one("an unknown status", "contracts.csv", CONTRACTS + "K-9,C-1,PB-1,2030-01-01,,active,,\n", ", line 2, column status", "Active, Archived"),
    _one("a discount of 101 %", "contracts.csv", CONTRACTS + "K-9,C-1,PB-1,2030-01-01,,Active,101,\n", ", line 2, column discount_percent", "0 to 100"),
    _one("contracts that overlap", "contracts.csv", CONTRACTS + "K-9,C-1,PB-1,2023-12-31,,Active,,\n", ", line 2, column start_date", "K-1", "archive"),
    _one("contracts of one file that overlap", "contracts.csv", CONTRACTS + "K-8,C-1,PB-1,2030-01-01,,Active,,A-1\nK-9,C-1,PB-1,2031-01-01,,Active,,\n", ", line 3, column start_date", "K-8"),
    _one("a contract's account of another customer", "contracts.csv", CONTRACTS + "K-9,C-1,PB-1,2030-01-01,,Active,,A-1;A-9\n", ", line 2, column account_ids", "A-9", "another customer"),
    _one("a contract's unknown account", "contracts.csv", CONTRACTS + "K-9,C-1,PB-1,2030-01-01,,Active,,A-77\n", ", line 2, column account_ids", "A-77"),
    _one("an empty account", "contracts.csv", CONTRACTS + "K-9,C-1,PB-1,2030-01-01,,Active,,A-1;\n", ", line 2, column account_ids", "semicolon"),
    _one("a contract that ends before it starts", "contracts.csv", CONTRACTS + "K-9,C-1,PB-1,2030-01-01,2029-01-01,Active,,\n", ", line 2, column end_date", "before"),
    _one("a contract twice", "contracts.csv", CONTRACTS + "K-9,C-1,PB-1,2030-01-01,,Archived,,\n" * 2, ", line 3, column contract_id", "line 2"),
    _one("a contract that is there", "contracts.csv", CONTRACTS + "K-1,C-1,PB-1,2023-01-01,,Archived,,\n", ", line 2, column contract_id", "--update"),
    _one("an unknown kind", "custom_line_items.csv", ITEMS + "L-9,K-1,,x,discount,5,2023-01-01,\n", ", line 2, column kind", "fixed_discount"),
    _one("an unknown contract", "custom_line_items.csv", ITEMS + "L-9,K-7,,x,fixed_charge,5,2023-01-01,\n", ", line 2, column contract_id", "contract"),
    _one("half a cent", "custom_line_items.csv", ITEMS + "L-9,K-1,,x,fixed_charge,0.005,2023-01-01,\n", ", line 2, column amount", "USD"),
    _one("a discount beyond everything", "custom_line_items.csv", ITEMS + "L-9,K-1,,x,percentage_discount,100.1,2023-01-01,\n", ", line 2, column amount", "100"),
    _one("an account beyond the contract", "custom_line_items.csv", ITEMS + "L-9,K-1,A-9,x,fixed_charge,1,2023-01-01,\n", ", line 2, column account_id", "another customer"),
]  # fmt: skip
BILLING = BILLING_HEADER + "BS-1,AL-9,2023-01-01,2023-12-31,{},2024-01-01,Contracted,Invoiced,{}\n"
USAGE = USAGE_HEADER + "US-1,{},{},2023-01-01,{},0,0,{},,,Usage,{},\n"
SCHEDULES = [
    _one("a schedule over another", "billing_schedules.csv", TAKEN_OVER["billing_schedules.csv"], ", line 2, column period_start_date", "overlaps", "same import"),
    Bad("half a cent on a schedule", {"asset_line_items.csv": NEW_ASSET, "billing_schedules.csv": BILLING.format("0.005", "")}, "billing_schedules.csv, line 2, column fee_amount", ("2 decimals of USD",)),
    Bad("an amount beyond all bounds", {"asset_line_items.csv": NEW_ASSET, "billing_schedules.csv": BILLING.format("9" * 18, "")}, "billing_schedules.csv, line 2, column fee_amount", ("more than can be kept",)),
    Bad("superseded but invoiced", {"asset_line_items.csv": NEW_ASSET, "billing_schedules.csv": BILLING.format("1", "true")}, "billing_schedules.csv, line 2, column superseded", ("Invoiced",)),
    Bad("a status unlike the billing schedule's", {"asset_line_items.csv": NEW_ASSET, "billing_schedules.csv": BILLING.format("1", ""), "usage_schedules.csv": USAGE.format("BS-1", "AL-9", "2023-01-31", "1", "Pending Billing")}, "usage_schedules.csv, line 2, column status", ("Invoiced",)),
    Bad("less than nothing used", {"asset_line_items.csv": NEW_ASSET, "billing_schedules.csv": BILLING.format("1", ""), "usage_schedules.csv": USAGE.format("BS-1", "AL-9", "2023-01-31", "1", "Invoiced").replace(",0,0,1,", ",0,-1,1,")}, "usage_schedules.csv, line 2, column actual_quantity", ("negative",)),
    Bad("a draft fee for no quantity", {"asset_line_items.csv": NEW_ASSET, "billing_schedules.csv": BILLING.format("1", ""), "usage_schedules.csv": USAGE.format("BS-1", "AL-9", "2023-01-31", "1,,5", "Invoiced").replace(",5,,,", ",5,")}, "usage_schedules.csv, line 2, column draft_fee_amount", ("give both",)),
    Bad("usage outside its billing period", {"asset_line_items.csv": NEW_ASSET, "billing_schedules.csv": BILLING.format("1", ""), "usage_schedules.csv": USAGE.format("BS-1", "AL-9", "2024-01-01", "1", "Invoiced")}, "usage_schedules.csv, line 2, column period_start_date", ("reaches out",)),
    Bad("a billing schedule of another asset", {"asset_line_items.csv": NEW_ASSET, "billing_schedules.csv": BILLING.format("1", ""), "usage_schedules.csv": USAGE.format("BS-1", "AL-1", "2023-01-31", "1", "Invoiced")}, "usage_schedules.csv, line 2, column billing_schedule_id", ("another asset",)),
    _one("an unknown billing schedule", "usage_schedules.csv", USAGE.format("BS-7", "AL-1", "2023-01-31", "1", "Invoiced"), ", line 2, column billing_schedule_id", "billing schedule"),
]  # fmt: skip


@pytest.mark.parametrize("bad", [*FILES, *CELLS, *TERMS, *SCHEDULES], ids=lambda bad: bad.name)
def test_bad_input_is_refused_with_its_place_and_remedy_and_changes_nothing(
    bad: Bad, standing_company: Books
) -> None:
    before = standing_company.counts()
    with pytest.raises(ImportRefused) as refused:
        standing_company.load(bad.files)
    line = next((line for line in refused.value.message.splitlines() if bad.place in line), None)
    assert line is not None, refused.value.message
    assert [part for part in bad.says if part not in line] == [], line
    assert "Nothing was changed" in str(refused.value)
    assert standing_company.counts() == before


def test_every_fault_of_every_line_is_named_at_once(company: Books) -> None:
    rows = "IN-1,AL-77,2023-06-31,1,Each,\nIN-2,AL-1,2023-06-01,x,Each,\nIN-3,AL-1,2023-06-01,1,Each,\n"
    with pytest.raises(ImportRefused) as refused:
        company.load({"usage_inputs.csv": INPUTS + rows, "customers.csv": "customer_id,name\nC-1,x\n"})
    assert [(problem.file, problem.line, problem.column) for problem in refused.value.problems] == [
        ("customers.csv", 2, "customer_id"),
        ("usage_inputs.csv", 2, "usage_date"),
        ("usage_inputs.csv", 3, "quantity"),
    ]
    assert (refused.value.count, refused.value.field) == (3, "customer_id")


def test_a_hundred_refusals_are_listed_and_the_rest_counted(company: Books) -> None:
    with pytest.raises(ImportRefused) as refused:
        company.load({"usage_inputs.csv": INPUTS + ",AL-1,2023-06-01,x,Each,\n" * 12_345})
    assert (len(refused.value.problems), refused.value.count) == (100, 12_345)
    assert "… and 12245 more" in refused.value.message


def test_a_long_value_is_shortened_in_the_message(company: Books) -> None:
    with pytest.raises(ImportRefused) as refused:
        company.load({"customers.csv": f"customer_id,name\n{'C' * 200},x\n"})
    assert f"'{'C' * 60}'… (200 characters)" in refused.value.message


def test_paths_that_cannot_be_imported_are_all_named(company: Books) -> None:
    folder = company.folder("paths", {"customers.csv": COMPANY["customers.csv"], "usage.csv": "x"})
    empty = company.folder("nothing", {"readme.txt": "x"})
    with pytest.raises(ImportRefused) as refused:
        company.load_paths([folder, folder / "customers.csv", folder / "missing.csv", empty])
    lines = refused.value.message.splitlines()
    assert [text for text in ("usage.csv: is not", "given twice", "missing.csv: is not there", "folder without")
            if not any(text in line for line in lines)] == []  # fmt: skip


def test_other_files_and_hidden_ones_in_a_folder_are_left_alone(books: Books) -> None:
    report = books.load({**COMPANY, "README.md": "x", "._customers.csv": b"\xff"})
    assert len(report.files) == len(COMPANY)


def test_a_refusal_is_a_refusal_like_any_other() -> None:
    assert issubclass(ImportRefused, Refused)


@pytest.mark.parametrize(
    ("letters", "fault"),
    [
        ("e\u0301", "letters in parts"),
        ("\u3164", r"invisible character U\+3164"),
        ("\u115f", r"invisible character U\+115F"),
        ("\ufe0f", r"invisible character U\+FE0F"),
        ("\u2800", r"invisible character U\+2800"),
        ("\u034f", r"invisible character U\+034F"),
        ("\u200b", "not printable"),
        ("\u00ad", "not printable"),
    ],
)
def test_an_id_that_looks_like_another_is_refused(books: Books, letters: str, fault: str) -> None:
    with pytest.raises(ImportRefused, match=fault):
        books.load({"customers.csv": f"customer_id,name\nC{letters}U-1,One\n"})


def test_composed_letters_and_those_of_other_scripts_are_good_ids(books: Books) -> None:
    books.load(
        {
            "customers.csv": "customer_id,name\nCaf\u00e9-1,One\n\u6771\u4eac-2,Two\n\u0645\u0635\u0631-3,Three\n"
        }
    )
