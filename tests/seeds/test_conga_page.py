"""The vendor's page, sentence by sentence: each test is named after what the page says, in the page's order.

Lay it beside "Working with Draft Usage Rating" (`conga_draft_usage_rating.txt`). Where we do otherwise, its name does.

How each sentence is tried:

- What the page says of calls (*By executing a Batch Job*, *By calling an API*) by the same calls in Python:
  `BillingService`, `execute_batch`, `schedule`. A run that they leave to a worker is gone on with by `runs resume`,
  which drives it as a worker does.
- All else by commands, and what came of it is read by commands. What the page says of screens (*Process Usage Input*, a
  list with check marks) is tried in a browser, too: `test_conga_screens.py`.
"""

from __future__ import annotations

import email
from collections.abc import Callable
from email import policy
from pathlib import Path
from typing import Any

import pytest

from batchwright.engine.cron import CronExpression
from batchwright.engine.errors import Refused
from batchwright.jobs import DraftUsageRatingJob, UsageRatingJob
from batchwright.operations import execute_batch, schedule
from batchwright.operations.app import Application
from tests.seeds.conftest import Batchwright, Load
from tests.seeds.conga import JULY, JUNE, OLD_BILLING_SCHEDULES, OLD_USAGE_SCHEDULES, PLANTED
from tests.seeds.page import OTHER, SECOND_ASSET, Page
from tests.support.application import ACTOR

BOTH = [JUNE, JULY]
NAMED = ("--usage-input", JUNE, "--usage-input", JULY)
DRAFT, RATE, UNRATE = (("run", name) for name in ("draft-usage-rating", "usage-rating", "usage-unrating"))
AMEND = ("asset-line-items", "amend", "AL-1")
DRAFTED = {JUNE: ("Loaded", None, "4000.00"), JULY: ("Loaded", None, "2000.00")}
RATED = {JUNE: ("Rated", "4000.00", "4000.00"), JULY: ("Rated", "2000.00", "2000.00")}
UNTOUCHED = {JUNE: ("Loaded", None, None), JULY: ("Loaded", None, None)}
METERED = {
    "US-00008316": ("Pending Billing", "0.00", "0.00", "20.00", "4000.00"),
    "US-00008317": ("Pending Billing", "0.00", "0.00", "10.00", "2000.00"),
}
FIRST_HALF = ("2023-01-01", "2023-06-30", "0.00", "2023-07-01")
SECOND_HALF = ("2023-07-01", "2023-12-31", "0.00", "2024-01-01")


@pytest.fixture
def page(app: Application, batchwright: Batchwright, load: Load) -> Page:
    """The page's company, before anything was rated."""
    load(PLANTED)
    return Page(batchwright, load, app)


@pytest.fixture
def another_asset(page: Page) -> None:
    """A second asset, AL-2, with one input of 7 in June."""
    page.load(SECOND_ASSET)


with_another_asset = pytest.mark.usefixtures("another_asset")


def notified(run: dict[str, Any]) -> bool:
    """Whether the one mail of the run left, to who asked for it."""
    return [(mail["recipient"], mail["status"]) for mail in run["mails"]] == [(ACTOR.name, "sent")]


# --- Working with Draft Usage Rating ------------------------------------------------------------------------------


def test_draft_usage_rating_shows_the_forecasted_billable_amount_before_the_inputs_are_rated(
    page: Page,
) -> None:
    run = page.run(*DRAFT)
    assert run["totals"] == {"draft_fee_amount": {"USD": "6000.00"}}
    assert page.inputs() == DRAFTED
    assert set(page.fees().values()) == {"0.00"}, "nothing is billed by it"


def test_this_helps_to_edit_the_quantity_and_add_more_inputs_before_the_actual_rating(page: Page) -> None:
    page.run(*DRAFT)
    page.run("usage-inputs", "edit", JULY, "--quantity", "15")
    more = page.add("2023-06-20", "5")
    assert page.run(*DRAFT)["totals"] == {"draft_fee_amount": {"USD": "8000.00"}}
    assert page.inputs() == {
        JUNE: DRAFTED[JUNE],
        JULY: ("Loaded", None, "3000.00"),
        more: ("Loaded", None, "1000.00"),
    }
    assert page.run(*RATE)["totals"] == {"rated_amount": {"USD": "8000.00"}}


