"""Runs: submitting, driving, resuming, retrying and looking at them, on both databases, with the draft rating."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from batchwright.billing import tables
from batchwright.engine.errors import Refused
from batchwright.engine.job import Finish
from batchwright.engine.lease import heartbeat_name
from batchwright.engine.run import Run
from batchwright.engine.store import runs
from batchwright.engine.store.leases import LeaseStore
from batchwright.engine.store.tables import run as run_table
from batchwright.operations.app import Application, make_application
from batchwright.operations.billing.usage_inputs import (
    delete_usage_inputs,
    list_usage_inputs,
    show_usage_input,
)
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from batchwright.operations.mail import list_mail, show_mail
from batchwright.operations.runs.controls import abort_run
from batchwright.operations.runs.driving import drive_run, drive_submitted, resume_run
from batchwright.operations.runs.looking import list_runs, run_outcomes, show_run
from batchwright.operations.runs.previews import run_preview
from batchwright.operations.runs.retrying import retry_run
from batchwright.operations.runs.submitting import RunTerms, submit_run
from batchwright.testing.clock import StandingClock
from tests.support.application import ACTOR, NOW, make_settings
from tests.support.records import Books

Entries = Callable[[], list[dict[str, Any]]]
Write = Callable[[Callable[[Books], Any]], Any]

JOB = "draft-usage-rating"
RUN_KEYS = [
    *("run_id", "job", "type", "mode", "status", "badge", "actor", "reason", "explanation", "parameters"),
    *("trigger", "schedule", "parent_run_id", "customer_id", "periods", "total", "processed", "errored"),
    *("skipped", "not_reached", "totals", "warnings", "error", "created_at", "started_at", "ended_at"),
    "duration_seconds",
]
MAIL_KEYS = [
    *("mail_id", "run_id", "kind", "recipient", "status", "attempts", "next_attempt_at", "error"),
    *("created_at", "sent_at"),
]


@pytest.fixture
def company(write: Write) -> None:
    """AL-1 with two good inputs, AL-2 with one good and one of another unit, which errors."""

    def fill(books: Books) -> None:
        for name in ("1", "2"):
            asset = books.asset(f"AL-{name}")
            books.usage_schedule(asset, books.billing_schedule(asset, f"BS-{name}"), f"US-{name}")
            books.usage_input(asset, f"IN-{name}a")
            books.usage_input(asset, f"IN-{name}b", product_uom="Each" if name == "1" else "Gallon")

    write(fill)


def submit(app: Application, parameters: dict[str, Any] | None = None, **values: Any) -> dict[str, Any]:
    return submit_run(app, JOB, parameters or {}, actor=ACTOR, **values).view


def run(app: Application, parameters: dict[str, Any] | None = None, **values: Any) -> dict[str, Any]:
    return drive_submitted(app, submit_run(app, JOB, parameters or {}, actor=ACTOR, **values))


# Submitting


@pytest.mark.usefixtures("company")
def test_a_submitted_run_is_shown_with_the_keys_of_the_contract_in_their_order(app: Application) -> None:
    submitted = submit(app, {"asset_line_item_ids": ["AL-1"]}, reason="June", explanation="the whole of it")
    assert list(submitted) == RUN_KEYS
    assert (submitted["run_id"], submitted["job"], submitted["type"]) == (
        "JR-00000001",
        JOB,
        "Draft usage rating",
    )
    assert (submitted["mode"], submitted["badge"]) == ("batch", "Queued")
    assert (submitted["actor"], submitted["trigger"]) == ("dana@example.com", "cli")
    assert (submitted["reason"], submitted["explanation"]) == ("June", "the whole of it")
    assert submitted["parameters"]["asset_line_item_ids"] == ["AL-1"]
    assert submitted["created_at"] == "2023-07-01T08:30:00.000Z"
    assert submitted["started_at"] is submitted["duration_seconds"] is None


@pytest.mark.usefixtures("company")
@pytest.mark.on_both
def test_a_submit_leaves_one_audit_entry(app: Application, entries: Entries) -> None:
    submit(app, reason="June")
    (entry,) = entries()
    assert (entry["act"], entry["subject"], entry["reason"]) == ("run.submit", "JR-00000001", "June")
    assert entry["after"]["job"] == JOB


@pytest.mark.usefixtures("company")
@pytest.mark.parametrize(
    ("job", "parameters", "values", "message"),
    [
        ("draft-usage-ratin", {}, {}, "there is no job named"),
        (JOB, {"usage_input_ids": ["IN-1a"], "asset_line_item_ids": ["AL-1"]}, {}, "not both"),
        (JOB, {"usage_input_ids": ["IN-1a", "IN-8", "IN-9"]}, {}, "IN-8, IN-9"),
        (JOB, {"usage_input_ids": []}, {}, "empty list"),
        (JOB, {"unknown": 1}, {}, "bad parameters"),
        (JOB, {}, {"notify": ["nobody"]}, "is not a mail address"),
        (JOB, {}, {"mode": "later"}, "mode 'later' is not known"),
        (JOB, {}, {"error_ceiling": "many"}, "error ceiling"),
        (JOB, {}, {"scope_size": -1}, "scope"),
    ],
)
def test_a_refused_submit_leaves_no_run_and_no_entry(
    app: Application,
    entries: Entries,
    job: str,
    parameters: dict[str, Any],
    values: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(Refused, match=message):
        submit_run(app, job, parameters, actor=ACTOR, **values)
    assert list_runs(app) == []
    assert entries() == []


def test_a_synchronous_run_of_more_than_a_thousand_inputs_is_refused_and_changes_nothing(
    app: Application, write: Write, entries: Entries
) -> None:
    def fill(books: Books) -> None:
        asset = books.asset()
        for number in range(1_001):
            books.usage_input(asset, f"IN-{number}")

    write(fill)
    with pytest.raises(Refused, match="at most 1,000"):
        submit(app, mode="sync")
    assert list_runs(app) == []
    assert entries() == []


@pytest.mark.usefixtures("company")
def test_an_actor_without_an_address_is_warned_of_and_recorded_as_no_recipient(
    migrated_url: str, tmp_path: Path
) -> None:
    app = make_application(make_settings(migrated_url, tmp_path), clock=StandingClock(NOW))
    submitted = submit_run(app, JOB, {}, actor=type(ACTOR)("erika", "root"))
    assert [warning["code"] for warning in submitted.view["warnings"]] == ["no_recipient"]
    drive_submitted(app, submitted)
    assert [(mail["recipient"], mail["status"]) for mail in list_mail(app)] == [(None, "no_recipient")]
    app.close()


@pytest.mark.usefixtures("company")
def test_an_actor_gets_mail_at_the_address_that_the_settings_give_their_name(
    migrated_url: str, tmp_path: Path
) -> None:
    settings = make_settings(migrated_url, tmp_path, actors={"erika": "erika@example.com"})
    app = make_application(settings, clock=StandingClock(NOW))
    submitted = submit_run(app, JOB, {}, actor=type(ACTOR)("erika", "root"))
    assert submitted.view["warnings"] == []
    drive_submitted(app, submitted)
    assert [mail["recipient"] for mail in list_mail(app)] == ["erika@example.com"]
    app.close()


# Driving


@pytest.mark.usefixtures("company")
def test_a_driven_run_ends_with_its_counts_and_totals(app: Application) -> None:
    ended = run(app)
    assert (ended["status"], ended["badge"]) == ("Completed", "Complete (1 error)")
    counts = [ended[name] for name in ("total", "processed", "errored", "skipped", "not_reached")]
    assert counts == [4, 3, 1, 0, 0]
    assert ended["totals"] == {"draft_fee_amount": {"USD": "60.00"}}
    assert ended["duration_seconds"] == 0.0
    assert "outcomes" not in ended
    assert show_usage_input(app, "IN-2b")["code"] == "uom_mismatch"


@pytest.mark.usefixtures("company")
@pytest.mark.parametrize("values", [{"mode": "sync"}, {"sync": True}])
def test_a_synchronous_run_comes_with_its_outcomes(app: Application, values: dict[str, Any]) -> None:
    ended = run(app, {"usage_input_ids": ["IN-1a", "IN-1b"]}, **values)
    assert (ended["mode"], ended["status"]) == ("sync", "Completed")
    assert ended["outcomes"] == [
        {
            "record_id": an_id,
            "outcome": "ok",
            "code": None,
            "message": None,
            "amount": "20.00",
            "currency": "USD",
        }
        for an_id in ("IN-1a", "IN-1b")
    ]


@pytest.mark.usefixtures("company")
@pytest.mark.parametrize(
    ("values", "recipients"),
    [
        ({}, ["dana@example.com"]),
        ({"notify": ["ops@example.com"]}, ["dana@example.com", "ops@example.com"]),
        ({"mail_actor": False}, []),
        ({"mail_actor": False, "notify": ["ops@example.com"]}, ["ops@example.com"]),
        ({"mode": "sync"}, []),
        ({"mode": "sync", "notify": ["ops@example.com"]}, ["ops@example.com"]),
        ({"mode": "dry_run"}, []),
        ({"mode": "dry_run", "notify": ["ops@example.com"]}, ["ops@example.com"]),
        ({"mode": "dry_run", "sync": True}, []),
    ],
)
def test_who_gets_mail_depends_on_the_way_the_run_was_asked_for(
    app: Application, values: dict[str, Any], recipients: list[str]
) -> None:
    ended = run(app, **values)
    assert [mail["recipient"] for mail in show_run(app, ended["run_id"])["mails"]] == recipients


@pytest.mark.usefixtures("company")
def test_the_end_of_a_run_sends_its_mail(app: Application) -> None:
    run(app)
    (mail,) = list_mail(app)
    assert mail["status"] == "sent"
    facts = show_mail(app, mail["mail_id"])["facts"]
    assert (facts["run_id"], facts["errored"], facts["totals"]) == (
        "JR-00000001",
        1,
        {"draft_fee_amount": {"USD": "60.00"}},
    )
    assert facts["database"] == app.database.display_url
    assert (facts["mail_only_to_files"], facts["record_noun"], facts["retry_unit"]) == (
        True,
        "usage input",
        "asset line item",
    )
    (message,) = app.settings.mail.directory.glob("*.eml")
    assert b"IN-2b" in message.read_bytes()


class BrokenMailer:
    def send_due(self) -> None:
        raise RuntimeError("no mail today")


@pytest.mark.usefixtures("company")
def test_a_run_ends_well_whatever_is_wrong_with_mail(app: Application) -> None:
    app.__dict__["mailer"] = BrokenMailer()
    assert run(app)["status"] == "Completed"
    assert [mail["status"] for mail in list_mail(app)] == ["waiting"]


@pytest.mark.usefixtures("company")
def test_a_stopped_run_is_queued_again_and_sends_nothing(app: Application) -> None:
    submitted = submit(app)
    stopped = drive_run(app, submitted["run_id"], stop=lambda: True)
    assert stopped["badge"] == "Queued"
    assert list_mail(app) == []


def test_an_unknown_run_is_refused_everywhere(app: Application) -> None:
    acts: list[Callable[[], object]] = [
        lambda: drive_run(app, "JR-9"),
        lambda: show_run(app, "JR-9"),
        lambda: run_outcomes(app, "JR-9"),
        lambda: run_preview(app, "JR-9"),
        lambda: resume_run(app, "JR-9", actor=ACTOR),
        lambda: retry_run(app, "JR-9", actor=ACTOR),
    ]
    for act in acts:
        with pytest.raises(Refused, match="there is no run 'JR-9'"):
            act()


# Resuming


@pytest.mark.usefixtures("company")
def test_a_queued_run_is_resumed_with_one_audit_entry(app: Application, entries: Entries) -> None:
    submitted = submit(app)
    drive_run(app, submitted["run_id"], stop=lambda: True)
    ended = resume_run(app, submitted["run_id"], actor=ACTOR, reason="Ctrl-C by mistake")
    assert ended["status"] == "Completed"
    entry, _ = entries()
    assert (entry["act"], entry["subject"], entry["reason"]) == (
        "run.resume",
        "JR-00000001",
        "Ctrl-C by mistake",
    )
    assert entry["before"]["status"] in ("Holding", "Queued")
    assert entry["after"]["status"] in ("Preparing", "Processing")


@pytest.mark.usefixtures("company")
def test_a_run_that_has_ended_is_not_resumed(app: Application, entries: Entries) -> None:
    ended = run(app)
    with pytest.raises(Refused, match="has ended"):
        resume_run(app, ended["run_id"], actor=ACTOR)
    assert [entry["act"] for entry in entries()] == ["run.submit"]


@pytest.fixture
def interrupted(app: Application, company: None) -> Run:
    """A planned run whose owner has gone without a word."""
    submitted = submit(app)
    drive_run(app, submitted["run_id"], stop=lambda: True)
    with app.database.write() as connection:
        connection.execute(update(run_table).values(state="Processing", fence=7, owner="elsewhere/1"))
        run = runs.by_id(connection, submitted["run_id"])
    LeaseStore(app.database).begin(heartbeat_name(run), run.fence)
    return run


def test_an_interrupted_run_is_resumed_when_its_owner_shows_no_life_with_one_entry(
    app: Application, interrupted: Run, entries: Entries
) -> None:
    ended = resume_run(app, interrupted.run_id, actor=ACTOR)
    assert (ended["status"], ended["processed"]) == ("Completed", 3)
    entry, _ = entries()
    assert (entry["act"], entry["before"]) == ("run.resume", {"status": "Processing", "owner": "elsewhere/1"})
    assert entry["after"]["owner"] != "elsewhere/1"


def test_a_resume_is_refused_and_leaves_no_entry_while_the_owner_lives(
    app: Application, clock: StandingClock, interrupted: Run, entries: Entries
) -> None:
    store = LeaseStore(app.database)
    clock.meanwhile = lambda: store.beat(heartbeat_name(interrupted), interrupted.fence)
    with pytest.raises(Refused, match="is being worked on by elsewhere/1"):
        resume_run(app, interrupted.run_id, actor=ACTOR)
    assert [entry["act"] for entry in entries()] == ["run.submit"]


# Retrying


def correct(app: Application) -> None:
    """Put the unit of IN-2b right behind everybody's back."""
    with app.database.write() as connection:
        wrong = tables.usage_input.c.usage_input_id == "IN-2b"
        connection.execute(update(tables.usage_input).where(wrong).values(product_uom="Each"))


