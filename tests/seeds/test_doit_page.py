"""DoiT's page *Billing utilities*, sentence by sentence: each test is named after what a sentence says, in its order.

How each sentence is tried: by commands, on data that commands brought. `recalculation offer` gives what the dialog
shows and `run data-recalculation` does what its button does. The table *Run queue & log* is `runs list`: what the page
says of selecting a badge or a reason is tried as what `runs show` tells; that it refreshes while a job is Running, as
that the list says whether one is. Only amounts that are wrong by themselves are written into the database directly.
What the page says of the screen is tried on the screen, too: `test_doit_page_in_a_browser`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from batchwright.billing import tables
from batchwright.engine.events import Event, RunPlanned, RunStarted, ScopeDone
from batchwright.operations.app import Application
from batchwright.operations.runs.driving import drive_run
from batchwright.testing.clock import FakeClock
from tests.jobs.drafting import change
from tests.seeds.conftest import Batchwright, Load
from tests.seeds.doit import ACCOUNTS, ASSETS, CONTRACTS, CUSTOMERS, FILES, INPUTS, Reseller
from tests.support.application import ACTOR, NOW, rival

JOB = "data-recalculation"


@pytest.fixture
def reseller(batchwright: Batchwright, load: Load) -> Reseller:
    """Whose customer CU-1 has usage of May and June at 2 each, rated."""
    load(FILES)
    made = Reseller(batchwright, load)
    made.rate()
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The clock of all commands, and of other applications: it stands until it is slept on."""
    clock = FakeClock(NOW)
    monkeypatch.setattr("batchwright.operations.app.SystemClock", lambda: clock)
    return clock


def last_month(today: str) -> str:
    day = date.fromisoformat(today)
    return f"{day.year - (day.month == 1)}-{(day.month - 2) % 12 + 1:02}"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def looked_at(
    app: Application, folder: Path, run_id: str, look: Callable[[], object], *moments: type[Event]
) -> None:
    """Drive that run, and look at each of these moments from outside."""

    def listen(event: Event) -> None:
        if isinstance(event, moments):
            look()

    with rival(app, folder, listen) as other:
        drive_run(other, run_id)


# Billing utilities (Reseller only)


def test_resellers_manually_trigger_data_recalculation_for_an_end_customer(reseller: Reseller) -> None:
    run = reseller.recalculate()
    assert (run["job"], run["customer_id"], run["trigger"]) == (JOB, "CU-1", "cli")
    assert (run["badge"], run["processed"]) == ("Complete", 1)


def test_it_uses_the_latest_contract_rates_and_price_book(reseller: Reseller) -> None:
    reseller.revise(
        prices="PB-1,data,2023-01-01,per_unit,Each,3\n", contracts="CO-1,CU-1,PB-1,2023-01-01,,Active,10,\n"
    )
    run = reseller.recalculate()
    assert reseller.rated() == {"IN-MAY": "20.00", "IN-JUNE": "27.00"}
    assert run["totals"]["difference"] == {"USD": "7.00"}


def test_resellers_monitor_the_status_of_billing_and_recalculation_jobs(reseller: Reseller) -> None:
    reseller.recalculate()
    assert [(run["type"], run["badge"]) for run in reseller.log()] == [
        ("Recalc", "Complete"),
        ("Usage rating", "Complete"),
    ]