def test_this_amount_is_a_source_for_revenue_forecast_requirements(page: Page) -> None:
    page.run(*DRAFT)
    by_month = page.run("forecast")
    assert [(line["month"], line["draft_fee_amount"], line["fee_amount"]) for line in by_month] == [
        ("2023-06", "4000.00", "0.00"),
        ("2023-07", "2000.00", "0.00"),
    ]
    [of_customer] = page.run("forecast", "--by", "customer")
    assert (of_customer["customer_id"], of_customer["draft_fee_amount"]) == ("C-1", "6000.00")


def test_the_draft_computed_data_can_be_processed_to_get_the_rated_amount(page: Page) -> None:
    page.run(*DRAFT)
    page.run(*RATE)
    assert page.inputs() == RATED


# --- Processing Draft Usage Rating --------------------------------------------------------------------------------


def test_a_single_usage_input_can_be_processed(page: Page) -> None:
    page.run(*DRAFT, "--usage-input", JUNE)
    assert page.inputs() == {**UNTOUCHED, JUNE: DRAFTED[JUNE]}


@pytest.mark.parametrize(
    "process",
    [
        lambda page: page.run(*DRAFT, *NAMED),
        lambda page: page.execute(DraftUsageRatingJob(BOTH)),
        lambda page: page.service.draft_pending_usage_input(BOTH, True),
    ],
    ids=["from a list", "by running a batch job", "by calling an API"],
)
def test_multiple_usage_inputs_can_be_processed_from_a_list_by_a_batch_job_or_by_calling_an_api(
    page: Page, process: Callable[[Page], object]
) -> None:
    process(page)
    assert page.inputs() == DRAFTED
    assert page.usage_schedules() == METERED


# --- Single Usage Input -------------------------------------------------------------------------------------------


def test_the_usage_inputs_are_updated_with_the_draft_rated_amount_as_the_table_shows(page: Page) -> None:
    page.run(*DRAFT)
    columns = (
        *(
            "usage_input_id",
            "asset_number",
            "status",
            "quantity",
            "rated_amount",
            "usage_date",
            "product_uom",
        ),
        *("currency", "draft_rated_amount"),
    )
    assert [tuple(row[column] for column in columns) for row in page.run("usage-inputs", "list")] == [
        (JUNE, "akdsjs", "Loaded", "20.00", None, "2023-06-05", "Each", "USD", "4000.00"),
        (JULY, "akdsjs", "Loaded", "10.00", None, "2023-07-08", "Each", "USD", "2000.00"),
    ]


def test_a_draft_writes_quantity_and_fee_on_the_usage_schedule_as_the_table_shows(page: Page) -> None:
    page.run(*DRAFT)
    columns = (
        *("usage_schedule_id", "currency", "fee_amount", "billing_schedule_id", "actual_quantity"),
        *("period_start_date", "period_end_date", "status", "type"),
        *("draft_rated_quantity", "draft_fee_amount"),
    )
    june = ("BS-01311820", "0.00", "2023-06-01", "2023-06-30", "Pending Billing", "Usage", "20.00", "4000.00")
    july = ("BS-01311821", "0.00", "2023-07-01", "2023-07-31", "Pending Billing", "Usage", "10.00", "2000.00")
    assert [tuple(row[column] for column in columns) for row in page.run("usage-schedules", "list")] == [
        ("US-00008316", "USD", "0.00", *june),
        ("US-00008317", "USD", "0.00", *july),
    ]


def test_once_satisfied_with_the_forecasted_values_the_usage_input_can_be_processed(page: Page) -> None:
    page.run(*DRAFT)
    page.run(*RATE, "--usage-input", JUNE)
    assert page.inputs() == {JUNE: RATED[JUNE], JULY: DRAFTED[JULY]}