@pytest.mark.usefixtures("company")
def test_a_retry_does_the_whole_assets_of_what_errored_and_is_linked_to_its_parent(
    app: Application, entries: Entries
) -> None:
    parent = run(app, reason="June")
    correct(app)
    retry = drive_run(app, retry_run(app, parent["run_id"], actor=ACTOR).run_id)
    assert retry["parameters"]["asset_line_item_ids"] == ["AL-2"]
    assert (retry["parent_run_id"], retry["trigger"], retry["reason"]) == (parent["run_id"], "retry", "June")
    assert [retry[name] for name in ("total", "processed", "errored")] == [2, 2, 0]
    assert show_run(app, parent["run_id"])["children"] == [retry["run_id"]]
    fees = [row["draft_fee_amount"] for row in list_usage_schedules(app)]
    assert fees == ["40.00", "40.00"]
    entry, _ = entries()
    assert (entry["act"], entry["subject"]) == ("run.retry", retry["run_id"])
    assert entry["before"] == {"run_id": parent["run_id"], "status": "Completed"}


@pytest.mark.usefixtures("company")
def test_a_retry_covers_records_that_were_not_reached(app: Application) -> None:
    stopped = submit(app, scope_size=1, error_ceiling="0")
    parent = drive_run(app, stopped["run_id"])
    with app.database.write() as connection:
        connection.execute(
            update(tables.usage_input)
            .where(tables.usage_input.c.usage_input_id == "IN-1a")
            .values(product_uom="Gallon")
        )
    again = drive_run(app, submit(app, scope_size=1, error_ceiling="0")["run_id"])
    assert (parent["status"], again["status"], again["not_reached"]) == ("Failed", "Failed", 2)
    retry = retry_run(app, again["run_id"], actor=ACTOR).view
    assert retry["parameters"]["asset_line_item_ids"] == ["AL-1", "AL-2"]


