"""A forecast counts only its inputs and overwrites the schedules it touches."""

from __future__ import annotations

import pytest

from batchwright.billing import tables
from batchwright.operations.app import Application
from batchwright.operations.billing.usage_inputs import delete_usage_inputs
from batchwright.operations.runs.looking import show_run
from tests.jobs.company import Company
from tests.jobs.conftest import Write
from tests.jobs.drafting import amounts, change, draft, drafts
from tests.support.application import ACTOR

pytestmark = pytest.mark.on_both

JUNE, JULY = ("1.00", "2.00"), ("2.00", "4.00")


def fill(books: Company) -> None:
    """AL-1 with two inputs in June and one in July; AL-2 with one in June."""
    asset = books.metered()
    books.used(asset, "june-a", "06-05", "1")
    books.used(asset, "june-b", "06-06", "2")
    books.used(asset, "july", "07-05", "2")
    books.used(books.metered("AL-2"), "other", "06-05", "1")


ALL = {"US-AL-1-06": ("3.00", "6.00"), "US-AL-1-07": JULY, "US-AL-2-06": JUNE}


@pytest.mark.parametrize("scope_size", [1, 100])
def test_the_next_forecast_overwrites_and_never_adds(app: Application, write: Write, scope_size: int) -> None:
    write(fill)
    for parameters in ({}, {}, {"asset_line_item_ids": ["AL-1", "AL-2"]}):
        draft(app, parameters, scope_size=scope_size)
        assert drafts(app) == ALL


def test_a_part_of_an_asset_s_inputs_overwrites_their_schedules_leaves_the_others_and_warns(
    app: Application, write: Write
) -> None:
    write(fill)
    draft(app)
    run = draft(app, {"usage_input_ids": ["june-b"]})
    assert drafts(app) == ALL | {"US-AL-1-06": ("2.00", "4.00")}
    assert amounts(app)["june-a"] == "2.00"
    message = "not all eligible usage inputs of AL-1 were given: its forecast counts only those given"
    warnings = [{"code": "partial_asset", "message": message, "record_id": "AL-1"}]
    assert run["warnings"] == warnings
    assert show_run(app, run["run_id"])["warnings"] == warnings


def test_the_warning_is_per_asset_and_only_for_those_that_are_not_whole(
    app: Application, write: Write
) -> None:
    def fill_three(books: Company) -> None:
        fill(books)
        asset = books.metered("AL-3")
        books.used(asset, "third-a", "06-05", "1")
        books.used(asset, "third-b", "06-05", "1", status="Error", error_by="draft")

    write(fill_three)
    for scope_size in (1, 100):
        run = draft(app, {"usage_input_ids": ["other", "july", "third-a"]}, scope_size=scope_size)
        assert sorted(warning["record_id"] for warning in run["warnings"]) == ["AL-1", "AL-3"]


def test_all_eligible_inputs_by_id_cover_an_asset_wholly_whatever_else_it_has(
    app: Application, write: Write
) -> None:
    def fill_more(books: Company) -> None:
        fill(books)
        asset = books.metered("AL-3")
        books.used(asset, "third", "06-05", "1")
        books.used(asset, "rated", "06-05", "1", status="Rated")
        books.used(asset, "unrated", "06-05", "1", status="Error", error_by="unrating")
        books.used(asset, "deleted", "06-05", "1", deleted=True)

    write(fill_more)
    run = draft(app, {"usage_input_ids": ["third"], "include_rated": True})
    assert run["warnings"] == []


def test_a_forecast_of_a_whole_asset_clears_pending_schedules_that_got_no_input(
    app: Application, write: Write
) -> None:
    write(fill)
    draft(app)
    delete_usage_inputs(app, ["july"], actor=ACTOR)
    draft(app, {"asset_line_item_ids": ["AL-1"]})
    assert drafts(app) == {"US-AL-1-06": ("3.00", "6.00"), "US-AL-2-06": JUNE}


def test_all_of_an_asset_s_inputs_by_id_clear_its_other_pending_schedules_too(
    app: Application, write: Write
) -> None:
    write(fill)
    draft(app)
    delete_usage_inputs(app, ["july"], actor=ACTOR)
    run = draft(app, {"usage_input_ids": ["june-a", "june-b"]})
    assert run["warnings"] == []
    assert drafts(app) == {"US-AL-1-06": ("3.00", "6.00"), "US-AL-2-06": JUNE}