def test_process_usage_input_rates_the_forecasted_amount_and_updates_the_rated_amount_field(
    page: Page,
) -> None:
    page.run(*DRAFT)
    forecasted = {an_id: draft for an_id, (_, _, draft) in page.inputs().items()}
    page.run(*RATE)
    assert {an_id: rated for an_id, (_, rated, _) in page.inputs().items()} == forecasted


def test_the_corresponding_billing_schedule_reflects_the_rated_amount_as_the_fee_amount_to_be_billed(
    page: Page,
) -> None:
    page.run(*RATE, "--usage-input", JUNE)
    assert page.fees() == {"BS-01311820": "4000.00", "BS-01311821": "0.00"}
    assert [row[1:3] for row in page.usage_schedules().values()] == [("20.00", "4000.00"), ("0.00", "0.00")]


# --- Multiple Usage Inputs ----------------------------------------------------------------------------------------


def test_multiple_usage_inputs_in_rated_or_loaded_status_can_be_submitted_for_draft_rating(
    page: Page,
) -> None:
    page.run(*RATE, "--usage-input", JUNE)
    run = page.service.draft_pending_usage_input(BOTH, True)
    assert run["processed"] == 2
    assert page.inputs() == {JUNE: RATED[JUNE], JULY: DRAFTED[JULY]}
    assert page.drafts() == [("20.00", "4000.00"), ("10.00", "2000.00")]


def test_every_time_a_set_is_processed_only_the_amount_of_that_set_is_forecasted_and_posted(
    page: Page,
) -> None:
    more = page.add("2023-06-20", "5")
    page.run(*DRAFT)
    assert page.usage_schedules()["US-00008316"][3:] == ("25.00", "5000.00")
    page.run(*DRAFT, "--usage-input", more)
    assert page.usage_schedules()["US-00008316"][3:] == ("5.00", "1000.00")


def test_the_old_forecasted_data_on_the_usage_schedule_is_overwritten_by_the_next_forecast_run(
    page: Page,
) -> None:
    page.run(*DRAFT)
    page.run("usage-inputs", "edit", JUNE, "--quantity", "8")
    for _ in range(2):
        page.run(*DRAFT)
        assert page.usage_schedules()["US-00008316"][3:] == ("8.00", "1600.00")


# --- Through the usage input list view ----------------------------------------------------------------------------


def test_several_inputs_can_be_processed_at_once_and_their_billing_schedules_reflect_the_rated_amounts(
    page: Page,
) -> None:
    page.run(*DRAFT, *NAMED)
    page.run(*RATE, *NAMED)
    assert page.inputs() == RATED
    assert page.fees() == {"BS-01311820": "4000.00", "BS-01311821": "2000.00"}


# --- By executing a Batch Job -------------------------------------------------------------------------------------


def test_a_batch_job_draft_rates_usage_inputs_that_are_in_loaded_status(page: Page) -> None:
    page.run(*RATE, "--usage-input", JUNE)
    run = page.execute(DraftUsageRatingJob())
    assert run["total"] == 1
    assert page.inputs() == {JUNE: ("Rated", "4000.00", None), JULY: DRAFTED[JULY]}


def test_a_call_can_be_scheduled_by_hand(page: Page) -> None:
    made = page.run("schedules", "add", "Draft Rating Job", "0 0 0 ? * * *", "draft-usage-rating")
    assert (made["name"], made["cron"], made["job"]) == (
        "Draft Rating Job",
        "0 0 0 ? * * *",
        "draft-usage-rating",
    )
    assert made["next_fire_at"][10:] == "T00:00:00.000Z"


def test_a_call_can_be_scheduled_using_the_cron_expression_of_the_page(page: Page) -> None:
    job = DraftUsageRatingJob()
    cron_expression = "0 0 0 ? * * *"
    schedule("Draft Rating Job", cron_expression, job, app=page.app)
    saved = page.run("schedules", "show", "Draft Rating Job")
    assert (saved["cron"], saved["job"]) == (cron_expression, "draft-usage-rating")
    assert CronExpression(cron_expression).describe() == "At 00:00 every day"