@pytest.mark.usefixtures("company")
def test_a_retry_takes_from_its_parent_what_is_not_said_and_can_be_asked_without_it(app: Application) -> None:
    said: RunTerms = {
        "reason": "June",
        "explanation": "late usage",
        "notify": ["ops@example.com"],
        "scope_size": 2,
        "error_ceiling": "50",
    }
    parent = run(app, **said)
    stored = retry_run(app, parent["run_id"], actor=ACTOR).claim.run
    assert {name: getattr(stored, name) for name in said} == said

    none: RunTerms = {
        "reason": None,
        "explanation": None,
        "notify": (),
        "scope_size": None,
        "error_ceiling": None,
    }
    bare = retry_run(app, parent["run_id"], actor=ACTOR, **none).claim.run
    assert (bare.reason, bare.explanation, bare.error_ceiling, bare.notify) == (None, None, None, [])
    assert bare.scope_size == app.registry.get(JOB).scope_size != 2


@pytest.mark.usefixtures("company")
def test_there_is_nothing_to_retry_in_a_run_without_errors_or_one_that_works(
    app: Application, entries: Entries
) -> None:
    flawless = run(app, {"asset_line_item_ids": ["AL-1"]})
    waiting = submit(app)
    with pytest.raises(Refused, match="nothing to retry"):
        retry_run(app, flawless["run_id"], actor=ACTOR)
    with pytest.raises(Refused, match="has not ended") as refusal:
        retry_run(app, waiting["run_id"], actor=ACTOR)
    assert "runs resume" in (refusal.value.remedy or "")
    assert len(list_runs(app)) == len(entries()) == 2


