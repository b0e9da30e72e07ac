"""The schedules that an asset gets: made from its dates and frequencies, or taken over."""

from __future__ import annotations

import io

import pytest

from batchwright.billing.importing import ImportRefused
from tests.billing.importing.books import COMPANY, TAKEN_OVER, USAGE_HEADER, Books

_BILLING = (
    "SELECT b.billing_schedule_id, b.period_start_date, b.period_end_date, b.fee_amount, b.ready_for_invoice_date,"
    " b.type, b.status FROM billing_schedule b JOIN asset_line_item a ON a.id = b.asset_key"
    " WHERE a.asset_line_item_id = :asset ORDER BY b.id"
)
_USAGE = (
    "SELECT u.usage_schedule_id, b.billing_schedule_id, u.period_start_date, u.period_end_date,"
    " CAST(u.included_quantity AS text), CAST(u.actual_quantity AS text), u.fee_amount,"
    " CAST(u.draft_rated_quantity AS text), u.draft_fee_amount, u.type"
    " FROM usage_schedule u JOIN billing_schedule b ON b.id = u.billing_schedule_key"
    " JOIN asset_line_item a ON a.id = u.asset_key WHERE a.asset_line_item_id = :asset ORDER BY u.id"
)


def test_a_half_yearly_asset_gets_two_billing_and_twelve_usage_schedules(company: Books) -> None:
    assert company.rows(_BILLING, asset="AL-1") == [
        ("BS-00000001", "2023-01-01", "2023-06-30", 0, "2023-07-01", "Contracted", "Pending Billing"),
        ("BS-00000002", "2023-07-01", "2023-12-31", 0, "2024-01-01", "Contracted", "Pending Billing"),
    ]
    usage = company.rows(_USAGE, asset="AL-1")
    assert len(usage) == 12
    assert usage[5] == (
        *("US-00000006", "BS-00000001", "2023-06-01", "2023-06-30", "0", "0", 0, None, None, "Usage"),
    )
    assert usage[6][:4] == ("US-00000007", "BS-00000002", "2023-07-01", "2023-07-31")


def test_included_quantity_is_that_of_the_price_in_force_at_the_period_start(company: Books) -> None:
    assert [row[2:5] for row in company.rows(_USAGE, asset="AL-2")] == [
        ("2023-01-31", "2023-02-27", "100"),
        ("2023-02-28", "2023-03-30", "100"),
        ("2023-03-31", "2023-04-15", "50"),
    ]


def test_included_quantity_of_the_contract_in_force_counts_without_an_own_price_book(books: Books) -> None:
    asset = "AL-5,n,C-1,{},calls,2022-12-01,2023-04-30,Monthly,,,,,,\n"
    header = COMPANY["asset_line_items.csv"].splitlines()[0]
    books.load(
        {**COMPANY, "asset_line_items.csv": f"{header}\n{asset.format('A-1')}", "usage_inputs.csv": _NO_INPUT}
    )
    assert [row[4] for row in books.rows(_USAGE, asset="AL-5")] == ["0", "100", "100", "50", "50"]


@pytest.mark.parametrize(
    ("billing", "usage", "included"),
    [
        ("Quarterly", "Monthly", ["100", "0", "50", "50", "0", "0"]),  # another price from March on
        ("Half Yearly", "Monthly", ["100", "0", "50", "0", "0", "0"]),
        ("Half Yearly", "Quarterly", ["100", "50"]),
        ("Quarterly", "Quarterly", ["100", "50"]),
    ],
)
def test_a_window_shows_what_it_includes_once_for_each_price(
    company: Books, billing: str, usage: str, included: list[str]
) -> None:
    header = COMPANY["asset_line_items.csv"].splitlines()[0]
    line = f"AL-6,n,C-1,A-1,calls,2023-01-01,2023-06-30,{billing},{usage},,PB-1,,,\n"
    company.load({"asset_line_items.csv": f"{header}\n{line}"})
    assert [row[4] for row in company.rows(_USAGE, asset="AL-6")] == included


_NO_INPUT = "asset_line_item_id,usage_date,quantity,product_uom\nAL-5,2023-01-01,1,Hour\n"


