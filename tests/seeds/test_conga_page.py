"""The vendor's page, sentence by sentence: each test is named after what the page says, in the page's order.

Lay it beside "Working with Draft Usage Rating" (`conga_draft_usage_rating.txt`). Where we do otherwise, its name does.
"""

from __future__ import annotations

import email
from collections.abc import Callable
from email import policy
from pathlib import Path
from typing import Any

import pytest

from engine.cron import CronExpression
from engine.errors import Refused
from jobs import DraftUsageRatingJob, UsageRatingJob
from operations import execute_batch, schedule
from operations.amendments import amend_asset_line_item
from operations.app import Application
from operations.billing import BillingService
from operations.forecast import forecast
from operations.mail import send_due_mail
from operations.runs import drive_run, show_run
from operations.schedules import show_schedule
from operations.usage_inputs import (
    add_usage_input,
    edit_usage_input,
    reset_usage_inputs,
    show_usage_input,
)
from operations.views import View
from tests.jobs.company import Company
from tests.jobs.drafting import draft, empty
from tests.jobs.rating import figures, rate, unrate
from tests.operations.conftest import ACTOR
from tests.seeds.conga import (
    JULY,
    JUNE,
    OLD_BILLS,
    OLD_METERS,
    PLANTED,
    bills,
    inputs,
    meters,
    plant,
)

BOTH = [JUNE, JULY]
DRAFTED = {JUNE: ("Loaded", None, "4000.00"), JULY: ("Loaded", None, "2000.00")}
UNTOUCHED = {JUNE: ("Loaded", None, None), JULY: ("Loaded", None, None)}
METERED = {
    "US-00008316": ("Pending Billing", "0.00", "0.00", "20.00", "4000.00"),
    "US-00008317": ("Pending Billing", "0.00", "0.00", "10.00", "2000.00"),
}
OTHER = "IN-00000001"
"""An input of another asset, which `with_another_asset` makes."""


@pytest.fixture(autouse=True)
def planted(app: Application, tmp_path: Path) -> None:
    """The page's company, before anything was rated."""
    plant(app, tmp_path)


@pytest.fixture
def with_another_asset(app: Application) -> None:
    """A second asset, AL-2, with one input in June."""
    with app.database.write() as connection:
        company = Company(connection)
        company.priced("data", unit_price="1")
        company.used(company.metered("AL-2"), OTHER, "06-10", "7")


def add(app: Application, day: str, quantity: str) -> str:
    """Add an input of AL-1; its id."""
    added = add_usage_input(
        app, asset_line_item_id="AL-1", usage_date=day, quantity=quantity, product_uom="Each", actor=ACTOR
    )
    return str(added["usage_input_id"])


def ended(app: Application, run: View) -> View:
    """A run that was left to a worker, after one has driven it; with its mails."""
    drive_run(app, run["run_id"])
    return show_run(app, run["run_id"])


def notified(run: View) -> bool:
    return [mail["recipient"] for mail in run["mails"]] == [ACTOR.name]


def amend(app: Application) -> View:
    return amend_asset_line_item(app, "AL-1", actor=ACTOR)


# --- Working with Draft Usage Rating ------------------------------------------------------------------------------


def test_draft_usage_rating_shows_the_forecasted_billable_amount_before_the_inputs_are_rated(
    app: Application,
) -> None:
    run = draft(app)
    assert run["totals"] == {"draft_fee_amount": {"USD": "6000.00"}}
    assert inputs(app) == DRAFTED


def test_this_helps_to_edit_the_quantity_and_add_more_inputs_before_the_actual_rating(
    app: Application,
) -> None:
    draft(app)
    edit_usage_input(app, JULY, quantity="15", actor=ACTOR)
    more = add(app, "2023-06-20", "5")
    assert draft(app)["totals"] == {"draft_fee_amount": {"USD": "8000.00"}}
    assert inputs(app) == {
        **DRAFTED,
        JULY: ("Loaded", None, "3000.00"),
        more: ("Loaded", None, "1000.00"),
    }
    assert rate(app)["totals"] == {"rated_amount": {"USD": "8000.00"}}


def test_this_amount_is_a_source_for_revenue_forecast_requirements(app: Application) -> None:
    draft(app)
    assert [(line["month"], line["draft_fee_amount"], line["fee_amount"]) for line in forecast(app)] == [
        ("2023-06", "4000.00", "0.00"),
        ("2023-07", "2000.00", "0.00"),
    ]