def test_each_time_of_that_expression_has_a_draft_rating_of_everything(page: Page) -> None:
    """Two of its midnights, made up for: as a worker starts them, without waiting for the night."""
    schedule("Draft Rating Job", "0 0 0 ? * * *", DraftUsageRatingJob(), app=page.app)
    page.run(
        "schedules", "backfill", "Draft Rating Job", "--from", "2023-07-02", "--to", "2023-07-03T23:59:59"
    )
    fires = page.run("schedules", "fires", "Draft Rating Job")
    assert [fire["nominal_time"] for fire in fires] == [
        "2023-07-03T00:00:00.000Z",
        "2023-07-02T00:00:00.000Z",
    ]
    first = page.ended(fires[-1]["run_id"])
    assert (first["job"], first["schedule"], first["processed"]) == (
        "draft-usage-rating",
        "Draft Rating Job",
        2,
    )
    assert page.inputs() == DRAFTED


@with_another_asset
def test_a_batch_job_without_any_parameters_processes_all_draft_usage_inputs_and_notifies(page: Page) -> None:
    run = page.execute(DraftUsageRatingJob())
    assert (run["total"], run["processed"]) == (3, 3)
    assert page.inputs() == {**DRAFTED, OTHER: ("Loaded", None, "1400.00")}
    assert notified(run)


@with_another_asset
def test_a_batch_job_processes_selected_draft_usage_inputs_and_notifies(page: Page) -> None:
    run = page.execute(DraftUsageRatingJob(BOTH, None))
    assert (run["processed"], run["warnings"]) == (2, [])
    assert page.inputs() == {**DRAFTED, OTHER: ("Loaded", None, None)}
    assert notified(run)


def test_all_the_usage_input_ids_of_an_asset_line_item_must_be_passed_else_the_run_warns(page: Page) -> None:
    run = page.execute(DraftUsageRatingJob([JUNE], None))
    assert [(warning["code"], warning["record_id"]) for warning in run["warnings"]] == [
        ("partial_asset", "AL-1")
    ]
    assert page.inputs() == {JUNE: DRAFTED[JUNE], JULY: UNTOUCHED[JULY]}, "it does what it was told"


@with_another_asset
def test_a_batch_job_processes_all_the_usage_inputs_of_asset_line_item_ids_and_notifies(page: Page) -> None:
    run = page.execute(DraftUsageRatingJob(None, ["AL-1"]))
    assert page.inputs() == {**DRAFTED, OTHER: ("Loaded", None, None)}
    assert notified(run)


def test_on_completion_of_the_batch_job_schedules_and_inputs_are_updated(page: Page) -> None:
    run_id = execute_batch(DraftUsageRatingJob(), app=page.app)
    assert page.inputs() == UNTOUCHED, "not before"
    assert page.ended(run_id)["badge"] == "Complete"
    assert (page.inputs(), page.usage_schedules()) == (DRAFTED, METERED)


def test_after_the_batch_job_the_usage_inputs_can_be_processed(page: Page) -> None:
    page.execute(DraftUsageRatingJob())
    page.execute(UsageRatingJob())
    assert page.inputs() == RATED


def test_the_old_forecasted_data_is_overwritten_by_the_next_forecast_run_of_the_batch_job(page: Page) -> None:
    page.execute(DraftUsageRatingJob())
    page.run("usage-inputs", "delete", JULY)
    page.execute(DraftUsageRatingJob())
    assert page.drafts() == [("20.00", "4000.00"), (None, None)]


# --- By calling an API --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [998, 999])
def test_the_api_supports_1000_usage_inputs_in_the_synchronous_mode(page: Page, others: int) -> None:
    ids = [f"IN-{number:04}" for number in range(others)]
    header = "usage_input_id,asset_line_item_id,usage_date,quantity,product_uom\n"
    lines = "".join(f"{an_id},AL-1,2023-06-10,1,Each\n" for an_id in ids)
    page.load({"usage_inputs.csv": header + lines})
    if others + 2 <= 1_000:
        assert page.service.draft_pending_usage_input([*BOTH, *ids], True)["processed"] == 1_000
    else:
        with pytest.raises(Refused, match=r"1,?000"):
            page.service.draft_pending_usage_input([*BOTH, *ids], True)
        assert page.inputs()[JUNE] == UNTOUCHED[JUNE]