def test_taken_over_schedules_replace_those_that_would_be_made(books: Books) -> None:
    report = books.load({**COMPANY, **TAKEN_OVER})
    assert (report.billing_schedules_made, report.usage_schedules_made) == (5, 5)
    assert books.rows(_BILLING, asset="AL-1") == [
        ("BS-01311820", "2023-01-01", "2023-06-30", 0, "2023-07-01", "Contracted", "Pending Billing"),
        ("BS-01311821", "2023-07-01", "2023-12-31", 1250, "2024-01-01", "Contracted", "Invoiced"),
    ]
    assert books.rows(_USAGE, asset="AL-1") == [
        ("US-00008316", "BS-01311820", "2023-06-01", "2023-06-30", "0", "0", 0, "20", 400000, "Usage"),
        ("US-00008317", "BS-01311821", "2023-07-01", "2023-07-31", "5", "10", 1250, None, None, "Usage"),
    ]


def test_superseded_schedules_may_lie_under_live_ones(books: Books) -> None:
    old = "BS-01311819,AL-1,2023-01-01,2023-06-30,0.00,2023-07-01,Contracted,Superseded,true\n"
    billing = TAKEN_OVER["billing_schedules.csv"] + old
    books.load({**COMPANY, **TAKEN_OVER, "billing_schedules.csv": billing})
    assert len(books.rows(_BILLING, asset="AL-1")) == 3


def test_an_asset_whose_own_schedules_are_skipped_gets_none_made(books: Books) -> None:
    billing = (
        TAKEN_OVER["billing_schedules.csv"].replace("2023-01-01", "2023-06-31").replace("2023-07-01", "x")
    )
    report = books.load({**COMPANY, **TAKEN_OVER, "billing_schedules.csv": billing}, skip_bad=io.StringIO())
    assert report.skipped == 4
    assert books.rows(_BILLING, asset="AL-1") == []


def test_schedules_are_never_updated_by_an_import(books: Books) -> None:
    books.load({**COMPANY, **TAKEN_OVER})
    with pytest.raises(ImportRefused, match="BS-01311820"):
        books.load({"billing_schedules.csv": TAKEN_OVER["billing_schedules.csv"]}, update=True)


def test_usage_schedules_of_one_billing_schedule_do_not_overlap(books: Books) -> None:
    line = "US-1,BS-01311820,AL-1,2023-06-30,2023-06-30,0,0,0.00,,,Usage,Pending Billing,\n"
    usage = TAKEN_OVER["usage_schedules.csv"] + line
    with pytest.raises(ImportRefused, match="overlaps usage schedule US-00008316"):
        books.load({**COMPANY, **TAKEN_OVER, "usage_schedules.csv": usage})


def test_an_amount_without_a_known_currency_is_refused(books: Books) -> None:
    files = {
        name: text for name, text in COMPANY.items() if name in ("customers.csv", "asset_line_items.csv")
    }
    header = COMPANY["asset_line_items.csv"].splitlines()[0]
    files["asset_line_items.csv"] = f"{header}\nAL-1,n,C-1,,internet,2023-01-01,2023-12-31,Yearly,,,,,,\n"
    with pytest.raises(ImportRefused, match="has no currency"):
        books.load({**files, **TAKEN_OVER})


def test_the_currency_is_that_of_the_own_book_else_of_the_contract(company: Books) -> None:
    assert company.rows("SELECT asset_line_item_id, currency FROM asset_line_item ORDER BY id") == [
        ("AL-1", "USD"),
        ("AL-2", "USD"),
        ("AL-3", "CHF"),
    ]


def test_a_contract_imported_later_gives_its_assets_their_currency(books: Books) -> None:
    late = ("contracts.csv", "custom_line_items.csv")
    books.load({name: text for name, text in COMPANY.items() if name not in late})
    query = "SELECT currency FROM asset_line_item ORDER BY id"
    assert books.rows(query) == [(None,), ("USD",), (None,)]
    books.load({name: COMPANY[name] for name in late})
    assert books.rows(query) == [("USD",), ("USD",), ("CHF",)]


def test_a_usage_schedule_file_alone_needs_a_known_billing_schedule(company: Books) -> None:
    line = "US-1,BS-00000001,AL-1,2023-01-01,2023-01-31,0,0,0.00,,,Usage,Pending Billing,\n"
    with pytest.raises(ImportRefused, match="overlaps usage schedule US-00000001"):
        company.load({"usage_schedules.csv": USAGE_HEADER + line})
