"""What a digest says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from batchwright.notifications.compose import Composer
from batchwright.notifications.digest import DIGEST_KIND, SHOWN_LATE, SHOWN_RUNS, Digest, digest_facts
from batchwright.notifications.outbox import Mail
from batchwright.notifications.records import Excerpt, RunRecords
from tests.notifications.making import LATE, LIMIT, NOW, facts

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
    assert digest.note == "4 runs more: the console has all."
    without = Digest(digest_facts([*runs, facts(run_id="JR-bad", base_url=None)]))
    assert without.note == "4 runs more: `batchwright runs list` has all."


def test_a_digest_leads_to_each_run_in_the_console_and_else_names_commands() -> None:
    at = "https://batch.example.com"
    _, text, html = parts_of(mail_of(facts(run_id="JR-1", **FINE), LATE))
    for link in (f"{at}/runs/JR-1", f"{at}/schedules/Rate%20usage", f"{at}/preferences"):
        assert f'href="{link}"' in html
    assert f"    {at}/schedules/Rate%20usage\n" in text
    assert text.index("Open the console") < text.index("Runs")
    assert "batchwright " not in text.replace("Batchwright", "")
    _, text, html = parts_of(mail_of(facts(run_id="JR-1", base_url=None, **FINE)))
    assert "batchwright runs show JR-1" in text
    assert "<a " not in html


def test_text_of_a_run_is_escaped_in_html() -> None:
    _, _, html = parts_of(mail_of(facts(type="<b>Job</b>", **FINE)))
    assert "<b>Job" not in html
    assert "&lt;b&gt;Job" in html


MISSED = LATE | {"late": "not_run", "count": 61, "run_id": None, "reason": "overlapped: JR-7 had not ended"}


def test_a_digest_tells_of_late_schedules_beside_its_runs() -> None:
    subject, text, html = parts_of(mail_of(facts(run_id="JR-1", **FINE), LATE, LATE, MISSED))
    assert subject == "Batchwright: 1 run, all complete; 1 schedule late or not run"
    for part in (" ".join(text.split()), html):
        assert "should have started by 2026-11-21 23:10:00 UTC, and had not." in part
        assert "were not started. Overlapped: JR-7 had not ended." in part
        assert "NOT RUN 61 times" in part


def test_a_digest_of_late_schedules_alone_is_about_no_run() -> None:
    subject, text, html = parts_of(mail_of(MISSED))
    assert subject == "Batchwright: 1 schedule late or not run"
    assert "batchwright schedules fires" not in text
    _, text, _ = parts_of(mail_of(MISSED | {"base_url": None}))
    assert "batchwright schedules fires 'Rate usage'" in text
    assert "Runs" not in html


def test_a_digest_of_very_many_late_times_lists_the_first_and_counts_the_rest() -> None:
    digest = Digest(digest_facts([LATE] * (SHOWN_LATE + 3)))
    assert len(digest.late) == SHOWN_LATE
    assert digest.late_note == "3 more: the page of each schedule has all."


def test_a_digest_recorded_before_schedules_came_into_it_is_still_made() -> None:
    environment = {k: v for k, v in digest_facts([facts(**FINE)]).items() if not k.startswith("late")}
    subject, _, _ = parts_of(replace(mail_of(facts()), facts=environment))
    assert subject == "Batchwright: 1 run, all complete"


def test_the_longest_digest_is_below_the_size_that_readers_cut_off() -> None:
    runs = [facts(run_id=f"JR-{n:08}", type="T" * 60, status="Failed") for n in range(SHOWN_RUNS)]
    _, _, html = parts_of(mail_of(*runs, *[LATE | {"schedule": "S" * 64}] * SHOWN_LATE))
    assert len(html.encode()) < 102_000