# Required permission


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_the_required_permission_is_billing_utilities_admin(
    batchwright: Batchwright, reseller: Reseller, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    batchwright("users", "add", "chief@example.com", "--role", "administrator")
    batchwright("users", "add", "clerk@example.com", "--role", role)
    batchwright("users", "add", "bill@example.com", "--role", "Billing Utilities Admin")
    refused = reseller.recalculate("--actor", "clerk@example.com", exit_code=2)
    assert "Billing Utilities Admin" in refused["error"]["message"]
    assert [run["job"] for run in reseller.log()] == ["usage-rating"]
    entry = batchwright("audit", "list", "--limit", "1")[0]
    assert (entry["act"], entry["actor"]) == ("permission.refused", "clerk@example.com")
    assert reseller.recalculate("--actor", "bill@example.com")["actor"] == "bill@example.com"

    monkeypatch.setenv("BATCHWRIGHT_ACTOR", "clerk@example.com")
    assert "Billing Utilities Admin" in batchwright("recalculation", "offer", exit_code=2)["error"]["message"]
    monkeypatch.setenv("BATCHWRIGHT_ACTOR", "bill@example.com")
    assert reseller.offered()["customers"]


# Data recalculation


def test_run_it_when_a_billing_rule_was_updated_after_billing_ran_for_that_period(reseller: Reseller) -> None:
    reseller.revise(contracts="CO-1,CU-1,PB-1,2023-01-01,,Active,50,\n")
    assert reseller.rated()["IN-JUNE"] == "20.00", "until it is run"
    reseller.recalculate()
    assert reseller.rated()["IN-JUNE"] == "10.00"


def test_run_it_when_a_price_book_rule_was_updated_after_billing_ran_for_that_period(
    batchwright: Batchwright, reseller: Reseller
) -> None:
    reseller.revise(prices="PB-1,data,2023-01-01,per_unit,Each,3\n")
    assert reseller.rated()["IN-JUNE"] == "20.00", "until it is run"
    reseller.recalculate()
    assert reseller.rated()["IN-JUNE"] == "30.00"
    of_month = [
        row["fee_amount"]
        for name in ("usage-schedules", "billing-schedules")
        for row in batchwright(name, "list")
        if row["period_start_date"] == "2023-06-01"
    ]
    assert of_month == ["30.00", "30.00"], "the schedules follow"


def test_run_it_when_a_custom_line_item_was_added_or_modified_retroactively(
    batchwright: Batchwright, reseller: Reseller
) -> None:
    def charged() -> list[tuple[str, str, str]]:
        rows = batchwright("recalculation", "charges")
        return [(row["account_id"], row["period"], row["amount"]) for row in rows]

    reseller.recalculate()
    assert charged() == []
    for amount in ("5.00", "7.00"):
        reseller.revise(custom_line_items=f"LI-1,CO-1,Support,fixed_charge,{amount},2023-01-01\n")
        reseller.recalculate()
        assert charged() == [("AC-1", "2023-06", amount)]


def test_run_it_when_data_inaccuracies_in_a_past_billing_period_need_to_be_corrected(
    app: Application, batchwright: Batchwright, reseller: Reseller
) -> None:
    """Amounts that no price explains, in the input and in its schedules."""
    explained = batchwright("usage-inputs", "show", "IN-JUNE")["explanation"]["rated"]
    change(app, tables.usage_input, "IN-JUNE", rated_amount=1)
    for table, an_id in (
        (tables.usage_schedule, explained["usage_schedule_id"]),
        (tables.billing_schedule, explained["billing_schedule_id"]),
    ):
        change(app, table, an_id, fee_amount=1)
    assert reseller.rated()["IN-JUNE"] == "0.01"
    reseller.recalculate()
    assert reseller.rated()["IN-JUNE"] == "20.00"
    [schedule] = [
        row for row in batchwright("billing-schedules", "list") if row["period_start_date"] == "2023-06-01"
    ]
    assert schedule["fee_amount"] == "20.00"


# Note


def test_it_is_a_lengthy_operation_whose_typical_time_is_told_before_it_is_run(reseller: Reseller) -> None:
    """There two hours or more; here what earlier runs took for a month."""
    assert reseller.offered()["customers"][0]["estimated_seconds_per_period"] is None
    run = reseller.recalculate(periods=["2023-05", "2023-06"])
    reseller.recalculate("--dry-run")
    estimate = reseller.offered()["customers"][0]["estimated_seconds_per_period"]
    assert estimate == pytest.approx(run["duration_seconds"] / 2, abs=0.001)


def test_contract_rules_from_the_currently_active_contract_are_applied_to_the_selected_billing_periods(
    reseller: Reseller,
) -> None:
    """Also to the days of June before the contract began: not the rules then in force."""
    reseller.load({"price_books.csv": "price_book_id,name,currency\nPB-2,New,USD\n"})
    reseller.revise(
        prices="PB-2,data,2023-01-01,per_unit,Each,7\n",
        contracts="CO-1,CU-1,PB-1,2023-01-01,2023-06-19,Active,,\nCO-2,CU-1,PB-2,2023-06-20,,Active,,\n",
    )
    reseller.recalculate()
    assert reseller.rated() == {"IN-MAY": "20.00", "IN-JUNE": "70.00"}


def test_recalculation_is_performed_for_all_available_management_accounts_under_that_customer(
    reseller: Reseller,
) -> None:
    numbers = (2, 3)
    reseller.load(
        {
            "accounts.csv": ACCOUNTS + "".join(f"AC-{n},CU-1,Account {n}\n" for n in numbers),
            "asset_line_items.csv": ASSETS
            + "".join(f"AL-{n},no. {n},CU-1,AC-{n},data,2023-01-01,2023-12-31,Monthly\n" for n in numbers),
            "usage_inputs.csv": INPUTS + "".join(f"IN-{n},AL-{n},2023-06-05,10,Each\n" for n in numbers),
        }
    )
    reseller.rate()
    reseller.revise(prices="PB-1,data,2023-01-01,per_unit,Each,3\n")
    assert reseller.offered()["customers"][0]["account_ids"] == ["AC-1", "AC-2", "AC-3"]
    assert reseller.recalculate()["total"] == 3
    assert reseller.rated() == {"IN-MAY": "20.00", "IN-JUNE": "30.00", "IN-2": "30.00", "IN-3": "30.00"}


# To run a recalculation


@pytest.mark.parametrize("missing", ["--customer", "--period", "--reason"])
def test_customer_billing_period_and_reason_are_required(
    batchwright: Batchwright, reseller: Reseller, missing: str
) -> None:
    given = {"--customer": "CU-1", "--period": "2023-06", "--reason": "Other"}
    del given[missing]
    words = [word for pair in given.items() for word in pair]
    refused = batchwright("run", JOB, *words, exit_code=2)
    assert missing in refused["error"]["message"]
    assert [run["job"] for run in reseller.log()] == ["usage-rating"]


def test_the_list_shows_only_customers_with_an_active_contract_and_a_linked_management_account(
    batchwright: Batchwright, reseller: Reseller
) -> None:
    names = ("CU-NO-ACCOUNT", "CU-ARCHIVED", "CU-OVER", "CU-NO-CONTRACT", "CU-SHOWN")
    reseller.load(
        {
            "customers.csv": CUSTOMERS + "".join(f"{name},{name}\n" for name in names),
            "accounts.csv": ACCOUNTS + "".join(f"AC-{name},{name},One\n" for name in names[1:]),
            "contracts.csv": CONTRACTS + "CO-2,CU-NO-ACCOUNT,PB-1,2023-01-01,,Active,,\n"
            "CO-3,CU-ARCHIVED,PB-1,2023-01-01,,Archived,,\n"
            "CO-4,CU-OVER,PB-1,2023-01-01,2023-12-31,Active,,\n"
            "CO-5,CU-SHOWN,PB-1,2023-01-01,,Active,,\n",
        }
    )
    assert [customer["customer_id"] for customer in reseller.offered()["customers"]] == ["CU-1", "CU-SHOWN"]
    for name in names[:-1]:
        words = ("--customer", name, "--period", "2023-06", "--reason", "Other")
        assert name in batchwright("run", JOB, *words, exit_code=2)["error"]["message"]


def test_the_list_shows_accounts_that_are_affected_by_that_contract(reseller: Reseller) -> None:
    reseller.load({"accounts.csv": ACCOUNTS + "AC-2,CU-1,Second account\n"})
    reseller.revise(contracts="CO-1,CU-1,PB-1,2023-01-01,,Active,,AC-2\n")
    assert reseller.offered()["customers"][0]["account_ids"] == ["AC-2"]


@pytest.mark.parametrize("periods", [["2023-06"], ["2023-05", "2023-06"]])
def test_select_one_or_more_past_billing_periods(reseller: Reseller, periods: list[str]) -> None:
    offer = reseller.offered()
    assert set(periods) <= set(offer["customers"][0]["periods"])
    assert reseller.recalculate(periods=periods)["periods"] == periods
    this_month = offer["today"][:7]
    refused = reseller.recalculate(periods=[*periods, this_month], exit_code=2)
    assert f"{this_month} is not over" in refused["error"]["message"]


def test_available_periods_are_based_on_the_customer_s_contract_coverage(reseller: Reseller) -> None:
    reseller.revise(contracts="CO-1,CU-1,PB-1,2023-04-10,,Active,,\n")
    offer = reseller.offered()
    periods = offer["customers"][0]["periods"]
    assert (periods[0], periods[-2:]) == (last_month(offer["today"]), ["2023-05", "2023-04"])
    refused = reseller.recalculate(periods=["2023-03"], exit_code=2)
    assert "2023-03 is not under the active contract CO-1" in refused["error"]["message"]


def test_select_a_reason_for_the_recalculation(reseller: Reseller) -> None:
    reasons = reseller.offered()["reasons"]
    assert reasons == ["Credit and adjustment issues", "Incorrect Charges", "Other"]
    for reason in reasons:
        assert reseller.recalculate("--reason", reason)["reason"] == reason
    refused = reseller.recalculate("--reason", "None of them", exit_code=2)
    assert refused["error"]["field"] == "reason"
    assert all(reason in refused["error"]["message"] for reason in reasons)


def test_if_you_choose_other_optionally_provide_an_explanation(reseller: Reseller) -> None:
    why = "The tiers of June were agreed in July"
    assert reseller.recalculate("--reason", "Other", "--explanation", why)["explanation"] == why
    assert reseller.recalculate("--reason", "Other")["explanation"] is None


# Monitor progress


def test_once_submitted_the_job_appears_in_the_run_queue_and_log_with_all_recalculation_jobs(
    reseller: Reseller,
) -> None:
    ran = reseller.recalculate(periods=["2023-05"])["run_id"]
    submitted = reseller.recalculate("--enqueue")["run_id"]
    assert [(run["run_id"], run["badge"]) for run in reseller.log("--job", JOB)] == [
        (submitted, "Queued"),
        (ran, "Complete"),
    ]


def test_job_id_is_a_unique_identifier_for_the_recalculation_job(reseller: Reseller) -> None:
    ids = [reseller.recalculate()["run_id"] for _ in range(3)]
    assert len(set(ids)) == 3
    assert [reseller.show(run_id)["run_id"] for run_id in ids] == ids


def test_type_is_recalc_for_data_recalculation_jobs(reseller: Reseller) -> None:
    reseller.recalculate()
    assert reseller.log()[0]["type"] == "Recalc"


def test_status_is_running_while_the_recalculation_is_in_progress(
    app: Application, reseller: Reseller, tmp_path: Path
) -> None:
    run_id = reseller.recalculate("--enqueue")["run_id"]
    seen: list[str] = []
    moments = (RunStarted, RunPlanned, ScopeDone)
    looked_at(app, tmp_path, run_id, lambda: seen.append(reseller.show(run_id)["badge"]), *moments)
    assert seen == ["Running", "Running", "Running"]


def test_the_table_continues_to_refresh_while_any_job_is_in_this_state(
    app: Application, reseller: Reseller, tmp_path: Path
) -> None:
    """What decides about it: whether a line of the log is Running."""

    def refreshes() -> bool:
        return "Running" in {run["badge"] for run in reseller.log()}

    run_id = reseller.recalculate("--enqueue")["run_id"]
    seen = [refreshes()]
    looked_at(app, tmp_path, run_id, lambda: seen.append(refreshes()), ScopeDone)
    assert [*seen, refreshes()] == [False, True, False]


def test_status_is_complete_when_the_recalculation_finished_successfully(reseller: Reseller) -> None:
    assert reseller.recalculate()["badge"] == "Complete"
    assert reseller.log()[0]["badge"] == "Complete"


def test_status_is_failed_when_it_encountered_an_error_and_the_badge_leads_to_the_error_message(
    reseller: Reseller,
) -> None:
    """Its only input cannot be priced any more, and it was told to give up then."""
    reseller.revise(prices="PB-1,data,2023-01-01,per_unit,Hour,3\n")
    run_id = reseller.recalculate("--error-ceiling", "0", exit_code=1)["run_id"]
    assert reseller.log()[0]["badge"].startswith("Failed")
    shown = reseller.show(run_id)
    assert "error ceiling" in shown["error"]
    assert reseller.rated()["IN-JUNE"] == "20.00"


def test_customer_is_the_customer_the_recalculation_applies_to(reseller: Reseller) -> None:
    reseller.recalculate()
    assert reseller.log()[0]["customer_id"] == "CU-1"


def test_period_is_the_billing_period_being_recalculated(reseller: Reseller) -> None:
    reseller.recalculate(periods=["2023-05", "2023-06"])
    assert reseller.log()[0]["periods"] == ["2023-05", "2023-06"]


def test_reason_says_why_the_recalculation_was_triggered_and_for_other_there_is_the_full_explanation(
    reseller: Reseller,
) -> None:
    text = ("Agreed with the customer on 3 July. " * 20).strip()
    run_id = reseller.recalculate("--reason", "Other", "--explanation", text)["run_id"]
    assert reseller.log()[0]["reason"] == "Other"
    assert reseller.show(run_id)["explanation"] == text


def test_actor_is_the_user_who_initiated_the_job(reseller: Reseller) -> None:
    reseller.recalculate()
    reseller.recalculate("--actor", "erika@example.com")
    assert [run["actor"] for run in reseller.log("--job", JOB)] == ["erika@example.com", ACTOR.name]


def test_started_utc_is_the_date_and_time_in_utc_when_the_job_started_not_when_it_was_submitted(
    batchwright: Batchwright, clock: FakeClock, reseller: Reseller
) -> None:
    run_id = reseller.recalculate("--enqueue")["run_id"]
    assert reseller.show(run_id)["started_at"] is None
    clock.sleep(60)
    batchwright("runs", "resume", run_id)
    shown = reseller.show(run_id)
    assert shown["started_at"].endswith("Z")
    assert (at(shown["created_at"]), at(shown["started_at"])) == (NOW, NOW + timedelta(minutes=1))


def test_by_default_jobs_are_sorted_by_start_time_with_the_most_recent_jobs_first(
    batchwright: Batchwright, reseller: Reseller
) -> None:
    first = reseller.recalculate("--enqueue", periods=["2023-05"])["run_id"]
    second = reseller.recalculate("--enqueue")["run_id"]
    batchwright("runs", "resume", second)
    batchwright("runs", "resume", first)
    assert [run["run_id"] for run in reseller.log("--job", JOB)] == [first, second]


def test_duration_is_how_long_the_job_ran(
    app: Application, clock: FakeClock, reseller: Reseller, tmp_path: Path
) -> None:
    run_id = reseller.recalculate("--enqueue")["run_id"]
    looked_at(app, tmp_path, run_id, lambda: clock.sleep(1.5), RunPlanned, ScopeDone)
    ended = reseller.show(run_id)
    assert at(ended["ended_at"]) - at(ended["started_at"]) == timedelta(seconds=3)
    assert ended["duration_seconds"] == 3
    clock.sleep(60)
    assert reseller.log()[0]["duration_seconds"] == 3, "it stands still then"


def test_duration_is_how_long_the_job_has_been_running(
    app: Application, clock: FakeClock, reseller: Reseller, tmp_path: Path
) -> None:
    run_id, running = reseller.recalculate("--enqueue")["run_id"], list[float]()

    def look() -> None:
        clock.sleep(1)
        running.append(reseller.log()[0]["duration_seconds"])

    looked_at(app, tmp_path, run_id, look, RunStarted, RunPlanned, ScopeDone)
    assert running == [1, 2, 3]
