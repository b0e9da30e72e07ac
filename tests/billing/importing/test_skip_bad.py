"""`--skip-bad`: the bad lines are set aside as they were written, the good ones loaded."""

from __future__ import annotations

import csv
import hashlib
import io

import pytest

from batchwright.billing.importing import ImportRefused
from tests.billing.importing.books import COMPANY, Books

_HEADER = "asset_line_item_id,usage_date,quantity,product_uom,usage_input_id\n"


def _set_aside(stream: io.StringIO) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(stream.getvalue())))


def test_bad_lines_are_written_with_their_line_and_reason_and_the_others_loaded(company: Books) -> None:
    bad = io.StringIO()
    rows = 'AL-1,2023-06-31,1,Each,X-1\nAL-1,2023-06-30,1,Each,X-2\nAL-1,2023-06-30,"1,000",Each,X-3\nAL-1,2023\n'
    report = company.load({"usage_inputs.csv": _HEADER + rows}, skip_bad=bad)
    assert [(file.rows, file.loaded, file.skipped) for file in report.files] == [(4, 1, 3)]
    assert (report.skipped, len(report.problems)) == (3, 3)
    assert bad.getvalue().splitlines()[0] == _HEADER.strip() + ",file,line,reason"
    first, second, third = _set_aside(bad)
    assert (first["usage_date"], first["usage_input_id"], first["line"]) == ("2023-06-31", "X-1", "2")
    assert (first["file"], "June has 30 days" in first["reason"]) == ("usage_inputs.csv", True)
    assert (second["quantity"], second["line"]) == ("1,000", "4")
    assert (third["usage_date"], third["quantity"], third["line"]) == ("2023", "", "5")
    assert company.rows("SELECT usage_input_id FROM usage_input ORDER BY id")[3:] == [("X-2",)]


def test_bad_lines_stand_in_the_order_of_their_files_and_lines_whenever_they_are_found_out(
    company: Books,
) -> None:
    inputs = "AL-1,2023-06-31,1,Each,X-1\nAL-77,2023-06-30,1,Each,X-2\nAL-1,2023-06-31,1,Each,X-3\n"
    prices = (
        "price_book_id,product,effective_from,model,product_uom,unit_price\n"
        "PB-9,Z,2023-01-01,per_unit,Each,1\nPB-9,A,2023-01-01,per_unit,Each,1\nPB-1,A,2023-01-01,bad,Each,1\n"
    )
    files = {"usage_inputs.csv": _HEADER + inputs, "prices.csv": prices}
    places = [
        *(("prices.csv", line) for line in (2, 3, 4)),
        *(("usage_inputs.csv", line) for line in (2, 3, 4)),
    ]
    with pytest.raises(ImportRefused) as refused:
        company.load(files)
    assert [(problem.file, problem.line) for problem in refused.value.problems] == places
    bad = io.StringIO()
    company.load(files, skip_bad=bad)
    assert [(row["file"], int(row["line"])) for row in _set_aside(bad)] == places


def test_all_reasons_of_a_line_stand_together(company: Books) -> None:
    bad = io.StringIO()
    company.load(
        {"usage_inputs.csv": _HEADER + "AL-77,2023-06-31,x,Each,\nAL-1,2023-06-30,1,Each,\n"}, skip_bad=bad
    )
    (line,) = _set_aside(bad)
    assert line["reason"].startswith("usage_date: ")
    assert "; quantity: " in line["reason"]


def test_formulas_in_bad_lines_are_defused_and_numbers_are_not(company: Books) -> None:
    bad = io.StringIO()
    company.load(
        {"usage_inputs.csv": _HEADER + "=cmd(),2023-06-31,-5,Each,\nAL-1,2023-06-30,1,Each,\n"}, skip_bad=bad
    )
    (line,) = _set_aside(bad)
    assert (line["asset_line_item_id"], line["quantity"]) == ("'=cmd()", "-5")


def test_lines_of_several_files_stand_under_the_columns_of_all(company: Books) -> None:
    bad = io.StringIO()
    company.load(
        {
            "customers.csv": "customer_id,name\nC-1,again\nC-5,five\n",
            "accounts.csv": "account_id,customer_id,name\nA-5,C-7,x\n",
        },
        skip_bad=bad,
    )
    assert [(row["customer_id"], row["account_id"], row["file"], row["line"]) for row in _set_aside(bad)] == [
        ("C-1", "", "customers.csv", "2"),
        ("C-7", "A-5", "accounts.csv", "2"),
    ]


@pytest.mark.parametrize(
    "tiers",
    [
        "PB-1,new,2023-01-01,0,20,1,\nPB-1,new,2023-01-01,21,40,x,\n",
        "PB-1,new,2023-01-01,0,20,1,\nPB-1,new,2023-01-01,15,40,2,\n",
        "PB-1,new,2023-01-01,0,20,1,\nPB-1,new,2023-06-31,21,40,2,\n",
    ],
)
def test_a_price_with_a_bad_tier_is_set_aside_whole(company: Books, tiers: str) -> None:
    bad = io.StringIO()
    before = company.counts()
    price = "price_book_id,product,effective_from,model,product_uom\nPB-1,new,2023-01-01,volume,Each\n"
    header = COMPANY["price_tiers.csv"].splitlines()[0]
    company.load({"prices.csv": price, "price_tiers.csv": f"{header}\n{tiers}"}, skip_bad=bad)
    assert sorted((row["file"], row["line"]) for row in _set_aside(bad)) == [
        ("price_tiers.csv", "2"),
        ("price_tiers.csv", "3"),
        ("prices.csv", "2"),
    ]
    assert company.counts() == before


@pytest.mark.parametrize(
    "content", ["customer_id\nC-5\n", b"customer_id,name\nC-5,\xff\n", 'customer_id,name\nC-5,"x\n']
)
def test_a_file_that_cannot_be_told_apart_into_lines_is_refused_all_the_same(
    company: Books, content: str | bytes
) -> None:
    before = company.counts()
    with pytest.raises(ImportRefused) as refused:
        company.load({"customers.csv": content}, skip_bad=io.StringIO())
    assert "--skip-bad" not in str(refused.value)
    assert company.counts() == before


def test_the_report_has_the_hash_of_each_file(company: Books) -> None:
    content = "customer_id,name\nC-5,five\n"
    report = company.load({"customers.csv": content})
    assert report.files[0].sha256 == hashlib.sha256(content.encode()).hexdigest()
