"""The Python way in: BillingService and execute_batch, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchwright.engine.errors import DatabaseMissing, Refused
from batchwright.engine.job import BatchJob, Record, Scope, StartContext
from batchwright.jobs.draft_usage_rating import DraftUsageRatingJob
from batchwright.operations import execute_batch
from batchwright.operations.app import Application, default_application
from batchwright.operations.billing.service import BillingService
from batchwright.operations.runs.driving import drive_run
from batchwright.operations.runs.looking import list_runs, show_run
from tests.support.records import Books

Entries = Callable[[], list[dict[str, Any]]]
Write = Callable[[Callable[[Books], Any]], Any]


@pytest.fixture
def company(write: Write) -> None:
    def fill(books: Books) -> None:
        for name in ("1", "2"):
            asset = books.asset(f"AL-{name}")
            books.usage_schedule(asset, books.billing_schedule(asset, f"BS-{name}"), f"US-{name}")
            books.usage_input(asset, f"IN-{name}")
        books.usage_input(asset, "IN-rated", status="Rated", rated_amount=2000)

    write(fill)


def mailed(app: Application, run_id: str) -> list[str]:
    drive_run(app, run_id)
    return [mail["recipient"] for mail in show_run(app, run_id)["mails"]]


@pytest.mark.usefixtures("company")
def test_without_arguments_everything_is_drafted_in_batch_mode_and_the_actor_gets_mail(
    app: Application,
) -> None:
    run = BillingService(app).draft_pending_usage_input()
    assert (run["mode"], run["badge"], run["trigger"]) == ("batch", "Queued", "python")
    assert mailed(app, run["run_id"]) == ["dana@example.com"]
    assert show_run(app, run["run_id"])["total"] == 3


@pytest.mark.usefixtures("company")
def test_inputs_by_id_are_drafted_in_batch_mode_and_the_actor_gets_mail(app: Application) -> None:
    run = BillingService(app).draft_pending_usage_input(["IN-1"])
    assert run["mode"] == "batch"
    assert mailed(app, run["run_id"]) == ["dana@example.com"]


@pytest.mark.usefixtures("company")
def test_process_synchronously_false_is_batch_mode_without_mail(app: Application) -> None:
    run = BillingService(app).draft_pending_usage_input(["IN-1"], process_synchronously=False)
    assert (run["mode"], run["badge"]) == ("batch", "Queued")
    assert mailed(app, run["run_id"]) == []


@pytest.mark.usefixtures("company")
def test_process_synchronously_true_returns_the_ended_run_with_its_outcomes_and_sends_no_mail(
    app: Application,
) -> None:
    run = BillingService(app).draft_pending_usage_input(["IN-1"], True)
    assert (run["mode"], run["status"]) == ("sync", "Completed")
    assert [(row["record_id"], row["outcome"], row["amount"]) for row in run["outcomes"]] == [
        ("IN-1", "ok", "20.00")
    ]
    assert show_run(app, run["run_id"])["mails"] == []


@pytest.mark.usefixtures("company")
def test_whole_assets_are_drafted_with_their_rated_inputs(app: Application) -> None:
    run = BillingService(app).draft_pending_usage_input_related_to_asset_line_items(["AL-2"])
    assert mailed(app, run["run_id"]) == ["dana@example.com"]
    assert show_run(app, run["run_id"])["processed"] == 2


@pytest.mark.usefixtures("company")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, True), "process_synchronously was given without usage inputs"),
        ((None, False), "process_synchronously was given without usage inputs"),
        (([],), "empty list"),
        ((["IN-9"],), "IN-9"),
    ],
)
def test_a_refused_call_leaves_no_run_and_no_entry(
    app: Application, entries: Entries, arguments: tuple[Any, ...], message: str
) -> None:
    service = BillingService(app)
    for call in (service.draft_pending_usage_input, service.process_pending_usage_input):
        with pytest.raises(Refused, match=message):
            call(*arguments)
    assert list_runs(app) == []
    assert entries() == []


@pytest.mark.usefixtures("company")
@pytest.mark.parametrize("ids", [None, [], ()])
def test_without_ids_nothing_is_unrated_and_no_asset_is_taken_for_all(
    app: Application, entries: Entries, ids: Any
) -> None:
    service = BillingService(app)
    with pytest.raises(Refused, match="no usage input ids were given") as refusal:
        service.process_rated_usage_input(ids)
    assert refusal.value.field == "usage_input_ids"
    with pytest.raises(Refused, match="no asset line item ids were given") as refusal:
        service.draft_pending_usage_input_related_to_asset_line_items(ids)
    assert refusal.value.field == "asset_line_item_ids"
    assert (list_runs(app), entries()) == ([], [])


@pytest.mark.usefixtures("company")
def test_pending_inputs_are_rated_in_batch_mode_all_or_by_id_and_the_actor_gets_mail(
    app: Application,
) -> None:
    by_id = BillingService(app).process_pending_usage_input(["IN-1"])
    assert (by_id["job"], by_id["mode"], by_id["badge"]) == ("usage-rating", "batch", "Queued")
    assert mailed(app, by_id["run_id"]) == ["dana@example.com"]
    rest = BillingService(app).process_pending_usage_input()
    assert mailed(app, rest["run_id"]) == ["dana@example.com"]
    assert [show_run(app, run["run_id"])["processed"] for run in (by_id, rest)] == [1, 1]


@pytest.mark.usefixtures("company")
@pytest.mark.parametrize("synchronously", [True, False])
def test_pending_inputs_are_rated_without_mail_where_process_synchronously_is_given(
    app: Application, synchronously: bool
) -> None:
    run = BillingService(app).process_pending_usage_input(["IN-1"], process_synchronously=synchronously)
    assert (run["mode"], run["status"]) == (("sync", "Completed") if synchronously else ("batch", "Holding"))
    if synchronously:
        assert [(row["record_id"], row["outcome"], row["amount"]) for row in run["outcomes"]] == [
            ("IN-1", "ok", "20.00")
        ]
    assert mailed(app, run["run_id"]) == []


@pytest.mark.usefixtures("company")
def test_rated_inputs_are_unrated_in_batch_mode_by_id_and_the_actor_gets_mail(app: Application) -> None:
    BillingService(app).process_pending_usage_input(["IN-1", "IN-2"], process_synchronously=True)
    run = BillingService(app).process_rated_usage_input(["IN-1"])
    assert (run["job"], run["mode"]) == ("usage-unrating", "batch")
    assert mailed(app, run["run_id"]) == ["dana@example.com"]
    assert show_run(app, run["run_id"])["totals"] == {"unrated_amount": {"USD": "20.00"}}


@pytest.mark.usefixtures("company")
def test_each_call_leaves_one_audit_entry(app: Application, entries: Entries) -> None:
    BillingService(app).draft_pending_usage_input(["IN-1"], True)
    assert [(entry["act"], entry["actor"]) for entry in entries()] == [("run.submit", "dana@example.com")]


@pytest.mark.usefixtures("company")
def test_execute_batch_enqueues_the_job_object_and_returns_the_id_of_its_run(
    app: Application, entries: Entries
) -> None:
    run_id = execute_batch(DraftUsageRatingJob(usage_input_ids=["IN-1"]), scope_size=7, app=app)
    assert drive_run(app, run_id)["processed"] == 1
    assert [entry["act"] for entry in entries()] == ["run.submit"]


@pytest.mark.usefixtures("company")
def test_a_batch_enqueued_in_the_caller_s_transaction_is_gone_when_that_rolls_back(
    app: Application, entries: Entries
) -> None:
    class Elsewhere(Exception):
        pass

    def enqueue_and_fail() -> None:
        with app.database.write() as connection:
            execute_batch(DraftUsageRatingJob(), app=app, connection=connection)
            raise Elsewhere

    with pytest.raises(Elsewhere):
        enqueue_and_fail()
    assert list_runs(app) == []
    assert entries() == []
    with app.database.write() as connection:
        run_id = execute_batch(DraftUsageRatingJob(), app=app, connection=connection)
    assert show_run(app, run_id)["badge"] == "Queued"


class UnknownJob(BatchJob):
    name = "unknown-job"
    type = "Unknown"

    def start(self, context: StartContext) -> list[Record]:
        return []

    def execute(self, scope: Scope) -> None:
        raise AssertionError


def test_a_job_that_is_not_registered_is_refused_with_the_setting_that_names_it(app: Application) -> None:
    with pytest.raises(Refused, match="not registered as the job 'unknown-job'") as refusal:
        execute_batch(UnknownJob(), app=app)
    assert f"BATCHWRIGHT_JOBS as {UnknownJob.__module__}:UnknownJob" in (refusal.value.remedy or "")
    app.registry.add(UnknownJob)
    assert execute_batch(UnknownJob(), app=app) == "JR-00000001"


def test_without_an_application_the_one_of_the_settings_is_made_at_the_first_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BATCHWRIGHT_DATABASE_URL", "sqlite:///elsewhere.db")
    default_application.cache_clear()
    try:
        service = BillingService()
        with pytest.raises(DatabaseMissing, match=r"elsewhere\.db"):
            service.draft_pending_usage_input()
        assert default_application() is default_application()
    finally:
        default_application.cache_clear()
    assert list(tmp_path.iterdir()) == []
