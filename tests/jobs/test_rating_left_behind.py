"""An input in Error: an edit makes it Loaded, and a rating tells of those that it leaves uncharged."""

from __future__ import annotations

import pytest

from batchwright.cli.exits import DONE, WITH_ERRORS, exit_code_of
from batchwright.operations.app import Application
from batchwright.operations.billing.billing_schedules import set_billing_schedule_status
from batchwright.operations.billing.usage_inputs import edit_usage_input, reset_usage_inputs
from batchwright.operations.views import View
from tests.jobs.company import Company
from tests.jobs.conftest import Write
from tests.jobs.drafting import draft, mail_facts, statuses
from tests.jobs.rating import rate, rated, unrate
from tests.support.application import ACTOR

pytestmark = pytest.mark.on_both


def fill(books: Company) -> None:
    """AL-1 with a good and a bad input in June, AL-2 with a bad one; 2 for each unit."""
    asset = books.metered()
    books.used(asset, "good", "06-05", "1.5")
    books.used(asset, "bad", "06-06", "-2")
    books.used(books.metered("AL-2"), "other", "06-05", "-1")


def warned(run: View) -> dict[str, str]:
    """The first words of each warning, by code."""
    return {one["code"]: one["message"].split(":")[0] for one in run["warnings"]}


def code(run: View) -> int:
    return exit_code_of(run, interrupted=False)


@pytest.mark.parametrize("by", [draft, rate])
def test_an_edited_input_is_charged_by_the_next_rating_whoever_put_it_in_error(
    app: Application, write: Write, by: object
) -> None:
    write(fill)
    assert callable(by)
    by(app)
    after = edit_usage_input(app, "bad", quantity="3", actor=ACTOR)
    assert (after["status"], after["code"], after["message"]) == ("Loaded", None, None)
    edit_usage_input(app, "other", description="a wrong sign", actor=ACTOR)
    assert statuses(app)["other"] == ("Loaded", None)
    run = rate(app)
    assert (rated(app)["bad"], run["errored"], warned(run)) == ("6.00", 1, {})


def test_an_edit_leaves_what_was_unrated_in_error(app: Application, write: Write) -> None:
    write(fill)
    rate(app)
    unrate(app, {"usage_input_ids": ["good"]})
    assert edit_usage_input(app, "good", quantity="3", actor=ACTOR)["code"] == "unrated"
    reset_usage_inputs(app, ids=["good"], actor=ACTOR)
    rate(app)
    assert rated(app)["good"] == "6.00"


def test_a_rating_that_leaves_inputs_in_error_says_how_many_and_ends_with_3(
    app: Application, write: Write
) -> None:
    write(fill)
    draft(app)
    run = rate(app, mail_actor=True)
    assert (run["errored"], warned(run)) == (0, {"not_rated": "2 usage inputs in Error were not charged"})
    assert code(run) == WITH_ERRORS
    assert [one["code"] for one in mail_facts(app)[-1]["warnings"]] == ["not_rated"]


def test_what_errors_in_the_rating_itself_is_an_outcome_and_no_warning(
    app: Application, write: Write
) -> None:
    write(fill)
    run = rate(app)
    assert (run["errored"], warned(run), code(run)) == (2, {}, WITH_ERRORS)
    again = rate(app)
    assert (again["total"], warned(again)) == (0, {"not_rated": "2 usage inputs in Error were not charged"})


def test_a_rating_answers_for_the_assets_or_the_inputs_that_it_was_given_alone(
    app: Application, write: Write
) -> None:
    write(fill)
    draft(app)
    of_asset = rate(app, {"asset_line_item_ids": ["AL-2"]})
    assert warned(of_asset) == {"not_rated": "1 usage input in Error was not charged"}
    good = rate(app, {"usage_input_ids": ["good"]})
    assert (warned(good), code(good)) == ({}, DONE)
    named = rate(app, {"usage_input_ids": ["bad", "good"]})
    assert (warned(named), code(named)) == (
        {"not_rated": "1 usage input in Error was not charged"},
        WITH_ERRORS,
    )


def test_unrated_inputs_are_counted_apart_and_change_no_exit_code(app: Application, write: Write) -> None:
    write(fill)
    rate(app)
    unrate(app, {"usage_input_ids": ["good"]})
    for one in ("bad", "other"):
        edit_usage_input(app, one, quantity="1", actor=ACTOR)
    run = rate(app)
    assert warned(run) == {"unrated": "1 usage input in Error was left alone after unrating"}
    assert code(run) == DONE


def test_an_input_in_error_on_a_schedule_that_is_billed_is_not_told(app: Application, write: Write) -> None:
    write(fill)
    draft(app)
    set_billing_schedule_status(app, ["BS-AL-2-06"], "pending_invoice", actor=ACTOR)
    assert warned(rate(app)) == {"not_rated": "1 usage input in Error was not charged"}


def test_a_dry_run_of_a_rating_foretells_the_warning(app: Application, write: Write) -> None:
    write(fill)
    draft(app)
    assert warned(rate(app, mode="dry_run")) == {"not_rated": "2 usage inputs in Error were not charged"}
