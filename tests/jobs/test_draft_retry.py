"""Retry after a fault, and the record that makes the job raise."""

from __future__ import annotations

from datetime import date

import pytest

from batchwright.billing import tables
from batchwright.engine.job import Scope
from batchwright.jobs import usage_selection
from batchwright.jobs.draft_usage_rating import DraftUsageRatingJob, Forecast
from batchwright.operations.app import Application
from batchwright.operations.runs.looking import run_outcomes, show_run
from tests.jobs.company import INDEXED_TIERS, Company
from tests.jobs.conftest import Write
from tests.jobs.drafting import change, draft, drafts, outcomes, results, retry, undrafted


def fill(books: Company) -> None:
    """Ten inputs of an asset with usage indexing in one window, the fourth in Gallons; and another asset."""
    books.priced("data", "tiered", tiers=INDEXED_TIERS, usage_indexing=True)
    asset = books.metered(months=6, months_per_schedule=6)
    for number in range(10):
        uom = "Gallon" if number == 3 else "Each"
        books.used(asset, f"IN-{number}", f"{number // 2 + 1:02}-05", "3", product_uom=uom)
    books.used(books.metered("AL-2"), "other", "06-05")


def test_a_retry_after_the_repair_gives_the_schedules_of_a_run_without_the_fault(
    app: Application, write: Write
) -> None:
    write(fill)
    change(app, tables.usage_input, "IN-3", product_uom="Each")
    draft(app)
    without_fault = results(app)
    change(app, tables.usage_input, "IN-3", product_uom="Gallon")
    undrafted(app)
    parent = draft(app)
    assert (parent["processed"], parent["errored"]) == (10, 1)
    assert results(app) != without_fault

    change(app, tables.usage_input, "IN-3", product_uom="Each")
    again = retry(app, parent)

    assert results(app) == without_fault
    # The whole asset is done again, and no other.
    assert outcomes(app, again) == {f"IN-{number}": ("ok", None) for number in range(10)}
    assert again["parameters"]["asset_line_item_ids"] == ["AL-1"]
    assert again["parent_run_id"] == parent["run_id"]
    assert show_run(app, parent["run_id"])["children"] == [again["run_id"]]


