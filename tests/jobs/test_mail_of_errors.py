"""What the mail of each job says of the usage inputs that errored."""

from __future__ import annotations

import csv
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default

import pytest

from batchwright.operations.app import Application
from batchwright.operations.billing.usage_inputs import edit_usage_input
from batchwright.operations.mail import list_mail, preview_mail, retry_mail, show_mail
from batchwright.operations.runs.looking import run_outcomes
from batchwright.operations.views import View
from tests.jobs.company import Company
from tests.jobs.conftest import Write
from tests.jobs.drafting import draft
from tests.jobs.rating import rate
from tests.support.application import ACTOR


@pytest.mark.parametrize(
    ("job", "said", "not_said"),
    [
        (draft, "it needs no reset", "leaves it alone"),
        (rate, "leaves it alone until `batchwright usage-inputs reset`", "forecast"),
    ],
)
def test_a_mail_says_how_errored_inputs_are_taken_up_again_by_that_job(
    app: Application, write: Write, job: Callable[..., View], said: str, not_said: str
) -> None:
    write(lambda books: books.used(books.metered(), "bad", "06-05", "-1"))
    run = job(app, notify=["eve@example.com"])
    (mail,) = (one for one in list(list_mail(app)) if one["run_id"] == run["run_id"])
    note = show_mail(app, mail["mail_id"])["facts"]["error_note"]
    assert said in note
    assert not_said not in note


def test_the_preview_of_a_mail_has_the_words_of_its_job(app: Application) -> None:
    text = preview_mail(app, "data-recalculation").get_body(("plain",))
    assert text is not None
    assert "stays Rated, with the amount it had" in " ".join(text.get_content().split())


@pytest.mark.on_both
def test_a_late_mail_has_outcomes_and_amounts_of_its_run_and_marks_what_was_edited_since(
    app: Application, write: Write
) -> None:
    def fill(books: Company) -> None:
        asset = books.metered()
        for name, quantity in (("kept", "5"), ("edited", "10"), ("bad", "-1")):
            books.used(asset, name, "06-05", quantity)

    write(fill)
    folder = app.settings.mail.directory
    folder.write_text("in the way")
    run = draft(app, notify=["eve@example.com"], mail_actor=False)
    amounts = {row["record_id"]: row["amount"] for row in run_outcomes(app, run["run_id"])}
    (mail,) = list_mail(app)
    assert mail["status"] == "waiting"
    edit_usage_input(app, "edited", quantity="20", actor=ACTOR)
    edit_usage_input(app, "bad", quantity="7", usage_date="2023-06-06", actor=ACTOR)
    edit_usage_input(app, "kept", description="more is known", actor=ACTOR)
    folder.unlink()
    retry_mail(app, mail["mail_id"], actor=ACTOR)
    message = message_from_bytes((folder / f"{mail['mail_id']}.eml").read_bytes(), policy=default)
    rows = {
        row["record_id"]: row
        for part in message.iter_attachments()
        for row in csv.DictReader(part.get_content().splitlines())
    }
    assert {name: row["amount"] or None for name, row in rows.items()} == amounts
    assert {
        name: (row["outcome"], row["code"], row["quantity"], row["usage_date"]) for name, row in rows.items()
    } == {
        "kept": ("ok", "", "5.00", "2023-06-05"),
        "edited": ("ok", "", "20.00 (edited since)", "2023-06-05"),
        "bad": ("error", "negative_quantity", "7.00 (edited since)", "2023-06-06 (edited since)"),
    }
    body = message.get_body(("plain",))
    assert body is not None
    assert "20.00 (edited since)" in " ".join(body.get_content().split())
    # On the terminal it is what is so now.
    now = run_outcomes(app, run["run_id"], with_facts=True)
    assert {row["record_id"]: row["quantity"] for row in now}["edited"] == "20.00"