def test_the_draft_computed_data_can_be_processed_to_get_the_rated_amount(app: Application) -> None:
    draft(app)
    rate(app)
    assert inputs(app) == {JUNE: ("Rated", "4000.00", "4000.00"), JULY: ("Rated", "2000.00", "2000.00")}


def test_a_single_usage_input_can_be_processed(app: Application) -> None:
    draft(app, {"usage_input_ids": [JUNE]})
    assert inputs(app) == {**UNTOUCHED, JUNE: DRAFTED[JUNE]}


@pytest.mark.parametrize(
    "process",
    [
        lambda app: draft(app, {"usage_input_ids": BOTH}),
        lambda app: drive_run(app, execute_batch(DraftUsageRatingJob(BOTH), app=app)),
        lambda app: BillingService(app).draft_pending_usage_input(BOTH, True),
    ],
    ids=["from a list", "by running a batch job", "by calling an API"],
)
def test_multiple_usage_inputs_can_be_processed_from_a_list_by_a_batch_job_or_by_calling_an_api(
    app: Application, process: Callable[[Application], object]
) -> None:
    process(app)
    assert inputs(app) == DRAFTED
    assert meters(app) == METERED


# --- Single Usage Input -------------------------------------------------------------------------------------------


def test_the_usage_inputs_are_updated_with_the_corresponding_draft_rated_amount(app: Application) -> None:
    draft(app)
    shown = [show_usage_input(app, an_id) for an_id in BOTH]
    assert [(row["asset_number"], row["status"], row["quantity"], row["usage_date"]) for row in shown] == [
        ("akdsjs", "Loaded", "20.00", "2023-06-05"),
        ("akdsjs", "Loaded", "10.00", "2023-07-08"),
    ]
    assert [(row["rated_amount"], row["currency"], row["draft_rated_amount"]) for row in shown] == [
        (None, "USD", "4000.00"),
        (None, "USD", "2000.00"),
    ]


def test_the_draft_rated_quantity_and_draft_fee_amount_are_updated_on_the_usage_schedule(
    app: Application,
) -> None:
    draft(app)
    assert meters(app) == METERED


def test_once_satisfied_with_the_forecasted_values_one_input_can_be_processed(app: Application) -> None:
    draft(app)
    rate(app, {"usage_input_ids": [JUNE]})
    assert inputs(app) == {JUNE: ("Rated", "4000.00", "4000.00"), JULY: DRAFTED[JULY]}


def test_process_usage_input_rates_the_forecasted_amount_and_updates_the_rated_amount_field(
    app: Application,
) -> None:
    draft(app)
    forecasted = {an_id: row[2] for an_id, row in inputs(app).items()}
    rate(app)
    assert {an_id: row[1] for an_id, row in inputs(app).items()} == forecasted


def test_the_corresponding_billing_schedule_reflects_the_rated_amount_as_the_fee_amount_to_be_billed(
    app: Application,
) -> None:
    rate(app)
    assert {an_id: row[2] for an_id, row in bills(app).items()} == {
        "BS-01311820": "4000.00",
        "BS-01311821": "2000.00",
    }
    assert figures(app) == {"US-00008316": ("20.00", "4000.00"), "US-00008317": ("10.00", "2000.00")}


# --- Multiple Usage Inputs ----------------------------------------------------------------------------------------


def test_multiple_usage_inputs_in_rated_or_loaded_status_can_be_submitted_for_draft_rating(
    app: Application,
) -> None:
    rate(app, {"usage_input_ids": [JUNE]})
    run = BillingService(app).draft_pending_usage_input(BOTH, True)
    assert run["processed"] == 2
    assert inputs(app) == {JUNE: ("Rated", "4000.00", "4000.00"), JULY: DRAFTED[JULY]}


def test_every_time_a_set_is_processed_only_the_amount_of_that_set_is_forecasted_and_posted(
    app: Application,
) -> None:
    more = add(app, "2023-06-20", "5")
    draft(app)
    assert meters(app)["US-00008316"][3:] == ("25.00", "5000.00")
    draft(app, {"usage_input_ids": [more]})
    assert meters(app)["US-00008316"][3:] == ("5.00", "1000.00")


def test_the_old_forecasted_data_on_the_usage_schedule_is_overwritten_by_the_next_forecast_run(
    app: Application,
) -> None:
    draft(app)
    edit_usage_input(app, JUNE, quantity="8", actor=ACTOR)
    draft(app)
    assert meters(app)["US-00008316"][3:] == ("8.00", "1600.00")
    draft(app)
    assert meters(app)["US-00008316"][3:] == ("8.00", "1600.00")


