"""The log's columns Customer and Period, for the jobs over usage inputs."""

from __future__ import annotations

from datetime import date

import pytest

from batchwright.operations.app import Application
from batchwright.operations.runs.controls import abort_run
from batchwright.operations.runs.looking import list_runs
from batchwright.operations.runs.submitting import submit_run
from tests.jobs.company import Company
from tests.jobs.conftest import Write
from tests.jobs.drafting import draft
from tests.jobs.rating import rate, unrate
from tests.support.application import ACTOR


def fill(books: Company) -> None:
    asset = books.metered()
    books.used(asset, "march", "03-05")
    books.used(asset, "may", "05-31")
    books.used(books.metered("AL-2"), "second", "06-01")
    books.used(books.metered("AL-3", customer_id="CU-2"), "other", "04-30")


def test_a_run_shows_its_customer_and_the_months_that_its_usage_spans(app: Application, write: Write) -> None:
    write(fill)
    for job in (draft, rate, unrate):
        run = job(app, {"asset_line_item_ids": ["AL-1", "AL-2"]}, scope_size=1)
        assert run["customer_id"] == "CU-1"
        assert run["periods"] == ["2023-03", "2023-04", "2023-05", "2023-06"]
        assert [(row["customer_id"], row["periods"]) for row in list_runs(app, limit=1)] == [
            (run["customer_id"], run["periods"])
        ]


@pytest.mark.parametrize("scope_size", [1, 2000])
def test_a_run_over_several_customers_shows_none(app: Application, write: Write, scope_size: int) -> None:
    write(fill)
    run = draft(app, scope_size=scope_size, mode="dry_run")
    assert (run["customer_id"], run["periods"]) == (None, ["2023-03", "2023-04", "2023-05", "2023-06"])


def test_a_run_without_a_record_shows_neither(app: Application, write: Write) -> None:
    write(lambda books: books.metered())
    run = draft(app)
    assert (run["customer_id"], run["periods"]) == (None, None)


def test_a_run_that_was_aborted_before_it_began_shows_neither(app: Application, write: Write) -> None:
    write(fill)
    run = submit_run(app, "usage-rating", {}, actor=ACTOR).view
    aborted = abort_run(app, run["run_id"], actor=ACTOR)
    assert (aborted["status"], aborted["customer_id"], aborted["periods"]) == ("Aborted", None, None)


def test_a_slip_in_a_usage_date_does_not_make_a_list_of_all_months_since(
    app: Application, write: Write
) -> None:
    def slipped(books: Company) -> None:
        asset = books.metered()
        books.used(asset, "good", "06-05")
        books.usage_input(asset, "bad", usage_date=date(223, 6, 5))

    write(slipped)
    assert draft(app)["periods"] == ["0223-06", "2023-06"]
