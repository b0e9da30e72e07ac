"""Usage rating: what becomes of inputs, and what is added to schedules."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from batchwright.billing import tables
from batchwright.billing.records.ratings import write_rated
from batchwright.engine.errors import Refused
from batchwright.engine.job import Scope
from batchwright.jobs import UsageRatingJob
from batchwright.jobs.usage_rating import Rating
from batchwright.operations.app import Application
from batchwright.operations.billing.usage_inputs import delete_usage_inputs, reset_usage_inputs
from batchwright.operations.runs.driving import drive_run
from batchwright.operations.runs.looking import run_outcomes
from tests.jobs.bad_inputs import BAD
from tests.jobs.company import Company
from tests.jobs.conftest import Write
from tests.jobs.drafting import (
    amounts,
    billing_rows,
    change,
    draft,
    drafts,
    outcomes,
    retry,
    statuses,
    submit,
)
from tests.jobs.rating import (
    RATING,
    assert_books_balance,
    fees,
    figures,
    rate,
    rated,
    stored,
)
from tests.support.application import ACTOR

pytestmark = pytest.mark.on_both

JUNE = "06-05"


def fill(books: Company) -> None:
    """AL-1 billed by half-years with two inputs in June, one in May; AL-2 with one in June."""
    asset = books.metered(months=6, months_per_schedule=6)
    books.used(asset, "june-a", "06-05", "1.5")
    books.used(asset, "june-b", "06-06", "2")
    books.used(asset, "may", "05-05", "3")
    books.used(books.metered("AL-2"), "other", "06-05", "1")


# What is written


def test_a_good_input_becomes_rated_with_its_amount_and_adds_to_both_its_schedules(
    app: Application, write: Write
) -> None:
    write(fill)
    run = rate(app)
    assert (run["status"], run["badge"], run["type"]) == ("Completed", "Complete", "Usage rating")
    assert (run["total"], run["processed"]) == (4, 4)
    assert set(statuses(app).values()) == {("Rated", None)}
    assert rated(app) == {"june-a": "3.00", "june-b": "4.00", "may": "6.00", "other": "2.00"}
    assert figures(app) == {
        "US-AL-1-05": ("3.00", "6.00"),
        "US-AL-1-06": ("3.50", "7.00"),
        "US-AL-2-06": ("1.00", "2.00"),
    }
    assert fees(app) == {"BS-AL-1-01": "13.00", "BS-AL-2-06": "2.00"}
    assert run["totals"] == {"rated_amount": {"USD": "15.00"}}
    assert_books_balance(app)


def test_the_outcome_of_an_input_has_its_amount(app: Application, write: Write) -> None:
    write(fill)
    rows = list(run_outcomes(app, rate(app)["run_id"]))
    assert {row["record_id"]: (row["outcome"], row["amount"], row["currency"]) for row in rows}["june-a"] == (
        "ok",
        "3.00",
        "USD",
    )


def test_a_later_rating_adds_to_what_the_schedules_have(app: Application, write: Write) -> None:
    write(fill)
    for name in ("june-a", "june-b", "may"):
        rate(app, {"usage_input_ids": [name]})
    assert figures(app) == {"US-AL-1-05": ("3.00", "6.00"), "US-AL-1-06": ("3.50", "7.00")}
    assert fees(app) == {"BS-AL-1-01": "13.00"}
    assert_books_balance(app)


def test_a_rating_adds_to_figures_that_were_taken_over(app: Application, write: Write) -> None:
    write(fill)
    change(app, tables.usage_schedule, "US-AL-2-06", actual_quantity=Decimal("0.125"), fee_amount=700)
    change(app, tables.billing_schedule, "BS-AL-2-06", fee_amount=900)
    rate(app)
    assert figures(app)["US-AL-2-06"] == ("1.125", "9.00")
    assert fees(app)["BS-AL-2-06"] == "11.00"


def test_a_second_rating_finds_nothing(app: Application, write: Write) -> None:
    write(fill)
    rate(app)
    before = billing_rows(app)
    again = rate(app)
    assert (again["total"], again["totals"], again["badge"]) == (0, {}, "Complete")
    assert billing_rows(app) == before


def test_an_input_that_was_rated_already_is_skipped_where_it_is_named(app: Application, write: Write) -> None:
    write(fill)
    rate(app)
    before = billing_rows(app)
    again = rate(app, {"usage_input_ids": ["june-a", "other"]})
    assert outcomes(app, again) == {
        "june-a": ("skipped", "not_eligible"),
        "other": ("skipped", "not_eligible"),
    }
    assert billing_rows(app) == before


def test_what_is_no_longer_as_it_was_read_is_not_written_over(app: Application, write: Write) -> None:
    def fill_all(books: Company) -> None:
        asset = books.metered()
        books.used(asset, "rated", JUNE, status="Rated", rated_amount=2000)
        books.used(asset, "error", JUNE, status="Error", error_by="draft", code="no_price", message="none")
        books.used(asset, "deleted", JUNE, deleted=True)

    write(fill_all)
    before = [stored(app, name) for name in ("rated", "error", "deleted")]
    with app.database.write() as connection:
        read = [(1, 1, None, "0", None, 1, row["id"]) for row in before]
        assert write_rated(connection, 1, read) == 0
    assert [stored(app, name) for name in ("rated", "error", "deleted")] == before


def test_only_loaded_inputs_are_rated_and_the_others_are_skipped_with_what_to_do(
    app: Application, write: Write
) -> None:
    def fill_all(books: Company) -> None:
        asset = books.metered()
        books.used(asset, "loaded", JUNE)
        books.used(asset, "rated", JUNE, status="Rated", rated_amount=2000)
        for by in ("draft", "rating", "unrating"):
            books.used(asset, by, JUNE, status="Error", error_by=by, code="no_price", message="none")

    write(fill_all)
    run = rate(app, {"usage_input_ids": ["loaded", "rated", "draft", "rating", "unrating"]})
    rows = {row["record_id"]: row for row in run_outcomes(app, run["run_id"])}
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "loaded": "ok",
        **dict.fromkeys(("rated", "draft", "rating", "unrating"), "skipped"),
    }
    assert rows["rated"]["message"] == "its status is Rated: it was charged already"
    assert "usage-inputs reset" in (rows["draft"]["message"] or "")
    assert rate(app)["total"] == 0
    assert statuses(app)["draft"] == ("Error", "no_price")


def test_a_rating_leaves_draft_values_as_they_are(app: Application, write: Write) -> None:
    write(fill)
    draft(app)
    before = (amounts(app), drafts(app))
    rate(app)
    assert (amounts(app), drafts(app)) == before
    assert stored(app, "may")["draft_run_key"] is not None


def test_a_rated_amount_keeps_what_it_rests_on(app: Application, write: Write) -> None:
    def fill_two(books: Company) -> None:
        keys.append(books.priced("data", unit_price="2", usage_indexing=True))
        keys.append(books.contract(books.customer(), books.price_book("PB-USD"), discount_percent=Decimal(5)))
        asset = books.metered()
        books.used(asset, "first", "06-05", "10")
        books.used(asset, "second", "06-06", "1")

    keys: list[int] = []
    write(fill_two)
    run = rate(app)
    first, second = stored(app, "first"), stored(app, "second")
    for row in (first, second):
        assert (row["rated_price_key"], row["rated_contract_key"], row["rated_discount_percent"]) == (
            *keys,
            5,
        )
        assert f"JR-{row['rated_run_key']:08}" == run["run_id"]
    # The first of a window has no quantity before it, not even zero.
    assert (first["rated_prior_quantity"], second["rated_prior_quantity"]) == (None, 10)
    assert first["rated_schedule_key"] == second["rated_schedule_key"]


@pytest.mark.parametrize("code", BAD)
def test_a_bad_input_gets_its_code_and_becomes_error_without_a_rated_amount(
    app: Application, write: Write, code: str
) -> None:
    filled, said = BAD[code]
    write(filled)
    change(app, tables.usage_input, "IN-1", rated_amount=0, draft_rated_amount=700)
    run = rate(app)
    assert (run["status"], run["badge"], run["totals"]) == ("Completed", "Complete (1 error)", {})
    (outcome,) = run_outcomes(app, run["run_id"])
    assert (outcome["outcome"], outcome["code"], outcome["amount"]) == ("error", code, None)
    row = stored(app, "IN-1")
    assert (row["status"], row["error_by"], row["code"]) == ("Error", "rating", code)
    assert said in row["message"]
    assert (row["rated_amount"], row["draft_rated_amount"]) == (None, 700)
    assert (figures(app), fees(app)) == ({}, {})


def test_an_input_deleted_after_submit_is_not_found_and_stays_as_it_was(
    app: Application, write: Write
) -> None:
    write(fill)
    run = submit(app, {"usage_input_ids": ["june-a", "may"]}, job=RATING, mail_actor=False)
    delete_usage_inputs(app, ["may"], actor=ACTOR)
    ended = drive_run(app, run["run_id"])
    assert outcomes(app, ended) == {"june-a": ("ok", None), "may": ("error", "not_found")}
    assert stored(app, "may")["status"] == "Loaded"
    assert_books_balance(app)


class MovingRatingJob(UsageRatingJob):
    """Finds that an input was given to another asset, after the scopes were planned."""

    name = "moving-usage-rating"
    type = "Moving usage rating"
    moved, to = -1, -1

    def compute(self, scope: Scope) -> Rating:
        table = tables.usage_input
        given = table.update().where(table.c.id == self.moved).values(asset_key=self.to)
        scope.connection.execute(given)
        return super().compute(scope)


def test_an_input_given_to_an_asset_that_the_scope_does_not_hold_is_skipped(
    app: Application, write: Write
) -> None:
    write(fill)
    app.registry.add(MovingRatingJob)
    MovingRatingJob.moved, MovingRatingJob.to = stored(app, "may")["id"], stored(app, "other")["asset_key"]
    run = draft(app, {"usage_input_ids": ["june-a", "may"]}, job=MovingRatingJob.name)
    assert outcomes(app, run) == {"june-a": ("ok", None), "may": ("skipped", "not_eligible")}
    assert stored(app, "may")["status"] == "Loaded"
    assert_books_balance(app)


def test_what_a_schedule_cannot_hold_is_an_error_of_the_input_that_exceeds_it(
    app: Application, write: Write
) -> None:
    def fill_huge(books: Company) -> None:
        books.priced("data", unit_price="0.01")
        asset = books.metered(months=2, months_per_schedule=2)
        books.used(asset, "most", "01-05", "9" * 18)
        books.used(asset, "too-much", "02-05", "9" * 18)

    write(fill_huge)
    # The usage schedule has room, its billing schedule has not.
    change(app, tables.billing_schedule, "BS-AL-1-01", fee_amount=2**63 - 10**18 - 5)
    for names in (["most"], ["too-much"]):
        rate(app, {"usage_input_ids": names})
    assert statuses(app) == {"most": ("Rated", None), "too-much": ("Error", "amount_out_of_range")}
    change(app, tables.usage_input, "too-much", quantity=Decimal(1))
    reset_usage_inputs(app, ids=["too-much"], actor=ACTOR)
    rate(app)
    assert statuses(app)["too-much"] == ("Rated", None)


def test_quantities_are_summed_to_the_last_digit(app: Application, write: Write) -> None:
    def fill_long(books: Company) -> None:
        books.priced("data", unit_price="0.000000000001")
        asset = books.metered()
        for number in range(3):
            books.used(asset, f"IN-{number}", JUNE, "123456789012345678.123456789012")

    write(fill_long)
    for number in range(3):
        rate(app, {"usage_input_ids": [f"IN-{number}"]})
    assert figures(app)["US-AL-1-06"][0] == "370370367037037034.370370367036"
    assert_books_balance(app)


# Which inputs


def test_assets_by_id_take_their_loaded_inputs(app: Application, write: Write) -> None:
    write(fill)
    run = rate(app, {"asset_line_item_ids": ["AL-2"]})
    assert outcomes(app, run) == {"other": ("ok", None)}
    assert fees(app) == {"BS-AL-2-06": "2.00"}


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"usage_input_ids": ["IN-8", "IN-9"]}, "unknown usage input ids: IN-8, IN-9"),
        ({"asset_line_item_ids": ["AL-9"]}, "unknown asset line item id: AL-9"),
        ({"usage_input_ids": []}, "empty list"),
        ({"usage_input_ids": ["may"], "asset_line_item_ids": ["AL-1"]}, "not both"),
        ({"include_rated": True}, "include_rated"),
    ],
)
@pytest.mark.parametrize("job", ["usage-rating", "usage-unrating"])
def test_parameters_that_do_not_fit_are_refused_and_nothing_changes(
    app: Application, write: Write, job: str, parameters: dict[str, object], said: str
) -> None:
    write(fill)
    before = billing_rows(app)
    with pytest.raises(Refused, match=said):
        submit(app, parameters, job=job)
    assert billing_rows(app) == before


# Retry


def test_a_retry_rates_the_records_that_the_rating_put_in_error_and_no_others(
    app: Application, write: Write
) -> None:
    def fill_bad(books: Company) -> None:
        books.priced("data", unit_price="2", effective_from=date(2023, 6, 1))
        asset = books.metered()
        books.used(asset, "may", "05-05", "1")
        books.used(asset, "june", "06-05", "1")
        books.used(asset, "april", "04-05", "1")

    write(fill_bad)
    parent = rate(app)
    assert (parent["processed"], parent["errored"]) == (1, 2)
    delete_usage_inputs(app, ["april"], actor=ACTOR)
    write(lambda books: books.priced("data", unit_price="3", effective_from=date(2023, 1, 1)))
    write(lambda books: books.used(1, "new", "06-05", "1"))
    again = retry(app, parent)
    assert outcomes(app, again) == {"may": ("ok", None)}
    assert again["parameters"]["usage_input_ids"] == ["may"]
    row = stored(app, "may")
    assert (row["status"], row["error_by"], row["code"], row["message"]) == ("Rated", None, None, None)
    assert statuses(app)["new"] == ("Loaded", None)
    assert_books_balance(app)


def test_a_retry_leaves_what_a_forecast_or_an_unrating_put_in_error_since(
    app: Application, write: Write
) -> None:
    write(fill)
    change(app, tables.usage_input, "may", product_uom="Gallon")
    parent = rate(app)
    reset_usage_inputs(app, ids=["may"], actor=ACTOR)
    draft(app)
    assert stored(app, "may")["error_by"] == "draft"
    assert outcomes(app, retry(app, parent)) == {"may": ("skipped", "not_eligible")}


def test_a_retry_of_nothing_but_deleted_records_is_refused(app: Application, write: Write) -> None:
    write(fill)
    change(app, tables.usage_input, "may", product_uom="Gallon")
    parent = rate(app)
    delete_usage_inputs(app, ["may"], actor=ACTOR)
    with pytest.raises(Refused, match="was deleted since"):
        retry(app, parent)


class PoisonedRatingJob(UsageRatingJob):
    """Raises where the poisoned record is in hand."""

    name = "poisoned-usage-rating"
    type = "Poisoned usage rating"
    poisoned = -1

    def apply(self, scope: Scope, computed: Rating) -> None:
        super().apply(scope, computed)
        if self.poisoned in scope.keys:
            raise ZeroDivisionError("the meter ran backwards")


def test_a_record_that_makes_the_job_raise_is_in_error_and_the_others_are_charged_once(
    app: Application, write: Write
) -> None:
    write(fill)
    app.registry.add(PoisonedRatingJob)
    PoisonedRatingJob.poisoned = stored(app, "june-b")["id"]
    run = draft(app, job=PoisonedRatingJob.name)
    assert (run["processed"], run["errored"]) == (3, 1)
    assert statuses(app)["june-b"] == ("Error", "unforeseen")
    assert stored(app, "june-b")["error_by"] == "rating"
    assert figures(app)["US-AL-1-06"] == ("1.50", "3.00")
    assert_books_balance(app)
