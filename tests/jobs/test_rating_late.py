"""Late usage: its billing schedule is no longer pending, so it is charged to a new one beside it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from batchwright.billing import tables
from batchwright.operations.app import Application
from batchwright.operations.billing.billing_schedules import list_billing_schedules
from batchwright.operations.billing.usage_inputs import reset_usage_inputs
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from batchwright.operations.views import View
from tests.jobs.company import INDEXED_TIERS, Company
from tests.jobs.conftest import Write
from tests.jobs.drafting import billing_rows, draft, drafts, statuses
from tests.jobs.rating import (
    assert_books_balance,
    fees,
    figures,
    invoice,
    previewed,
    rate,
    rated,
    rated_results,
    stored,
    unrate,
)
from tests.support.application import ACTOR

pytestmark = pytest.mark.on_both


def fill(books: Company) -> None:
    """AL-1 billed by half-years with usage in May and June, indexed: 10 units at 3, 10 at 2, the rest at 1."""
    books.priced("data", "tiered", tiers=INDEXED_TIERS, usage_indexing=True, included_quantity="2")
    asset = books.metered(months=6, months_per_schedule=6)
    books.used(asset, "may", "05-05", "8")
    books.used(asset, "june", "06-05", "2")


def use(write: Write, **days: str) -> None:
    """More usage of AL-1, by name: a day, or a day and a quantity."""

    def more(books: Company) -> None:
        for name, day in days.items():
            when, _, quantity = day.partition(" ")
            books.used(1, name, when, quantity or "1")

    write(more)


def made(app: Application) -> tuple[list[View], list[View]]:
    """Billing schedules and usage schedules that were not there at first."""
    schedules = [row for row in list_billing_schedules(app) if "-AL-" not in row["billing_schedule_id"]]
    usage_schedules = [row for row in list_usage_schedules(app) if "-AL-" not in row["usage_schedule_id"]]
    return schedules, usage_schedules


def billed(app: Application) -> dict[str, Any]:
    """The rows of the schedules that were there at first."""
    rows = rated_results(app)
    return {kind: [row for row in rows[kind] if "-AL-" in row[0]] for kind in ("meters", "bills")}


@pytest.fixture(params=["invoiced", "pending_invoice"])
def status(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_late_usage_gets_a_new_billing_schedule_for_the_period_with_a_new_usage_schedule_under_it(
    app: Application, write: Write, status: str
) -> None:
    write(fill)
    rate(app)
    invoice(app, "BS-AL-1-01", status=status)
    before = billed(app)
    use(write, late="06-20 3")
    run = rate(app)
    assert (run["processed"], run["totals"]) == (1, {"rated_amount": {"USD": "8.00"}})
    [schedule], [usage_schedule] = made(app)
    assert schedule == {
        "billing_schedule_id": "BS-00000001",
        "asset_line_item_id": "AL-1",
        "period_start_date": "2023-01-01",
        "period_end_date": "2023-06-30",
        "fee_amount": "8.00",
        "ready_for_invoice_date": "2023-06-20",
        "currency": "USD",
        "type": "Contracted",
        "status": "Pending Billing",
        "superseded": False,
    }
    assert usage_schedule == {
        "usage_schedule_id": "US-00000001",
        "billing_schedule_id": "BS-00000001",
        "asset_line_item_id": "AL-1",
        "period_start_date": "2023-06-01",
        "period_end_date": "2023-06-30",
        "included_quantity": "0.00",
        "actual_quantity": "3.00",
        "fee_amount": "8.00",
        "draft_rated_quantity": None,
        "draft_fee_amount": None,
        "currency": "USD",
        "type": "Usage",
        "status": "Pending Billing",
        "superseded": False,
    }
    assert billed(app) == before, "the invoiced pair is not touched"
    assert_books_balance(app)


def test_late_usage_goes_on_in_the_tiers_where_the_invoiced_usage_ended(
    app: Application, write: Write
) -> None:
    write(fill)
    rate(app)
    assert rated(app) == {"may": "18.00", "june": "6.00"}  # two units are included
    invoice(app, "BS-AL-1-01")
    use(write, late="06-20 3")
    rate(app)
    # Two units were free, so the eleventh and twelfth are the last at 3, and the thirteenth is the first at 2.
    assert stored(app, "late")["rated_prior_quantity"] == 10
    assert rated(app)["late"] == "8.00"


def test_more_late_usage_of_the_period_joins_the_schedules_while_they_are_pending(
    app: Application, write: Write
) -> None:
    write(fill)
    rate(app)
    invoice(app, "BS-AL-1-01")
    use(write, first="06-20", second="06-25")
    rate(app)
    use(write, third="06-01")
    rate(app)
    [schedule], [usage_schedule] = made(app)
    assert (usage_schedule["actual_quantity"], schedule["ready_for_invoice_date"]) == ("3.00", "2023-06-20")
    assert_books_balance(app)


def test_late_usage_of_another_month_goes_under_the_pending_billing_schedule_of_its_period(
    app: Application, write: Write
) -> None:
    write(fill)
    rate(app)
    invoice(app, "BS-AL-1-01")
    use(write, june2="06-20")
    rate(app)
    use(write, may2="05-20", april="04-20")
    rate(app)
    schedules, usage_schedules = made(app)
    assert [schedule["billing_schedule_id"] for schedule in schedules] == ["BS-00000001"]
    assert {row["billing_schedule_id"] for row in usage_schedules} == {"BS-00000001"}
    begins = sorted(row["period_start_date"] for row in usage_schedules)
    assert begins == ["2023-04-01", "2023-05-01", "2023-06-01"]
    assert schedules[0]["ready_for_invoice_date"] == "2023-06-20"
    assert_books_balance(app)


def test_late_usage_of_several_months_at_once_is_billed_together_from_the_first_day_used(
    app: Application, write: Write
) -> None:
    write(fill)
    rate(app)
    invoice(app, "BS-AL-1-01")
    use(write, june2="06-20", may2="05-20", april="04-20")
    rate(app)
    schedules, usage_schedules = made(app)
    assert [schedule["ready_for_invoice_date"] for schedule in schedules] == ["2023-04-20"]
    assert len(usage_schedules) == 3
    assert_books_balance(app)


def test_late_usage_after_the_late_schedule_was_invoiced_gets_the_next_one(
    app: Application, write: Write
) -> None:
    write(fill)
    rate(app)
    invoice(app, "BS-AL-1-01")
    use(write, first="06-20")
    rate(app)
    invoice(app, "BS-00000001")
    use(write, second="06-21", third="05-21")
    rate(app)
    schedules, usage_schedules = made(app)
    assert [(schedule["billing_schedule_id"], schedule["fee_amount"]) for schedule in schedules] == [
        ("BS-00000001", "3.00"),
        ("BS-00000002", "5.00"),
    ]
    assert sorted(row["billing_schedule_id"] for row in usage_schedules) == [
        "BS-00000001",
        *["BS-00000002"] * 2,
    ]
    assert_books_balance(app)


def test_a_bad_late_input_makes_no_schedule_and_does_not_say_when_it_is_ready(
    app: Application, write: Write
) -> None:
    write(fill)
    rate(app)
    invoice(app, "BS-AL-1-01")
    use(write, bad="06-10 -1")
    rate(app)
    assert made(app) == ([], [])
    assert statuses(app)["bad"] == ("Error", "negative_quantity")
    use(write, worse="06-11 -1", good="06-12")
    rate(app)
    assert [schedule["ready_for_invoice_date"] for schedule in made(app)[0]] == ["2023-06-12"]
    assert_books_balance(app)


def test_one_rating_of_pending_and_late_usage_charges_each_where_it_belongs(
    app: Application, write: Write
) -> None:
    def two(books: Company) -> None:
        for name in ("AL-1", "AL-2"):
            asset = books.metered(name, months=6, months_per_schedule=3, statuses={1: "Invoiced"})
            books.used(asset, f"late-{name}", "02-10", "1")
            books.used(asset, f"pending-{name}", "05-10", "1")

    write(two)
    rate(app)
    assert fees(app) == {
        **{f"BS-AL-{number}-02": "2.00" for number in (1, 2)},
        **{f"BS-{number:08}": "2.00" for number in (1, 2)},
    }
    assert_books_balance(app)


def test_made_up_ids_pass_over_those_that_were_imported(app: Application, write: Write) -> None:
    def taken(books: Company) -> None:
        fill(books)
        asset = books.metered("AL-2", months=0)
        schedule = books.billing_schedule_from(asset, "BS-00000001", 1)
        books.usage_schedule_of(asset, schedule, "US-00000001", 1)

    write(taken)
    invoice(app, "BS-AL-1-01")
    rate(app)
    schedules, usage_schedules = made(app)
    assert sorted(schedule["billing_schedule_id"] for schedule in schedules) == ["BS-00000001", "BS-00000002"]
    assert sorted(row["usage_schedule_id"] for row in usage_schedules) == [
        f"US-{number:08}" for number in (1, 2, 3)
    ]


def test_late_usage_is_forecast_on_the_schedule_that_is_pending(app: Application, write: Write) -> None:
    write(fill)
    rate(app)
    invoice(app, "BS-AL-1-01")
    use(write, first="06-20")
    draft(app)
    assert drafts(app) == {"US-AL-1-06": ("1.00", "3.00")}, "there is no other yet"
    rate(app)
    use(write, second="06-21")
    draft(app, {"usage_input_ids": ["second"]})
    assert drafts(app)["US-00000001"] == ("1.00", "3.00")


def test_late_usage_that_is_unrated_leaves_its_schedules_with_nothing(app: Application, write: Write) -> None:
    write(fill)
    rate(app)
    invoice(app, "BS-AL-1-01")
    before = billed(app)
    use(write, late="06-20")
    rate(app)
    first = rated_results(app)
    assert unrate(app)["totals"] == {"unrated_amount": {"USD": "3.00"}}
    schedules, usage_schedules = made(app)
    assert [(schedule["fee_amount"], schedule["status"]) for schedule in schedules] == [
        ("0.00", "Pending Billing")
    ]
    assert [(row["fee_amount"], row["actual_quantity"]) for row in usage_schedules] == [("0.00", "0.00")]
    assert billed(app) == before
    reset_usage_inputs(app, ids=["late"], actor=ACTOR)
    rate(app)
    assert rated_results(app) == first


def test_a_dry_rating_of_late_usage_makes_no_schedule_and_names_the_billed_one(
    app: Application, write: Write
) -> None:
    write(fill)
    rate(app)
    invoice(app, "BS-AL-1-01")
    use(write, late="06-20 3")
    before = billing_rows(app)
    dry = rate(app, mode="dry_run")
    assert billing_rows(app) == before
    [(name, line)] = previewed(app, dry, "usage_schedule").items()
    assert (name, line["kind"], line["amount"]) == ("US-AL-1-06", "late_usage_schedule", "8.00")
    assert line["detail"] == {
        "actual_quantity_before": "0.00",
        "actual_quantity_after": "3.00",
        "fee_amount_before": "0.00",
        "fee_amount_after": "8.00",
    }
    assert rate(app)["totals"] == dry["totals"]


def test_usage_of_a_superseded_schedule_is_an_error_and_not_late(app: Application, write: Write) -> None:
    def superseded(books: Company) -> None:
        books.used(books.metered(statuses={6: "Superseded"}), "IN-1", "06-05")

    write(superseded)
    rate(app)
    assert statuses(app) == {"IN-1": ("Error", "superseded_only")}
    assert (made(app), figures(app)) == (([], []), {})


def test_rating_late_usage_one_by_one_equals_rating_it_at_once(app: Application, write: Write) -> None:
    days = {f"IN-{number}": f"{number % 3 + 4:02}-{number + 1:02} 2.5" for number in range(9)}
    names = sorted(days, key=lambda name: days[name])

    def shape() -> tuple[Any, ...]:
        schedules, usage_schedules = made(app)
        return (
            rated(app),
            sorted((row["fee_amount"], row["ready_for_invoice_date"]) for row in schedules),
            sorted(
                (row["period_start_date"], row["actual_quantity"], row["fee_amount"])
                for row in usage_schedules
            ),
        )

    write(fill)
    rate(app)
    invoice(app, "BS-AL-1-01")
    use(write, **days)
    for name in names:
        rate(app, {"usage_input_ids": [name]})
    one_by_one = shape()
    unrate(app, {"usage_input_ids": names})
    with app.database.write() as connection:
        meter, bill = tables.usage_schedule, tables.billing_schedule
        connection.execute(meter.delete().where(meter.c.usage_schedule_id.like("US-0%")))
        connection.execute(bill.delete().where(bill.c.billing_schedule_id.like("BS-0%")))
    reset_usage_inputs(app, ids=names, actor=ACTOR)
    rate(app)
    assert shape() == one_by_one
    assert stored(app, names[0])["usage_date"] == date(2023, 4, 1)
