"""Custom line items as account charges: computed when a recalculation ends, in the place of those before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update

from batchwright.billing import tables
from batchwright.operations.app import Application
from batchwright.operations.billing.recalculation import list_account_charges
from batchwright.operations.runs.controls import abort_run
from batchwright.operations.runs.previews import run_preview
from batchwright.operations.views import View
from tests.jobs.charging import Fill, Write, charges, company, write
from tests.jobs.rating import invoice, rate
from tests.jobs.recalculating import Contracted, recalculate, reprice, submitted, warnings
from tests.support.application import ACTOR

__all__ = ["write"]


def charged(app: Application, write: Write, fill: Fill, periods: Sequence[str] = ("2023-06",)) -> list[Any]:
    write(fill)
    rate(app)
    recalculate(app, periods)
    return charges(app)


def test_an_item_is_charged_once_for_each_account_and_month(app: Application, write: Write) -> None:
    fill = company(("L-1", "fixed_charge", "12.50"))
    assert charged(app, write, fill, ["2023-05", "2023-06"]) == [
        ("AC-1", "2023-05", "L-1", None, "12.50"),
        ("AC-1", "2023-06", "L-1", None, "12.50"),
        ("AC-2", "2023-05", "L-1", None, "12.50"),
        ("AC-2", "2023-06", "L-1", None, "12.50"),
    ]


def test_an_item_of_one_account_is_charged_to_that_one(app: Application, write: Write) -> None:
    fill = company(("L-1", "fixed_charge", "12.50", "AC-2"))
    assert charged(app, write, fill) == [("AC-2", "2023-06", "L-1", None, "12.50")]


def test_a_percentage_is_one_of_what_the_usage_of_the_month_is_rated_at(
    app: Application, write: Write
) -> None:
    fill = company(("L-1", "percentage_charge", "2.5"), ("L-2", "percentage_discount", "10"))
    assert charged(app, write, fill, ["2023-05", "2023-06"]) == [
        ("AC-1", "2023-05", "L-1", "10.00", "0.25"),
        ("AC-1", "2023-05", "L-2", "10.00", "-1.00"),
        ("AC-1", "2023-06", "L-1", "20.00", "0.50"),
        ("AC-1", "2023-06", "L-2", "20.00", "-2.00"),
    ]


def test_a_percentage_is_rounded_half_up_once(app: Application, write: Write) -> None:
    fill = company(("L-1", "percentage_charge", "0.125"), ("L-2", "percentage_discount", "0.125"))
    assert [row[4] for row in charged(app, write, fill)] == ["0.03", "-0.03"]


def test_a_fixed_discount_is_below_zero(app: Application, write: Write) -> None:
    fill = company(("L-1", "fixed_discount", "5", "AC-1"))
    assert charged(app, write, fill) == [("AC-1", "2023-06", "L-1", None, "-5.00")]


@pytest.mark.parametrize(
    ("days", "is_charged"),
    [
        ({"start_date": date(2023, 6, 30)}, True),
        ({"start_date": date(2023, 7, 1)}, False),
        ({"end_date": date(2023, 6, 1)}, True),
        ({"end_date": date(2023, 5, 31)}, False),
    ],
)
def test_an_item_is_charged_in_every_month_that_its_days_touch(
    app: Application, write: Write, days: dict[str, Any], is_charged: bool
) -> None:
    rows = charged(app, write, company(("L-1", "fixed_charge", "1", "AC-1"), **days))
    assert bool(rows) is is_charged


def test_the_charges_are_computed_from_the_amounts_after_the_recalculation(
    app: Application, write: Write
) -> None:
    write(company(("L-1", "percentage_charge", "10")))
    rate(app)
    reprice(app, "3")
    recalculate(app)
    assert charges(app) == [("AC-1", "2023-06", "L-1", "30.00", "3.00")]


def test_what_is_billed_counts_as_usage_of_the_month(app: Application, write: Write) -> None:
    write(company(("L-1", "percentage_charge", "10")))
    rate(app)
    invoice(app, "BS-AL-1-06")
    write(lambda books: books.of_account("AL-2"))  # so that the account is not billed yet
    recalculate(app)
    assert charges(app) == [("AC-1", "2023-06", "L-1", "20.00", "2.00")]


def dearer(app: Application, amount: str = "300") -> None:
    with app.database.write() as connection:
        connection.execute(update(tables.custom_line_item).values(amount=Decimal(amount)))


def of_charges(run: View) -> tuple[Any, ...]:
    names = ("account_charges_before", "account_charges_after", "account_charges_difference")
    return tuple(run["totals"].get(name) for name in names)


def test_a_run_tells_what_became_of_the_charges(app: Application, write: Write) -> None:
    write(company(("L-1", "fixed_charge", "100", "AC-1")))
    rate(app)
    assert of_charges(recalculate(app)) == ({"USD": "0.00"}, {"USD": "100.00"}, {"USD": "100.00"})
    dearer(app)
    dry, run = recalculate(app, mode="dry_run"), recalculate(app)
    assert of_charges(run) == ({"USD": "100.00"}, {"USD": "300.00"}, {"USD": "200.00"})
    assert run["totals"]["difference"] == {"USD": "0.00"}  # of the inputs
    assert (dry["totals"], run["warnings"]) == (run["totals"], [])


def test_without_custom_line_items_nothing_is_said_of_charges(app: Application, write: Write) -> None:
    write(company())
    rate(app)
    assert of_charges(recalculate(app)) == (None, None, None)


@pytest.mark.on_both
@pytest.mark.parametrize("status", ["pending_invoice", "invoiced"])
def test_the_charges_of_a_billed_month_are_left_and_the_difference_told(
    app: Application, write: Write, status: str
) -> None:
    first = charged(app, write, company(("L-1", "fixed_charge", "100")), ["2023-05", "2023-06"])
    invoice(app, "BS-AL-1-06", status=status)
    dearer(app)
    dry = recalculate(app, ["2023-05", "2023-06"], mode="dry_run")
    run = recalculate(app, ["2023-05", "2023-06"])
    left = ("AC-1", "2023-06", "L-1", None, "100.00")
    assert charges(app) == [row if row == left else (*row[:4], "300.00") for row in first]
    stays = "what it is charged stays at 100.00 USD, and would be 300.00 (difference +200.00)"
    assert ("invoiced", f"2023-06 of AC-1 is billed: {stays}") in warnings(run)
    assert of_charges(run) == ({"USD": "300.00"}, {"USD": "900.00"}, {"USD": "600.00"})
    assert (dry["totals"], warnings(dry)) == (run["totals"], warnings(run))
    lines = [line["record_id"] for line in run_preview(app, dry["run_id"], "charge")]
    assert sorted(lines) == ["AC-1 2023-05 L-1", "AC-2 2023-05 L-1", "AC-2 2023-06 L-1"]


def test_what_was_never_charged_in_a_billed_month_is_told_and_not_charged(
    app: Application, write: Write
) -> None:
    write(company(("L-1", "percentage_charge", "10")))
    rate(app)
    invoice(app, "BS-AL-1-06")
    run = recalculate(app)
    assert charges(app) == []
    assert "what it is charged stays at 0.00 USD, and would be 2.00" in warnings(run)[0][1]


def test_a_month_is_not_billed_while_one_schedule_of_the_account_is_pending(
    app: Application, write: Write
) -> None:
    charged(app, write, company(("L-1", "fixed_charge", "100", "AC-1")))
    invoice(app, "BS-AL-1-06")
    write(lambda books: books.of_account("AL-2"))
    dearer(app)
    assert recalculate(app)["warnings"] == []
    assert charges(app) == [("AC-1", "2023-06", "L-1", None, "300.00")]


def test_superseded_schedules_keep_no_month_open(app: Application, write: Write) -> None:
    charged(app, write, company(("L-1", "fixed_charge", "100", "AC-1")))
    invoice(app, "BS-AL-1-06")
    write(lambda books: books.of_account("AL-2"))
    table = tables.billing_schedule
    with app.database.write() as connection:
        of_second = table.c.billing_schedule_id.like("BS-AL-2-%")
        connection.execute(update(table).where(of_second).values(status="Superseded"))
    dearer(app)
    recalculate(app)
    assert charges(app) == [("AC-1", "2023-06", "L-1", None, "100.00")]


def test_a_second_run_leaves_the_same_charges_and_one_of_another_month_leaves_them_alone(
    app: Application, write: Write
) -> None:
    first = charged(
        app, write, company(("L-1", "percentage_charge", "10"), ("L-2", "fixed_charge", "1", "AC-1"))
    )
    recalculate(app)
    assert charges(app) == first
    recalculate(app, ["2023-05"])
    assert [row for row in charges(app) if row[1] == "2023-06"] == first
    assert len(charges(app)) == 2 * len(first)


def test_an_item_that_was_changed_or_ended_since_is_charged_as_it_is_now(
    app: Application, write: Write
) -> None:
    charged(app, write, company(("L-1", "fixed_charge", "1", "AC-1"), ("L-2", "fixed_charge", "2", "AC-1")))
    table = tables.custom_line_item
    with app.database.write() as connection:
        one = update(table).where(table.c.line_item_id == "L-1")
        connection.execute(one.values(kind="percentage_charge", amount=Decimal(50)))
        other = update(table).where(table.c.line_item_id == "L-2")
        connection.execute(other.values(end_date=date(2023, 1, 31)))
    recalculate(app)
    assert charges(app) == [("AC-1", "2023-06", "L-1", "20.00", "10.00")]


def test_an_account_that_the_contract_does_not_cover_is_charged_nothing(
    app: Application, write: Write
) -> None:
    def fill(books: Contracted) -> None:
        company(("L-1", "fixed_charge", "1"))(books)
        books.cover("CO-1", "AC-1")

    assert charged(app, write, fill) == [("AC-1", "2023-06", "L-1", None, "1.00")]


def test_usage_in_another_currency_is_charged_its_percentage_in_that(app: Application, write: Write) -> None:
    def fill(books: Contracted) -> None:
        company(("L-1", "percentage_charge", "10"))(books)
        books.priced("data", currency="JPY", unit_price="100")
        book = books.key_of(tables.price_book, "PB-JPY")
        asset = books.of_account("AL-2", currency="JPY", price_book_key=book)
        books.used(asset, "IN-3", "06-06", "7")

    write(fill)
    rate(app)
    recalculate(app)
    rows = [(row["currency"], row["base_amount"], row["amount"]) for row in list_account_charges(app)]
    assert rows == [("JPY", "700", "70"), ("USD", "20.00", "2.00")]


def test_a_month_without_rated_usage_is_charged_its_fixed_amounts(app: Application, write: Write) -> None:
    write(company(("L-1", "fixed_charge", "1", "AC-1"), ("L-2", "percentage_charge", "1")))
    run = recalculate(app)
    assert (run["total"], of_charges(run)) == (0, ({"USD": "0.00"}, {"USD": "1.00"}, {"USD": "1.00"}))
    assert charges(app) == [("AC-1", "2023-06", "L-1", None, "1.00")]


def test_a_charge_too_large_to_keep_is_left_out_with_a_warning(app: Application, write: Write) -> None:
    write(
        company(
            ("L-1", "percentage_charge", "999999999999999999", "AC-1"), ("L-2", "fixed_charge", "1", "AC-1")
        )
    )
    rate(app)
    dry = recalculate(app, mode="dry_run")
    run = recalculate(app)
    assert [code for code, _ in warnings(run)] == ["amount_out_of_range"]
    assert warnings(dry) == warnings(run)
    assert "AC-1, 2023-06: amount" in warnings(run)[0][1]
    assert charges(app) == [("AC-1", "2023-06", "L-2", None, "1.00")]


def test_a_charge_says_what_it_was_computed_with(app: Application, write: Write) -> None:
    write(company(("L-1", "percentage_charge", "2.50", "AC-1")))
    rate(app)
    run = recalculate(app)
    [row] = list_account_charges(app)
    assert row == {
        "customer_id": "CU-1",
        "account_id": "AC-1",
        "period": "2023-06",
        "line_item_id": "L-1",
        "contract_id": "CO-1",
        "contract_revision": 1,
        "description": "L-1",
        "kind": "percentage_charge",
        "rate": "2.5",
        "base_amount": "20.00",
        "amount": "0.50",
        "currency": "USD",
        "run_id": run["run_id"],
        "computed_at": "2023-07-01T08:30:00.000Z",
    }
    assert list(list_account_charges(app, "CU-2")) == []
    assert len(list(list_account_charges(app, "CU-1", limit=1))) == 1


def test_a_run_that_is_aborted_leaves_the_charges_as_they_are(app: Application, write: Write) -> None:
    first = charged(app, write, company(("L-1", "fixed_charge", "1", "AC-1")))
    with app.database.write() as connection:
        connection.execute(update(tables.custom_line_item).values(amount=Decimal(9)))
    abort_run(app, submitted(app)["run_id"], actor=ACTOR)
    assert charges(app) == first
