"""Billing and usage schedules, and the way of a schedule to the invoice, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update

from batchwright.billing.tables import asset_line_item
from batchwright.engine.errors import Refused
from batchwright.operations.app import Application
from batchwright.operations.billing.billing_schedules import (
    MOVES,
    STATUSES,
    list_billing_schedules,
    set_billing_schedule_status,
    show_billing_schedule,
)
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from tests.support.application import ACTOR
from tests.support.concurrency import race
from tests.support.records import Books

Entries = Callable[[], list[dict[str, Any]]]
Write = Callable[[Callable[[Books], Any]], Any]

ALL = ("Pending Billing", "Pending Invoice", "Invoiced", "Superseded")


def schedules(*statuses: str) -> Callable[[Books], None]:
    """One asset with a billing schedule BS-1, BS-2 … and its usage schedule for each status."""

    def fill(books: Books) -> None:
        asset = books.asset()
        for number, status in enumerate(statuses, start=1):
            key = books.billing_schedule(asset, f"BS-{number}", status=status)
            books.usage_schedule(asset, key, f"US-{number}")

    return fill


def test_a_billing_schedule_is_shown_with_the_keys_of_the_contract_in_their_order(
    app: Application, write: Write
) -> None:
    write(schedules("Superseded"))
    assert list(show_billing_schedule(app, "BS-1").items()) == [
        ("billing_schedule_id", "BS-1"),
        ("asset_line_item_id", "AL-1"),
        ("period_start_date", "2023-06-01"),
        ("period_end_date", "2023-06-30"),
        ("fee_amount", "0.00"),
        ("ready_for_invoice_date", "2023-07-01"),
        ("currency", "USD"),
        ("type", "Contracted"),
        ("status", "Superseded"),
        ("superseded", True),
    ]


def test_a_usage_schedule_is_listed_with_the_keys_of_the_contract_in_their_order(
    app: Application, write: Write
) -> None:
    write(schedules("Pending Invoice"))
    (row,) = list_usage_schedules(app)
    assert list(row.items()) == [
        ("usage_schedule_id", "US-1"),
        ("billing_schedule_id", "BS-1"),
        ("asset_line_item_id", "AL-1"),
        ("period_start_date", "2023-06-01"),
        ("period_end_date", "2023-06-30"),
        ("included_quantity", "0.00"),
        ("actual_quantity", "0.00"),
        ("fee_amount", "0.00"),
        ("draft_rated_quantity", None),
        ("draft_fee_amount", None),
        ("currency", "USD"),
        ("type", "Usage"),
        ("status", "Pending Invoice"),
        ("superseded", False),
    ]


def test_an_asset_whose_currency_is_not_known_yet_shows_amounts_of_zero(
    app: Application, write: Write
) -> None:
    def fill(books: Books) -> None:
        asset = books.asset()
        books.usage_schedule(asset, books.billing_schedule(asset))

    write(fill)
    with app.database.write() as connection:
        connection.execute(update(asset_line_item).values(currency=None))
    (row,) = list_usage_schedules(app)
    assert (row["currency"], row["fee_amount"]) == (None, "0.00")


def test_schedules_are_listed_by_asset_and_period(app: Application, write: Write) -> None:
    def fill(books: Books) -> None:
        first, second = books.asset("AL-1"), books.asset("AL-2")
        for asset, number, month in ((second, 1, 6), (first, 2, 7), (first, 3, 6)):
            period = {"period_start_date": date(2023, month, 1), "period_end_date": date(2023, month, 28)}
            key = books.billing_schedule(asset, f"BS-{number}", **period)
            books.usage_schedule(asset, key, f"US-{number}", **period)

    write(fill)
    assert [row["billing_schedule_id"] for row in list_billing_schedules(app)] == ["BS-3", "BS-2", "BS-1"]
    assert [row["usage_schedule_id"] for row in list_usage_schedules(app)] == ["US-3", "US-2", "US-1"]
    assert [row["usage_schedule_id"] for row in list_usage_schedules(app, "AL-2")] == ["US-1"]
    assert [row["billing_schedule_id"] for row in list_billing_schedules(app, "AL-1", limit=1)] == ["BS-3"]


def test_lists_of_an_unknown_asset_and_an_unknown_schedule_are_refused(app: Application) -> None:
    for listing in (list_billing_schedules, list_usage_schedules):
        with pytest.raises(Refused, match="unknown asset line item: AL-9"):
            listing(app, "AL-9")
    with pytest.raises(Refused, match="unknown billing schedule: BS-9"):
        show_billing_schedule(app, "BS-9")


@pytest.mark.parametrize("option", STATUSES)
@pytest.mark.parametrize("before", ALL)
def test_a_schedule_moves_as_the_table_of_moves_says_and_not_otherwise(
    app: Application, write: Write, entries: Entries, before: str, option: str
) -> None:
    write(schedules(before))
    after = STATUSES[option]
    if (before, after) in MOVES:
        assert set_billing_schedule_status(app, ["BS-1"], option, actor=ACTOR) == {
            "moved": ["BS-1"],
            "untouched": [],
        }
        assert show_billing_schedule(app, "BS-1")["status"] == after
    elif before == after:
        done = set_billing_schedule_status(app, ["BS-1"], option, actor=ACTOR)
        assert done == {"moved": [], "untouched": ["BS-1"]}
    else:
        with pytest.raises(Refused, match=f"not to be moved to {after}, {before}: BS-1"):
            set_billing_schedule_status(app, ["BS-1"], option, actor=ACTOR)
        assert show_billing_schedule(app, "BS-1")["status"] == before
        assert entries() == []


def test_every_move_but_to_superseded_is_in_the_table() -> None:
    assert sorted(MOVES) == sorted(
        [
            ("Pending Billing", "Pending Invoice"),
            ("Pending Billing", "Invoiced"),
            ("Pending Invoice", "Invoiced"),
            ("Pending Invoice", "Pending Billing"),
            ("Invoiced", "Pending Billing"),
        ]
    )


def test_usage_schedules_follow_their_billing_schedule(app: Application, write: Write) -> None:
    write(schedules("Pending Billing", "Pending Billing"))
    set_billing_schedule_status(app, ["BS-2"], "invoiced", actor=ACTOR)
    assert [row["status"] for row in list_usage_schedules(app)] == ["Pending Billing", "Invoiced"]


def test_a_set_status_leaves_one_entry_with_the_statuses_before_and_after(
    app: Application, write: Write, entries: Entries
) -> None:
    write(schedules("Pending Billing", "Pending Invoice", "Invoiced"))
    ids = ["BS-1", "BS-2", "BS-3"]
    done = set_billing_schedule_status(app, ids, "invoiced", actor=ACTOR, reason="June invoices")
    assert done == {"moved": ["BS-1", "BS-2"], "untouched": ["BS-3"]}
    (entry,) = entries()
    assert (entry["act"], entry["subject"], entry["reason"]) == (
        "billing_schedule.set_status",
        "3 billing schedules",
        "June invoices",
    )
    assert entry["before"] == {"BS-1": "Pending Billing", "BS-2": "Pending Invoice"}
    assert entry["after"] == {"status": "Invoiced"}


@pytest.mark.parametrize(
    ("ids", "status", "message"),
    [
        (["BS-1", "BS-2"], "invoiced", "Superseded: BS-2"),
        (["BS-1", "BS-9"], "invoiced", "unknown billing schedule: BS-9"),
        (["BS-1"], "superseded", "status 'superseded' is not known"),
        ([], "invoiced", "no id was given"),
    ],
)
def test_a_refused_set_status_moves_none_and_leaves_no_entry(
    app: Application, write: Write, entries: Entries, ids: list[str], status: str, message: str
) -> None:
    write(schedules("Pending Billing", "Superseded"))
    with pytest.raises(Refused, match=message) as refusal:
        set_billing_schedule_status(app, ids, status, actor=ACTOR)
    assert refusal.value.remedy
    assert show_billing_schedule(app, "BS-1")["status"] == "Pending Billing"
    assert entries() == []


@pytest.mark.on_both
def test_of_two_moves_at_once_one_moves_and_the_other_finds_it_done(
    app: Application, write: Write, entries: Entries
) -> None:
    write(schedules("Pending Billing"))
    results = race(*[lambda: set_billing_schedule_status(app, ["BS-1"], "invoiced", actor=ACTOR)] * 2)
    assert sorted(len(result["moved"]) for result in results) == [0, 1]
    assert sorted(len(entry["before"]) for entry in entries()) == [0, 1]


def test_quantities_have_two_decimals_or_more_and_never_an_exponent(app: Application, write: Write) -> None:
    def fill(books: Books) -> None:
        asset = books.asset()
        key = books.billing_schedule(asset)
        books.usage_schedule(
            asset,
            key,
            included_quantity=Decimal("0.000000000001"),
            actual_quantity=Decimal("999999999999999999"),
            draft_rated_quantity=Decimal("0.125"),
        )

    write(fill)
    (row,) = list_usage_schedules(app)
    assert row["included_quantity"] == "0.000000000001"
    assert row["actual_quantity"] == "999999999999999999.00"
    assert row["draft_rated_quantity"] == "0.125"
