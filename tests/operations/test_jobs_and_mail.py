"""Which jobs there are, and the mail of the outbox, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from batchwright.engine.errors import Refused
from batchwright.engine.job import BatchJob, Record
from batchwright.notifications.outbox import LEFT_TO_OTHERS
from batchwright.operations.access.users import add_user, disable_user, set_role
from batchwright.operations.app import Application, make_application
from batchwright.operations.mail import list_mail, preview_mail, read_message, retry_mail, show_mail
from batchwright.operations.runs.controls import abort_run
from batchwright.operations.runs.driving import drive_run
from batchwright.operations.runs.jobs import list_jobs, show_job
from batchwright.operations.runs.looking import show_run
from batchwright.operations.runs.retrying import retry_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.testing.clock import StandingClock
from tests.support.application import ACTOR, NOW

Entries = Callable[[], list[dict[str, Any]]]
JOB = "draft-usage-rating"


def test_the_jobs_are_listed_with_what_they_work_on(app: Application) -> None:
    (job,) = [job for job in list_jobs(app) if job["name"] == JOB]
    assert {name: job[name] for name in ("type", "record_noun", "retry_unit", "dry_run")} == {
        "type": "Draft usage rating",
        "record_noun": "usage input",
        "retry_unit": "asset line item",
        "dry_run": True,
    }
    assert job["description"].startswith("Forecasts usage inputs")


def test_a_job_is_shown_with_the_schema_of_its_parameters(app: Application) -> None:
    shown = show_job(app, JOB)
    assert set(shown["parameters"]["properties"]) == {
        "usage_input_ids",
        "asset_line_item_ids",
        "include_rated",
        "selection_id",
    }
    with pytest.raises(Refused, match="there is no job named 'draft'"):
        show_job(app, "draft")


@pytest.fixture
def unsent(app: Application, monkeypatch: pytest.MonkeyPatch) -> str:
    """A mail that waits, because the folder for mail is a file."""
    app.settings.mail.directory.write_text("in the way")
    drive_run(app, submit_run(app, JOB, {}, actor=ACTOR).run_id)
    return str(list_mail(app)[0]["mail_id"])


def test_a_run_ends_well_though_its_mail_cannot_be_sent(app: Application, unsent: str) -> None:
    mail = show_mail(app, unsent)
    assert (mail["status"], mail["attempts"]) == ("waiting", 1)
    assert mail["error"]
    assert mail["facts"]["status"] == "Completed"


def test_a_retried_mail_is_sent_with_one_audit_entry(app: Application, unsent: str, entries: Entries) -> None:
    app.settings.mail.directory.unlink()
    sent = retry_mail(app, unsent, actor=ACTOR, reason="disk was full")
    assert (sent["status"], sent["error"]) == ("sent", None)
    assert len(list(app.settings.mail.directory.glob("*.eml"))) == 1
    entry, _ = entries()
    assert (entry["act"], entry["subject"], entry["reason"]) == ("mail.retry", unsent, "disk was full")


def test_a_sent_or_unknown_mail_is_not_retried_and_leaves_no_entry(
    app: Application, unsent: str, entries: Entries
) -> None:
    app.settings.mail.directory.unlink()
    retry_mail(app, unsent, actor=ACTOR)
    before = entries()
    with pytest.raises(Refused, match="was sent"):
        retry_mail(app, unsent, actor=ACTOR)
    with pytest.raises(Refused, match="there is no mail 'ML-9'"):
        retry_mail(app, "ML-9", actor=ACTOR)
    with pytest.raises(Refused, match="there is no mail 'ML-9'"):
        show_mail(app, "ML-9")
    assert entries() == before


def test_a_mail_that_was_sent_goes_once_more_where_that_is_asked_for(
    app: Application, unsent: str, entries: Entries
) -> None:
    app.settings.mail.directory.unlink()
    retry_mail(app, unsent, actor=ACTOR)
    (written,) = app.settings.mail.directory.glob("*.eml")
    written.unlink()
    sent = retry_mail(app, unsent, again=True, actor=ACTOR)
    assert (sent["status"], written.exists()) == ("sent", True)
    assert entries()[0]["before"]["status"] == "sent"


def test_mails_are_listed_newest_first_and_as_many_as_asked_for(app: Application) -> None:
    for _ in range(2):
        drive_run(app, submit_run(app, JOB, {}, actor=ACTOR).run_id)
    assert [mail["run_id"] for mail in list_mail(app)] == ["JR-00000002", "JR-00000001"]
    assert [mail["run_id"] for mail in list_mail(app, limit=1)] == ["JR-00000002"]


def test_a_mail_has_no_link_to_a_console_that_nobody_named(app: Application) -> None:
    drive_run(app, submit_run(app, JOB, {}, actor=ACTOR).run_id)
    assert show_mail(app, "ML-00000001")["facts"]["base_url"] is None
    assert "http://" not in preview_mail(app, JOB).as_string()


def test_a_mail_is_previewed_for_a_known_job_only(app: Application) -> None:
    assert "Draft usage rating" in preview_mail(app, JOB)["Subject"]
    with pytest.raises(Refused, match="there is no job named"):
        preview_mail(app, "nothing")
    assert list_mail(app) == []


def test_a_run_of_a_job_that_is_not_here_is_left_and_can_be_aborted_with_its_mail(app: Application) -> None:
    class Gone(BatchJob):
        """Known to the process that submits, not to the one that drives."""

        name = "gone"
        type = "Gone"

        def start(self, context: Any) -> list[Any]:
            return []

        def execute(self, scope: Any) -> None:
            raise AssertionError

    app.registry.add(Gone)
    run_id = submit_run(app, "gone", {}, actor=ACTOR).run_id
    without_it = make_application(app.settings, clock=app.clock)
    with pytest.raises(Refused, match="cannot be driven here: there is no job named 'gone'"):
        drive_run(without_it, run_id)
    assert abort_run(without_it, run_id, actor=ACTOR)["status"] == "Aborted"
    without_it.close()
    assert [mail["recipient"] for mail in list_mail(app)] == ["dana@example.com"]


class Named(BatchJob):
    """Knows more of its records than their keys."""

    name = "named"
    type = "Naming"

    def start(self, context: Any) -> list[Any]:
        return [Record(7)]

    def execute(self, scope: Any) -> None:
        scope.error(7, "bad", "bad")

    def record_ids(self, connection: Any, keys: Any) -> dict[int, str]:
        return {key: f"N-{key}" for key in keys}

    def record_facts(self, connection: Any, keys: Any) -> dict[int, dict[str, str]]:
        return {key: {"colour": "green"} for key in keys}


class Again(Named):
    """Says how it is retried."""

    name = "again"
    type = "Again"

    def retry_parameters(self, connection: Any, run: Any, keys: Any) -> dict[str, Any]:
        return {}


def test_a_job_that_does_not_say_how_it_is_retried_is_offered_for_it_nowhere(app: Application) -> None:
    app.registry.add(Named)
    run = drive_run(app, submit_run(app, "named", {}, actor=ACTOR).run_id)
    assert run["errored"] == 1
    shown = show_run(app, run["run_id"])
    assert shown["cannot_retry"] == "Naming does not say how it is retried"
    with pytest.raises(Refused, match=shown["cannot_retry"]):
        retry_run(app, run["run_id"], actor=ACTOR)
    units = {job["name"]: job["retry_unit"] for job in list_jobs(app)}
    assert (units["named"], units["usage-rating"]) == (None, "record")
    (letter,) = letters(app)
    assert "N-7" in letter
    assert "Retry" not in letter
    assert "runs retry" not in letter


def test_a_run_that_a_retry_would_take_says_so_and_one_that_waits_why_not(app: Application) -> None:
    app.registry.add(Again)
    waits = submit_run(app, "again", {}, actor=ACTOR).run_id
    assert "has not ended" in show_run(app, waits)["cannot_retry"]
    drive_run(app, waits)
    assert "cannot_retry" not in show_run(app, waits)
    (letter,) = letters(app)
    assert f"runs retry {waits}" in letter
    drive_run(app, retry_run(app, waits, actor=ACTOR).run_id)


class Guarded(Again):
    """May be run, and so retried, by few."""

    name = "guarded"
    type = "Guarded"
    required_role = "Billing Utilities Admin"


@pytest.mark.parametrize(
    ("role", "job", "offered"),
    [
        ("viewer", "again", False),
        ("operator", "again", True),
        ("operator", "guarded", False),
        ("Billing Utilities Admin", "guarded", True),
        ("disabled", "again", False),
        (None, "again", False),
    ],
)
def test_a_mail_offers_a_retry_to_whose_user_may_when_it_is_sent(
    app: Application, role: str | None, job: str, offered: bool
) -> None:
    app.registry.add(Again)
    app.registry.add(Guarded)
    add_user(app, "root@example.com", "administrator", os_user=ACTOR.os_user, actor=ACTOR)
    if role is not None:
        add_user(app, "eve@example.com", "viewer", actor=ACTOR)
    run = submit_run(app, job, {}, actor=ACTOR, notify=["Eve <Eve@Example.com>"], mail_actor=False)
    drive_run(app, run.run_id, mail=False)
    if role == "disabled":
        disable_user(app, "eve@example.com", actor=ACTOR)
    elif role not in (None, "viewer"):
        set_role(app, "eve@example.com", role, actor=ACTOR)
    assert app.mailer.send_due().sent == 1
    (letter,) = letters(app)
    (mail,) = list_mail(app)
    shown = read_message(app, mail["mail_id"]).as_string()
    assert [f"runs retry {run.run_id}" in one for one in (letter, shown)] == [offered, offered]


class Older(Named):
    """Does not take what the newer one is given."""

    def __init__(self, **parameters: Any) -> None:
        raise TypeError("unexpected")


@pytest.fixture(params=[None, Older], ids=["job not here", "parameters refused"])
def without_it(
    app: Application, clock: StandingClock, request: pytest.FixtureRequest
) -> Iterator[Application]:
    """Another process that cannot do `named`, after one that can has ended a run of it and sent no mail."""
    app.registry.add(Named)
    submitted = submit_run(app, "named", {}, actor=ACTOR, claim=True)
    app.dispatcher.work(submitted.claim.run)
    other = make_application(app.settings, clock=clock)
    if request.param is not None:
        other.registry.add(request.param)
    yield other
    other.close()


def letters(app: Application) -> list[str]:
    """The mails that were sent, as text."""
    return [file.read_text() for file in app.settings.mail.directory.glob("*.eml")]


@pytest.mark.on_both
def test_mail_of_records_is_left_to_who_has_the_job(app: Application, without_it: Application) -> None:
    report = without_it.mailer.send_due()
    assert (report.sent, report.waiting, [mail["attempts"] for mail in list_mail(app)]) == (0, 1, [0])
    assert app.mailer.send_due().sent == 1
    (letter,) = letters(app)
    assert "N-7" in letter
    assert "green" in letter


@pytest.mark.on_both
def test_after_an_hour_it_goes_without_what_the_job_knows(app: Application, without_it: Application) -> None:
    without_it.clock = StandingClock(NOW + LEFT_TO_OTHERS)
    assert without_it.mailer.send_due().sent == 1
    (letter,) = letters(app)
    assert "bad" in letter
    assert "N-7" not in letter
    assert "green" not in letter
