"""DoiT's page *Billing utilities*, sentence by sentence: each test is named after what a sentence says, in its order.

What the page says of its dialog and its table is tried on the operations behind them: the offer that fills the dialog,
and the run log.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import update

from billing import tables
from engine.errors import Refused
from engine.events import Event, RunPlanned, RunStarted, ScopeDone
from operations.app import Application
from operations.permissions import Forbidden
from operations.recalculation import list_account_charges, recalculation_offer
from operations.runs import drive_run, list_runs, show_run, submit_run
from operations.users import add_user
from operations.views import View
from tests.jobs.drafting import change, draft
from tests.jobs.rating import rate, rated
from tests.jobs.recalculating import JOB, Contracted, asked, recalculate, reprice, submitted
from tests.jobs.test_rating_rivals import rival
from tests.operations.conftest import ACTOR, NOW

Write = Callable[[Callable[[Contracted], object]], None]


@pytest.fixture
def write(app: Application) -> Write:
    def call(fill: Callable[[Contracted], object]) -> None:
        with app.database.write() as connection:
            fill(Contracted(connection))

    return call


@pytest.fixture(autouse=True)
def _rated_after_the_month(app: Application, write: Write) -> None:
    """Usage of May and June at 2 each, rated."""

    def fill(books: Contracted) -> None:
        books.begin()
        asset = books.of_account()
        books.used(asset, "IN-MAY", "05-05", "10")
        books.used(asset, "IN-JUNE", "06-05", "10")

    write(fill)
    rate(app)


@pytest.fixture
def passing(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time goes by: whoever looks at the clock sees a minute more than before."""
    minutes = count()
    monkeypatch.setattr(app.clock, "now", lambda: NOW + timedelta(minutes=next(minutes)))


def offered(app: Application) -> list[View]:
    customers: list[View] = recalculation_offer(app)["customers"]
    return customers


def logged(app: Application) -> View:
    """The first line of the log."""
    return list_runs(app)[0]


# Billing utilities (Reseller only)


def test_resellers_manually_trigger_data_recalculation_for_an_end_customer(app: Application) -> None:
    run = recalculate(app)
    assert (run["job"], run["customer_id"], run["trigger"]) == (JOB, "CU-1", "cli")


def test_resellers_monitor_the_status_of_billing_and_recalculation_jobs(app: Application) -> None:
    recalculate(app)
    assert [(run["type"], run["badge"]) for run in list_runs(app)] == [
        ("Recalc", "Complete"),
        ("Usage rating", "Complete"),
    ]


# Required permission


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_the_required_permission_is_billing_utilities_admin(app: Application, role: str) -> None:
    add_user(app, "chief@example.com", "administrator", actor=ACTOR, os_user=ACTOR.os_user)
    add_user(app, "clerk@example.com", role, actor=ACTOR, os_user="clerk")
    add_user(app, "bill@example.com", "Billing Utilities Admin", actor=ACTOR, os_user="bill")
    clerk = type(ACTOR)(name="clerk@example.com", os_user="clerk")
    with pytest.raises(Forbidden, match="Billing Utilities Admin"):
        submit_run(app, JOB, asked(), actor=clerk)
    with pytest.raises(Forbidden, match="Billing Utilities Admin"):
        recalculation_offer(app, actor=clerk)
    bill = type(ACTOR)(name="bill@example.com", os_user="bill")
    assert submit_run(app, JOB, asked(), actor=bill)["actor"] == "bill@example.com"
    assert recalculation_offer(app, actor=bill)["customers"]


# Data recalculation


def test_data_recalculation_reruns_using_the_latest_contract_rules_and_price_book(
    app: Application, write: Write
) -> None:
    reprice(app, "3")
    book = Decimal(10)

    def revise(books: Contracted) -> None:
        key = books.key_of(tables.price_book, "PB-USD")
        books.contract(books.customer(), key, "CO-1", revision=2, discount_percent=book)

    write(revise)
    recalculate(app)
    assert rated(app)["IN-JUNE"] == "27.00"


def test_run_it_when_a_billing_rule_was_updated_after_billing_ran_for_that_period(
    app: Application, write: Write
) -> None:
    def revise(books: Contracted) -> None:
        key = books.key_of(tables.price_book, "PB-USD")
        books.contract(books.customer(), key, "CO-1", revision=2, discount_percent=Decimal(50))

    write(revise)
    assert rated(app)["IN-JUNE"] == "20.00", "until it is run"
    recalculate(app)
    assert rated(app)["IN-JUNE"] == "10.00"


def test_run_it_when_a_price_book_rule_was_updated_after_billing_ran_for_that_period(
    app: Application,
) -> None:
    reprice(app, "3")
    assert rated(app)["IN-JUNE"] == "20.00", "until it is run"
    recalculate(app)
    assert rated(app)["IN-JUNE"] == "30.00"


