"""What a dry run foretells of account charges, and a preview that is applied, or refused because of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update

from batchwright.billing import tables
from batchwright.operations.app import Application
from batchwright.operations.billing.recalculation import list_account_charges
from batchwright.operations.runs.driving import drive_run
from batchwright.operations.runs.previews import apply_run, run_preview
from batchwright.operations.views import View
from tests.jobs.charging import Write, charges, company, write
from tests.jobs.drafting import billing_rows
from tests.jobs.rating import rate
from tests.jobs.recalculating import Contracted, recalculate, reprice
from tests.support.application import ACTOR

__all__ = ["write"]
MONTHS = ("2023-05", "2023-06")


def lines(app: Application, dry: View, by: Any) -> list[tuple[str, str, str | None, str | None, str]]:
    return [
        (line["kind"], line["record_id"], line["before"], line["after"], line["difference"])
        for line in run_preview(app, dry["run_id"], by)
    ]


def changed(app: Application, line_item_id: str, **values: Any) -> None:
    table = tables.custom_line_item
    with app.database.write() as connection:
        one = update(table).where(table.c.line_item_id == line_item_id)
        connection.execute(one.values(values))


def prepared(app: Application, write: Write) -> None:
    """Charged once at 2 a unit; then a unit costs 3, L-2 has ended and L-3 is new."""
    write(company(("L-1", "percentage_charge", "10"), ("L-2", "fixed_charge", "7", "AC-1")))
    rate(app)
    recalculate(app, MONTHS)
    reprice(app, "3")
    changed(app, "L-2", end_date=date(2023, 5, 31))
    write(lambda books: books.line_item("L-3", "fixed_discount", "4", "AC-2"))


def test_a_dry_run_foretells_the_charges_old_and_new_by_account_and_month_and_changes_nothing(
    app: Application, write: Write
) -> None:
    prepared(app, write)
    before = billing_rows(app)
    dry = recalculate(app, MONTHS, mode="dry_run")
    assert billing_rows(app) == before
    assert lines(app, dry, "account") == [
        ("account", "AC-1 2023-06", "9.00", "3.00", "-6.00"),
        ("account", "AC-2 2023-05", None, "-4.00", "-4.00"),
        ("account", "AC-2 2023-06", None, "-4.00", "-4.00"),
        ("account", "AC-1 2023-05", "8.00", "8.50", "0.50"),
    ]
    assert lines(app, dry, "customer") == [
        ("customer", "CU-1", "30.00", "45.00", "15.00"),
        ("customer_charges", "CU-1", "17.00", "3.50", "-13.50"),
    ]
    assert sorted(lines(app, dry, "charge")) == [
        ("account_charge", "AC-1 2023-05 L-1", "1.00", "1.50", "0.50"),
        ("account_charge", "AC-1 2023-05 L-2", "7.00", "7.00", "0.00"),
        ("account_charge", "AC-1 2023-06 L-1", "2.00", "3.00", "1.00"),
        ("account_charge", "AC-1 2023-06 L-2", "7.00", None, "-7.00"),
        ("account_charge", "AC-2 2023-05 L-3", None, "-4.00", "-4.00"),
        ("account_charge", "AC-2 2023-06 L-3", None, "-4.00", "-4.00"),
    ]
    [line] = [one for one in run_preview(app, dry["run_id"], "charge") if one["record_id"].endswith("06 L-1")]
    assert line["detail"] == {
        "account_id": "AC-1",
        "period": "2023-06",
        "line_item_id": "L-1",
        "contract_id": "CO-1",
        "contract_revision": 1,
        "kind": "percentage_charge",
        "rate": "10",
        "base_amount": "30.00",
    }


def test_what_was_foretold_of_the_charges_is_what_the_run_and_the_applied_preview_charge(
    app: Application, write: Write
) -> None:
    prepared(app, write)
    dry = recalculate(app, MONTHS, mode="dry_run", scope_size=1)
    preview = sorted((line[1], line[3]) for line in lines(app, dry, "charge") if line[3] is not None)
    run = drive_run(app, apply_run(app, dry["run_id"], actor=ACTOR, mail_actor=False).run_id)
    assert (run["status"], run["totals"]) == ("Completed", dry["totals"])
    assert [(f"{row[0]} {row[1]} {row[2]}", row[4]) for row in charges(app)] == preview
    assert {row["run_id"] for row in list_account_charges(app)} == {run["run_id"]}
    recalculate(app, MONTHS)
    assert [(f"{row[0]} {row[1]} {row[2]}", row[4]) for row in charges(app)] == preview


def test_a_dry_run_of_months_without_rated_usage_foretells_the_fixed_charges(
    app: Application, write: Write
) -> None:
    write(company(("L-1", "fixed_charge", "1", "AC-1")))
    dry = recalculate(app, mode="dry_run")
    assert lines(app, dry, None) == [
        ("customer_charges", "CU-1", None, "1.00", "1.00"),
        ("account", "AC-1 2023-06", None, "1.00", "1.00"),
        ("account_charge", "AC-1 2023-06 L-1", None, "1.00", "1.00"),
    ]
    drive_run(app, apply_run(app, dry["run_id"], actor=ACTOR, mail_actor=False).run_id)
    assert charges(app) == [("AC-1", "2023-06", "L-1", None, "1.00")]


def dearer(app: Application, write: Write) -> None:
    changed(app, "L-1", amount=Decimal(11))


def another(app: Application, write: Write) -> None:
    write(lambda books: books.line_item("L-4", "fixed_charge", "1", "AC-1"))


def ended(app: Application, write: Write) -> None:
    changed(app, "L-3", end_date=date(2023, 6, 1), start_date=date(2023, 6, 1))


def charged_by_another(app: Application, write: Write) -> None:
    with app.database.write() as connection:
        one = update(tables.account_charge).where(tables.account_charge.c.month == "2023-06")
        connection.execute(one.values(amount=1))


def covered(app: Application, write: Write) -> None:
    def revise(books: Contracted) -> None:
        books.cover("CO-1", "AC-1")

    write(revise)


CHANGES: list[tuple[Callable[[Application, Write], None], str]] = [
    (dearer, "AC-1 2023-05 L-1: rate 10 is now 11, what it comes to"),
    (another, "AC-1 2023-05 L-4 would be written, too"),
    (ended, "AC-2 2023-05 L-3 would not be written"),
    (charged_by_another, "AC-1 2023-06 L-1: the amount that stands there"),
    (covered, "AC-2 2023-05 L-3 would not be written"),
]


@pytest.mark.parametrize(("change_it", "said"), CHANGES, ids=[one.__name__ for one, _ in CHANGES])
def test_a_preview_is_refused_where_a_charge_would_come_out_otherwise_and_says_which(
    app: Application, write: Write, change_it: Callable[[Application, Write], None], said: str
) -> None:
    prepared(app, write)
    dry = recalculate(app, MONTHS, mode="dry_run")
    change_it(app, write)
    before = billing_rows(app)
    run = drive_run(app, apply_run(app, dry["run_id"], actor=ACTOR, mail_actor=False).run_id)
    assert (run["status"], run["processed"]) == ("Failed", 0)
    assert re.search(said, run["error"]), run["error"]
    assert billing_rows(app) == before


def test_a_line_item_that_changes_after_the_run_was_submitted_fails_it_and_the_charges_stay(
    app: Application, write: Write
) -> None:
    prepared(app, write)
    stood = charges(app)
    dry = recalculate(app, MONTHS, mode="dry_run")
    run = apply_run(app, dry["run_id"], actor=ACTOR, mail_actor=False)
    dearer(app, write)
    failed = drive_run(app, run.run_id)
    assert failed["status"] == "Failed"
    assert "L-1: rate 10 is now 11" in failed["error"]
    assert charges(app) == stood
    assert recalculate(app, MONTHS)["status"] == "Completed"