@pytest.mark.usefixtures("company")
def test_a_retry_of_a_run_that_failed_at_its_end_does_no_record_again(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finish(self: object, finish: Finish) -> None:
        raise ValueError("no charges today")

    job = app.registry.get(JOB)
    with monkeypatch.context() as patched:
        patched.setattr(job, "finish", finish)
        parent = run(app, {"asset_line_item_ids": ["AL-1"]})
        dry = run(app, {"asset_line_item_ids": ["AL-1"]}, mode="dry_run")
    assert (parent["status"], parent["processed"], parent["not_reached"]) == ("Failed", 2, 0)
    retry = drive_run(app, retry_run(app, parent["run_id"], actor=ACTOR).run_id)
    assert (retry["status"], retry["total"], retry["totals"]) == ("Completed", 0, parent["totals"])
    assert (retry["trigger"], retry["parent_run_id"]) == ("retry", parent["run_id"])
    for refused, mode in ((parent, "dry_run"), (dry, None)):
        with pytest.raises(Refused, match="after its last record"):
            retry_run(app, refused["run_id"], actor=ACTOR, mode=mode)
    assert "cannot_retry" not in show_run(app, parent["run_id"])
    assert "after its last record" in show_run(app, dry["run_id"])["cannot_retry"]


@pytest.mark.usefixtures("company")
def test_a_waiting_run_that_is_aborted_has_not_reached_what_it_names(app: Application) -> None:
    named = submit(app, {"usage_input_ids": ["IN-1a", "IN-2a"]})
    of_assets = submit(app, {"asset_line_item_ids": ["AL-1"]})
    aborted = [abort_run(app, one["run_id"], actor=ACTOR) for one in (named, of_assets)]
    assert [one["not_reached"] for one in aborted] == [2, 0]
    left = [entry["record_id"] for entry in run_outcomes(app, named["run_id"], outcome="not_reached")]
    assert left == ["IN-1a", "IN-2a"]
    assert retry_run(app, named["run_id"], actor=ACTOR).view["status"] in ("Holding", "Queued")


@pytest.mark.usefixtures("company")
def test_a_dry_run_is_retried_dry_unless_asked_otherwise(app: Application) -> None:
    parent = run(app, mode="dry_run")
    assert retry_run(app, parent["run_id"], actor=ACTOR).view["mode"] == "dry_run"
    assert retry_run(app, parent["run_id"], actor=ACTOR, mode="batch").view["mode"] == "batch"


# Looking


@pytest.mark.usefixtures("company")
def test_runs_are_listed_newest_first_and_by_status_job_and_number(app: Application) -> None:
    ended, waiting = run(app), submit(app)
    assert [row["run_id"] for row in list_runs(app)] == [waiting["run_id"], ended["run_id"]]
    assert [row["run_id"] for row in list_runs(app, status="Completed")] == [ended["run_id"]]
    assert [row["run_id"] for row in list_runs(app, limit=1)] == [waiting["run_id"]]
    assert list_runs(app, job="another") == []
    with pytest.raises(Refused, match="status 'Done' is not known"):
        list_runs(app, status="Done")


@pytest.mark.usefixtures("company")
def test_a_shown_run_has_children_and_mails_after_the_keys_of_the_contract(app: Application) -> None:
    ended = run(app)
    shown = show_run(app, ended["run_id"])
    assert list(shown) == [*ended, "children", "mails"]
    assert shown["children"] == []
    assert list(shown["mails"][0]) == MAIL_KEYS


@pytest.mark.usefixtures("company")
def test_outcomes_have_the_keys_of_the_contract_and_can_be_narrowed(app: Application) -> None:
    run_id = run(app)["run_id"]
    (error,) = run_outcomes(app, run_id, outcome="error")
    assert list(error) == ["record_id", "outcome", "code", "message", "amount", "currency"]
    assert (error["record_id"], error["code"], error["amount"]) == ("IN-2b", "uom_mismatch", None)
    assert [row["record_id"] for row in run_outcomes(app, run_id)] == ["IN-1a", "IN-1b", "IN-2a", "IN-2b"]
    assert list(run_outcomes(app, run_id, code="uom_mismatch")) == [error]
    with pytest.raises(Refused, match="outcome 'bad' is not known"):
        run_outcomes(app, run_id, outcome="bad")


@pytest.mark.usefixtures("company")
def test_outcomes_with_facts_name_the_asset_the_date_and_the_quantity(app: Application) -> None:
    run_id = run(app)["run_id"]
    (error,) = run_outcomes(app, run_id, outcome="error", with_facts=True)
    assert error["asset_line_item_id"] == "AL-2"
    assert error["usage_date"] == "2023-06-05"
    assert error["quantity"] == "10.00"


@pytest.mark.usefixtures("company")
def test_a_deleted_input_still_has_its_name_in_the_outcomes(app: Application) -> None:
    run_id = run(app)["run_id"]
    delete_usage_inputs(app, ["IN-1a"], actor=ACTOR)
    assert "IN-1a" in [row["record_id"] for row in run_outcomes(app, run_id)]


@pytest.mark.usefixtures("company")
def test_a_dry_run_changes_no_billing_record_and_its_preview_shows_what_it_would_have_written(
    app: Application,
) -> None:
    before = list(list_usage_inputs(app)), list(list_usage_schedules(app))
    ended = run(app, mode="dry_run")
    assert (list(list_usage_inputs(app)), list(list_usage_schedules(app))) == before
    assert ended["totals"] == {"draft_fee_amount": {"USD": "60.00"}}
    lines = list(run_preview(app, ended["run_id"]))
    figures = ["amount", "currency", "before", "after", "difference"]
    assert list(lines[0]) == ["kind", "record_id", "customer_id", *figures, "detail"]
    amounts = {line["record_id"]: line["amount"] for line in lines if line["kind"] != "customer"}
    assert amounts == {"IN-1a": "20.00", "IN-1b": "20.00", "IN-2a": "20.00", "US-1": "40.00", "US-2": "20.00"}


@pytest.mark.usefixtures("company")
def test_a_run_that_was_no_dry_run_has_no_preview(app: Application) -> None:
    with pytest.raises(Refused, match="is not a dry run"):
        run_preview(app, run(app)["run_id"])


@pytest.mark.usefixtures("company")
def test_a_run_whose_job_is_gone_is_still_listed_and_shown(app: Application) -> None:
    ended = run(app)
    with app.database.write() as connection:
        connection.execute(update(run_table).values(job="gone"))
    assert list_runs(app)[0]["job"] == show_run(app, ended["run_id"])["job"] == "gone"


def test_amounts_and_quantities_are_exact_through_submit_drive_and_show(
    app: Application, write: Write
) -> None:
    def fill(books: Books) -> None:
        asset = books.asset(currency="BHD", product="oil")
        books.usage_schedule(asset, books.billing_schedule(asset))
        books.usage_input(asset, quantity=Decimal("0.12345"))

    write(fill)
    ended = run(app)
    assert ended["totals"] == {"draft_fee_amount": {"BHD": "0.247"}}
