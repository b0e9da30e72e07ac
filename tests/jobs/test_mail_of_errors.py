"""What the mail of each job says of the usage inputs that errored."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batchwright.operations.app import Application
from batchwright.operations.mail import list_mail, preview_mail, show_mail
from batchwright.operations.views import View
from tests.jobs.conftest import Write
from tests.jobs.drafting import draft
from tests.jobs.rating import rate


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
