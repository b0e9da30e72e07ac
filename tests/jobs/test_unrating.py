"""Usage unrating: a rating taken back, and the way from there to the next one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from batchwright.billing import tables
from batchwright.engine.errors import Refused
from batchwright.operations.app import Application
from batchwright.operations.billing.usage_inputs import (
    delete_usage_inputs,
    edit_usage_input,
    reset_usage_inputs,
)
from batchwright.operations.runs.driving import drive_run
from batchwright.operations.runs.looking import run_outcomes
from tests.jobs.company import INDEXED_TIERS, Company
from tests.jobs.conftest import Write
from tests.jobs.drafting import amounts, billing_rows, change, draft, drafts, outcomes, statuses, submit
from tests.jobs.rating import (
    UNRATING,
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
    """AL-1 billed by quarters, indexed, with three inputs; AL-2 with one; all of them to be rated."""
    books.priced("data", "tiered", tiers=INDEXED_TIERS, usage_indexing=True)
    asset = books.metered(months=6, months_per_schedule=3)
    books.used(asset, "may", "05-05", "9")
    books.used(asset, "june", "06-05", "4")
    books.used(asset, "january", "01-05", "1")
    books.used(books.metered("AL-2"), "other", "06-05", "1")


def test_unrating_leaves_error_and_unrated_and_takes_the_sums_back(app: Application, write: Write) -> None:
    write(fill)
    rate(app)
    run = unrate(app, {"usage_input_ids": ["june"]})
    assert (run["status"], run["badge"], run["type"]) == ("Completed", "Complete", "Usage unrating")
    row = stored(app, "june")
    assert (row["status"], row["error_by"], row["code"], row["message"]) == (
        *("Error", "unrating"),
        *("unrated", "unrated"),
    )
    assert {name: row[name] for name in row if name.startswith("rated_")} == dict.fromkeys(
        (
            *("rated_amount", "rated_run_key", "rated_price_key", "rated_contract_key"),
            *("rated_discount_percent", "rated_prior_quantity", "rated_schedule_key"),
        )
    )
    assert run["totals"] == {"unrated_amount": {"USD": "9.00"}}
    (outcome,) = run_outcomes(app, run["run_id"])
    assert (outcome["outcome"], outcome["amount"], outcome["currency"]) == ("ok", "9.00", "USD")
    assert figures(app) == {
        "US-AL-1-01": ("1.00", "3.00"),
        "US-AL-1-05": ("9.00", "27.00"),
        "US-AL-2-06": ("1.00", "3.00"),
    }
    assert fees(app) == {"BS-AL-1-01": "3.00", "BS-AL-1-02": "27.00", "BS-AL-2-06": "3.00"}
    assert_books_balance(app)


def test_rated_unrated_reset_and_rated_again_gives_the_first_rating(app: Application, write: Write) -> None:
    write(fill)
    before = rated_results(app)
    rate(app)
    first = rated_results(app)
    assert unrate(app)["totals"] == {"unrated_amount": {"USD": "42.00"}}
    assert (figures(app), fees(app)) == ({}, {})
    report = reset_usage_inputs(app, status="Error", code="unrated", actor=ACTOR)
    assert len(report["reset"]) == 4
    assert rated_results(app) == before
    rate(app)
    assert rated_results(app) == first


def test_a_part_that_was_unrated_and_is_rated_again_comes_after_what_stayed(
    app: Application, write: Write
) -> None:
    write(fill)
    rate(app)
    assert (rated(app)["may"], rated(app)["june"]) == ("27.00", "9.00")
    unrate(app, {"usage_input_ids": ["may"]})
    assert rated(app)["june"] == "12.00"  # it begins the window now
    reset_usage_inputs(app, ids=["may"], actor=ACTOR)
    rate(app)
    # Nine units from the fourth on: six at 3, three at 2.
    assert rated(app)["may"] == "24.00"
    assert stored(app, "may")["rated_prior_quantity"] == 4
    assert_books_balance(app)


def test_an_unrated_input_is_rated_only_after_a_reset(app: Application, write: Write) -> None:
    write(fill)
    rate(app)
    unrate(app, {"usage_input_ids": ["june"]})
    assert rate(app)["total"] == 0
    assert draft(app)["total"] == 0
    assert outcomes(app, rate(app, {"usage_input_ids": ["june"]})) == {"june": ("skipped", "not_eligible")}
    reset_usage_inputs(app, ids=["june"], actor=ACTOR)
    edit_usage_input(app, "june", quantity="1", actor=ACTOR)
    assert rate(app)["totals"] == {"rated_amount": {"USD": "3.00"}}


@pytest.mark.parametrize("status", ["invoiced", "pending_invoice"])
def test_invoiced_usage_is_skipped_and_stays_as_it_was(app: Application, write: Write, status: str) -> None:
    write(fill)
    rate(app)
    invoice(app, "BS-AL-1-02", status=status)
    before = rated_results(app)
    run = unrate(app, {"usage_input_ids": ["may", "june"]})
    shown = "Invoiced" if status == "invoiced" else "Pending Invoice"
    rows = list(run_outcomes(app, run["run_id"]))
    assert [(row["outcome"], row["code"], row["message"]) for row in rows] == [
        ("skipped", "invoiced", f"it is billed: BS-AL-1-02 is {shown}")
    ] * 2
    assert (run["totals"], rated_results(app)) == ({}, before)
    assert unrate(app)["totals"] == {"unrated_amount": {"USD": "6.00"}}
    assert rated(app) == {"may": "27.00", "june": "9.00", "january": None, "other": None}
    assert_books_balance(app)


def test_usage_whose_invoice_was_cancelled_can_be_unrated(app: Application, write: Write) -> None:
    write(fill)
    rate(app)
    invoice(app, "BS-AL-1-02")
    invoice(app, "BS-AL-1-02", status="pending_billing")
    assert unrate(app, {"usage_input_ids": ["may"]})["processed"] == 1
    assert_books_balance(app)


def test_inputs_that_are_not_rated_are_skipped(app: Application, write: Write) -> None:
    write(fill)
    change(app, tables.usage_input, "may", status="Error", error_by="draft", code="no_price", message="none")
    before = billing_rows(app)
    run = unrate(app, {"usage_input_ids": ["may", "june"]})
    rows = {row["record_id"]: (row["outcome"], row["code"]) for row in run_outcomes(app, run["run_id"])}
    assert rows == {"may": ("skipped", "not_eligible"), "june": ("skipped", "not_eligible")}
    assert billing_rows(app) == before
    assert unrate(app)["total"] == 0


def test_unrating_twice_takes_back_once(app: Application, write: Write) -> None:
    write(fill)
    rate(app)
    unrate(app, {"asset_line_item_ids": ["AL-1"]})
    before = rated_results(app)
    again = unrate(app, {"usage_input_ids": ["may", "june", "january"]})
    assert (again["skipped"], again["totals"]) == (3, {})
    assert rated_results(app) == before


def test_unrating_leaves_draft_values_as_they_are(app: Application, write: Write) -> None:
    write(fill)
    draft(app)
    rate(app)
    before = (amounts(app), drafts(app))
    unrate(app)
    assert (amounts(app), drafts(app)) == before


def test_unrating_leaves_figures_that_were_taken_over(app: Application, write: Write) -> None:
    write(fill)
    change(app, tables.usage_schedule, "US-AL-2-06", actual_quantity=Decimal("0.125"), fee_amount=700)
    change(app, tables.billing_schedule, "BS-AL-2-06", fee_amount=900)
    before = rated_results(app)["meters"], rated_results(app)["bills"]
    rate(app)
    unrate(app)
    assert (rated_results(app)["meters"], rated_results(app)["bills"]) == before


def test_an_input_is_unrated_with_the_quantity_that_was_rated_whatever_the_price_is_now(
    app: Application, write: Write
) -> None:
    write(fill)
    rate(app)
    write(lambda books: books.priced("data", unit_price="99", revision=2))
    unrate(app)
    assert (figures(app), fees(app)) == ({}, {})
    assert_books_balance(app)


def test_a_rated_input_is_not_edited_deleted_or_reset_but_unrated_first(
    app: Application, write: Write
) -> None:
    write(fill)
    rate(app)
    for act in (
        lambda: edit_usage_input(app, "may", quantity="1", actor=ACTOR),
        lambda: delete_usage_inputs(app, ["may"], actor=ACTOR),
        lambda: reset_usage_inputs(app, ids=["may"], actor=ACTOR),
    ):
        with pytest.raises(Refused, match="rated, and so not to be") as refusal:
            act()
        assert "batchwright run usage-unrating --usage-input may" in (refusal.value.remedy or "")
    unrate(app, {"usage_input_ids": ["may"]})
    assert delete_usage_inputs(app, ["may"], actor=ACTOR) == ["may"]


def test_a_synchronous_unrating_gives_the_rows_and_outcomes_of_a_batch(
    app: Application, write: Write
) -> None:
    write(fill)
    rate(app)
    invoice(app, "BS-AL-1-01")
    seen = []
    for mode in ("sync", "batch"):
        run = unrate(app, mode=mode, scope_size=1)
        seen.append((rated_results(app), list(run_outcomes(app, run["run_id"])), run["totals"]))
        assert run.get("outcomes", seen[-1][1]) == seen[-1][1]
        reset_usage_inputs(app, status="Error", actor=ACTOR)
        rate(app)
    assert seen[0] == seen[1]


def test_a_dry_unrating_changes_nothing_and_foretells_the_run(app: Application, write: Write) -> None:
    write(fill)
    rate(app)
    invoice(app, "BS-AL-1-01")
    before = billing_rows(app)
    dry = unrate(app, mode="dry_run")
    assert billing_rows(app) == before
    inputs, usage_schedules = previewed(app, dry, "usage_input"), previewed(app, dry, "usage_schedule")
    assert {name: line["amount"] for name, line in inputs.items()} == {
        "may": "27.00",
        "june": "9.00",
        "other": "3.00",
    }
    assert usage_schedules["US-AL-1-05"]["amount"] == "27.00"
    assert usage_schedules["US-AL-1-05"]["detail"] == {
        "actual_quantity_before": "9.00",
        "actual_quantity_after": "0.00",
        "fee_amount_before": "27.00",
        "fee_amount_after": "0.00",
    }
    real = unrate(app)
    counts = ("total", "processed", "errored", "skipped", "not_reached", "totals", "warnings")
    assert [dry[name] for name in counts] == [real[name] for name in counts]


def test_an_input_deleted_after_submit_is_not_found(app: Application, write: Write) -> None:
    write(fill)
    rate(app, {"usage_input_ids": ["may"]})
    run = submit(app, {"usage_input_ids": ["may", "june"]}, job=UNRATING, mail_actor=False)
    delete_usage_inputs(app, ["june"], actor=ACTOR)
    assert outcomes(app, drive_run(app, run["run_id"])) == {
        "may": ("ok", None),
        "june": ("error", "not_found"),
    }
    assert statuses(app)["may"] == ("Error", "unrated")