@pytest.mark.on_both
@pytest.mark.parametrize("job", ["draft-usage-rating", "usage-rating"])
def test_a_retry_of_many_names_the_run_and_does_the_same(
    app: Application, write: Write, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    monkeypatch.setattr(usage_selection, "MOST_NAMED_AGAIN", 2)

    def many(books: Company) -> None:
        books.priced("data", unit_price="2")
        asset = books.metered(months=6, months_per_schedule=6)
        for number in range(6):
            books.used(
                asset, f"IN-{number}", f"{number + 1:02}-05", "3", product_uom="Gallon" if number else "Each"
            )
        books.used(books.metered("AL-2"), "other", "06-05")

    write(many)
    parent = draft(app, job=job)
    assert (parent["processed"], parent["errored"]) == (2, 5)
    for number in range(1, 6):
        change(app, tables.usage_input, f"IN-{number}", product_uom="Each", deleted=number == 5)
    again = retry(app, parent)
    assert again["parameters"]["retry_of"] == parent["run_id"] == again["parent_run_id"]
    assert again["parameters"]["usage_input_ids"] is again["parameters"]["asset_line_item_ids"] is None
    rated = range(0 if job == "draft-usage-rating" else 1, 5)
    assert outcomes(app, again) == {f"IN-{number}": ("ok", None) for number in rated}
    assert not again["warnings"]


def test_a_price_that_was_missing_is_used_by_the_retry(app: Application, write: Write) -> None:
    def without_price(books: Company) -> None:
        books.priced("data", unit_price="2", effective_from=date(2023, 2, 1))
        asset = books.metered(months=6, months_per_schedule=6)
        for number in range(10):
            books.used(asset, f"IN-{number}", f"{1 if number == 0 else 2:02}-05", "3")

    write(without_price)
    parent = draft(app)
    assert (parent["processed"], outcomes(app, parent)["IN-0"]) == (9, ("error", "no_price"))
    write(lambda books: books.priced("data", unit_price="5", effective_from=date(2023, 1, 1)))
    again = retry(app, parent)
    assert again["badge"] == "Complete"
    assert drafts(app) == {"US-AL-1-01": ("3.00", "15.00"), "US-AL-1-02": ("27.00", "54.00")}


def test_a_retry_takes_rated_inputs_where_its_parent_did(app: Application, write: Write) -> None:
    def with_rated(books: Company) -> None:
        fill(books)
        asset = books.metered("AL-3", actual={6: "10"}, months_per_schedule=1)
        books.used(asset, "rated", "06-05", status="Rated")
        books.used(asset, "bad", "06-05", "-1")

    write(with_rated)
    again = retry(app, draft(app, {"asset_line_item_ids": ["AL-3"], "include_rated": True}))
    assert outcomes(app, again) == {"rated": ("ok", None), "bad": ("error", "negative_quantity")}


# An exception that nobody foresaw


class PoisonedJob(DraftUsageRatingJob):
    """Raises where the input with the poisoned description is among the records."""

    name = "poisoned-draft-usage-rating"
    type = "Poisoned draft usage rating"
    executed = 0
    poisoned = -1

    def compute(self, scope: Scope) -> Forecast:
        type(self).executed += 1
        if self.poisoned in scope.keys:
            raise ZeroDivisionError("the meter ran backwards")
        return super().compute(scope)


COUNT = 200


def fill_one_scope(books: Company) -> None:
    books.priced(
        "data",
        "tiered",
        tiers=(("100", "3", None), ("300", "2", None), (None, "1", None)),
        usage_indexing=True,
    )
    asset = books.metered(months=6, months_per_schedule=6)
    for number in range(COUNT):
        books.used(asset, f"IN-{number}", f"{number % 6 + 1:02}-{number % 28 + 1:02}", "3.5")


def keys_of(app: Application) -> dict[str, int]:
    with app.database.read() as connection:
        rows = connection.execute(tables.usage_input.select())
        return {row.usage_input_id: row.id for row in rows}


@pytest.mark.parametrize("poisoned", ["IN-0", "IN-77", "IN-199"])
def test_a_poisoned_record_is_named_and_the_others_get_the_amounts_of_a_run_without_it(
    app: Application, write: Write, poisoned: str
) -> None:
    write(fill_one_scope)
    app.registry.add(PoisonedJob)
    PoisonedJob.executed, PoisonedJob.poisoned = 0, keys_of(app)[poisoned]

    run = draft(app, job=PoisonedJob.name, scope_size=COUNT)

    assert (run["status"], run["processed"], run["errored"]) == ("Completed", COUNT - 1, 1)
    assert PoisonedJob.executed <= 17
    (guilty,) = run_outcomes(app, run["run_id"], outcome="error")
    assert (guilty["record_id"], guilty["code"]) == (poisoned, "unforeseen")
    assert (guilty["message"] or "").startswith("ZeroDivisionError: the meter ran backwards [tests/jobs/")
    (shown,) = [row for row in results(app)["inputs"] if row[0] == poisoned]
    assert shown[1:7] == ("Error", "draft", "unforeseen", guilty["message"], None, None)
    found = results(app)
    change(app, tables.usage_input, poisoned, deleted=True)
    undrafted(app)
    without = draft(app, scope_size=COUNT)
    assert without["processed"] == COUNT - 1
    assert without["totals"] == run["totals"]
    assert results(app)["schedules"] == found["schedules"]
    assert [row for row in results(app)["inputs"] if row[0] != poisoned] == [
        row for row in found["inputs"] if row[0] != poisoned
    ]


def test_a_record_that_was_set_aside_does_not_make_its_asset_a_partial_one(
    app: Application, write: Write
) -> None:
    write(fill_one_scope)
    app.registry.add(PoisonedJob)
    keys = keys_of(app)
    PoisonedJob.poisoned = keys["IN-5"]
    run = draft(app, {"usage_input_ids": list(keys)}, job=PoisonedJob.name, scope_size=COUNT)
    assert (run["errored"], run["warnings"]) == (1, [])
