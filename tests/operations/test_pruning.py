"""Pruning deletes what became of each record in old runs, and nothing else: no amount, no other run, no figure."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import select

from batchwright.engine import ledger
from batchwright.engine.errors import Changed, Gone, NotFound, Pruned, Refused
from batchwright.engine.job import Finish, Warn
from batchwright.engine.store import pruning, runs
from batchwright.engine.store.tables import scope
from batchwright.jobs import UsageRatingJob
from batchwright.notifications import outbox
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.app import Application
from batchwright.operations.audit_store import AuditFilter
from batchwright.operations.billing.billing_schedules import list_billing_schedules
from batchwright.operations.billing.explanations import explain_usage_input
from batchwright.operations.billing.forecast import forecast
from batchwright.operations.billing.usage_inputs import list_usage_inputs
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from batchwright.operations.mail import list_mail, read_message, retry_mail
from batchwright.operations.runs import pruning as operation
from batchwright.operations.runs.controls import abort_run, hold_run, pause_run
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.looking import outcome_summary, page_of_outcomes, run_outcomes, show_run
from batchwright.operations.runs.previews import apply_run, page_of_preview, run_preview
from batchwright.operations.runs.progress import run_progress
from batchwright.operations.runs.pruning import delete_pruned, preview_prune, prune_runs, time_of
from batchwright.operations.runs.retrying import retry_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.views import View
from batchwright.operations.worker.maintenance import Maintenance
from tests.jobs.company import Company
from tests.operations.pruned import FORECAST, RATING, age, fill, rows_of, run, shown
from tests.support.application import ACTOR, NOW
from tests.support.concurrency import race

NO_ROW = {"scope": 0, "outcome": 0, "preview_line": 0, "run_selection": 0}


@pytest.fixture
def company(app: Application) -> None:
    with app.database.write() as connection:
        fill(Company(connection))


pytestmark = pytest.mark.usefixtures("company")


def prune(app: Application, older_than: str = "90d", *jobs: str, **values: Any) -> View:
    """Prune, and delete all that is then to be deleted."""
    done = prune_runs(app, older_than, jobs, actor=ACTOR, **values)
    delete_pruned(app)
    return done


def explained(app: Application) -> list[Any]:
    """How each amount came about, without what is said of a run that is pruned."""
    found = []
    for one in list_usage_inputs(app):
        explanation = explain_usage_input(app, one["usage_input_id"], with_history=False)["explanation"]
        for told in filter(None, explanation.values()):
            told.pop("run_pruned_at", None)
        found.append(explanation)
    return found


def everything_else(app: Application, *run_ids: str) -> list[Any]:
    return [
        list(list_usage_inputs(app)),
        list(list_usage_schedules(app)),
        list(list_billing_schedules(app)),
        forecast(app),
        forecast(app, by="customer"),
        explained(app),
        list_mail(app),
        shown(app, *run_ids),
        [outcome_summary(app, run_id) for run_id in run_ids],
    ]


@pytest.mark.on_both
def test_of_a_pruned_run_the_figures_stay_and_no_amount_changes(app: Application) -> None:
    named = run(app, parameters={"usage_input_ids": ["in-1-0", "in-1-1", "bad"]}, mail_actor=True)
    old = [named, run(app), run(app, RATING, mode="dry_run"), run(app, RATING)]
    age(app)
    young = [run(app, mode="dry_run"), run(app)]
    before, rows = everything_else(app, *old, *young), rows_of(app, *young)
    ledger_before = [list(run_outcomes(app, one)) for one in young], list(run_preview(app, young[0]))
    audit = len(list(list_audit(app)))
    plan = preview_prune(app, "90d")
    assert (plan["runs"], plan["scopes"], plan["kept"]) == (4, rows_of(app, *old)["scope"], 0)
    done = prune(app, reason="it is late")
    assert everything_else(app, *old, *young) == before
    assert (rows_of(app, *old), rows_of(app, *young)) == (NO_ROW, rows)
    assert (
        [list(run_outcomes(app, one)) for one in young],
        list(run_preview(app, young[0])),
    ) == ledger_before
    assert done["runs"] == plan["runs"]
    assert done["records"] == plan["records"] == sum(one["total"] for one in shown(app, *old))
    entry, *_ = entries = list(list_audit(app))
    assert len(entries) == audit + 1
    assert (entry["act"], entry["subject"], entry["reason"]) == ("run.prune", "4 runs", "it is late")
    assert entry["after"] == {name: plan[name] for name in entry["after"]}
    for one in old:
        assert entry in list_audit(app, wanted=AuditFilter(subject=one))
    assert preview_prune(app, "90d")["runs"] == 0
    assert prune(app)["runs"] == 0
    assert len(list(list_audit(app))) == audit + 1, "nothing was done"


ASKED: dict[str, Callable[[Application, str], Any]] = {
    "outcomes": lambda app, one: run_outcomes(app, one),
    "a page of outcomes": lambda app, one: page_of_outcomes(app, one, "error"),
    "one record": lambda app, one: page_of_outcomes(app, one, record_id="bad"),
    "a preview": lambda app, one: run_preview(app, one),
    "a page of a preview": lambda app, one: page_of_preview(app, one),
    "applying": lambda app, one: apply_run(app, one, actor=ACTOR),
    "retrying": lambda app, one: retry_run(app, one, actor=ACTOR),
    "progress": lambda app, one: run_progress(app, one),
}


@pytest.mark.parametrize("asked", ASKED)
def test_what_needs_the_records_of_a_pruned_run_is_refused_as_gone_with_the_day(
    app: Application, asked: str
) -> None:
    dry = run(app, mode="dry_run")
    age(app)
    prune(app)
    with pytest.raises(Pruned, match=f"{dry} was pruned on 2023-07-01") as refused:
        ASKED[asked](app, dry)
    assert isinstance(refused.value, Gone)
    assert refused.value.field == "run_id"
    assert refused.value.remedy
    assert len(list(list_usage_inputs(app))) == 9


@pytest.mark.on_both
def test_what_something_needs_still_is_kept(app: Application) -> None:
    retried, previewed, mailed = run(app), run(app, RATING, mode="dry_run"), run(app)
    age(app)
    children = [retry_run(app, retried, actor=ACTOR).run_id, apply_run(app, previewed, actor=ACTOR).run_id]
    with app.database.write() as connection:
        key = runs.by_id(connection, mailed).id
        mail: Any = {
            "kind": outbox.RUN_ENDED,
            "recipients": ["a@b.example"],
            "facts": {},
            "domain": "b.example",
        }
        outbox.record(connection, run_key=key, now=NOW, **mail)
    plan = preview_prune(app, "1d")
    assert (plan["runs"], plan["kept"]) == (0, 3)
    assert prune(app, "1d")["runs"] == 0
    assert "pruned_at" not in show_run(app, retried)
    for child in children:
        abort_run(app, child, actor=ACTOR, mail=False)
    plan = preview_prune(app, "1d")
    assert (plan["runs"], plan["kept"]) == (2, 1)


@pytest.mark.on_both
def test_a_run_whose_end_the_retry_of_a_retry_does_again_is_kept_or_that_retry_refused(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(job: UsageRatingJob, finish: Finish) -> None:
        raise RuntimeError("no charges today")

    monkeypatch.setattr(UsageRatingJob, "finish", fails)
    first = run(app, RATING, {"usage_input_ids": ["in-1-0"]})
    second = retry_run(app, first, actor=ACTOR)
    drive_submitted(app, second)
    age(app, first)
    third = retry_run(app, second.run_id, actor=ACTOR).run_id
    assert (preview_prune(app, "90d")["kept"], prune(app)["runs"]) == (1, 0)
    abort_run(app, third, actor=ACTOR, mail=False)
    assert prune(app)["runs"] == 1
    assert f"{first} was pruned" in show_run(app, second.run_id)["cannot_retry"]
    with pytest.raises(Pruned, match=first):
        retry_run(app, second.run_id, actor=ACTOR)


@pytest.mark.on_both
def test_a_run_that_has_not_ended_or_is_younger_stays_and_so_do_other_jobs(app: Application) -> None:
    young, rated = run(app), run(app, RATING)
    age(app, rated)
    waits, held, paused = (submit_run(app, FORECAST, {}, actor=ACTOR).run_id for _ in range(3))
    hold_run(app, held, actor=ACTOR)
    pause_run(app, paused, actor=ACTOR)
    assert preview_prune(app, "90d", [FORECAST])["runs"] == 0
    assert preview_prune(app, "90d", [FORECAST, RATING])["by_job"] == [
        {"job": RATING, "runs": 1, "records": 8}
    ]
    assert prune(app, "90d")["runs"] == 1
    assert {"pruned_at" in show_run(app, one) for one in (young, waits, held, paused)} == {False}
    with pytest.raises(NotFound, match="usage-ratings"):
        prune(app, "90d", "usage-ratings")


REFUSED = ["", "soon", "0", "0d", "23h", "1x", "-5d", "1.5d", "2023-07-02", "2023-06-30T08:31", "2030-01-01"]
HOSTILE = ["9\0d", "\u0669d", "9999999999d", "2023-13-01", "0001-01-01T00:00+14:00", "90 d w", "1e3d", "<b>"]


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("text", REFUSED + HOSTILE)
def test_what_is_no_age_or_less_than_a_day_is_refused_with_its_field_and_a_remedy(
    app: Application, text: str
) -> None:
    for act in (preview_prune, prune_runs):
        with pytest.raises(Refused) as refused:
            act(app, text, actor=ACTOR)
        assert refused.value.field == "older_than"
        assert refused.value.remedy


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("1", 1),
        (" 90d ", 90),
        ("12w", 84),
        ("2023-06-01T08:30Z", 30),
        ("2023-06-01T08:30", 30),
        ("2023-06-01T10:30+02:00", 30),
    ],
)
def test_an_age_or_a_date_is_a_time(text: str, ago: int) -> None:
    assert time_of(text, NOW) == NOW - timedelta(days=ago)


def test_another_number_than_was_shown_is_refused_and_nothing_is_done(app: Application) -> None:
    first = run(app)
    age(app)
    with pytest.raises(Changed, match="2 runs, and became 1"):
        prune(app, expected=2)
    assert "pruned_at" not in show_run(app, first)
    assert prune(app, expected=1)["runs"] == 1


@pytest.mark.on_both
def test_two_who_prune_at_once_prune_each_run_once_and_both_delete(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [run(app) for _ in range(6)]
    age(app)
    monkeypatch.setattr(pruning, "ROWS", 3)
    done = race(*[lambda: prune(app)] * 3)
    assert sum(one["runs"] for one in done) == 6
    assert rows_of(app, *old) == NO_ROW
    assert preview_prune(app, "90d")["unfinished"] == 0
    acts = [entry for entry in list_audit(app) if entry["act"] == "run.prune"]
    assert sum(entry["after"]["runs"] for entry in acts) == 6


@pytest.mark.on_both
def test_who_applies_a_preview_at_that_moment_keeps_it(app: Application) -> None:
    dry = run(app, RATING, mode="dry_run")
    age(app)
    if app.database.is_sqlite:
        apply_run(app, dry, actor=ACTOR)
        assert prune(app)["runs"] == 0
        return
    with app.database.write() as connection:
        runs.keep(connection, runs.by_id(connection, dry), "again")
        done: list[View] = []
        other = Thread(target=lambda: done.append(prune(app)))
        other.start()
        other.join(30)  # it waits for nobody
    assert done[0]["runs"] == 0
    assert prune(app)["runs"] == 1
    with pytest.raises(Pruned):
        apply_run(app, dry, actor=ACTOR)


@pytest.mark.on_both
def test_a_run_at_work_beside_it_does_all_its_records(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [run(app) for _ in range(3)]
    age(app)
    prune_runs(app, "90d", actor=ACTOR)
    monkeypatch.setattr(pruning, "ROWS", 2)
    _, rated = race(lambda: delete_pruned(app), lambda: run(app, RATING, scope_size=1))
    assert rows_of(app, *old) == NO_ROW
    (view,) = shown(app, rated)
    assert (view["status"], view["processed"], view["not_reached"]) == ("Completed", 8, 0)
    assert [one["outcome"] for one in run_outcomes(app, rated)] == ["ok"] * 8


def test_a_clock_that_is_ahead_of_the_database_makes_no_run_old(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operation, "clock_ahead_seconds", lambda app, connection: 365 * 86_400.0)
    run(app)
    age(app, days=100)
    assert preview_prune(app, "90d")["runs"] == 0


def test_who_dies_between_two_portions_leaves_the_rest_to_the_next(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [run(app, mode="dry_run"), run(app)]
    summaries = [outcome_summary(app, one) for one in old]
    age(app)
    monkeypatch.setattr(pruning, "ROWS", 2)
    prune_runs(app, "90d", actor=ACTOR)
    for _ in range(10):
        assert [outcome_summary(app, one) for one in old] == summaries
        assert explain_usage_input(app, "in-1-0")["history"] == []
        with pytest.raises(Pruned):
            run_outcomes(app, old[0])
        pruning.delete_some(app.database)
    assert prune(app)["unfinished"] >= 0
    assert rows_of(app, *old) == NO_ROW
    assert [outcome_summary(app, one) for one in old] == summaries


KILLED = """
import os, signal, sys
from sqlalchemy import event
from batchwright.engine.store import pruning
from batchwright.engine.store.database import Database
database, portions = Database(sys.argv[1]), 0
pruning.ROWS = 3
pruning.delete_some(database)
delete = pruning._delete_of
def deadly(*given):
    delete(*given)
    os.kill(os.getpid(), signal.SIGKILL)