def test_run_it_when_a_custom_line_item_was_added_or_modified_retroactively(
    app: Application, write: Write
) -> None:
    recalculate(app)
    assert list(list_account_charges(app)) == []
    write(lambda books: books.line_item("L-1", "fixed_charge", "5"))
    recalculate(app)
    assert [row["amount"] for row in list_account_charges(app)] == ["5.00"]
    change_amount = update(tables.custom_line_item).values(amount=Decimal(7))
    with app.database.write() as connection:
        connection.execute(change_amount)
    recalculate(app)
    assert [row["amount"] for row in list_account_charges(app)] == ["7.00"]


def test_run_it_when_data_inaccuracies_in_a_past_billing_period_need_to_be_corrected(
    app: Application,
) -> None:
    change(app, tables.usage_input, "IN-JUNE", rated_amount=1)
    change(app, tables.usage_schedule, "US-AL-1-06", fee_amount=1)
    change(app, tables.billing_schedule, "BS-AL-1-06", fee_amount=1)
    recalculate(app)
    assert rated(app)["IN-JUNE"] == "20.00"


# Note


def test_contract_rules_from_the_currently_active_contract_are_applied_to_the_selected_billing_periods(
    app: Application, write: Write
) -> None:
    """Also to the days of June before the contract began: not the rules then in force."""

    def succeed(books: Contracted) -> None:
        book = books.price_book("PB-NEW")
        books.priced_in(book, "data", unit_price="7")
        books.contract(books.customer(), book, "CO-2", start_date=date(2023, 6, 20))

    change(app, tables.contract, "CO-1", end_date=date(2023, 6, 19))
    write(succeed)
    recalculate(app)
    assert rated(app) == {"IN-MAY": "20.00", "IN-JUNE": "70.00"}


def test_recalculation_is_performed_for_all_available_management_accounts_under_that_customer(
    app: Application, write: Write
) -> None:
    def more(books: Contracted) -> None:
        for number in (2, 3):
            books.account(f"AC-{number}")
            asset = books.of_account(f"AL-{number}", f"AC-{number}")
            books.used(asset, f"IN-{number}", "06-05", "10")

    write(more)
    rate(app)
    reprice(app, "3")
    run = recalculate(app)
    assert run["total"] == 3
    assert {rated(app)[name] for name in ("IN-JUNE", "IN-2", "IN-3")} == {"30.00"}


# To run a recalculation


def test_the_list_shows_only_customers_with_an_active_contract_and_a_linked_management_account(
    app: Application, write: Write
) -> None:
    def more(books: Contracted) -> None:
        book = books.key_of(tables.price_book, "PB-USD")
        for name in ("CU-NO-ACCOUNT", "CU-ARCHIVED", "CU-NO-CONTRACT", "CU-SHOWN"):
            books.customer(name)
            if name != "CU-NO-ACCOUNT":
                books.account(f"AC-{name}", name)
        books.contract(books.customer("CU-NO-ACCOUNT"), book, "CO-2")
        books.contract(books.customer("CU-ARCHIVED"), book, "CO-3", status="Archived")
        books.contract(books.customer("CU-SHOWN"), book, "CO-4")

    write(more)
    assert [customer["customer_id"] for customer in offered(app)] == ["CU-1", "CU-SHOWN"]
    for name in ("CU-NO-ACCOUNT", "CU-ARCHIVED", "CU-NO-CONTRACT"):
        with pytest.raises(Refused):
            submitted(app, customer_id=name)


def test_the_list_shows_accounts_that_are_affected_by_that_contract(app: Application, write: Write) -> None:
    def more(books: Contracted) -> None:
        books.account("AC-2")
        books.cover("CO-1", "AC-2")

    write(more)
    assert offered(app)[0]["account_ids"] == ["AC-2"]


@pytest.mark.parametrize("periods", [["2023-06"], ["2023-05", "2023-06"]])
def test_select_one_or_more_past_billing_periods(app: Application, periods: list[str]) -> None:
    assert set(periods) <= set(offered(app)[0]["periods"])
    assert recalculate(app, periods)["periods"] == periods
    with pytest.raises(Refused, match="2023-07 is not over"):
        submitted(app, periods=[*periods, "2023-07"])


def test_available_periods_are_based_on_the_customer_s_contract_coverage(app: Application) -> None:
    change(app, tables.contract, "CO-1", start_date=date(2023, 4, 10))
    assert offered(app)[0]["periods"] == ["2023-06", "2023-05", "2023-04"]
    with pytest.raises(Refused, match="2023-03 is not under the active contract CO-1"):
        submitted(app, periods=["2023-03"])


def test_select_a_reason_for_the_recalculation(app: Application) -> None:
    reasons = recalculation_offer(app)["reasons"]
    assert reasons == ["Credit and adjustment issues", "Incorrect Charges", "Other"]
    for reason in reasons:
        run = submitted(app, reason=reason)
        assert run["reason"] == reason
        drive_run(app, run["run_id"])
    with pytest.raises(Refused, match="Credit and adjustment issues"):
        submitted(app, reason="None of them")


