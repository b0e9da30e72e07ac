"""Billing schedules that are looked for, and moved, by what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import islice
from random import Random
from typing import Any

import pytest

from batchwright.engine.errors import Refused
from batchwright.operations import paging
from batchwright.operations.app import Application
from batchwright.operations.billing import billing_schedules as operation
from batchwright.operations.billing.asset_line_items import list_asset_line_items
from batchwright.operations.billing.billing_schedules import (
    Narrowing,
    billing_schedules_page,
    list_billing_schedules,
    preview_billing_schedule_status,
    set_billing_schedule_status,
    show_billing_schedule,
    sum_billing_schedules_that_move,
)
from batchwright.operations.versions import version_of
from batchwright.operations.views import View
from tests.support.application import ACTOR
from tests.support.records import Books
from tests.support.rungs import depth

Write = Callable[[Callable[[Books], Any]], Any]

STATUSES = ("Pending Billing", "Pending Invoice", "Invoiced", "Superseded")
ASSETS, SCHEDULES = 6, 60


@pytest.fixture
def stock(app: Application, write: Write) -> list[View]:
    """Schedules of every kind, with the customer of each, as the whole list has them."""
    random = Random(5)

    def fill(books: Books) -> None:
        assets = [books.asset(f"AL-{n}", customer_id=f"CU-{n % 2}") for n in range(ASSETS)]
        for number in range(SCHEDULES):
            start = date(2023, 1, 1) + timedelta(random.randrange(180))
            end = start + timedelta(random.randrange(100))
            books.billing_schedule(
                random.choice(assets),
                f"BS-{number}",
                period_start_date=start,
                period_end_date=end,
                ready_for_invoice_date=end + timedelta(random.randrange(40)),
                status=random.choice(STATUSES),
                fee_amount=number,
            )

    write(fill)
    customers = {row["asset_line_item_id"]: row["customer_id"] for row in list_asset_line_items(app)}
    return [
        {**row, "customer_id": customers[row["asset_line_item_id"]]} for row in list_billing_schedules(app)
    ]


def narrowings(random: Random) -> Iterator[dict[str, str]]:
    """Some of what narrows a list down, any of them together."""
    choices = {
        "asset_line_item_id": [f"AL-{n}" for n in range(ASSETS)],
        "status": ["Pending Billing", "pending_invoice", "Invoiced", "superseded"],
        "customer_id": ["CU-0", "CU-1"],
        "period": ["2022-12", "2023-01", "2023-02", "2023-05", "2023-12"],
        "ready_by": ["2022-12-31", "2023-03-01", "2023-12-31"],
    }
    while True:
        names = random.sample(sorted(choices), random.randint(0, len(choices)))
        yield {name: random.choice(choices[name]) for name in names}


def meets(row: View, wanted: dict[str, str]) -> bool:
    """What a list promises of its rows, said once more in other words."""
    month = wanted.get("period")
    return (
        row["asset_line_item_id"] == wanted.get("asset_line_item_id", row["asset_line_item_id"])
        and row["status"].lower() in str(wanted.get("status", row["status"])).replace("_", " ").lower()
        and row["customer_id"] == wanted.get("customer_id", row["customer_id"])
        and (month is None or row["period_start_date"][:7] <= month <= row["period_end_date"][:7])
        and row["ready_for_invoice_date"] <= wanted.get("ready_by", "9999")
    )


def paged(app: Application, limit: int, wanted: dict[str, str]) -> list[View]:
    rows, after, pages = list[View](), None, 0
    while pages == 0 or after is not None:
        page = billing_schedules_page(app, limit=limit, after=after, **wanted)  # type: ignore[arg-type]
        assert len(page.items) <= limit
        rows, after, pages = rows + page.items, page.next, pages + 1
    return rows


@pytest.mark.on_both
def test_a_list_its_pages_and_a_record_agree_for_every_filter(
    app: Application, stock: list[View], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "LONGEST_WALK", 7)
    random, found = Random(7), 0
    for wanted in islice(narrowings(random), depth(25, 400)):
        listed = list(list_billing_schedules(app, **wanted))  # type: ignore[arg-type]
        met = [row for row in stock if meets(row, wanted)]
        assert [row["billing_schedule_id"] for row in listed] == [row["billing_schedule_id"] for row in met]
        assert paged(app, random.randint(1, 9), wanted) == listed
        found += len(listed)
    assert found > SCHEDULES
    for row in list_billing_schedules(app):
        assert show_billing_schedule(app, row["billing_schedule_id"]) == row


def test_a_cursor_of_another_filter_is_refused(app: Application, stock: list[View]) -> None:
    page = billing_schedules_page(app, limit=1, status="Invoiced")
    with pytest.raises(Refused, match="another listing or filter"):
        billing_schedules_page(app, limit=1, status="Superseded", after=page.next)


@pytest.mark.on_both
@pytest.mark.parametrize("status", ["Pending Invoice", "invoiced"])
def test_by_a_day_all_that_are_ready_and_not_as_far_move_on_as_was_told_in_numbers(
    app: Application, stock: list[View], status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operation, "STRETCH", 5)
    before = STATUSES[:1] if status == "Pending Invoice" else STATUSES[:2]
    ready = [row for row in stock if meets(row, {"ready_by": "2023-06-30"}) and row["status"] in before]
    foreseen = preview_billing_schedule_status(app, None, status, ready_by="2023-06-30")
    parts = [sum_billing_schedules_that_move(app, status, "2023-06-30", seconds=0.0)]
    while (after := parts[-1]["next_after"]) is not None:
        parts.append(sum_billing_schedules_that_move(app, status, "2023-06-30", after=after, seconds=0.0))
        with pytest.raises(Refused, match="cannot go on after that cursor"):
            sum_billing_schedules_that_move(app, status, "2023-06-29", after=after)
    assert parts[-1]["plan"] == foreseen
    shares = [one["share"] for one in parts]
    assert (shares == sorted(shares), shares[-1], len(shares) > len(before)) == (True, 1, True)
    moved = set_billing_schedule_status(
        app, None, status, ready_by="2023-06-30", seen=[version_of(foreseen)], actor=ACTOR
    )
    ids = {row["billing_schedule_id"] for row in ready}
    assert ids
    assert moved == {"moved": moved["moved"], "untouched": []}
    assert set(moved["moved"]) == ids
    assert (foreseen["moving"], sum(foreseen["by_status"].values())) == (len(ids), len(ids))
    fees = sum(float(row["fee_amount"]) for row in ready)
    assert float(foreseen["fee_amounts"]["USD"]) == pytest.approx(fees)
    for row in list_billing_schedules(app):
        was = next(one for one in stock if one["billing_schedule_id"] == row["billing_schedule_id"])
        expected = foreseen["status"] if row["billing_schedule_id"] in ids else was["status"]
        assert row["status"] == expected
    again = preview_billing_schedule_status(app, None, status, ready_by="2023-06-30")
    assert (again["moving"], again["by_status"], again["fee_amounts"]) == (0, {}, {})


def test_what_was_shown_is_done_or_nothing(app: Application, write: Write) -> None:
    def fill(books: Books) -> None:
        asset = books.asset()
        for number in range(2):
            books.billing_schedule(asset, f"BS-{number}")

    write(fill)
    ids = ["BS-0", "BS-1"]
    foreseen = preview_billing_schedule_status(app, ids, "invoiced")
    set_billing_schedule_status(app, ["BS-0"], "Pending Invoice", actor=ACTOR)
    with pytest.raises(Refused, match="changed after this was shown"):
        set_billing_schedule_status(app, ids, "invoiced", seen=[version_of(foreseen)], actor=ACTOR)
    assert [row["status"] for row in list_billing_schedules(app)] == ["Pending Invoice", "Pending Billing"]


def test_a_preview_refuses_what_the_act_would_and_names_the_schedules(
    app: Application, stock: list[View]
) -> None:
    superseded = [row["billing_schedule_id"] for row in stock if row["status"] == "Superseded"]
    with pytest.raises(Refused, match=f"not to be moved to Invoiced, Superseded: {superseded[0]}"):
        preview_billing_schedule_status(app, superseded[:2], "Invoiced")
    with pytest.raises(Refused, match="unknown billing schedule: BS-NONE"):
        preview_billing_schedule_status(app, ["BS-NONE"], "Invoiced")


@pytest.mark.parametrize(
    ("ids", "status", "ready_by", "field"),
    [
        (["BS-1"], "Invoiced", "2023-06-30", "ready_by"),
        (None, "Pending Billing", "2023-06-30", "ready_by"),
        (None, "Superseded", "2023-06-30", "status"),
        (None, "Pending  Invoice", "2023-06-30", "status"),
        (None, "Invoiced", "", "ready_by"),
        (None, "Invoiced", None, "billing_schedule_ids"),
        ([], "Invoiced", None, "billing_schedule_ids"),
    ],
)
def test_what_names_no_schedules_or_no_status_is_refused(
    app: Application, ids: list[str] | None, status: str, ready_by: str | None, field: str
) -> None:
    for act in (preview_billing_schedule_status, set_billing_schedule_status):
        with pytest.raises(Refused) as refused:
            act(app, ids, status, ready_by=ready_by, actor=ACTOR)
        assert refused.value.field == field


def test_filters_that_are_empty_text_are_refused_and_do_not_mean_everything(app: Application) -> None:
    empty: tuple[Narrowing, ...] = ({"status": ""}, {"period": ""}, {"ready_by": ""}, {"customer_id": ""})
    for narrowing in empty:
        with pytest.raises(Refused):
            list_billing_schedules(app, **narrowing)
        with pytest.raises(Refused):
            billing_schedules_page(app, **narrowing)