def test_the_api_gives_no_response_about_the_inputs_there_and_here_it_gives_their_outcomes(
    page: Page,
) -> None:
    errored = page.add("2023-06-20", "41")
    run = page.service.draft_pending_usage_input([*BOTH, errored], True)
    assert [(row["record_id"], row["outcome"], row["code"], row["amount"]) for row in run["outcomes"]] == [
        (JUNE, "ok", None, "4000.00"),
        (JULY, "ok", None, "2000.00"),
        (errored, "error", "no_tier", None),
    ]


def test_in_batch_mode_an_email_containing_processed_usage_input_information_is_sent_to_the_user(
    page: Page, mail_folder: Path
) -> None:
    run = page.ended(page.service.draft_pending_usage_input()["run_id"])
    [file] = mail_folder.glob("*.eml")
    message = email.message_from_bytes(file.read_bytes(), policy=policy.default)
    body = message.get_body(("plain",))
    assert body is not None
    text = str(body.get_content())
    assert (message["To"], message["X-Batchwright-Run"]) == (ACTOR.name, run["run_id"])
    for an_id, amount in ((JUNE, "4000.00"), (JULY, "2000.00")):
        assert [line for line in text.splitlines() if an_id in line and amount in line]


def test_processed_synchronously_the_result_can_be_verified_in_individual_usage_input_records(
    page: Page,
) -> None:
    page.service.draft_pending_usage_input(BOTH, True)
    assert page.run("usage-inputs", "show", JUNE)["draft_rated_amount"] == "4000.00"
    assert page.run("usage-inputs", "show", JULY)["draft_rated_amount"] == "2000.00"


@with_another_asset
def test_without_any_parameter_the_api_draft_rates_all_the_usage_inputs_in_batch_mode_and_notifies(
    page: Page,
) -> None:
    page.run(*RATE, "--usage-input", JUNE)
    run = page.ended(page.service.draft_pending_usage_input()["run_id"])
    assert (run["mode"], run["processed"]) == ("batch", 3)
    assert page.inputs() == {
        JUNE: RATED[JUNE],
        JULY: DRAFTED[JULY],
        OTHER: ("Loaded", None, "1400.00"),
    }
    assert notified(run)


@with_another_asset
def test_the_api_processes_the_specified_usage_inputs_in_batch_mode_and_notifies(page: Page) -> None:
    run = page.ended(page.service.draft_pending_usage_input(BOTH)["run_id"])
    assert (run["mode"], run["processed"]) == ("batch", 2)
    assert page.inputs() == {**DRAFTED, OTHER: ("Loaded", None, None)}
    assert notified(run)


@with_another_asset
def test_the_api_processes_the_specified_usage_inputs_synchronously_if_the_flag_says_so_without_email(
    page: Page,
) -> None:
    run = page.service.draft_pending_usage_input(BOTH, True)
    assert page.inputs() == {**DRAFTED, OTHER: ("Loaded", None, None)}
    shown = page.run("runs", "show", run["run_id"])
    assert (shown["mode"], shown["badge"], shown["processed"]) == ("sync", "Complete", 2)
    assert shown["mails"] == []


def test_the_api_processes_the_specified_usage_inputs_in_batch_mode_if_the_flag_says_so_without_email(
    page: Page,
) -> None:
    run = page.service.draft_pending_usage_input(BOTH, False)
    assert page.inputs() == UNTOUCHED, "it waits for a worker"
    shown = page.ended(run["run_id"])
    assert (shown["mode"], shown["processed"], shown["mails"]) == ("batch", 2, [])
    assert page.inputs() == DRAFTED


@with_another_asset
def test_the_api_processes_all_usage_inputs_of_asset_line_items_in_batch_mode_and_notifies(
    page: Page,
) -> None:
    called = page.service.draft_pending_usage_input_related_to_asset_line_items(["AL-1"])
    run = page.ended(called["run_id"])
    assert (run["mode"], run["processed"]) == ("batch", 2)
    assert page.inputs() == {**DRAFTED, OTHER: ("Loaded", None, None)}
    assert notified(run)