# --- Through the usage input list view ----------------------------------------------------------------------------


def test_multiple_usage_inputs_processed_at_once_update_schedules_and_inputs(app: Application) -> None:
    draft(app, {"usage_input_ids": BOTH, "include_rated": True})
    assert inputs(app) == DRAFTED
    assert meters(app) == METERED


# --- By executing a Batch Job -------------------------------------------------------------------------------------


def test_a_batch_job_draft_rates_usage_inputs_that_are_in_loaded_status(app: Application) -> None:
    rate(app, {"usage_input_ids": [JUNE]})
    run = drive_run(app, execute_batch(DraftUsageRatingJob(), app=app))
    assert run["total"] == 1
    assert inputs(app) == {JUNE: ("Rated", "4000.00", None), JULY: DRAFTED[JULY]}


def test_a_call_can_be_scheduled_using_the_cron_expression_of_the_page(app: Application) -> None:
    job = DraftUsageRatingJob()
    cron_expression = "0 0 0 ? * * *"
    schedule("Draft Rating Job", cron_expression, job, app=app)
    saved = show_schedule(app, "Draft Rating Job")
    assert (saved["cron"], saved["job"]) == (cron_expression, "draft-usage-rating")
    assert saved["next_fire_at"] == "2023-07-02T00:00:00.000Z"
    assert CronExpression(cron_expression).describe() == "At 00:00 every day"


@pytest.mark.usefixtures("with_another_asset")
def test_a_batch_job_without_any_parameters_processes_all_draft_usage_inputs_and_notifies(
    app: Application,
) -> None:
    run = ended(app, {"run_id": execute_batch(DraftUsageRatingJob(), app=app)})
    assert (run["total"], run["processed"]) == (3, 3)
    assert notified(run)


def test_a_batch_job_processes_selected_draft_usage_inputs_and_notifies(app: Application) -> None:
    run = ended(app, {"run_id": execute_batch(DraftUsageRatingJob(BOTH, None), app=app)})
    assert run["processed"] == 2
    assert inputs(app) == DRAFTED
    assert run["warnings"] == []
    assert notified(run)


def test_all_the_usage_input_ids_of_an_asset_line_item_must_be_passed_else_the_run_warns(
    app: Application,
) -> None:
    run = ended(app, {"run_id": execute_batch(DraftUsageRatingJob([JUNE], None), app=app)})
    assert [(warning["code"], warning["record_id"]) for warning in run["warnings"]] == [
        ("partial_asset", "AL-1")
    ]


@pytest.mark.usefixtures("with_another_asset")
def test_a_batch_job_processes_all_the_usage_inputs_of_asset_line_item_ids_and_notifies(
    app: Application,
) -> None:
    run = ended(app, {"run_id": execute_batch(DraftUsageRatingJob(None, ["AL-1"]), app=app)})
    assert inputs(app) == {**DRAFTED, OTHER: ("Loaded", None, None)}
    assert notified(run)


def test_on_completion_of_the_batch_job_schedules_and_inputs_are_updated(app: Application) -> None:
    run = drive_run(app, execute_batch(DraftUsageRatingJob(), app=app))
    assert run["badge"] == "Complete"
    assert (inputs(app), meters(app)) == (DRAFTED, METERED)


def test_after_the_batch_job_the_usage_inputs_can_be_processed(app: Application) -> None:
    drive_run(app, execute_batch(DraftUsageRatingJob(), app=app))
    assert drive_run(app, execute_batch(UsageRatingJob(), app=app))["processed"] == 2


# --- By calling an API --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [998, 999])
def test_the_api_supports_1000_usage_inputs_in_the_synchronous_mode(app: Application, others: int) -> None:
    with app.database.write() as connection:
        company = Company(connection)
        company.priced("data", unit_price="1")
        asset = company.metered("AL-2")
        ids = [f"IN-{number:04}" for number in range(others)]
        for an_id in ids:
            company.used(asset, an_id, "06-10", "1")
    service = BillingService(app)
    if others + 2 <= 1_000:
        assert service.draft_pending_usage_input([*BOTH, *ids], True)["processed"] == 1_000
    else:
        with pytest.raises(Refused, match=r"1,?000"):
            service.draft_pending_usage_input([*BOTH, *ids], True)
        assert inputs(app)[JUNE] == UNTOUCHED[JUNE]