def test_if_you_choose_other_optionally_provide_an_explanation(app: Application) -> None:
    said = submitted(app, reason="Other", explanation="The tiers of June were agreed in July")
    assert said["explanation"] == "The tiers of June were agreed in July"
    unsaid = submitted(app, reason="Other", periods=["2023-05"])
    assert unsaid["explanation"] is None


# Monitor progress


def test_once_submitted_the_job_appears_in_the_run_queue_and_log_with_all_recalculation_jobs(
    app: Application,
) -> None:
    first = submitted(app, periods=["2023-05"])["run_id"]
    second = submitted(app)["run_id"]
    listed = [run["run_id"] for run in list_runs(app, job=JOB)]
    assert sorted(listed) == sorted([first, second])


def test_job_id_is_a_unique_identifier_for_the_recalculation_job(app: Application) -> None:
    ids = [recalculate(app)["run_id"] for _ in range(3)]
    assert len(set(ids)) == 3
    assert all(show_run(app, run_id)["run_id"] == run_id for run_id in ids)


def test_type_is_recalc_for_data_recalculation_jobs(app: Application) -> None:
    recalculate(app)
    assert logged(app)["type"] == "Recalc"


def test_status_is_running_while_the_recalculation_is_in_progress(app: Application, tmp_path: Path) -> None:
    run_id = submitted(app)["run_id"]
    seen: list[str] = []
    with rival(app, tmp_path, lambda event: seen.append(show_run(app, run_id)["badge"])) as other:
        drive_run(other, run_id)
    assert "Running" in seen
    assert seen[-1] == "Complete"


def test_status_is_complete_when_the_recalculation_finished_successfully(app: Application) -> None:
    assert recalculate(app)["badge"] == "Complete"


def test_status_is_failed_when_it_encountered_an_error_and_the_badge_leads_to_the_error_message(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the rates are gone")

    monkeypatch.setattr("jobs.data_recalculation.recalculation.not_rated", broken)
    run_id = recalculate(app)["run_id"]
    shown = show_run(app, run_id)
    assert shown["badge"].startswith("Failed")
    assert shown["error"] == "RuntimeError: the rates are gone"


def test_customer_is_the_customer_the_recalculation_applies_to(app: Application) -> None:
    recalculate(app)
    assert logged(app)["customer_id"] == "CU-1"


def test_period_is_the_billing_period_being_recalculated(app: Application) -> None:
    recalculate(app, ["2023-05", "2023-06"])
    assert logged(app)["periods"] == ["2023-05", "2023-06"]


def test_reason_says_why_the_recalculation_was_triggered_and_for_other_there_is_the_full_explanation(
    app: Application,
) -> None:
    text = "Agreed with the customer on 3 July. " * 20
    submitted(app, reason="Other", explanation=text)
    assert (logged(app)["reason"], logged(app)["explanation"]) == ("Other", text)


def test_actor_is_the_user_who_initiated_the_job(app: Application) -> None:
    recalculate(app)
    assert logged(app)["actor"] == ACTOR.name


def test_started_utc_is_the_date_and_time_when_the_job_started(app: Application, passing: None) -> None:
    run = recalculate(app)
    assert run["created_at"] < run["started_at"] < run["ended_at"]
    assert run["started_at"].endswith("Z")
    assert datetime.fromisoformat(run["started_at"]).date() == NOW.date()


def test_jobs_are_sorted_by_start_time_with_the_most_recent_jobs_first(
    app: Application, passing: None
) -> None:
    first = submitted(app, periods=["2023-05"])["run_id"]
    second = submitted(app)["run_id"]
    drive_run(app, second)
    drive_run(app, first)
    assert [run["run_id"] for run in list_runs(app, job=JOB)] == [first, second]


def test_duration_is_how_long_the_job_ran(app: Application, passing: None) -> None:
    ended = recalculate(app)
    took = datetime.fromisoformat(ended["ended_at"]) - datetime.fromisoformat(ended["started_at"])
    assert ended["duration_seconds"] == took.total_seconds() > 0
    assert show_run(app, ended["run_id"])["duration_seconds"] == took.total_seconds()


def test_duration_is_how_long_the_job_has_been_running(app: Application, tmp_path: Path) -> None:
    run_id, running = submitted(app)["run_id"], list[float | None]()
    applications: list[Application] = []

    def look(event: Event) -> None:
        if isinstance(event, RunStarted | RunPlanned | ScopeDone):
            time.sleep(0.01)
            running.append(show_run(applications[0], run_id)["duration_seconds"])

    with rival(app, tmp_path, look) as other:
        applications.append(other)
        drive_run(other, run_id)
    seconds = [one for one in running if one is not None]
    assert len(seconds) == 3
    assert 0 < seconds[0] < seconds[1] < seconds[2]


def test_the_time_it_typically_takes_is_told_before_it_is_run(app: Application, passing: None) -> None:
    assert offered(app)[0]["estimated_seconds_per_period"] is None
    run = recalculate(app, ["2023-05", "2023-06"])
    draft(app, asked(["2023-06"]), job=JOB, mode="dry_run")
    assert offered(app)[0]["estimated_seconds_per_period"] == run["duration_seconds"] / 2
