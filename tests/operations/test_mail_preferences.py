"""Recipients choose: what is recorded at the end of a run, and the daily digest, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from batchwright.config.settings import operating_system_user
from batchwright.engine.errors import Refused
from batchwright.operations.access.users import add_user, disable_user, set_mail, set_role
from batchwright.operations.address_book import address_book
from batchwright.operations.app import Actor, Application, make_application
from batchwright.operations.mail import list_mail, retry_mail, send_due_mail
from batchwright.operations.runs.driving import drive_run
from batchwright.operations.runs.looking import show_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.views import View
from batchwright.operations.worker.digests import make_digests
from batchwright.testing.clock import StandingClock
from tests.support.application import ACTOR, NOW, make_settings
from tests.support.records import Books

Write = Callable[[Callable[[Books], Any]], Any]

ME = operating_system_user()
JOB = "draft-usage-rating"
DAY = timedelta(days=1)


@pytest.fixture
def tomorrow(app: Application, tmp_path: Path) -> Any:
    """The same database on the day after."""
    url = app.database.url.render_as_string(hide_password=False)
    later = make_application(make_settings(url, tmp_path), clock=StandingClock(NOW + DAY))
    yield later
    later.close()


def choose(app: Application, **choices: str) -> None:
    """Add a user for each name at example.com, with the mail they want."""
    add_user(app, "ada@example.com", "administrator", os_user=ME, actor=ACTOR)
    for name, mail in choices.items():
        add_user(app, f"{name}@example.com", "viewer", os_user=f"u-{name}", actor=ACTOR)
        set_mail(app, f"{name}@example.com", mail, actor=ACTOR)


def ended(app: Application, *notify: str, actor: Actor = ACTOR) -> View:
    """A run that has ended, as it is shown."""
    run_id = submit_run(app, JOB, {}, actor=actor, notify=notify).run_id
    drive_run(app, run_id)
    return show_run(app, run_id)


def mails(run: View) -> dict[str | None, str]:
    """Status by recipient."""
    return {mail["recipient"]: mail["status"] for mail in run["mails"]}


def test_a_run_without_an_error_is_mailed_to_those_who_want_it(app: Application) -> None:
    choose(app, all="always", bad="errors", none="never", day="digest")
    run = ended(
        app, "all@example.com", "bad@example.com", "none@example.com", "day@example.com", "x@example.com"
    )
    assert run["errored"] == 0
    assert mails(run) == {
        "dana@example.com": "sent",
        "all@example.com": "sent",
        "day@example.com": "for_digest",
        "x@example.com": "sent",
    }


def test_a_run_with_an_error_is_mailed_to_those_who_want_errors_only(app: Application, write: Write) -> None:
    choose(app, bad="errors", none="never")
    write(lambda books: books.usage_input(books.asset()))
    run = ended(app, "bad@example.com", "none@example.com")
    assert run["errored"] == 1
    assert mails(run) == {"dana@example.com": "sent", "bad@example.com": "sent"}


def test_an_actor_s_login_name_is_mapped_to_the_address_of_their_user(app: Application) -> None:
    choose(app, jane="always")
    set_role(app, "jane@example.com", "operator", actor=ACTOR)
    run = ended(app, actor=Actor("u-jane", ME))
    assert (mails(run), run["warnings"]) == ({"jane@example.com": "sent"}, [])
    run = ended(app, actor=Actor("u-nobody", ME))
    assert mails(run) == {None: "no_recipient"}
    assert [warning["code"] for warning in run["warnings"]] == ["no_recipient"]


def test_a_digest_holds_the_runs_of_the_day_and_is_sent_once_the_next_begins(
    app: Application, tomorrow: Application, tmp_path: Path
) -> None:
    choose(app, day="digest")
    first, second = (ended(app, "day@example.com") for _ in range(2))
    assert make_digests(app) == 0
    assert make_digests(tomorrow) == 1
    assert make_digests(tomorrow) == 0
    send_due_mail(tomorrow)
    newest = list_mail(app)[0]
    assert (newest["recipient"], newest["status"], newest["run_id"]) == ("day@example.com", "sent", None)
    written = (tmp_path / "mail" / f"{newest['mail_id']}.eml").read_text(encoding="utf-8")
    assert "Subject: Batchwright: 2 runs, all complete" in written
    assert first["run_id"] in written
    assert second["run_id"] in written
    assert mails(show_run(app, first["run_id"]))["day@example.com"] == "in_digest"


def test_who_is_named_in_several_ways_gets_one_digest(app: Application, tomorrow: Application) -> None:
    choose(app, day="digest")
    for written in ("day@example.com", "Day <Day@Example.com>", "day@EXAMPLE.com"):
        ended(app, written)
    assert make_digests(tomorrow) == 1
    newest = list_mail(app)[0]
    assert (newest["kind"], newest["recipient"]) == ("digest", "day@example.com")


def test_several_workers_make_a_digest_once(app: Application, tmp_path: Path) -> None:
    choose(app, day="digest", other="digest")
    ended(app, "day@example.com", "other@example.com")
    url = app.database.url.render_as_string(hide_password=False)
    workers = [
        make_application(make_settings(url, tmp_path), clock=StandingClock(NOW + 3 * DAY)) for _ in range(4)
    ]
    made: list[int] = []
    threads = [threading.Thread(target=lambda each=each: made.append(make_digests(each))) for each in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for worker in workers:
        worker.close()
    assert sorted(made) == [0, 0, 0, 2]
    assert sum(mail["run_id"] is None for mail in list_mail(app)) == 2


def test_what_waits_for_a_digest_is_not_sent_by_itself(app: Application) -> None:
    choose(app, day="digest")
    run = ended(app, "day@example.com")
    mail_id = next(mail["mail_id"] for mail in run["mails"] if mail["status"] == "for_digest")
    send_due_mail(app)
    assert mails(show_run(app, run["run_id"]))["day@example.com"] == "for_digest"
    with pytest.raises(Refused, match=r"is part of a daily digest of day@example\.com"):
        retry_mail(app, mail_id, actor=ACTOR)


def test_a_disabled_user_s_login_name_maps_to_no_address(app: Application) -> None:
    choose(app, jane="always")
    with app.database.read() as connection:
        assert address_book(connection, app.settings).addresses["u-jane"] == "jane@example.com"
    disable_user(app, "jane@example.com", actor=ACTOR)
    with app.database.read() as connection:
        assert "u-jane" not in address_book(connection, app.settings).addresses
