"""A recalculation beside other acts: what happens between its planning and its scope leaves every window whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest

from batchwright.billing import recalculation, tables
from batchwright.billing.usage import rate_assets
from batchwright.operations.app import Application
from batchwright.operations.billing.amendments import amend_asset_line_item
from batchwright.operations.billing.explanations import explain_usage_input
from batchwright.operations.billing.usage_inputs import (
    delete_usage_inputs,
    edit_usage_input,
    reset_usage_inputs,
)
from batchwright.operations.mail import list_mail
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.looking import show_run
from batchwright.operations.runs.previews import apply_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.views import View
from tests.jobs.company import INDEXED_TIERS
from tests.jobs.drafting import billing_rows, outcomes
from tests.jobs.rating import (
    assert_books_balance,
    assert_windows_are_whole,
    figures,
    invoice,
    previewed,
    rate,
    rated,
    stored,
    unrate,
)
from tests.jobs.recalculating import (
    JOB,
    Contracted,
    asked,
    once_reached,
    recalculate,
    recalculate_beside,
    reprice,
    warnings,
)
from tests.jobs.updates import update
from tests.support.application import ACTOR
from tests.support.records import UOM

Act = Callable[[Application], object]
NEW = {
    "usage_input_id": "IN-NEW",
    "asset_line_item_id": "AL-1",
    "usage_date": "2023-06-05",
    "quantity": "10",
    "product_uom": UOM,
}
FLAT: dict[str, Any] = {"model": "flat", "flat_fee": Decimal(7), "usage_indexing": True}


def fill(app: Application, **schedules: Any) -> None:
    """15 of June are rated, and 10 of an earlier day are not: of a window 10 cost 3 each, 10 more 2, the others 1."""
    with app.database.write() as connection:
        books = Contracted(connection)
        books.begin("data", "tiered", tiers=INDEXED_TIERS, usage_indexing=True)
        asset = books.of_account(**schedules)
        books.used(asset, "IN-1", "06-10", "10")
        books.used(asset, "IN-2", "06-20", "5")
    rate(app)
    more(app, "IN-NEW", "06-05")


def more(app: Application, name: str, day: str, quantity: str = "10", asset: str = "AL-1") -> None:
    with app.database.write() as connection:
        books = Contracted(connection)
        books.used(books.key_of(tables.asset_line_item, asset), name, day, quantity)


def rate_new(app: Application) -> None:
    assert rate(app, {"usage_input_ids": ["IN-NEW"]})["processed"] == 1


def beside(app: Application, act: Act, **values: Any) -> View:
    """A recalculation of June that has ended; the act comes between its planning and its first scope."""
    run = recalculate_beside(app, lambda: act(app), **values)
    assert run["status"] == "Completed", run["error"]
    assert_books_balance(app)
    return show_run(app, run["run_id"])


@pytest.mark.on_both
def test_what_was_rated_after_the_planning_is_done_again_with_the_records_and_told_as_restated(
    app: Application,
) -> None:
    fill(app)
    assert rated(app) == {"IN-1": "30.00", "IN-2": "10.00", "IN-NEW": None}
    run = beside(app, rate_new)
    assert rated(app) == {"IN-NEW": "30.00", "IN-1": "20.00", "IN-2": "5.00"}
    assert_windows_are_whole(app)
    assert figures(app) == {"US-AL-1-06": ("25.00", "55.00")}
    assert (run["total"], run["processed"]) == (2, 2)
    assert outcomes(app, run) == {"IN-1": ("ok", None), "IN-2": ("ok", None)}
    assert run["restated"] == [
        {"record_id": "IN-NEW", "before": "15.00", "after": "30.00", "currency": "USD"}
    ]
    assert run["totals"] == {
        "rated_amount_before": {"USD": "40.00"},
        "rated_amount_after": {"USD": "25.00"},
        "difference": {"USD": "-15.00"},
        "restated_amount": {"USD": "15.00"},
    }
    shown = explain_usage_input(app, "IN-NEW")
    [one] = [line for line in shown["history"] if line["run_id"] == run["run_id"]]
    assert (one["outcome"], one["amount"]) == ("restated", "30.00")
    assert one["message"] == "15.00 before: it was rated in a window of this run after that was planned"
    assert shown["explanation"]["rated"]["run_id"] == run["run_id"]


def unrate_one(app: Application) -> None:
    rate_new(app)
    unrate(app, {"usage_input_ids": ["IN-1"]})


def delete_one(app: Application) -> None:
    unrate_one(app)
    delete_usage_inputs(app, ["IN-1"], actor=ACTOR)


def move_one_to_july(app: Application) -> None:
    unrate_one(app)
    reset_usage_inputs(app, ids=["IN-1"], actor=ACTOR)
    edit_usage_input(app, "IN-1", usage_date="2023-07-05", actor=ACTOR)
    rate(app)


def rate_twice(app: Application) -> None:
    rate_new(app)
    unrate(app, {"usage_input_ids": ["IN-NEW"]})
    reset_usage_inputs(app, ids=["IN-NEW"], actor=ACTOR)
    rate_new(app)


def rate_late(app: Application) -> None:
    """Beside an invoice, and against their order."""
    invoice(app, "BS-AL-1-06")
    rate_new(app)
    more(app, "IN-LATER", "06-03")
    rate(app)


def rate_and_invoice(app: Application) -> None:
    rate_new(app)
    invoice(app, "BS-AL-1-06")


def import_anew(app: Application) -> None:
    update(app, usage_inputs=[NEW | {"quantity": "20"}])
    rate_new(app)


def amend(app: Application) -> None:
    """Months become a quarter, which begins in April; all is rated against its order."""
    more(app, "IN-APRIL", "04-05")
    amend_asset_line_item(app, "AL-1", billing_frequency="Quarterly", actor=ACTOR)
    for name in ("IN-1", "IN-2", "IN-NEW", "IN-APRIL"):
        rate(app, {"usage_input_ids": [name]})


def change_price(app: Application) -> None:
    """A flat price until the 8th, which counts by itself."""
    rate_new(app)
    reprice(app, "4", effective_from=date(2023, 6, 8))
    reprice(app, "0", effective_from=date(2023, 6, 1), **FLAT)


OK, SKIPPED, INVOICED = ("ok", None), ("skipped", "not_eligible"), ("skipped", "invoiced")


@pytest.mark.parametrize(
    ("act", "comes_to", "became", "restated"),
    [
        (unrate_one, "IN-1 - IN-2 10 IN-NEW 30", {"IN-1": SKIPPED, "IN-2": OK}, "IN-NEW"),
        (delete_one, "IN-2 10 IN-NEW 30", {"IN-1": ("error", "not_found"), "IN-2": OK}, "IN-NEW"),
        (move_one_to_july, "IN-1 30 IN-2 10 IN-NEW 30", {"IN-1": SKIPPED, "IN-2": OK}, "IN-NEW"),
        (rate_twice, "IN-1 20 IN-2 5 IN-NEW 30", {"IN-1": OK, "IN-2": OK}, "IN-NEW"),
        (
            rate_late,
            "IN-1 30 IN-2 10 IN-NEW 10 IN-LATER 15",
            {"IN-1": INVOICED, "IN-2": INVOICED},
            "IN-NEW IN-LATER",
        ),
        (rate_and_invoice, "IN-1 30 IN-2 10 IN-NEW 15", {"IN-1": INVOICED, "IN-2": INVOICED}, ""),
        (import_anew, "IN-1 10 IN-2 5 IN-NEW 50", {"IN-1": OK, "IN-2": OK}, "IN-NEW"),
        (amend, "IN-1 10 IN-2 5 IN-NEW 20 IN-APRIL 30", {"IN-1": OK, "IN-2": OK}, "IN-NEW IN-APRIL"),
        (change_price, "IN-1 40 IN-2 20 IN-NEW 7", {"IN-1": OK, "IN-2": OK}, "IN-NEW"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_whatever_comes_between_its_planning_and_its_scope_the_windows_are_whole(
    app: Application,
    act: Act,
    comes_to: str,
    became: dict[str, tuple[str, str | None]],
    restated: str,
) -> None:
    fill(app)
    run = beside(app, act)
    words = comes_to.split()
    expected = {
        name: None if amount == "-" else f"{amount}.00"
        for name, amount in zip(words[::2], words[1::2], strict=True)
    }
    assert rated(app) == expected
    assert outcomes(app, run) == became
    assert [one["record_id"] for one in run["restated"]] == restated.split()
    assert_windows_are_whole(app, but=["BS-AL-1-06"] if INVOICED in became.values() else [])
    before = billing_rows(app)
    recalculate(app)
    assert billing_rows(app) == before


def test_a_cancelled_invoice_is_done_again_with_what_was_late_then(app: Application) -> None:
    fill(app)
    invoice(app, "BS-AL-1-06")

    def cancel(app: Application) -> None:
        rate_new(app)
        invoice(app, "BS-AL-1-06", status="pending_billing")

    run = beside(app, cancel)
    assert rated(app) == {"IN-NEW": "30.00", "IN-1": "20.00", "IN-2": "5.00"}
    assert [one["record_id"] for one in run["restated"]] == ["IN-NEW"]
    assert_windows_are_whole(app)


def test_the_fee_of_a_window_is_paid_by_what_comes_first_in_it_now(app: Application) -> None:
    def begin(books: Contracted) -> None:
        books.begin("data", "flat", flat_fee=Decimal(9), usage_indexing=True)
        books.used(books.of_account(), "IN-1", "06-10")

    with app.database.write() as connection:
        begin(Contracted(connection))
    rate(app)
    more(app, "IN-NEW", "06-05")
    beside(app, rate_new)
    assert rated(app) == {"IN-1": "0.00", "IN-NEW": "9.00"}
    assert_windows_are_whole(app)


def test_what_came_and_cannot_be_priced_any_more_stays_and_is_a_warning(app: Application) -> None:
    fill(app)

    def change_unit(app: Application) -> None:
        rate_new(app)
        reprice(app, "4", effective_from=date(2023, 6, 1), product_uom="Hour")
        reprice(app, "4", effective_from=date(2023, 6, 8))

    run = beside(app, change_unit)
    assert rated(app) == {"IN-NEW": "15.00", "IN-1": "40.00", "IN-2": "20.00"}
    assert run["restated"] == []
    assert [(one["code"], one["record_id"]) for one in run["warnings"]] == [("uom_mismatch", "IN-NEW")]
    assert outcomes(app, run) == {"IN-1": OK, "IN-2": OK}


def test_what_came_to_a_billed_schedule_is_part_of_the_difference_that_is_told(app: Application) -> None:
    fill(app)

    def act(app: Application) -> None:
        rate_and_invoice(app)
        reprice(app, "0", **FLAT)

    run = beside(app, act)
    assert rated(app) == {"IN-NEW": "15.00", "IN-1": "30.00", "IN-2": "10.00"}
    message = "what was rated under it stays at 55.00 USD, and would be 7.00 (difference -48.00)"
    assert warnings(run) == [("invoiced", f"BS-AL-1-06 is Invoiced: {message}")]


def test_a_rating_after_the_scope_goes_on_where_the_recalculation_left_the_window(app: Application) -> None:
    fill(app)
    submitted = submit_run(app, JOB, asked(), actor=ACTOR, mail_actor=False)
    with once_reached(app, submitted.run_id, "scope committed", lambda: rate_new(app)):
        run = drive_submitted(app, submitted)
    assert (rated(app)["IN-NEW"], show_run(app, run["run_id"])["restated"]) == ("15.00", [])
    assert_windows_are_whole(app)


def test_the_preview_shows_what_came_meanwhile_and_is_not_applied_once_that_is_a_record(
    app: Application,
) -> None:
    fill(app)
    with app.database.write() as connection:
        Contracted(connection).line_item("L-1", "percentage_charge", "10")
    after_rating: list[dict[str, list[tuple[Any, ...]]]] = []

    def act(app: Application) -> None:
        rate_new(app)
        after_rating.append(billing_rows(app))

    dry = beside(app, act, mode="dry_run")
    assert [billing_rows(app)] == after_rating
    assert dry["totals"]["restated_amount"] == {"USD": "15.00"}
    assert dry["totals"]["account_charges_after"] == {"USD": "5.50"}
    lines = previewed(app, dry, "usage_input")
    found = {name: (line["before"], line["after"], line["amount"]) for name, line in lines.items()}
    assert found == {
        "IN-1": ("30.00", "20.00", "20.00"),
        "IN-2": ("10.00", "5.00", "5.00"),
        "IN-NEW": ("15.00", "30.00", "15.00"),
    }
    detail = lines["IN-NEW"]["detail"]
    assert (detail["prior_quantity_before"], detail["prior_quantity"]) == ("15.00", "0.00")
    assert previewed(app, dry, "usage_schedule") == {}
    run = drive_submitted(app, apply_run(app, dry["run_id"], actor=ACTOR, mail_actor=False))
    assert (run["status"], [billing_rows(app)]) == ("Failed", after_rating)
    assert "IN-NEW came since" in run["error"]


def test_a_preview_is_not_applied_where_something_comes_to_its_windows_at_the_last_moment(
    app: Application,
) -> None:
    fill(app)
    dry = recalculate(app, mode="dry_run")
    submitted = apply_run(app, dry["run_id"], actor=ACTOR, mail_actor=False)
    with once_reached(app, submitted.run_id, "planned", lambda: rate_new(app)):
        run = drive_submitted(app, submitted)
    assert (run["status"], run["processed"]) == ("Failed", 0)
    assert "IN-NEW would be written, too" in run["error"]
    assert rated(app) == {"IN-1": "30.00", "IN-2": "10.00", "IN-NEW": "15.00"}


@pytest.mark.parametrize(
    ("raises", "comes_to", "became"),
    [
        ("IN-2", "15 10 25 6", {"IN-1": "ok", "IN-2": "error", "IN-OTHER": "ok"}),
        ("IN-NEW", "30 10 15 6", {"IN-1": "error", "IN-2": "error", "IN-OTHER": "ok"}),
    ],
)
def test_a_trial_takes_no_record_of_the_scope_for_one_that_came(
    app: Application, monkeypatch: pytest.MonkeyPatch, raises: str, comes_to: str, became: dict[str, str]
) -> None:
    """Where one that came raises, the records of its window are at fault: they cannot be done without it."""
    fill(app)
    with app.database.write() as connection:
        books = Contracted(connection)
        books.used(books.of_account("AL-2"), "IN-OTHER", "06-10", "2")
    rate(app, {"usage_input_ids": ["IN-OTHER"]})
    guilty = stored(app, raises)["id"]

    def rate_but_one(assets: Any, inputs: Any, *more: Any) -> Any:
        if any(row.key == guilty for row in inputs):
            raise ZeroDivisionError
        return rate_assets(assets, inputs, *more)

    monkeypatch.setattr(recalculation, "rate_assets", rate_but_one)
    run = beside(app, rate_new)
    found = rated(app)
    amounts = [found[name] for name in ("IN-1", "IN-2", "IN-NEW", "IN-OTHER")]
    assert amounts == [f"{amount}.00" for amount in comes_to.split()]
    assert {name: outcome for name, (outcome, _) in outcomes(app, run).items()} == became


@pytest.mark.on_both
def test_one_that_comes_to_two_windows_of_a_run_is_told_once_with_what_it_came_to_in_the_end(
    app: Application,
) -> None:
    fill(app)
    with app.database.write() as connection:
        books = Contracted(connection)
        books.used(books.of_account("AL-2"), "IN-OTHER", "06-10", "20")
    rate(app, {"usage_input_ids": ["IN-OTHER"]})

    def move() -> None:
        unrate(app, {"usage_input_ids": ["IN-NEW"]})
        reset_usage_inputs(app, ids=["IN-NEW"], actor=ACTOR)
        update(app, usage_inputs=[NEW | {"asset_line_item_id": "AL-2"}])
        rate_new(app)

    submitted = submit_run(app, JOB, asked(), actor=ACTOR, mail_actor=False, scope_size=1)
    with (
        once_reached(app, submitted.run_id, "planned", lambda: rate_new(app)),
        once_reached(app, submitted.run_id, "scope committed", move),
    ):
        run = drive_submitted(app, submitted)
    assert (run["status"], run["errored"]) == ("Completed", 0)
    assert rated(app) == {"IN-1": "30.00", "IN-2": "10.00", "IN-NEW": "30.00", "IN-OTHER": "30.00"}
    restated = show_run(app, run["run_id"])["restated"]
    assert restated == [{"record_id": "IN-NEW", "before": "15.00", "after": "30.00", "currency": "USD"}]
    assert_books_balance(app)
    assert_windows_are_whole(app)


def test_the_mail_says_why_inputs_that_are_no_records_are_restated(app: Application) -> None:
    fill(app)
    run = beside(app, rate_new, notify=["eve@example.com"])
    (mail,) = (one for one in list_mail(app) if one["run_id"] == run["run_id"])
    file = app.settings.mail.directory / f"{mail['mail_id']}.eml"
    message = message_from_bytes(file.read_bytes(), policy=default)
    text = " ".join(message.get_body(("plain",)).get_content().split())  # type: ignore[union-attr]
    assert text.index("Restated") < text.index("IN-NEW")
    assert "They were rated in windows of this run after it was planned" in text
