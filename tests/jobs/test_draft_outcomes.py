"""What becomes of inputs: every code of a forecast, what it writes, and how an input comes out of Error again."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from batchwright.billing import tables
from batchwright.operations.app import Application
from batchwright.operations.billing.usage_inputs import delete_usage_inputs, show_usage_input
from batchwright.operations.runs.driving import drive_run
from batchwright.operations.runs.looking import run_outcomes
from tests.jobs.bad_inputs import BAD, JUNE, _uom
from tests.jobs.company import Company
from tests.jobs.conftest import Write
from tests.jobs.drafting import amounts, basis, change, draft, drafts, outcomes, statuses, submit
from tests.support.application import ACTOR


@pytest.mark.parametrize("code", BAD)
def test_a_bad_input_gets_its_code_and_becomes_error_without_a_draft_amount(
    app: Application, write: Write, code: str
) -> None:
    fill, said = BAD[code]
    write(fill)
    change(
        *(app, tables.usage_input, "IN-1"),
        draft_rated_amount=700,
        draft_run_key=1,
        draft_price_key=1,
        draft_contract_key=1,
        draft_discount_percent=Decimal(5),
        draft_prior_quantity=Decimal(5),
    )
    run = draft(app)
    assert (run["status"], run["badge"], run["totals"]) == ("Completed", "Complete (1 error)", {})
    (outcome,) = run_outcomes(app, run["run_id"])
    assert (outcome["outcome"], outcome["code"], outcome["amount"]) == ("error", code, None)
    assert said in (outcome["message"] or "")
    stored = show_usage_input(app, "IN-1")
    assert (stored["status"], stored["code"]) == ("Error", code)
    assert (stored["message"], stored["draft_rated_amount"]) == (outcome["message"], None)
    assert set(basis(app, "IN-1").values()) == {None}
    with app.database.read() as connection:
        assert connection.execute(tables.usage_input.select()).one().error_by == "draft"


def test_one_run_gives_every_input_its_own_outcome(app: Application, write: Write) -> None:
    def fill(books: Company) -> None:
        asset = books.metered(end_date=date(2023, 11, 30), statuses={2: "Superseded"})
        books.used(asset, "good", JUNE)
        books.used(asset, "late", "12-05")
        books.used(asset, "superseded", "02-05")
        books.used(asset, "gallons", JUNE, product_uom="Gallon")
        books.used(asset, "minus", JUNE, "-1")
        books.used(asset, "huge", JUNE, "9" * 18)
        books.used(asset, "nothing", JUNE, "0")

    write(fill)
    run = draft(app)
    assert outcomes(app, run) == {
        "good": ("ok", None),
        "late": ("error", "asset_not_active"),
        "superseded": ("error", "superseded_only"),
        "gallons": ("error", "uom_mismatch"),
        "minus": ("error", "negative_quantity"),
        "huge": ("error", "amount_out_of_range"),
        "nothing": ("ok", None),
    }
    assert (run["processed"], run["errored"]) == (2, 5)
    assert (amounts(app)["good"], amounts(app)["nothing"]) == ("20.00", "0.00")
    assert drafts(app) == {"US-AL-1-06": ("10.00", "20.00")}


def test_inputs_that_together_come_to_more_than_can_be_kept_are_bad_from_the_one_that_exceeds_it(
    app: Application, write: Write
) -> None:
    def fill(books: Company) -> None:
        books.priced("data", unit_price="0.1")
        asset = books.metered()
        for number in range(3):
            books.used(asset, f"IN-{number}", JUNE, "4" + "0" * 17)

    write(fill)
    run = draft(app)
    assert outcomes(app, run) == {
        "IN-0": ("ok", None),
        "IN-1": ("ok", None),
        "IN-2": ("error", "amount_out_of_range"),
    }
    assert drafts(app) == {"US-AL-1-06": ("8" + "0" * 17 + ".00", "8" + "0" * 16 + ".00")}
    assert run["totals"] == {"draft_fee_amount": {"USD": "8" + "0" * 16 + ".00"}}


def test_a_run_s_total_may_be_more_than_an_amount_can(app: Application, write: Write) -> None:
    def fill(books: Company) -> None:
        books.priced("data", unit_price="0.1")
        for asset in ("AL-1", "AL-2"):
            books.used(books.metered(asset), f"IN-{asset}", JUNE, "9" + "0" * 17)

    write(fill)
    for scope_size in (1, 10):
        assert draft(app, scope_size=scope_size)["totals"] == {
            "draft_fee_amount": {"USD": "18" + "0" * 16 + ".00"}
        }


def test_an_input_deleted_after_submit_is_not_found_and_stays_as_it_was(
    app: Application, write: Write
) -> None:
    def fill(books: Company) -> None:
        asset = books.metered()
        books.used(asset, "IN-1", JUNE)
        books.used(asset, "IN-2", JUNE, product_uom="Gallon")

    write(fill)
    run = submit(app, {"usage_input_ids": ["IN-1", "IN-2"]})
    delete_usage_inputs(app, ["IN-2"], actor=ACTOR)
    ended = drive_run(app, run["run_id"])
    # Gone comes before whatever else is wrong with it.
    assert outcomes(app, ended) == {"IN-1": ("ok", None), "IN-2": ("error", "not_found")}
    assert ended["warnings"] == []
    with app.database.read() as connection:
        table = tables.usage_input
        deleted = connection.execute(table.select().where(table.c.usage_input_id == "IN-2")).one()
    assert (deleted.status, deleted.code, deleted.deleted) == ("Loaded", None, True)


def test_inputs_of_another_status_are_skipped_with_what_to_do(app: Application, write: Write) -> None:
    def fill(books: Company) -> None:
        asset = books.metered(actual={6: "10"})
        books.used(asset, "rated", JUNE, status="Rated", rated_amount=2000, product_uom="Gallon")
        books.used(asset, "by-rating", JUNE, status="Error", error_by="rating", code="no_price", message="no")
        books.used(
            asset, "unrated", JUNE, status="Error", error_by="unrating", code="unrated", message="unrated"
        )
        books.used(asset, "loaded", JUNE)

    write(fill)
    before = statuses(app)
    run = draft(app, {"usage_input_ids": ["rated", "by-rating", "unrated", "loaded"]})
    assert outcomes(app, run) == {
        "rated": ("skipped", "not_eligible"),
        "by-rating": ("skipped", "not_eligible"),
        "unrated": ("skipped", "not_eligible"),
        "loaded": ("ok", None),
    }
    assert (run["processed"], run["skipped"], run["errored"], run["badge"]) == (1, 3, 0, "Complete")
    said = {row["record_id"]: row["message"] or "" for row in run_outcomes(app, run["run_id"])}
    assert "include_rated" in said["rated"]
    assert "usage-inputs reset" in said["by-rating"]
    assert "usage-inputs reset" in said["unrated"]
    assert statuses(app) == before
    assert run["warnings"] == []
    assert drafts(app) == {"US-AL-1-06": ("10.00", "20.00")}


@pytest.mark.parametrize("parameters", [{}, {"asset_line_item_ids": ["AL-1"]}])
def test_inputs_of_another_status_are_no_part_of_a_run_that_does_not_name_them(
    app: Application, write: Write, parameters: dict[str, Any]
) -> None:
    def fill(books: Company) -> None:
        asset = books.metered()
        books.used(asset, "rated", JUNE, status="Rated", rated_amount=2000)
        books.used(asset, "unrated", JUNE, status="Error", error_by="unrating")
        books.used(asset, "deleted", JUNE, deleted=True)
        books.used(asset, "loaded", JUNE)

    write(fill)
    assert outcomes(app, draft(app, parameters)) == {"loaded": ("ok", None)}


def test_include_rated_forecasts_rated_inputs_which_keep_their_status_and_rated_amount(
    app: Application, write: Write
) -> None:
    def fill(books: Company) -> None:
        asset = books.metered(actual={6: "10"})
        books.used(asset, "rated", JUNE, status="Rated", rated_amount=1999)
        books.used(
            asset, "bad", JUNE, status="Rated", rated_amount=5, draft_rated_amount=7, product_uom="Gallon"
        )
        books.used(asset, "unrated", JUNE, status="Error", error_by="unrating")
        books.used(asset, "loaded", JUNE)

    write(fill)
    run = draft(app, {"include_rated": True})
    assert outcomes(app, run) == {
        "rated": ("ok", None),
        "bad": ("error", "uom_mismatch"),
        "loaded": ("ok", None),
    }
    rated, bad = show_usage_input(app, "rated"), show_usage_input(app, "bad")
    assert (rated["status"], rated["rated_amount"], rated["draft_rated_amount"]) == (
        "Rated",
        "19.99",
        "20.00",
    )
    # A rated input only gets the outcome.
    assert (bad["status"], bad["code"], bad["message"]) == ("Rated", None, None)
    assert (bad["rated_amount"], bad["draft_rated_amount"]) == ("0.05", "0.07")
    assert drafts(app) == {"US-AL-1-06": ("20.00", "40.00")}


def test_an_input_in_error_by_a_forecast_is_loaded_again_by_the_next_one_that_it_passes(
    app: Application, write: Write
) -> None:
    write(_uom)
    draft(app)
    assert statuses(app) == {"IN-1": ("Error", "uom_mismatch")}
    draft(app)
    assert statuses(app) == {"IN-1": ("Error", "uom_mismatch")}
    change(app, tables.usage_input, "IN-1", product_uom="Each", quantity=Decimal(-3))
    draft(app, {"usage_input_ids": ["IN-1"]})
    assert statuses(app) == {"IN-1": ("Error", "negative_quantity")}
    change(app, tables.usage_input, "IN-1", quantity=Decimal(3))
    run = draft(app, {"asset_line_item_ids": ["AL-1"]})
    assert outcomes(app, run) == {"IN-1": ("ok", None)}
    mended = show_usage_input(app, "IN-1")
    assert (mended["status"], mended["code"], mended["message"]) == ("Loaded", None, None)
    assert mended["draft_rated_amount"] == "6.00"
    assert drafts(app) == {"US-AL-1-06": ("3.00", "6.00")}
