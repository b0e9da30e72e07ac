"""What a digest says."""

from __future__ import annotations

from pathlib import Path

from notifications.compose import Composer
from notifications.digest import DIGEST_KIND, SHOWN_RUNS, Digest, digest_facts
from notifications.outbox import Mail
from notifications.records import Excerpt, RunRecords
from tests.notifications.making import LIMIT, NOW, facts

EMPTY = RunRecords(errored=Excerpt(), processed=Excerpt())
FINE = {"errored": 0, "processed": 500}


def mail_of(*runs: dict[str, object]) -> Mail:
    return Mail(
        key=7,
        mail_id="ML-00000007",
        run_key=None,
        run_id=None,
        kind=DIGEST_KIND,
        recipient="jane@example.com",
        status="waiting",
        message_id="<m@example.com>",
        attempts=0,
        next_attempt_at=NOW,
        error=None,
        created_at=NOW,
        sent_at=None,
        facts=digest_facts(runs),
    )


def parts_of(mail: Mail, templates: Path | None = None) -> tuple[str, str, str]:
    """Subject, text and HTML of the message."""
    composer = Composer(sender="jobs@example.com", templates=templates, attachment_limit=LIMIT)
    message = composer.compose(mail, EMPTY, NOW)
    text, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    return str(message["Subject"]), text.get_content(), html.get_content()


def test_a_digest_lists_its_runs_those_in_trouble_first() -> None:
    subject, text, html = parts_of(
        mail_of(
            facts(run_id="JR-1", **FINE),
            facts(run_id="JR-2"),
            facts(run_id="JR-3", status="Failed", errored=0, error="no"),
        )
    )
    assert subject == "Batchwright: 3 runs, 2 in trouble"
    lines = [line.split() for line in text.splitlines() if line.startswith("  JR-")]
    assert [line[0] for line in lines] == ["JR-2", "JR-3", "JR-1"]
    assert "FAILED" in lines[1]
    assert "498 processed, 2 errored" in text
    assert "2026-11-21 23:05:12 UTC" in text
    assert html.index("JR-2") < html.index("JR-3") < html.index("JR-1")


def test_a_digest_of_one_good_run_says_so() -> None:
    subject, text, _ = parts_of(mail_of(facts(run_id="JR-1", **FINE)))
    assert subject == "Batchwright: 1 run, all complete"
    assert "postgresql+psycopg://db.example.com/billing" in text


def test_a_digest_of_very_many_runs_lists_the_first_and_counts_the_rest() -> None:
    runs = [facts(run_id=f"JR-{number}", **FINE) for number in range(SHOWN_RUNS + 3)]
    digest = Digest(digest_facts([*runs, facts(run_id="JR-bad")]))
    assert (len(digest.runs), digest.runs[0].run_id) == (SHOWN_RUNS, "JR-bad")
    assert digest.note == "4 runs more: `batchwright runs list` has all."


def test_text_of_a_run_is_escaped_in_html() -> None:
    _, _, html = parts_of(mail_of(facts(type="<b>Job</b>", **FINE)))
    assert "<b>Job" not in html
    assert "&lt;b&gt;Job" in html