pruning._delete_of = deadly
pruning.delete_some(database)
"""


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_process_that_is_killed_while_it_deletes_loses_nothing_but_its_portion(app: Application) -> None:
    old = [run(app, mode="dry_run"), run(app)]
    summaries = [outcome_summary(app, one) for one in old]
    age(app)
    prune_runs(app, "90d", actor=ACTOR)
    whole = sum(rows_of(app, *old).values())
    url = app.database.url.render_as_string(hide_password=False)
    killed = subprocess.run([sys.executable, "-c", KILLED, url], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert 0 < sum(rows_of(app, *old).values()) < whole
    assert prune(app)["runs"] == 0
    assert (rows_of(app, *old), [outcome_summary(app, one) for one in old]) == (NO_ROW, summaries)


def test_a_worker_deletes_what_is_left(app: Application) -> None:
    old = run(app)
    age(app)
    prune_runs(app, "90d", actor=ACTOR)
    maintenance = Maintenance(app, lambda: None)
    maintenance.start()
    while rows_of(app, old) != NO_ROW:
        app.clock.sleep(1)
    assert maintenance.stop(30)


def test_who_reads_while_it_is_pruned_is_told_and_gets_no_short_list(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "ROWS_AT_A_TIME", 1)
    forecast_id, dry = run(app, scope_size=2), run(app, mode="dry_run")
    age(app)
    reads: list[Iterator[Any]] = [run_outcomes(app, forecast_id), run_preview(app, dry, "input")]
    for read in reads:
        next(read)
    prune(app)
    for read in reads:
        with pytest.raises(Pruned):
            list(read)


def test_of_many_warnings_about_records_the_first_stay_and_the_rest_is_counted(app: Application) -> None:
    old = run(app)
    age(app)
    with app.database.write() as connection:
        key = runs.by_id(connection, old).id
        of = connection.execute(select(scope.c.id).where(scope.c.run_id == key).limit(1)).scalar_one()
        runs.add_warnings(connection, key, None, [Warn("run", "of the run", None)] * 3)
        runs.add_warnings(connection, key, of, [Warn("one", f"number {n}", f"R-{n}") for n in range(102)])
    before = show_run(app, old)["warnings"]
    prune(app)
    after = show_run(app, old)["warnings"]
    assert after[:-1] == [one for one in before if one["record_id"] not in ("R-100", "R-101")]
    assert after[-1] == {
        "code": "pruned", "message": "2 more warnings about records were pruned", "record_id": None
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["batch", "dry_run"])
def test_a_mail_that_is_sent_after_all_says_that_its_run_was_pruned(app: Application, mode: str) -> None:
    app.settings.mail.directory.write_text("in the way")
    old = run(app, mode=mode, notify=["a@b.example"])
    (mail,) = list_mail(app)
    age(app)
    assert prune(app)["runs"] == 0, "a mail waits"
    app.settings.mail.directory.unlink()
    retry_mail(app, mail["mail_id"], actor=ACTOR)
    assert prune(app)["runs"] == 1
    message = read_message(app, mail["mail_id"])
    text = message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "has been pruned since" in text
    assert set(re.findall(rf"runs ([a-z]+) {old}", text)) == {"show"}, "what is gone is not offered"
    assert retry_mail(app, mail["mail_id"], again=True, actor=ACTOR)["status"] == "sent"


def test_an_amount_that_a_pruned_run_made_says_so_and_the_history_too(app: Application) -> None:
    rated = run(app, RATING)
    before = explain_usage_input(app, "in-1-0")
    assert "history_pruned_until" not in before
    assert "run_pruned_at" not in before["explanation"]["rated"]
    age(app)
    prune(app)
    after = explain_usage_input(app, "in-1-0")
    assert after["explanation"]["rated"] == {
        **before["explanation"]["rated"],
        "run_id": rated,
        "run_pruned_at": "2023-07-01T08:30:00.000Z",
    }
    assert (after["history"], after["history_pruned_until"]) == ([], {RATING: "2023-03-23T08:30:00.000Z"})


def test_the_history_of_a_usage_input_names_the_jobs_alone_whose_runs_were_pruned(app: Application) -> None:
    forecast, rated = run(app), run(app, RATING)
    age(app)
    prune(app, "90d", FORECAST)
    shown = explain_usage_input(app, "in-1-0")
    assert [one["run_id"] for one in shown["history"]] == [rated]
    assert shown["history_pruned_until"] == {FORECAST: show_run(app, forecast)["ended_at"]}