@pytest.mark.parametrize("parameters", [{}, {"asset_line_item_ids": ["AL-2", "AL-1"]}])
@pytest.mark.parametrize("scope_size", [1, 100])
def test_draft_values_whose_last_input_was_deleted_are_cleared(
    app: Application, write: Write, parameters: dict[str, list[str]], scope_size: int
) -> None:
    write(fill)
    draft(app)
    delete_usage_inputs(app, ["other"], actor=ACTOR)
    run = draft(app, parameters, scope_size=scope_size)
    assert run["total"] == 3
    assert drafts(app) == {"US-AL-1-06": ("3.00", "6.00"), "US-AL-1-07": JULY}
    delete_usage_inputs(app, ["june-a", "june-b", "july"], actor=ACTOR)
    assert draft(app, parameters, scope_size=scope_size)["total"] == 0
    assert drafts(app) == {}


def test_superseded_and_invoiced_schedules_without_an_input_keep_their_draft_values(
    app: Application, write: Write
) -> None:
    kept = {3: "Invoiced", 4: "Superseded", 5: "Pending Invoice"}

    def fill_kept(books: Company) -> None:
        asset = books.metered(statuses=kept)
        for month in (3, 4, 5, 6):
            books.used(asset, f"IN-{month}", f"{month:02}-05", "1", deleted=True)
        books.used(asset, "july", "07-05", "2")

    write(fill_kept)
    for month in (3, 4, 5, 6):
        schedule = f"US-AL-1-{month:02}"
        change(app, tables.usage_schedule, schedule, draft_rated_quantity=1, draft_fee_amount=200)
    for parameters in ({}, {"asset_line_item_ids": ["AL-1"]}, {"usage_input_ids": ["july"]}):
        draft(app, parameters)
        assert drafts(app) == {
            **{f"US-AL-1-{month:02}": JUNE for month in kept},
            "US-AL-1-07": JULY,
        }


def test_an_input_on_an_invoiced_schedule_changes_its_draft_values_and_nothing_else(
    app: Application, write: Write
) -> None:
    def fill_invoiced(books: Company) -> None:
        books.used(books.metered(statuses={6: "Invoiced"}), "june", "06-05", "1")

    write(fill_invoiced)
    change(app, tables.usage_schedule, "US-AL-1-06", actual_quantity=7, fee_amount=1400)
    change(app, tables.billing_schedule, "BS-AL-1-06", fee_amount=1400)
    draft(app)
    with app.database.read() as connection:
        usage_schedules = connection.execute(tables.usage_schedule.select()).all()
        schedules = connection.execute(tables.billing_schedule.select()).all()
    june = next(row for row in usage_schedules if row.usage_schedule_id == "US-AL-1-06")
    assert (june.draft_rated_quantity, june.draft_fee_amount) == (1, 200)
    assert (june.actual_quantity, june.fee_amount) == (7, 1400)
    billing_schedule = next(row for row in schedules if row.billing_schedule_id == "BS-AL-1-06")
    assert (billing_schedule.status, billing_schedule.fee_amount) == ("Invoiced", 1400)


def test_a_schedule_on_which_only_bad_inputs_fell_is_blank(app: Application, write: Write) -> None:
    write(fill)
    draft(app)
    change(app, tables.usage_input, "july", product_uom="Gallon")
    for parameters in ({"usage_input_ids": ["july"]}, {}):
        draft(app, parameters)
        assert drafts(app) == {"US-AL-1-06": ("3.00", "6.00"), "US-AL-2-06": JUNE}
        change(app, tables.usage_schedule, "US-AL-1-07", draft_rated_quantity=9, draft_fee_amount=9)


def test_a_forecast_changes_no_figure_of_the_rating(app: Application, write: Write) -> None:
    def fill_rated(books: Company) -> None:
        asset = books.metered(actual={6: "10"})
        books.used(asset, "rated", "06-05", status="Rated", rated_amount=2000)
        books.used(asset, "loaded", "06-06")

    write(fill_rated)
    change(app, tables.usage_schedule, "US-AL-1-06", fee_amount=2000)
    draft(app)
    with app.database.read() as connection:
        table = tables.usage_schedule
        june = connection.execute(table.select().where(table.c.usage_schedule_id == "US-AL-1-06")).one()
        inputs = connection.execute(tables.usage_input.select().order_by(tables.usage_input.c.id)).all()
    assert (june.actual_quantity, june.fee_amount, june.draft_rated_quantity) == (10, 2000, 10)
    assert [(row.status, row.rated_amount) for row in inputs] == [("Rated", 2000), ("Loaded", None)]