def test_the_api_updates_schedules_and_inputs(page: Page) -> None:
    page.ended(page.service.draft_pending_usage_input()["run_id"])
    assert (page.inputs(), page.usage_schedules()) == (DRAFTED, METERED)


def test_the_api_can_be_called_to_process_usage_input(page: Page) -> None:
    page.service.draft_pending_usage_input(BOTH, True)
    page.service.process_pending_usage_input(BOTH, True)
    assert page.inputs() == RATED
    assert page.fees() == {"BS-01311820": "4000.00", "BS-01311821": "2000.00"}


# --- Effect of Asset Amendment on Forecasted Usage Input ----------------------------------------------------------


def test_the_forecasted_usage_inputs_are_vulnerable_to_asset_amendments(page: Page) -> None:
    page.run(*DRAFT)
    assert page.run("forecast")
    page.run(*AMEND)
    assert page.run("forecast") == []


def test_if_the_asset_is_amended_billing_schedules_and_usage_schedules_are_superseded(page: Page) -> None:
    page.run(*AMEND)
    assert {page.billing_schedules()[an_id][-2:] for an_id in OLD_BILLING_SCHEDULES} == {("Superseded", True)}
    assert {page.usage_schedules()[an_id][0] for an_id in OLD_USAGE_SCHEDULES} == {"Superseded"}


def test_if_the_asset_is_amended_new_billing_schedules_are_created_with_pending_billing_status(
    page: Page,
) -> None:
    page.run(*AMEND)
    new = [row[-2:] for an_id, row in page.billing_schedules().items() if an_id not in OLD_BILLING_SCHEDULES]
    assert new == [("Pending Billing", False)] * 2


@pytest.mark.parametrize("process", [DRAFT, RATE], ids=["drafted", "rated"])
def test_the_draft_rated_amount_and_rated_amount_fields_are_reset_to_zero(
    page: Page, process: tuple[str, ...]
) -> None:
    page.run(*process)
    page.run(*AMEND)
    assert page.inputs() == {JUNE: ("Loaded", "0.00", "0.00"), JULY: ("Loaded", "0.00", "0.00")}


# --- Example ------------------------------------------------------------------------------------------------------


def test_the_asset_of_the_example_has_the_terms_of_the_table(page: Page) -> None:
    """12/3/2023 is read as the last day of the year; a total contract value is not kept."""
    asset = page.run("asset-line-items", "show", "AL-1")
    assert (asset["start_date"], asset["end_date"], asset["first_billing_date"]) == (
        "2023-01-01",
        "2023-12-31",
        "2023-01-01",
    )
    assert (asset["selling_frequency"], asset["billing_frequency"], asset["price_type"]) == (
        "Yearly",
        "Half Yearly",
        "Usage",
    )
    assert (asset["list_price"], asset["currency"]) == ("100.00", "USD")


def test_tier_prices_are_defined_0_20_as_200_and_21_40_as_400(page: Page) -> None:
    more = [page.add("2023-06-06", quantity) for quantity in ("21", "40", "41")]
    page.run(*DRAFT, exit_code=3)
    shown = [page.run("usage-inputs", "show", an_id) for an_id in (JUNE, *more)]
    assert [(row["quantity"], row["draft_rated_amount"], row["code"]) for row in shown] == [
        ("20.00", "4000.00", None),
        ("21.00", "8400.00", None),
        ("40.00", "16000.00", None),
        ("41.00", None, "no_tier"),
    ]


def test_billing_generates_the_billing_schedules_of_the_table(page: Page) -> None:
    """Of an asset that brings none, as the page's: 6/31 and 12/3 are read as the last days of June and December."""
    page.load(SECOND_ASSET)
    made = [row for an_id, row in page.billing_schedules().items() if an_id not in OLD_BILLING_SCHEDULES]
    assert made == [
        (*FIRST_HALF, "Contracted", "Pending Billing", False),
        (*SECOND_HALF, "Contracted", "Pending Billing", False),
    ]


