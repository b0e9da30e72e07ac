"""Applying a preview: it does just what was foretold, or nothing, and says what changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, select

from batchwright.billing import tables
from batchwright.billing.usage import rate_assets
from batchwright.engine import events, preview_check
from batchwright.engine.errors import Refused
from batchwright.engine.events import Event
from batchwright.jobs.usage_rating import UsageRatingJob
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.app import Application
from batchwright.operations.billing.usage_inputs import delete_usage_inputs, edit_usage_input
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from batchwright.operations.runs.controls import abort_run, pause_run
from batchwright.operations.runs.driving import drive_run, drive_submitted
from batchwright.operations.runs.looking import run_outcomes, show_run
from batchwright.operations.runs.previews import apply_run, run_preview
from batchwright.operations.runs.retrying import retry_run
from batchwright.operations.views import View
from tests.jobs.company import INDEXED_TIERS, Company
from tests.jobs.conftest import Open, Write
from tests.jobs.drafting import billing_rows, change, draft, submit
from tests.jobs.mixture import filled
from tests.jobs.rating import (
    UNRATING,
    assert_books_balance,
    figures,
    invoice,
    rate,
    rated,
    unrate,
)
from tests.support.application import ACTOR


def fill(books: Company) -> None:
    """AL-1 and AL-2, indexed tiers, billed by quarter."""
    books.priced("data", "tiered", tiers=INDEXED_TIERS, usage_indexing=True)
    asset = books.metered(months=6, months_per_schedule=3)
    books.used(asset, "may", "05-05", "9")
    books.used(asset, "june", "06-05", "4")
    books.used(books.metered("AL-2"), "other", "06-05", "1")


def apply(app: Application, dry: View, **values: Any) -> View:
    return drive_submitted(app, apply_run(app, dry["run_id"], actor=ACTOR, mail_actor=False, **values))


def test_an_applied_preview_can_be_asked_without_the_copies_and_the_ceiling_of_the_dry_run(
    app: Application, write: Write
) -> None:
    write(fill)
    dry = draft(app, mode="dry_run", notify=["ops@example.com"], error_ceiling="50")
    stored = apply_run(app, dry["run_id"], actor=ACTOR).claim.run
    assert (stored.notify, stored.error_ceiling) == (["ops@example.com"], "50")
    bare = apply_run(app, dry["run_id"], actor=ACTOR, notify=(), error_ceiling=None).claim.run
    assert (bare.notify, bare.error_ceiling, bare.scope_size) == ([], None, stored.scope_size)


def failure(app: Application, dry: View) -> str:
    """Why a preview is not applied; nothing may have changed by it."""
    before = billing_rows(app)
    run = apply(app, dry)
    assert (run["status"], run["processed"], run["total"]) == ("Failed", 0, 0)
    assert billing_rows(app) == before
    assert "Run the job with --dry-run again" in run["error"]
    return str(run["error"])


@contextmanager
def once_planned(app: Application, run_id: str, change_it: Callable[[], Any]) -> Iterator[None]:
    """Somebody changes something when the preview of the run was held to be good."""

    def notice(event: Event) -> None:
        if isinstance(event, events.Reached) and (event.run_id, event.point) == (run_id, "planned"):
            change_it()

    app.events.subscribe(notice)
    yield


@pytest.mark.parametrize("job", [draft, rate])
def test_an_applied_preview_comes_to_what_a_run_would_have(
    applications: Open, job: Callable[..., View]
) -> None:
    app = applications("sqlite")
    filled(app, 7)
    job(app, scope_size=9)
    expected = _without_runs(billing_rows(app))
    filled(app, 7)
    dry = job(app, mode="dry_run", scope_size=5)
    run = apply(app, dry)
    assert _without_runs(billing_rows(app)) == expected
    names = ("total", "processed", "errored", "skipped", "not_reached", "totals", "warnings")
    assert [run[name] for name in names] == [dry[name] for name in names]
    assert list(run_outcomes(app, run["run_id"])) == list(run_outcomes(app, dry["run_id"]))


def test_an_applied_preview_is_a_run_of_its_own_linked_to_the_dry_one(app: Application, write: Write) -> None:
    write(fill)
    dry = rate(app, mode="dry_run", reason="month end")
    run = apply(app, dry)
    assert (run["mode"], run["trigger"], run["status"]) == ("batch", "apply", "Completed")
    assert (run["parent_run_id"], run["reason"]) == (dry["run_id"], "month end")
    assert show_run(app, dry["run_id"])["children"] == [run["run_id"]]
    assert rated(app) == {"may": "27.00", "june": "9.00", "other": "3.00"}
    assert_books_balance(app)
    entry = next(entry for entry in list(list_audit(app)) if entry["act"] == "run.apply")
    assert (entry["subject"], entry["before"]["run_id"]) == (run["run_id"], dry["run_id"])


def test_a_preview_of_an_unrating_is_applied_too(app: Application, write: Write) -> None:
    write(fill)
    rate(app)
    dry = unrate(app, {"usage_input_ids": ["june"]}, mode="dry_run")
    assert apply(app, dry, sync=True)["totals"] == {"unrated_amount": {"USD": "9.00"}}
    assert rated(app) == {"may": "27.00", "june": None, "other": "3.00"}


def test_a_preview_is_applied_once(app: Application, write: Write) -> None:
    write(fill)
    for job, said in ((draft, "the amount that stands there"), (rate, "would be skipped not_eligible")):
        dry = job(app, mode="dry_run")
        apply(app, dry)
        assert said in failure(app, dry)


def edited(app: Application, write: Write) -> None:
    edit_usage_input(app, "june", quantity="5", actor=ACTOR)


def moved(app: Application, write: Write) -> None:
    edit_usage_input(app, "june", usage_date="2023-04-30", actor=ACTOR)


def deleted(app: Application, write: Write) -> None:
    delete_usage_inputs(app, ["june"], actor=ACTOR)


def came(app: Application, write: Write) -> None:
    write(lambda books: books.used(_key(app, tables.asset_line_item, "AL-1"), "new", "06-06", "1"))


def rated_meanwhile(app: Application, write: Write) -> None:
    rate(app, {"usage_input_ids": ["june"]})


def priced_anew(app: Application, write: Write) -> None:
    table = tables.price
    with app.database.write() as connection:
        row = dict(connection.execute(select(table)).first()._mapping)  # type: ignore[union-attr]
        del row["id"]
        row |= {"revision": 2, "model": "per_unit", "unit_price": Decimal(9)}
        connection.execute(insert(table).values(row))


def discounted(app: Application, write: Write) -> None:
    def contracted(books: Company) -> None:
        books.contract(books.customer(), _key(app, tables.price_book, "PB-USD"), discount_percent=Decimal(5))

    write(contracted)


def invoiced(app: Application, write: Write) -> None:
    invoice(app, "BS-AL-1-02")


def shortened(app: Application, write: Write) -> None:
    change(app, tables.asset_line_item, "AL-1", end_date=date(2023, 6, 1))


CHANGES = [
    (edited, "june: .*quantity 4.00 is now 5.00"),
    (moved, "may: .*prior quantity 0.00 is now 4.00"),
    (deleted, "june would be error not_found"),
    (came, "new came since"),
    (rated_meanwhile, "june would be skipped not_eligible"),
    (priced_anew, "june: lines, price revision [0-9]+ is now [0-9]+, what it comes to"),
    (discounted, "discount percent 0.00 is now 5.00"),
    (invoiced, "US-AL-1-06 would be written, too"),
    (shortened, "june would be error asset_not_active"),
]


@pytest.mark.parametrize(("change_it", "said"), CHANGES, ids=[one.__name__ for one, _ in CHANGES])
def test_a_run_fails_before_it_begins_where_something_its_preview_rests_on_changed_and_says_what(
    app: Application, write: Write, change_it: Callable[[Application, Write], None], said: str
) -> None:
    write(fill)
    dry = rate(app, mode="dry_run")
    change_it(app, write)
    message = failure(app, dry)
    assert re.search(said, message), message


def test_what_a_preview_does_not_rest_on_may_change(app: Application, write: Write) -> None:
    write(fill)
    dry = rate(app, {"usage_input_ids": ["may"]}, mode="dry_run")
    edit_usage_input(app, "june", quantity="5", actor=ACTOR)
    edit_usage_input(app, "may", description="read twice", actor=ACTOR)
    came(app, write)
    assert apply(app, dry)["totals"] == {"rated_amount": {"USD": "27.00"}}


def test_a_change_after_the_check_fails_the_run_at_its_scope_and_leaves_those_before_it(
    app: Application, write: Write
) -> None:
    write(fill)
    dry = rate(app, mode="dry_run", scope_size=1)
    submitted = apply_run(app, dry["run_id"], actor=ACTOR, mail_actor=False)
    with once_planned(
        app, submitted.run_id, lambda: edit_usage_input(app, "other", quantity="5", actor=ACTOR)
    ):
        run = drive_submitted(app, submitted)
    assert (run["status"], run["processed"], run["not_reached"]) == ("Failed", 2, 1)
    assert "other: lines, quantity 1.00 is now 5.00" in run["error"]
    assert rated(app) == {"may": "27.00", "june": "9.00", "other": None}
    assert_books_balance(app)
    retried = drive_submitted(app, retry_run(app, run["run_id"], actor=ACTOR, mail_actor=False))
    assert (retried["totals"], rated(app)["other"]) == ({"rated_amount": {"USD": "15.00"}}, "15.00")


def test_usage_that_comes_after_the_check_is_not_in_the_run(app: Application, write: Write) -> None:
    write(fill)
    dry = rate(app, mode="dry_run")
    submitted = apply_run(app, dry["run_id"], actor=ACTOR, mail_actor=False)
    with once_planned(app, submitted.run_id, lambda: came(app, write)):
        run = drive_submitted(app, submitted)
    assert (run["status"], run["total"], rated(app)["new"]) == ("Completed", 3, None)


@pytest.mark.on_both
def test_a_rival_that_rates_between_two_scopes_is_never_charged_again(app: Application, write: Write) -> None:
    write(fill)
    dry = rate(app, mode="dry_run", scope_size=1)
    submitted = apply_run(app, dry["run_id"], actor=ACTOR, mail_actor=False)
    rivals: list[View] = []

    def rival(event: Event) -> None:
        if isinstance(event, events.ScopeDone) and event.run_id == submitted.run_id and not rivals:
            rivals.append({})
            rivals.append(rate(app, {"usage_input_ids": ["other"]}))

    app.events.subscribe(rival)
    run = drive_submitted(app, submitted)
    assert rivals[1]["processed"] == 1
    assert (run["status"], "other would be skipped not_eligible" in run["error"]) == ("Failed", True)
    assert figures(app)["US-AL-2-06"] == ("1.00", "3.00")
    assert_books_balance(app)


def test_who_applies_a_preview_does_not_wait_for_its_check_and_what_came_before_that_counts(
    app: Application, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(fill)
    dry = rate(app, mode="dry_run")
    looked: list[str] = []
    monkeypatch.setattr(UsageRatingJob, "compute", lambda job, scope: looked.append("computed"))
    submitted = apply_run(app, dry["run_id"], actor=ACTOR, mail_actor=False)
    assert (submitted.view["status"], looked) == ("Holding", [])
    monkeypatch.undo()
    came(app, write)
    run = drive_submitted(app, submitted)
    assert (run["status"], "new came since" in run["error"]) == ("Failed", True)


@pytest.mark.parametrize(("ask", "status"), [(abort_run, "Aborted"), (pause_run, "Paused")])
def test_a_run_obeys_while_its_preview_is_checked(
    app: Application, write: Write, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., View], status: str
) -> None:
    write(fill)
    dry = rate(app, mode="dry_run", scope_size=1)
    submitted = apply_run(app, dry["run_id"], actor=ACTOR, mail_actor=False)
    looked: list[int] = []

    def slow(*arguments: Any) -> Any:
        if not looked:
            ask(app, submitted.run_id, actor=ACTOR)
        looked.append(arguments[-1])
        return changes(*arguments)

    changes = preview_check._changes_now
    monkeypatch.setattr(preview_check, "_changes_now", slow)
    run = drive_submitted(app, submitted)
    assert (run["status"], len(looked)) == (status, 1)


def test_records_that_raised_in_the_dry_run_are_set_aside_again(
    app: Application, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(assets: Any, inputs: Any, *rest: Any) -> Any:
        if any(row[3] == "4" for row in inputs):
            raise ZeroDivisionError("nobody thought of it")
        return rate_assets(assets, inputs, *rest)

    write(fill)
    monkeypatch.setattr("batchwright.jobs.usage_rating.rate_assets", raising)
    dry = rate(app, mode="dry_run")
    assert (dry["processed"], dry["errored"]) == (2, 1)
    run = apply(app, dry)
    assert (run["status"], run["processed"], run["errored"]) == ("Completed", 2, 1)


def test_a_run_that_was_no_dry_run_or_did_not_complete_is_not_applied(app: Application, write: Write) -> None:
    write(fill)
    with pytest.raises(Refused, match="is not a dry run"):
        apply_run(app, draft(app)["run_id"], actor=ACTOR)
    waiting = submit(app, mode="dry_run", job=UNRATING)
    with pytest.raises(Refused, match="did not foretell everything"):
        apply_run(app, waiting["run_id"], actor=ACTOR)
    dry = drive_run(app, waiting["run_id"])
    with pytest.raises(Refused, match="its own scopes") as refused:
        apply_run(app, dry["run_id"], actor=ACTOR, scope_size=3)
    assert refused.value.field == "scope_size"


def test_an_applied_preview_of_late_usage_makes_its_schedules(app: Application, write: Write) -> None:
    write(fill)
    rate(app, {"usage_input_ids": ["june"]})
    invoice(app, "BS-AL-1-02")
    dry = rate(app, mode="dry_run")
    (line,) = (one for one in list(run_preview(app, dry["run_id"])) if one["kind"] == "late_usage_schedule")
    assert (line["record_id"], line["before"]) == ("US-AL-1-05", None)
    apply(app, dry)
    made = [
        row for row in list(list_usage_schedules(app)) if not row["usage_schedule_id"].startswith("US-AL")
    ]
    assert [(row["fee_amount"], row["status"]) for row in made] == [(line["after"], "Pending Billing")]
    assert_books_balance(app)


def test_an_applied_preview_keeps_no_lines_of_its_own(app: Application, write: Write) -> None:
    write(fill)
    dry = rate(app, mode="dry_run")
    lines = list(run_preview(app, dry["run_id"]))
    run = apply(app, dry)
    with pytest.raises(Refused, match="is not a dry run"):
        run_preview(app, run["run_id"])
    assert list(run_preview(app, dry["run_id"])) == lines


def _key(app: Application, table: Any, name: str) -> int:
    with app.database.read() as connection:
        statement = select(table.c.id).where(table.c[f"{table.name}_id"] == name)
        return int(connection.execute(statement).scalar_one())


def _without_runs(rows: dict[str, list[tuple[Any, ...]]]) -> Any:
    """Billing rows but for which run wrote them."""
    names = [column.name for column in tables.usage_input.c]
    left_out = {names.index("draft_run_key"), names.index("rated_run_key")}
    inputs = [
        [value for number, value in enumerate(row) if number not in left_out] for row in rows["usage_input"]
    ]
    return {**rows, "usage_input": inputs}