def test_the_api_gives_no_response_about_the_inputs_there_and_here_it_gives_their_outcomes(
    app: Application,
) -> None:
    run = BillingService(app).draft_pending_usage_input(BOTH, True)
    assert [(row["record_id"], row["outcome"], row["amount"]) for row in run["outcomes"]] == [
        (JUNE, "ok", "4000.00"),
        (JULY, "ok", "2000.00"),
    ]


def test_in_batch_mode_an_email_containing_processed_usage_input_information_is_sent_to_the_user(
    app: Application,
) -> None:
    run = ended(app, BillingService(app).draft_pending_usage_input())
    send_due_mail(app)
    sent = [
        email.message_from_bytes(file.read_bytes(), policy=policy.default)
        for file in Path(app.settings.mail.directory).glob("*.eml")
    ]
    (message,) = [one for one in sent if run["run_id"] in _text(one)]
    assert message["To"] == ACTOR.name
    for an_id, amount in ((JUNE, "4000.00"), (JULY, "2000.00")):
        assert an_id in _text(message)
        assert amount in _text(message)


def _text(message: email.message.EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def test_processed_synchronously_the_result_can_be_verified_in_individual_usage_input_records(
    app: Application,
) -> None:
    BillingService(app).draft_pending_usage_input(BOTH, True)
    assert show_usage_input(app, JUNE)["draft_rated_amount"] == "4000.00"
    assert show_usage_input(app, JULY)["draft_rated_amount"] == "2000.00"


@pytest.mark.usefixtures("with_another_asset")
def test_without_any_parameter_the_api_draft_rates_all_the_usage_inputs_in_batch_mode_and_notifies(
    app: Application,
) -> None:
    run = ended(app, BillingService(app).draft_pending_usage_input())
    assert (run["mode"], run["processed"]) == ("batch", 3)
    assert notified(run)


@pytest.mark.usefixtures("with_another_asset")
def test_the_api_processes_the_specified_usage_inputs_in_batch_mode_and_notifies(app: Application) -> None:
    run = ended(app, BillingService(app).draft_pending_usage_input(BOTH))
    assert (run["mode"], run["processed"]) == ("batch", 2)
    assert inputs(app) == {**DRAFTED, OTHER: ("Loaded", None, None)}
    assert notified(run)


@pytest.mark.parametrize(("flag", "mode"), [(True, "sync"), (False, "batch")])
def test_the_api_processes_in_batch_mode_or_synchronously_depending_on_the_flag_without_email(
    app: Application, flag: bool, mode: str
) -> None:
    run = BillingService(app).draft_pending_usage_input(BOTH, flag)
    shown = show_run(app, run["run_id"]) if flag else ended(app, run)
    assert (shown["mode"], shown["processed"], shown["mails"]) == (mode, 2, [])
    assert inputs(app) == DRAFTED


@pytest.mark.usefixtures("with_another_asset")
def test_the_api_processes_all_usage_inputs_of_asset_line_items_in_batch_mode_and_notifies(
    app: Application,
) -> None:
    run = ended(app, BillingService(app).draft_pending_usage_input_related_to_asset_line_items(["AL-1"]))
    assert (run["mode"], run["processed"]) == ("batch", 2)
    assert inputs(app) == {**DRAFTED, OTHER: ("Loaded", None, None)}
    assert notified(run)


def test_the_api_updates_schedules_and_inputs(app: Application) -> None:
    ended(app, BillingService(app).draft_pending_usage_input())
    assert (inputs(app), meters(app)) == (DRAFTED, METERED)


def test_the_api_can_be_called_to_process_usage_input(app: Application) -> None:
    service = BillingService(app)
    service.draft_pending_usage_input(BOTH, True)
    service.process_pending_usage_input(BOTH, True)
    assert inputs(app) == {JUNE: ("Rated", "4000.00", "4000.00"), JULY: ("Rated", "2000.00", "2000.00")}
    assert {row[2] for row in bills(app).values()} == {"4000.00", "2000.00"}


# --- Effect of Asset Amendment on Forecasted Usage Input ----------------------------------------------------------


def test_the_forecasted_usage_inputs_are_vulnerable_to_asset_amendments(app: Application) -> None:
    draft(app)
    assert forecast(app)
    amend(app)
    assert forecast(app) == []


def test_if_the_asset_is_amended_billing_schedules_and_usage_schedules_are_superseded(
    app: Application,
) -> None:
    amend(app)
    assert {bills(app)[an_id][-1] for an_id in OLD_BILLS} == {"Superseded"}
    assert {meters(app)[an_id][0] for an_id in OLD_METERS} == {"Superseded"}


def test_if_the_asset_is_amended_new_billing_schedules_are_created_with_pending_billing_status(
    app: Application,
) -> None:
    amend(app)
    new = [row[-1] for an_id, row in bills(app).items() if an_id not in OLD_BILLS]
    assert new == ["Pending Billing", "Pending Billing"]


@pytest.mark.parametrize("process", [draft, rate])
def test_the_draft_rated_amount_and_rated_amount_fields_are_reset_to_zero(
    app: Application, process: Callable[[Application], object]
) -> None:
    process(app)
    amend(app)
    assert inputs(app) == {JUNE: ("Loaded", "0.00", "0.00"), JULY: ("Loaded", "0.00", "0.00")}


def test_tier_prices_are_defined_0_20_as_200_and_21_40_as_400(app: Application) -> None:
    more = [add(app, "2023-06-06", quantity) for quantity in ("21", "40", "41")]
    draft(app)
    shown = [show_usage_input(app, an_id) for an_id in (JUNE, *more)]
    assert [(row["quantity"], row["draft_rated_amount"], row["code"]) for row in shown] == [
        ("20.00", "4000.00", None),
        ("21.00", "8400.00", None),
        ("40.00", "16000.00", None),
        ("41.00", None, "no_tier"),
    ]


def test_billing_generates_the_billing_schedules_of_the_table(app: Application, tmp_path: Path) -> None:
    """6/31 and 12/3 are read as the last days of June and December."""
    empty(app)
    for name in PLANTED:
        (tmp_path / name).unlink()
    plant(app, tmp_path, {name: text for name, text in PLANTED.items() if "schedules" not in name})
    assert list(bills(app).values()) == [
        ("2023-01-01", "2023-06-30", "0.00", "2023-07-01", "Pending Billing"),
        ("2023-07-01", "2023-12-31", "0.00", "2024-01-01", "Pending Billing"),
    ]
    assert len(meters(app)) == 12


def test_the_second_table_of_drafts_contradicts_the_prices_which_decide_here(app: Application) -> None:
    """It has 400 and 200 for the inputs that the first table has 4,000 and 2,000 for."""
    draft(app)
    assert [row[2] for row in inputs(app).values()] == ["4000.00", "2000.00"]


def test_existing_billing_schedules_are_superseded_and_new_ones_created_as_the_table_shows(
    app: Application,
) -> None:
    draft(app)
    amend(app)
    first = ("2023-01-01", "2023-06-30", "0.00", "2023-07-01")
    second = ("2023-07-01", "2023-12-31", "0.00", "2024-01-01")
    assert sorted(bills(app).values()) == [
        (*first, "Pending Billing"),
        (*first, "Superseded"),
        (*second, "Pending Billing"),
        (*second, "Superseded"),
    ]


def test_draft_rated_amount_of_all_the_existing_usage_inputs_is_set_to_zero(app: Application) -> None:
    errored = add(app, "2023-06-20", "41")
    draft(app)
    amend(app)
    assert {row[1:] for row in inputs(app).values()} == {("0.00", "0.00")}
    assert (inputs(app)[JUNE][0], inputs(app)[errored][0]) == ("Loaded", "Error")


def test_existing_usage_schedule_draft_fee_amount_remains_as_it_is(app: Application) -> None:
    draft(app)
    amend(app)
    assert {an_id: meters(app)[an_id][1:] for an_id in OLD_METERS} == {
        an_id: row[1:] for an_id, row in METERED.items()
    }


def test_new_schedules_that_are_created_do_not_have_any_draft_fee_amount(app: Application) -> None:
    draft(app)
    amend(app)
    new = {row for an_id, row in meters(app).items() if an_id not in OLD_METERS}
    assert new == {("Pending Billing", "0.00", "0.00", None, None)}


def test_hence_if_the_asset_is_amended_the_associated_usage_inputs_are_reset_and_can_be_processed_anew(
    app: Application,
) -> None:
    rate(app)
    unrate(app, {"usage_input_ids": [JULY]})
    amend(app)
    reset_usage_inputs(app, status="Error", actor=ACTOR)
    before: dict[str, Any] = inputs(app)
    assert set(before.values()) == {("Loaded", "0.00", "0.00")}
    assert rate(app)["totals"] == {"rated_amount": {"USD": "6000.00"}}