def test_the_second_table_of_drafts_contradicts_the_prices_which_decide_here(page: Page) -> None:
    """It has 400 and 200 for the inputs that the first table has 4,000 and 2,000 for."""
    page.run(*DRAFT)
    assert [draft for _, _, draft in page.inputs().values()] == ["4000.00", "2000.00"]


def test_existing_billing_schedules_are_superseded_and_new_ones_created_as_the_table_shows(
    page: Page,
) -> None:
    page.run(*DRAFT)
    page.run(*AMEND)
    shown = page.billing_schedules()
    assert [shown.pop(an_id) for an_id in OLD_BILLING_SCHEDULES] == [
        (*FIRST_HALF, "Contracted", "Superseded", True),
        (*SECOND_HALF, "Contracted", "Superseded", True),
    ]
    assert list(shown.values()) == [
        (*FIRST_HALF, "Contracted", "Pending Billing", False),
        (*SECOND_HALF, "Contracted", "Pending Billing", False),
    ]


def test_draft_rated_amount_of_all_the_existing_usage_inputs_is_set_to_zero(page: Page) -> None:
    errored = page.add("2023-06-20", "41")
    page.run(*DRAFT, exit_code=3)
    page.run(*AMEND)
    assert page.inputs() == {
        JUNE: ("Loaded", "0.00", "0.00"),
        JULY: ("Loaded", "0.00", "0.00"),
        errored: ("Error", "0.00", "0.00"),
    }


def test_existing_usage_schedule_draft_fee_amount_remains_as_it_is(page: Page) -> None:
    page.run(*DRAFT)
    page.run(*AMEND)
    assert {an_id: page.usage_schedules()[an_id] for an_id in OLD_USAGE_SCHEDULES} == {
        an_id: ("Superseded", *row[1:]) for an_id, row in METERED.items()
    }


def test_new_schedules_that_are_created_do_not_have_any_draft_fee_amount(page: Page) -> None:
    """There is one for each month of the year, also where the page shows June and July alone."""
    page.run(*DRAFT)
    page.run(*AMEND)
    new = [
        row
        for row in page.run("usage-schedules", "list")
        if row["usage_schedule_id"] not in OLD_USAGE_SCHEDULES
    ]
    assert [row["period_start_date"] for row in new] == [f"2023-{month:02}-01" for month in range(1, 13)]
    for row in new:
        assert (row["status"], row["superseded"], row["type"]) == ("Pending Billing", False, "Usage")
        assert (row["actual_quantity"], row["fee_amount"]) == ("0.00", "0.00")
        assert (row["draft_rated_quantity"], row["draft_fee_amount"]) == (None, None)


def test_hence_if_the_asset_is_amended_the_associated_usage_inputs_are_reset_and_can_be_processed_anew(
    page: Page,
) -> None:
    page.run(*RATE)
    page.run(*UNRATE, "--usage-input", JULY)
    page.run(*AMEND)
    page.run("usage-inputs", "reset", "--status", "Error")
    assert set(page.inputs().values()) == {("Loaded", "0.00", "0.00")}
    assert page.run(*RATE)["totals"] == {"rated_amount": {"USD": "6000.00"}}
    assert sorted(page.fees().values()) == ["0.00", "2000.00", "4000.00", "4000.00"]


def test_where_the_customer_was_invoiced_already_that_half_year_stays_and_nothing_is_billed_twice(
    page: Page,
) -> None:
    page.run(*RATE)
    page.run("billing-schedules", "set-status", "BS-01311820", "--status", "invoiced")
    page.run(*AMEND)
    assert page.inputs() == {JUNE: ("Rated", "4000.00", None), JULY: ("Loaded", "0.00", "0.00")}
    assert page.billing_schedules()["BS-01311820"][2:] == (
        "4000.00",
        "2023-07-01",
        "Contracted",
        "Invoiced",
        False,
    )
    assert page.run(*RATE)["totals"] == {"rated_amount": {"USD": "2000.00"}}
    in_force = [row[2] for row in page.billing_schedules().values() if not row[-1]]
    assert sorted(in_force) == ["2000.00", "4000.00"]
