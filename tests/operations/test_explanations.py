"""How the amounts of an input came about, from what they were computed with; and its outcomes by run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from batchwright.billing.exact import exactly
from batchwright.engine.errors import Refused
from batchwright.operations.app import Application
from batchwright.operations.billing import explanations
from batchwright.operations.billing.amendments import amend_asset_line_item
from batchwright.operations.billing.billing_schedules import list_billing_schedules
from batchwright.operations.billing.explanations import explain_usage_input, usage_input_history
from batchwright.operations.billing.usage_inputs import (
    add_usage_input,
    delete_usage_inputs,
    edit_usage_input,
    list_usage_inputs,
    reset_usage_inputs,
)
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.views import View
from tests.jobs.company import Company
from tests.jobs.mixture import to_rate, write_company
from tests.jobs.rating import invoice
from tests.support.application import ACTOR

Write = Callable[[Callable[[Company], Any]], Any]

TIERS = (("10", "3", "5"), (None, "2", None))


@pytest.fixture
def write(app: Application) -> Write:
    """Calls a function with a `Company` and commits what it wrote."""

    def call(fill: Callable[[Company], Any]) -> Any:
        with app.database.write() as connection:
            return fill(Company(connection))

    return call


def fill(books: Company) -> None:
    books.priced("data", "tiered", tiers=TIERS, usage_indexing=True, included_quantity="2")
    books.contract(books.customer(), books.price_book("PB-USD"), "CO-1", discount_percent=Decimal("12.5"))
    asset = books.metered(months=6, months_per_schedule=6)
    books.used(asset, "first", "05-05", "4.01")
    books.used(asset, "second", "06-05", "10")


def run(app: Application, job: str, parameters: dict[str, Any] | None = None, **values: Any) -> View:
    submitted = submit_run(app, job, parameters or {}, actor=ACTOR, mail_actor=False, **values)
    return drive_submitted(app, submitted)


@pytest.mark.on_both
def test_a_rated_amount_is_explained_by_lines_that_sum_to_it_and_by_what_it_was_computed_with(
    app: Application, write: Write
) -> None:
    write(fill)
    rating = run(app, "usage-rating")
    shown = explain_usage_input(app, "second")
    assert shown["explanation"] == {
        "draft": None,
        "rated": {
            "amount": "24.49",
            "currency": "USD",
            "run_id": rating["run_id"],
            "quantity": "10.00",
            "prior_quantity": "4.01",
            "first_in_window": False,
            "price": {
                "price_book_id": "PB-USD",
                "product": "data",
                "effective_from": "2000-01-01",
                "revision": 1,
                "model": "tiered",
                "usage_indexing": True,
            },
            "contract": {"contract_id": "CO-1", "revision": 1},
            "discount_percent": "12.50",
            "usage_schedule_id": "US-AL-1-06",
            "billing_schedule_id": "BS-AL-1-01",
            "billing_schedule_status": "Pending Billing",
            "lines": [
                {"key": "tier:1:usage", "quantity": "7.99", "unit_price": "3.00", "amount": "23.97"},
                {"key": "tier:2:usage", "quantity": "2.01", "unit_price": "2.00", "amount": "4.02"},
                {"key": "discount", "quantity": None, "unit_price": None, "amount": "-3.49875"},
                {"key": "rounding", "quantity": None, "unit_price": None, "amount": "-0.00125"},
            ],
        },
    }
    first = explain_usage_input(app, "first")["explanation"]["rated"]
    assert (first["prior_quantity"], first["first_in_window"]) == ("0.00", True)
    assert [line["key"] for line in first["lines"]][:3] == ["included", "tier:1:usage", "tier:1:fee"]


def test_a_price_and_a_contract_that_are_revised_later_leave_amount_and_explanation_alone(
    app: Application, write: Write
) -> None:
    def revise(books: Company) -> None:
        books.priced("data", unit_price="99", revision=2)
        book, customer = books.price_book("PB-USD"), books.customer()
        books.contract(customer, book, "CO-1", revision=2, discount_percent=Decimal(50))

    write(fill)
    run(app, "draft-usage-rating")
    run(app, "usage-rating")
    before = [explain_usage_input(app, name)["explanation"] for name in ("first", "second")]
    write(revise)
    assert [explain_usage_input(app, name)["explanation"] for name in ("first", "second")] == before
    run(app, "usage-unrating")
    reset_usage_inputs(app, status="Error", actor=ACTOR)
    run(app, "usage-rating")
    again = explain_usage_input(app, "second")["explanation"]
    assert (again["rated"]["price"]["revision"], again["rated"]["contract"]["revision"]) == (2, 2)
    assert again["rated"]["amount"] == "495.00"
    assert again["draft"] == before[1]["draft"]


def test_rated_and_draft_amounts_are_explained_each_by_its_own(app: Application, write: Write) -> None:
    write(fill)
    run(app, "draft-usage-rating", {"usage_input_ids": ["second"]})
    run(app, "usage-rating")
    found = explain_usage_input(app, "second")["explanation"]
    assert (found["draft"]["prior_quantity"], found["rated"]["prior_quantity"]) == ("0.00", "4.01")
    assert found["draft"]["usage_schedule_id"] is None
    assert explain_usage_input(app, "first")["explanation"]["draft"] is None


def test_an_input_without_an_amount_has_no_explanation(app: Application, write: Write) -> None:
    write(fill)
    assert explain_usage_input(app, "first")["explanation"] == {"rated": None, "draft": None}
    run(app, "draft-usage-rating")
    run(app, "usage-rating")
    run(app, "usage-unrating")
    assert explain_usage_input(app, "first")["explanation"]["rated"] is None
    edit_usage_input(app, "first", quantity="3", actor=ACTOR)
    assert explain_usage_input(app, "first")["explanation"] == {"rated": None, "draft": None}


@pytest.mark.parametrize("job", ["draft-usage-rating", "usage-rating"])
def test_every_amount_of_any_mixture_is_explained_to_the_cent(
    app: Application, write: Write, job: str
) -> None:
    company = to_rate(3)
    write(lambda books: write_company(books, company, Random(3)))
    run(app, job)
    kind = "rated" if job == "usage-rating" else "draft"
    explained = 0
    for row in list(list_usage_inputs(app)):
        amount = row["draft_rated_amount" if kind == "draft" else "rated_amount"]
        found = explain_usage_input(app, row["usage_input_id"])["explanation"][kind]
        assert (found and found["amount"]) == amount
        if found is not None:
            with exactly():
                assert sum(Decimal(line["amount"]) for line in found["lines"]) == Decimal(amount)
            explained += 1
    assert explained > 30


# Amendments


def test_amounts_of_zero_are_explained_by_the_amendment_that_left_them(
    app: Application, write: Write
) -> None:
    write(fill)
    run(app, "usage-rating", {"usage_input_ids": ["second"]})
    amend_asset_line_item(app, "AL-1", actor=ACTOR, reason="renewed")
    schedules = {"usage_schedule_id": "US-AL-1-06", "billing_schedule_id": "BS-AL-1-01"}
    amounts = {"status": "Rated", "rated_amount": "25.38", "draft_rated_amount": None}
    expected = {
        "amount": "0.00",
        "currency": "USD",
        "amendment": {
            "at": "2023-07-01T08:30:00.000Z",
            "actor": "dana@example.com",
            "reason": "renewed",
            "before": {"asset_line_item_id": "AL-1", **amounts, **schedules},
        },
        "lines": [],
    }
    assert explain_usage_input(app, "second")["explanation"] == {"rated": expected, "draft": expected}
    first = explain_usage_input(app, "first")["explanation"]["draft"]["amendment"]["before"]
    assert (first["status"], first["usage_schedule_id"]) == ("Loaded", "US-AL-1-05")


def test_of_several_amendments_the_last_that_touched_the_input_explains_its_zero(
    app: Application, write: Write
) -> None:
    write(fill)
    for reason in ("one", "two"):
        amend_asset_line_item(app, "AL-1", actor=ACTOR, reason=reason)
    run(app, "usage-rating", {"usage_input_ids": ["second"]})
    for schedule in list_billing_schedules(app):
        if not schedule["superseded"] and schedule["period_start_date"] < "2023-07-01":
            invoice(app, schedule["billing_schedule_id"])
    amend_asset_line_item(app, "AL-1", actor=ACTOR, reason="three")
    found = explain_usage_input(app, "second")
    assert found["explanation"]["draft"]["amendment"]["reason"] == "two"
    assert found["explanation"]["rated"]["amount"] == "25.38"
    assert [act["reason"] for act in found["acts"]] == ["one", "two"]


def test_what_is_forecast_and_rated_after_an_amendment_is_explained_by_its_runs_again(
    app: Application, write: Write
) -> None:
    write(fill)
    amend_asset_line_item(app, "AL-1", actor=ACTOR)
    rating = run(app, "usage-rating")
    drafting = run(app, "draft-usage-rating", {"include_rated": True})
    found = explain_usage_input(app, "first")["explanation"]
    assert (found["rated"]["run_id"], found["draft"]["run_id"]) == (rating["run_id"], drafting["run_id"])


def test_a_billed_amount_says_the_status_of_what_it_was_charged_to(app: Application, write: Write) -> None:
    write(fill)
    run(app, "usage-rating")
    invoice(app, "BS-AL-1-01", status="pending_invoice")
    found = explain_usage_input(app, "first")["explanation"]["rated"]
    assert (found["billing_schedule_id"], found["billing_schedule_status"]) == (
        *("BS-AL-1-01", "Pending Invoice"),
    )


# What people did


def test_acts_tell_who_added_edited_and_reset_the_input_and_what_changed(
    app: Application, write: Write
) -> None:
    write(fill)
    words = {"asset_line_item_id": "AL-1", "usage_date": "2023-06-07", "product_uom": "Each"}
    added = add_usage_input(app, **words, quantity="3", usage_input_id="third", actor=ACTOR)
    run(app, "draft-usage-rating")
    edit_usage_input(app, "third", quantity="4", actor=ACTOR, reason="typed wrongly")
    run(app, "usage-rating")
    run(app, "usage-unrating", {"usage_input_ids": ["third", "first"]}, reason="meter broken")
    reset_usage_inputs(app, status="Error", actor=ACTOR)
    found = explain_usage_input(app, "third")
    assert [(act["act"], act["reason"], act["before"], act["after"]) for act in found["acts"]] == [
        ("usage_input.add", None, None, added),
        (
            *("usage_input.edit", "typed wrongly"),
            {"quantity": "3.00", "draft_rated_amount": "5.25"},
            {"quantity": "4.00", "draft_rated_amount": None},
        ),
        (
            *("usage_input.reset", None),
            {"status": "Error", "code": "unrated", "message": "unrated", "error_by": "unrating"},
            {"status": "Loaded"},
        ),
    ]
    assert list(found["acts"][0]) == ["at", "actor", "act", "reason", "before", "after"]
    assert (found["history"][-1]["type"], found["history"][-1]["reason"]) == (
        *("Usage unrating", "meter broken"),
    )
    assert [act["act"] for act in explain_usage_input(app, "first")["acts"]] == ["usage_input.reset"]
    assert explain_usage_input(app, "second")["acts"] == []


@pytest.mark.parametrize("name", ["IN_1", "IN%1", 'IN"1', "IN\\1", "Zählerstand", "in-1"])
def test_acts_are_those_of_the_very_id(app: Application, write: Write, name: str) -> None:
    def fill_two(books: Company) -> None:
        books.priced("data", unit_price="2")
        asset = books.metered()
        for one in (name, "IN-1", "INx1"):
            books.used(asset, one, "05-05", "-1")

    write(fill_two)
    run(app, "usage-rating")
    reset_usage_inputs(app, ids=["IN-1", "INx1"], actor=ACTOR)
    assert explain_usage_input(app, name)["acts"] == []
    reset_usage_inputs(app, ids=[name], actor=ACTOR)
    run(app, "usage-rating")
    reset_usage_inputs(app, status="Error", actor=ACTOR)
    assert [act["act"] for act in explain_usage_input(app, name)["acts"]] == ["usage_input.reset"] * 2


# History


def test_the_history_has_an_input_s_outcomes_by_run_oldest_first(app: Application, write: Write) -> None:
    write(fill)
    ids = [
        run(app, "draft-usage-rating")["run_id"],
        run(app, "usage-rating", mode="dry_run")["run_id"],
        run(app, "usage-rating", {"usage_input_ids": ["first"]})["run_id"],
        run(app, "usage-rating", mode="sync")["run_id"],
        run(app, "usage-rating", {"usage_input_ids": ["second", "first"]})["run_id"],
        run(app, "usage-unrating")["run_id"],
    ]
    history = explain_usage_input(app, "second")["history"]
    assert [
        (line["run_id"], line["mode"], line["outcome"], line["code"], line["amount"]) for line in history
    ] == [
        (ids[0], "batch", "ok", None, "24.49"),
        (ids[1], "dry_run", "ok", None, "24.49"),
        (ids[3], "sync", "ok", None, "24.49"),
        (ids[4], "batch", "skipped", "not_eligible", None),
        (ids[5], "batch", "ok", None, "24.49"),
    ]
    assert list(history[0]) == [
        *("run_id", "type", "mode", "started_at", "actor", "reason"),
        *("outcome", "code", "message", "amount", "currency"),
    ]
    assert (history[0]["type"], history[-1]["type"]) == ("Draft usage rating", "Usage unrating")


@pytest.mark.on_both
def test_the_history_comes_in_pages_newest_first_whatever_runs_lie_between(
    app: Application, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explanations, "MOST_RUNS", 3)
    write(fill)
    write(lambda books: books.used(books.metered("AL-9"), "third", "06-05"))
    for place in range(4):
        run(app, "draft-usage-rating", {"usage_input_ids": ["second", "first"] if place % 2 else ["second"]})
    run(app, "usage-rating")
    for _ in range(4):
        run(app, "draft-usage-rating", {"usage_input_ids": ["third"]})
    run(app, "usage-unrating", {"usage_input_ids": ["first"]})
    pages, after = list[list[str]](), None
    while True:
        page = usage_input_history(app, "second", limit=2, after=after)
        pages.append([line["run_id"] for line in page.items])
        after = page.next
        if after is None:
            break
    assert any(len(page) < 2 for page in pages[:-1])
    assert [an_id for page in pages for an_id in page] == [f"JR-{n:08d}" for n in (10, 5, 4, 3, 2, 1)]
    with pytest.raises(Refused, match="belongs to another listing"):
        usage_input_history(app, "first", after=usage_input_history(app, "second").next)


def test_the_history_has_errors_with_their_message_and_what_was_not_reached(
    app: Application, write: Write
) -> None:
    def fill_bad(books: Company) -> None:
        books.priced("data", unit_price="2", effective_from=date(2023, 6, 1))
        for number in range(3):
            books.used(books.metered(f"AL-{number}"), f"IN-{number}", "05-05")

    write(fill_bad)
    run(app, "usage-rating", scope_size=1, error_ceiling="1")
    [stopped] = explain_usage_input(app, "IN-2")["history"]
    assert stopped["outcome"] == "not_reached"
    [bad] = explain_usage_input(app, "IN-0")["history"]
    assert (bad["outcome"], bad["code"]) == ("error", "no_price")
    assert "no price for data on 2023-05-05" in bad["message"]


def test_the_history_leaves_out_runs_that_work_or_wait(app: Application, write: Write) -> None:
    write(fill)
    submit_run(app, "usage-rating", {}, actor=ACTOR)
    assert explain_usage_input(app, "first")["history"] == []


def test_a_deleted_or_unknown_input_is_refused(app: Application, write: Write, tmp_path: Path) -> None:
    write(fill)
    delete_usage_inputs(app, ["first"], actor=ACTOR)
    for name in ("first", "nobody"):
        with pytest.raises(Refused, match=name):
            explain_usage_input(app, name)
