"""Amending an asset line item, on both databases: the vendor's walk-through, what is billed, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from batchwright.billing import tables
from batchwright.engine.errors import Refused
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.app import Application
from batchwright.operations.billing.amendments import amend_asset_line_item, preview_amendment
from batchwright.operations.billing.asset_line_items import show_asset_line_item
from batchwright.operations.billing.billing_schedules import list_billing_schedules
from batchwright.operations.billing.forecast import forecast
from batchwright.operations.billing.usage_inputs import edit_usage_input, reset_usage_inputs, show_usage_input
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from batchwright.operations.versions import version_of
from batchwright.operations.views import View
from tests.jobs.company import INDEXED_TIERS, Company
from tests.jobs.drafting import billing_rows, draft, statuses
from tests.jobs.rating import assert_books_balance, invoice, rate, stored, unrate
from tests.seeds.conga import (
    JULY,
    JUNE,
    OLD_BILLING_SCHEDULES,
    OLD_USAGE_SCHEDULES,
    PLANTED,
    billing_schedules,
    inputs,
    plant,
    usage_schedules,
)
from tests.support.application import ACTOR
from tests.support.records import Books

Write = Callable[[Callable[[Books], Any]], Any]


def amend(app: Application, an_id: str = "AL-1", **values: Any) -> View:
    return amend_asset_line_item(app, an_id, actor=ACTOR, **values)


def metered(
    app: Application, *, months_per_schedule: int = 1, statuses: dict[int, str] | None = None, **values: Any
) -> None:
    """AL-1 with schedules for the whole of 2023 and tiers that go on within a window."""
    with app.database.write() as connection:
        company = Company(connection)
        company.priced("data", "tiered", tiers=INDEXED_TIERS, usage_indexing=True)
        frequency = {1: "Monthly", 3: "Quarterly", 6: "Half Yearly"}[months_per_schedule]
        asset = company.metered(
            months=12,
            months_per_schedule=months_per_schedule,
            statuses=statuses,
            billing_frequency=frequency,
            **values,
        )
        for month in range(1, 13):
            company.used(asset, f"IN-{month:02}", f"{month:02}-05", "12.5")


# --- the vendor's walk-through -----------------------------------------------------------------------------------


def test_the_walk_through_of_the_page_comes_out_as_the_page_says(app: Application, tmp_path: Path) -> None:
    plant(app, tmp_path)
    draft(app)
    assert inputs(app) == {JUNE: ("Loaded", None, "4000.00"), JULY: ("Loaded", None, "2000.00")}
    drafted = {"US-00008316": ("20.00", "4000.00"), "US-00008317": ("10.00", "2000.00")}
    assert usage_schedules(app) == {
        an_id: ("Pending Billing", "0.00", "0.00", *figures) for an_id, figures in drafted.items()
    }

    amended = amend(app)

    assert inputs(app) == {JUNE: ("Loaded", "0.00", "0.00"), JULY: ("Loaded", "0.00", "0.00")}
    made = [row["billing_schedule_id"] for row in amended["billing_schedules"]["created"]]
    halves = [
        ("2023-01-01", "2023-06-30", "0.00", "2023-07-01"),
        ("2023-07-01", "2023-12-31", "0.00", "2024-01-01"),
    ]
    assert billing_schedules(app) == {
        **{an_id: (*half, "Superseded") for an_id, half in zip(OLD_BILLING_SCHEDULES, halves, strict=True)},
        **{an_id: (*half, "Pending Billing") for an_id, half in zip(made, halves, strict=True)},
    }
    found = usage_schedules(app)
    for an_id in OLD_USAGE_SCHEDULES:
        assert found.pop(an_id) == ("Superseded", "0.00", "0.00", *drafted[an_id])
    assert len(found) == 12
    assert set(found.values()) == {("Pending Billing", "0.00", "0.00", None, None)}


def test_after_the_walk_through_a_forecast_and_a_rating_come_to_what_they_did_before(
    app: Application, tmp_path: Path
) -> None:
    plant(app, tmp_path)
    rate(app)
    amend(app)
    assert forecast(app) == []
    again = draft(app)
    assert again["totals"] == {"draft_fee_amount": {"USD": "6000.00"}}
    assert rate(app)["totals"] == {"rated_amount": {"USD": "6000.00"}}
    assert [line["fee_amount"] for line in forecast(app)] == ["4000.00", "2000.00"]
    assert_books_balance(app)


@pytest.mark.on_both
def test_with_the_first_half_year_invoiced_nothing_is_billed_twice(app: Application, tmp_path: Path) -> None:
    plant(app, tmp_path)
    draft(app)
    rate(app)
    invoice(app, "BS-01311820")
    before = {name: rows for name, rows in billing_rows(app).items() if name in BILLED_TABLES}

    amended = amend(app)

    made = [row["billing_schedule_id"] for row in amended["billing_schedules"]["created"]]
    assert billing_schedules(app) == {
        "BS-01311820": ("2023-01-01", "2023-06-30", "4000.00", "2023-07-01", "Invoiced"),
        "BS-01311821": ("2023-07-01", "2023-12-31", "2000.00", "2024-01-01", "Superseded"),
        made[0]: ("2023-07-01", "2023-12-31", "0.00", "2024-01-01", "Pending Billing"),
    }
    assert inputs(app) == {JUNE: ("Rated", "4000.00", "4000.00"), JULY: ("Loaded", "0.00", "0.00")}
    invoiced = {"billing_schedule": "BS-01311820", "usage_schedule": "US-00008316", "usage_input": JUNE}
    after = billing_rows(app)
    for table, an_id in invoiced.items():
        assert rows_of(after[table], an_id) == rows_of(before[table], an_id)

    assert rate(app)["totals"] == {"rated_amount": {"USD": "2000.00"}}
    live = [row for row in billing_schedules(app).values() if row[-1] != "Superseded"]
    assert sorted(row[2] for row in live) == ["2000.00", "4000.00"]
    assert inputs(app)[JULY][:2] == ("Rated", "2000.00")


BILLED_TABLES = ("billing_schedule", "usage_schedule", "usage_input")


def rows_of(rows: list[tuple[Any, ...]], an_id: str) -> list[tuple[Any, ...]]:
    found = [row for row in rows if an_id in row]
    assert found
    return found


# --- inputs ------------------------------------------------------------------------------------------------------


def test_rated_inputs_become_loaded_and_the_others_keep_their_status_code_and_message(
    app: Application,
) -> None:
    metered(app)
    edit_usage_input(app, "IN-03", quantity="-1", actor=ACTOR)
    rate(app)
    unrate(app, {"usage_input_ids": ["IN-02"]})
    before = statuses(app)
    assert (before["IN-01"][0], before["IN-02"], before["IN-03"]) == (
        *("Rated", ("Error", "unrated"), ("Error", "negative_quantity")),
    )
    amend(app)
    after = statuses(app)
    assert after == {an_id: ("Loaded", None) if was[0] == "Rated" else was for an_id, was in before.items()}
    assert set(inputs(app).values()) == {("Loaded", "0.00", "0.00"), ("Error", "0.00", "0.00")}


def test_amounts_of_zero_rest_on_no_price_and_no_run(app: Application) -> None:
    metered(app)
    draft(app)
    rate(app)
    assert stored(app, "IN-01")["rated_price_key"] is not None
    amend(app)
    row = stored(app, "IN-01")
    assert (row["rated_amount"], row["draft_rated_amount"]) == (0, 0)
    assert {
        name: row[name] for name in row if name.startswith(("rated_", "draft_")) and row[name] is not None
    } == {"rated_amount": 0, "draft_rated_amount": 0}


def test_a_deleted_input_stays_as_it_is(app: Application, write: Write) -> None:
    def fill(books: Books) -> None:
        asset = books.asset()
        books.usage_schedule(asset, books.billing_schedule(asset))
        books.usage_input(asset, deleted=True, draft_rated_amount=7)

    write(fill)
    amend(app)
    assert stored(app, "IN-1")["draft_rated_amount"] == 7


def test_another_asset_is_not_touched(app: Application) -> None:
    metered(app)
    with app.database.write() as connection:
        other = Company(connection).metered("AL-2", months=12)
        Company(connection).used(other, "IN-X", "06-05")
    rate(app)
    before = rows_about(app, "AL-2"), stored(app, "IN-X")
    amend(app)
    assert (rows_about(app, "AL-2"), stored(app, "IN-X")) == before


def rows_about(app: Application, an_id: str) -> list[View]:
    return list(list_usage_schedules(app, an_id))


# --- schedules ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["pending_invoice", "invoiced"])
def test_what_hangs_on_a_schedule_that_is_billed_is_untouched(app: Application, status: str) -> None:
    metered(app, months_per_schedule=3)
    rate(app)
    draft(app, {"include_rated": True})
    invoice(app, "BS-AL-1-01", "BS-AL-1-02", status=status)
    before = billing_rows(app)
    amend(app, billing_frequency="Monthly")
    after = billing_rows(app)
    untouched = [f"IN-{month:02}" for month in range(1, 7)]
    for an_id in untouched:
        assert rows_of(after["usage_input"], an_id) == rows_of(before["usage_input"], an_id)
    for month in range(1, 7):
        name = f"US-AL-1-{month:02}"
        assert rows_of(after["usage_schedule"], name) == rows_of(before["usage_schedule"], name)
    live = {an_id: row for an_id, row in billing_schedules(app).items() if row[-1] != "Superseded"}
    assert [row[0] for row in live.values()] == [
        *("2023-01-01", "2023-04-01"),
        *(f"2023-{month:02}-01" for month in range(7, 13)),
    ]


def test_new_usage_schedules_are_blank_and_hold_no_rated_input(app: Application) -> None:
    metered(app)
    rate(app)
    draft(app, {"include_rated": True})
    amended = amend(app)
    made = {row["usage_schedule_id"] for row in amended["usage_schedules"]["created"]}
    table = tables.usage_schedule.c
    with app.database.read() as connection:
        rows = connection.execute(
            select(tables.usage_schedule).where(table.usage_schedule_id.in_(made))
        ).all()
    assert len(rows) == 12
    for row in rows:
        assert (row.rated_inputs, row.actual_quantity, row.fee_amount) == (0, 0, 0)
        assert (row.draft_rated_quantity, row.draft_fee_amount) == (None, None)


def test_superseded_schedules_keep_their_own_figures(app: Application) -> None:
    metered(app)
    rate(app)
    draft(app, {"include_rated": True})
    before = usage_schedules(app)
    amend(app)
    after = usage_schedules(app)
    assert {an_id: after[an_id][1:] for an_id in before} == {an_id: row[1:] for an_id, row in before.items()}
    assert {after[an_id][0] for an_id in before} == {"Superseded"}


def test_late_usage_on_a_pending_schedule_beside_a_billed_one_goes_to_zero_and_can_be_rated_again(
    app: Application,
) -> None:
    metered(app, months_per_schedule=6)
    rate(app, {"usage_input_ids": ["IN-01", "IN-02"]})
    invoice(app, "BS-AL-1-01")
    rate(app, {"usage_input_ids": ["IN-03"]})
    late = stored(app, "IN-03")["rated_amount"]
    amend(app)
    assert (inputs(app)["IN-03"], inputs(app)["IN-01"][0]) == (("Loaded", "0.00", "0.00"), "Rated")
    rate(app)
    assert stored(app, "IN-03")["rated_amount"] == late
    assert {status for status, *_ in inputs(app).values()} == {"Rated"}
    assert_books_balance(app)


def test_an_input_whose_day_only_a_billed_schedule_covers_keeps_its_forecast(app: Application) -> None:
    metered(app, statuses={1: "Invoiced"})
    draft(app)
    before = inputs(app)["IN-01"]
    amend(app)
    assert inputs(app)["IN-01"] == before
    assert inputs(app)["IN-02"] == ("Loaded", "0.00", "0.00")


def test_a_pending_period_before_an_invoiced_one_can_still_be_billed(app: Application) -> None:
    metered(app, months_per_schedule=3)
    rate(app)
    charged = {an_id: stored(app, an_id)["rated_amount"] for an_id in ("IN-01", "IN-02", "IN-03")}
    invoice(app, "BS-AL-1-02")
    amend(app, billing_frequency="Half Yearly")
    rate(app)
    assert {status for status, *_ in inputs(app).values()} == {"Rated"}
    assert {an_id: stored(app, an_id)["rated_amount"] for an_id in charged} == charged


def test_usage_of_a_period_whose_invoice_was_cancelled_can_still_be_billed_beside_billed_late_usage(
    app: Application,
) -> None:
    metered(app, months_per_schedule=6)
    rate(app, {"usage_input_ids": ["IN-01"]})
    invoice(app, "BS-AL-1-01")
    rate(app, {"usage_input_ids": ["IN-03"]})
    (late,) = (
        row["billing_schedule_id"]
        for row in list_billing_schedules(app, "AL-1")
        if not row["billing_schedule_id"].startswith("BS-AL")
    )
    invoice(app, late)
    invoice(app, "BS-AL-1-01", status="pending_billing")
    amended = amend(app)
    assert [row["period_start_date"] for row in amended["billing_schedules"]["created"]] == [
        *("2023-01-01", "2023-07-01")
    ]
    assert [row["covered"] for row in amended["usage_inputs"]] == [True] * 11
    rate(app)
    assert {status for status, *_ in inputs(app).values()} == {"Rated"}
    assert_books_balance(app)


def test_an_asset_is_amended_again_and_again(app: Application) -> None:
    metered(app)
    rate(app)
    for frequency in ("Quarterly", "Yearly", "Monthly"):
        amend(app, billing_frequency=frequency)
        rate(app)
    live = [row for row in billing_schedules(app).values() if row[-1] == "Pending Billing"]
    assert len(live) == 12
    assert len(billing_schedules(app)) == 12 + 4 + 1 + 12
    assert {status for status, *_ in inputs(app).values()} == {"Rated"}
    assert_books_balance(app)


def test_a_forecast_does_not_blank_the_draft_values_of_superseded_schedules(app: Application) -> None:
    metered(app)
    draft(app)
    before = usage_schedules(app)
    amend(app)
    draft(app)
    assert {an_id: usage_schedules(app)[an_id][3:] for an_id in before} == {
        an_id: row[3:] for an_id, row in before.items()
    }


def test_what_schedules_were_taken_over_with_is_named_since_no_rating_charges_it_again(
    app: Application, tmp_path: Path
) -> None:
    taken_over = {
        "billing_schedules.csv": PLANTED["billing_schedules.csv"].replace("06-30,0.00", "06-30,50.00"),
        "usage_schedules.csv": PLANTED["usage_schedules.csv"].replace("06-30,0,0,0.00", "06-30,0,5,50.00"),
    }
    plant(app, tmp_path, {**PLANTED, **taken_over})
    rate(app)
    amended = amend(app)
    assert [row["fee_amount"] for row in amended["billing_schedules"]["superseded"]] == ["4050.00", "2000.00"]
    assert amended["charged_elsewhere"] == [
        {"billing_schedule_id": "BS-01311820", "amount": "50.00", "currency": "USD"}
    ]


# --- what stays invoiced ------------------------------------------------------------------------------------------


def cancelled_with_its_late_usage_invoiced(app: Application, late: str = "10", **price: Any) -> str:
    """15 of June cost 40.00; 10 that came late cost 15.00 after them, and stay invoiced. The id of their schedule."""
    price = price or {"model": "tiered", "tiers": INDEXED_TIERS, "usage_indexing": True}
    with app.database.write() as connection:
        company = Company(connection)
        company.priced("data", **price)
        asset = company.metered(billing_frequency="Monthly")
        company.used(asset, "first", "06-05", "15")
    rate(app)
    invoice(app, "BS-AL-1-06")
    with app.database.write() as connection:
        Company(connection).used(asset, "late", "06-10", late)
    rate(app)
    (billing_schedule,) = (
        str(row["billing_schedule_id"])
        for row in list_billing_schedules(app)
        if (row["period_start_date"], row["status"]) == ("2023-06-01", "Pending Billing")
    )
    invoice(app, billing_schedule)
    invoice(app, "BS-AL-1-06", status="pending_billing")
    return billing_schedule


def test_what_stays_invoiced_after_usage_that_goes_to_zero_is_told_with_the_difference(
    app: Application,
) -> None:
    schedule = cancelled_with_its_late_usage_invoiced(app)
    before = stored(app, "late")
    expected = [
        {
            "billing_schedule_id": schedule,
            "status": "Invoiced",
            "amount": "15.00",
            "would_be": "30.00",
            "difference": "15.00",
            "currency": "USD",
        }
    ]
    foreseen = preview_amendment(app, "AL-1")
    assert foreseen["invoiced"] == expected
    assert amend(app, seen=[version_of(foreseen)])["invoiced"] == expected
    assert stored(app, "late") == before
    assert stored(app, "first")["status"] == "Loaded"
    rate(app)  # after what is invoiced: 10 at 2, 5 at 1
    assert stored(app, "first")["rated_amount"] == 2500
    assert_books_balance(app)
    assert amend(app)["invoiced"] == []  # it came first, and goes on to


def test_what_would_be_the_same_without_usage_that_goes_to_zero_is_not_told(app: Application) -> None:
    cancelled_with_its_late_usage_invoiced(app, model="per_unit", unit_price="2", usage_indexing=True)
    assert preview_amendment(app, "AL-1")["invoiced"] == []


def test_what_stays_invoiced_before_usage_that_goes_to_zero_is_not_told(app: Application) -> None:
    schedule = cancelled_with_its_late_usage_invoiced(app)
    invoice(app, "BS-AL-1-06")
    invoice(app, schedule, status="pending_billing")
    assert preview_amendment(app, "AL-1")["invoiced"] == []


def test_what_stays_invoiced_and_could_not_be_priced_alone_is_told_without_an_amount(
    app: Application,
) -> None:
    price = {"model": "discrete", "tiers": (("20", "1", None),), "included_quantity": "20"}
    schedule = cancelled_with_its_late_usage_invoiced(app, "25", **price)
    [shown] = preview_amendment(app, "AL-1")["invoiced"]
    assert (shown["billing_schedule_id"], shown["would_be"], shown["difference"]) == (schedule, None, None)


# --- terms -------------------------------------------------------------------------------------------------------


def test_terms_are_changed_and_shown_before_and_after(app: Application) -> None:
    metered(app)
    with app.database.write() as connection:
        company = Company(connection)
        company.priced_in(company.price_book("PB-OTHER"), "data", unit_price="7", included_quantity="3")
    amended = amend(
        app,
        end_date="2024-03-15",
        price_book_id="PB-OTHER",
        billing_frequency="Half Yearly",
        usage_frequency="Quarterly",
    )
    before = {"end_date": "2023-12-31", "price_book_id": "PB-USD"}
    after = {"end_date": "2024-03-15", "price_book_id": "PB-OTHER"}
    assert amended["terms"] == {
        "before": {**before, "billing_frequency": "Monthly", "usage_frequency": "Monthly"},
        "after": {**after, "billing_frequency": "Half Yearly", "usage_frequency": "Quarterly"},
    }
    shown = show_asset_line_item(app, "AL-1")
    assert {name: shown[name] for name in amended["terms"]["after"]} == amended["terms"]["after"]
    assert [row["period_end_date"] for row in amended["billing_schedules"]["created"]] == [
        *("2023-06-30", "2023-12-31", "2024-03-15")
    ]
    assert [row["included_quantity"] for row in amended["usage_schedules"]["created"]] == [
        *("3.00", "0.00", "3.00", "0.00", "3.00")  # once for each billing period
    ]
    rate(app)
    assert inputs(app)["IN-01"][1] == "66.50"


def test_an_asset_without_a_currency_gets_that_of_its_price_book(app: Application, write: Write) -> None:
    write(lambda books: books.price(books.price_book("PB-EUR", "EUR")))
    write(lambda books: books.asset(price_book_key=None))
    with app.database.write() as connection:
        connection.execute(tables.asset_line_item.update().values(currency=None))
    amend(app, price_book_id="PB-EUR")
    assert show_asset_line_item(app, "AL-1")["currency"] == "EUR"


def test_inputs_for_whose_day_no_schedule_is_left_are_told(app: Application) -> None:
    metered(app)
    amended = amend(app, end_date="2023-10-31")
    bare = [row["usage_input_id"] for row in amended["usage_inputs"] if not row["covered"]]
    assert bare == ["IN-11", "IN-12"]
    rate(app)
    assert statuses(app)["IN-11"] == ("Error", "asset_not_active")
    assert statuses(app)["IN-10"] == ("Rated", None)


# --- looking first, refusing, keeping the trail ------------------------------------------------------------------


def test_a_preview_changes_nothing_and_says_what_the_amendment_does(app: Application) -> None:
    metered(app)
    rate(app)
    invoice(app, "BS-AL-1-01")
    before = billing_rows(app)
    changes: dict[str, Any] = {"end_date": "2024-01-31", "billing_frequency": "Quarterly"}
    foreseen = preview_amendment(app, "AL-1", **changes)
    assert billing_rows(app) == before
    done = amend(app, **changes, seen=[version_of(foreseen)])
    assert {name: done[name] for name in ("terms", "usage_inputs")} == {
        name: foreseen[name] for name in ("terms", "usage_inputs")
    }
    for kind, an_id in (
        ("billing_schedules", "billing_schedule_id"),
        ("usage_schedules", "usage_schedule_id"),
    ):
        found = [[{**row, **unnamed(row)} for row in view[kind]["created"]] for view in (foreseen, done)]
        assert found[0] == found[1]
        assert [row[an_id] for row in foreseen[kind]["superseded"]] == [
            row[an_id] for row in done[kind]["superseded"]
        ]


def unnamed(row: View) -> View:
    return {name: None for name in ("billing_schedule_id", "usage_schedule_id") if name in row}


def test_what_was_changed_after_it_was_shown_is_refused_and_nothing_is_done(app: Application) -> None:
    metered(app)
    foreseen = preview_amendment(app, "AL-1")
    rate(app)
    before = billing_rows(app)
    with pytest.raises(Refused, match="AL-1 was changed after this was shown"):
        amend(app, seen=[version_of(foreseen)])
    assert billing_rows(app) == before


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"end_date": "2023-02-27"}, "end_date", "billed, up to 2023-02-28"),
    ({"end_date": "2022-12-31"}, "end_date", "before the first billing date 2023-01-01"),
    ({"end_date": "31.12.2024"}, "end_date", "31.12.2024"),
    ({"billing_frequency": "Weekly"}, "billing_frequency", "'Weekly' is not known"),
    ({"usage_frequency": "Quarterly"}, "usage_frequency", "do not fill a Monthly billing period"),
    ({"price_book_id": "PB-NONE"}, "price_book_id", "unknown price book: PB-NONE"),
    ({"price_book_id": "PB-EUR"}, "price_book_id", "is in EUR, AL-1 bills in USD"),
]


@pytest.mark.parametrize(("changes", "field", "message"), REFUSED)
def test_what_cannot_be_is_refused_with_field_value_and_remedy_and_nothing_is_done(
    app: Application, changes: dict[str, Any], field: str, message: str
) -> None:
    metered(app, statuses={1: "Invoiced", 2: "Pending Invoice"})
    with app.database.write() as connection:
        Books(connection).price_book("PB-EUR", "EUR")
    before, entries = billing_rows(app), len(list(list_audit(app)))
    for act in (preview_amendment, amend):
        with pytest.raises(Refused, match=message) as refusal:
            act(app, "AL-1", **changes)
        assert refusal.value.field == field
        assert refusal.value.remedy
    assert (billing_rows(app), len(list(list_audit(app)))) == (before, entries)


def test_an_unknown_asset_is_refused(app: Application) -> None:
    with pytest.raises(Refused, match="unknown asset line item: AL-9"):
        amend(app, "AL-9")


def test_where_every_period_is_billed_an_amendment_without_a_change_is_refused(app: Application) -> None:
    metered(app, months_per_schedule=6, statuses={1: "Invoiced", 2: "Invoiced"})
    with pytest.raises(Refused, match="every period of AL-1 is billed"):
        amend(app)
    amended = amend(app, end_date="2024-06-30")
    assert [row["period_start_date"] for row in amended["billing_schedules"]["created"]] == ["2024-01-01"]


def test_an_amendment_has_one_audit_entry_with_terms_schedules_and_what_was_charged(app: Application) -> None:
    metered(app, months_per_schedule=6)
    rate(app, {"usage_input_ids": ["IN-01", "IN-07"]})
    before = len(list(list_audit(app)))
    amended = amend(app, billing_frequency="Yearly", reason="asked by phone")
    entry, *rest = list(list_audit(app))
    assert len(rest) == before
    assert (entry["act"], entry["subject"], entry["reason"]) == (
        *("asset_line_item.amend", "AL-1", "asked by phone"),
    )
    assert (entry["before"]["billing_frequency"], entry["after"]["billing_frequency"]) == (
        *("Half Yearly", "Yearly"),
    )
    assert entry["before"]["billing_schedules"] == ["BS-AL-1-01", "BS-AL-1-02"]
    assert entry["after"]["billing_schedules"] == [
        row["billing_schedule_id"] for row in amended["billing_schedules"]["created"]
    ]
    shown = entry["before"]
    assert (len(shown["usage_inputs"]), shown["rated_amount"]) == (12, "70.00")
    schedules = {"usage_schedule_id": "US-AL-1-07", "billing_schedule_id": "BS-AL-1-02"}
    amounts = {"status": "Rated", "rated_amount": "35.00", "draft_rated_amount": None}
    assert shown["usage_inputs"]["IN-07"] == {**amounts, **schedules}
    zero = {"status": "Loaded", "rated_amount": "0.00", "draft_rated_amount": "0.00"}
    assert entry["after"]["usage_inputs"] == dict.fromkeys(shown["usage_inputs"], zero)


def test_an_edit_after_an_amendment_blanks_the_draft_of_zero(app: Application) -> None:
    metered(app)
    amend(app)
    edit_usage_input(app, "IN-01", quantity="3", actor=ACTOR)
    shown = show_usage_input(app, "IN-01")
    assert (shown["draft_rated_amount"], shown["rated_amount"]) == (None, "0.00")
    reset_usage_inputs(app, ids=["IN-01"], actor=ACTOR)
    rate(app)
    assert Decimal(show_usage_input(app, "IN-01")["rated_amount"]) == 9
    assert stored(app, "IN-01")["usage_date"] == date(2023, 1, 5)
