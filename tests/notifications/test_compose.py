"""What a mail says: it equals the facts, in text and HTML, and nothing from outside breaks out of its place."""

from __future__ import annotations

import re
from dataclasses import replace
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError

from batchwright.config.settings import MailSettings, Settings
from batchwright.engine.errors import Refused
from batchwright.notifications.compose import Composer
from batchwright.notifications.digest import digest_facts
from batchwright.notifications.humanize import count, grouped
from batchwright.notifications.preview import compose_preview
from batchwright.notifications.records import Excerpt, OutcomeSource, Row, RunRecords, gather
from batchwright.operations.announce import mail_domain
from tests.notifications.making import (
    ACCOUNT,
    LIMIT,
    NOW,
    TOKEN,
    composer,
    facts,
    mail,
    ordinary_source,
    row,
    source,
)
from tests.support.rungs import depth

_COMPOSER = composer()
EMPTY = RunRecords(errored=Excerpt(), processed=Excerpt())


def made(about: dict[str, Any], outcomes: OutcomeSource | None = None, limit: int = LIMIT) -> EmailMessage:
    records = gather(outcomes or ordinary_source(), "JR-00000042", limit)
    return _COMPOSER.compose(mail(about), records, NOW)


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    content: str = body.get_content()
    return content.replace("\r\n", "\n")


def html_of(message: EmailMessage) -> str:
    body = message.get_body(("html",))
    assert body is not None
    content: str = body.get_content()
    return content


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def read_html(message: EmailMessage) -> tuple[str, list[str]]:
    """The words of the HTML part, and its tags."""
    parser = _Words()
    parser.feed(html_of(message))
    return " ".join(" ".join(parser.said).split()), parser.tags


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ({}, "Draft usage rating completed: 498 processed, 2 errored (JR-00000042)"),
        (
            {"mode": "dry_run"},
            "Draft usage rating (dry run) completed: 498 processed, 2 errored (JR-00000042)",
        ),
        (
            {"status": "Failed", "not_reached": 100, "skipped": 3},
            "Draft usage rating FAILED: 498 processed, 2 errored, 3 skipped, 100 not reached (JR-00000042)",
        ),
        ({"status": "Aborted"}, "Draft usage rating ABORTED: 498 processed, 2 errored (JR-00000042)"),
        (
            {"total": 0, "processed": 0, "errored": 0},
            "Draft usage rating completed: nothing to process (JR-00000042)",
        ),
        (
            {"status": "Failed", "total": None, "processed": None, "errored": None},
            "Draft usage rating FAILED: nothing processed (JR-00000042)",
        ),
        ({"type": None}, "Draft usage rating completed: 498 processed, 2 errored (JR-00000042)"),
    ],
)
def test_the_subject_has_job_result_and_counts(changes: dict[str, Any], subject: str) -> None:
    assert made(facts(**changes))["Subject"] == subject


def test_the_headers_are_those_of_an_automatic_mail_about_this_run() -> None:
    message = made(facts())
    assert message["From"] == "Batchwright <batch@example.com>"
    assert message["To"] == "jane@example.com"
    assert message["Date"] == "Sat, 21 Nov 2026 23:05:12 +0000"
    assert message["Message-ID"] == "<one@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Batchwright-Run"] == "JR-00000042"


def test_both_parts_say_the_same_facts() -> None:
    message = made(facts())
    humanize, _ = read_html(message)
    for said in (text_of(message), humanize):
        for fact in (
            "Completed with 2 errors",
            "498 of 500 usage inputs processed, 2 with errors.",
            "Draft fee amount",
            "6000.00",
            "USD",
            "jane",
            "Forecast for the close",
            "2026-11-21 23:01:07 UTC",
            "2026-11-21 23:05:12 UTC",
            "4 minutes 5 seconds",
            "postgresql+psycopg://db.example.com/billing",
            "whole asset line items",
            "1 of 3 inputs was named",
            "what is wrong with 499",
            "IN-00000050",
            "50 of 498 shown",
            "2 of 2 shown",
        ):
            assert fact in " ".join(said.split())
        assert "IN-00000051" not in said
    assert "https://batch.example.com/runs/JR-00000042" in text_of(message)
    assert 'href="https://batch.example.com/runs/JR-00000042"' in html_of(message)


NO_CONSOLE: dict[str, Any] = {"base_url": None}


def test_a_mail_leads_into_the_console_where_there_is_one_and_else_names_the_commands() -> None:
    about = facts(skipped=1, error_note="Make it good: `batchwright usage-inputs reset`.")
    bad = ((), [row(1, "negative_quantity")])
    commands = (
        "batchwright runs show JR-00000042",
        "batchwright runs outcomes JR-00000042 --outcome error",
        "batchwright runs outcomes JR-00000042 --outcome skipped",
        "batchwright runs retry JR-00000042",
        "batchwright usage-inputs edit ID --quantity N",
        "batchwright usage-inputs reset",
    )
    there, without = made(about, source(*bad)), made(about | NO_CONSOLE, source(*bad))
    for said in (text_of(there), read_html(there)[0]):
        assert "batchwright " not in said
        assert "Correct it with Edit on the page of the input" in " ".join(said.split())
        assert "Make it good: Reset on the page of the input." in " ".join(said.split())
    for said in (text_of(without), read_html(without)[0]):
        assert [one for one in commands if one not in " ".join(said.split())] == []


def test_the_run_is_opened_near_the_top_before_any_figure() -> None:
    message = made(facts())
    for said, figure in ((text_of(message), "Total"), (html_of(message), "Counts")):
        assert said.index("Open the run") < said.index(figure)
    assert "Open the run" not in text_of(made(facts(**NO_CONSOLE)))


@pytest.mark.parametrize("base_url", [None, "https://batch.example.com"])
def test_a_reader_who_may_not_retry_the_run_is_not_told_to(base_url: str | None) -> None:
    may, may_not = (
        made(facts(base_url=base_url, may_retry=may, error_note="It stays.")) for may in (True, False)
    )
    for part in (text_of, html_of):
        assert ("/retry" if base_url else "runs retry") in part(may)
        assert "retry" not in part(may_not).lower()
        assert "It stays." in part(may_not)
    assert ("Retry errors" in html_of(may)) == bool(base_url)


def test_a_job_that_has_no_retry_offers_none_and_still_says_what_to_do() -> None:
    said = text_of(made(facts(cannot_retry="It does not say how it is retried")))
    assert "retry" not in said.lower()
    assert "The price book has no price" in " ".join(said.split())


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"customer_id": "C-1", "customer_name": "A <b> & Co"}, "A <b> & Co (C-1)"),
        ({"customer_id": "C-1", "customer_name": None}, "C-1"),
        ({"customer_name": "A <b> & Co"}, "A <b> & Co"),
    ],
)
def test_an_error_says_whose_record_it_is_where_that_is_known(
    columns: dict[str, str | None], said: str
) -> None:
    message = made(facts(), source((), [row(1, "no_price", **columns)]))
    lines = [line.strip() for line in text_of(message).splitlines()]
    assert said in lines
    assert f"<br>{said.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')}<br>" in html_of(
        message
    )
    assert "customer name" not in text_of(message)


def test_each_error_code_present_has_its_remedy_and_no_other() -> None:
    said = " ".join(text_of(made(facts())).split())
    assert "no_price (1 usage input)" in said
    assert "The price book has no price" in said
    assert "no_tier (1 usage input)" in said
    assert "unit of the input" not in said


def test_a_dry_run_says_that_nothing_was_changed_and_offers_no_retry() -> None:
    said = text_of(made(facts(mode="dry_run") | NO_CONSOLE))
    assert "This was a dry run: nothing was changed." in said
    assert "batchwright runs preview JR-00000042" in said
    assert "runs retry" not in said
    there = text_of(made(facts(mode="dry_run")))
    assert "https://batch.example.com/runs/JR-00000042/preview" in there
    assert "/retry" not in there


def test_a_failed_run_says_why_and_what_was_not_reached() -> None:
    said = text_of(made(facts(status="Failed", error="The error ceiling of 2 was reached", not_reached=100)))
    assert "The error ceiling of 2 was reached" in said
    assert "100 not reached" in said
    assert "outcome=not_reached" in said


def test_a_run_without_errors_needs_nothing_done() -> None:
    values = facts(total=498, errored=0, warnings=[])
    said = text_of(made(values, source([row(n) for n in range(498)])))
    assert "What to do next" not in said
    assert "Errored usage inputs" not in said


def test_mail_that_is_only_written_to_files_says_so() -> None:
    assert "Mail is only written to files here" in " ".join(
        text_of(made(facts(mail_only_to_files=True))).split()
    )


def test_only_four_facts_are_needed() -> None:
    bare_address = {"run_id": "JR-00000042", "job": "sweep-up", "status": "Completed", "mode": "batch"}
    message = made(bare_address, source())
    assert message["Subject"] == "Sweep up completed: nothing processed (JR-00000042)"
    assert "The run ended before its records were counted." in text_of(message)


def test_beyond_the_attachment_limit_the_mail_names_the_command_instead() -> None:
    message = made(facts(**NO_CONSOLE), limit=1_000)
    assert [part.get_filename() for part in message.iter_attachments()] == ["errored.csv"]
    said = " ".join(text_of(message).split())
    assert (
        "50 of 498 shown; too many to attach; "
        "`batchwright runs outcomes JR-00000042 --outcome ok --format csv` fetches all." in said
    )
    there = made(facts(), limit=1_000)
    all_of_them = "https://batch.example.com/runs/JR-00000042/outcomes?outcome=ok"
    assert f"\n  {all_of_them}\n" in text_of(there)
    assert re.search(rf'href="{re.escape(all_of_them)}"[^>]*>See all</a>', html_of(there))


def test_what_comes_from_outside_is_escaped_in_html_and_plain_in_text() -> None:
    evil = "<script>alert('1')</script> & \"more\""
    message = made(
        facts(reason=evil, actor=evil, error=evil),
        source((), [row(1, "no_price", message=evil, record_id=evil)]),
    )
    _, tags = read_html(message)
    assert "script" not in tags
    assert "&lt;script&gt;" in html_of(message)
    assert evil in text_of(message)


def test_line_breaks_from_outside_do_not_forge_lines_of_the_text() -> None:
    message = made(facts(reason="good\n\nTotals\n------\n  Draft fee amount  USD  1.00"))
    assert text_of(message).count("\nTotals\n") == 1


def test_the_html_can_be_read_on_a_phone_and_in_the_dark() -> None:
    html = html_of(made(facts()))
    _, tags = read_html(made(facts()))
    assert 'name="viewport"' in html
    assert 'name="color-scheme" content="light dark"' in html
    assert "@media (prefers-color-scheme: dark)" in html
    assert tags.count("h1") == 1
    assert "h2" in tags
    assert not re.search(r"(src|href)=\"https?://(?!batch\.example\.com)", html)


def test_the_html_is_below_the_size_that_readers_cut_off() -> None:
    long = "x" * 300
    errored = [row(n, "no_price", message=long) for n in range(60)]
    warnings = [{"code": "w", "message": long, "record_id": f"ALI-{n}"} for n in range(100)]
    message = made(facts(warnings=warnings, errored=60), source([row(n) for n in range(60)], errored))
    assert len(html_of(message).encode()) < 102_000
    assert "20 of 100 shown" in text_of(message)


def test_no_line_on_the_wire_is_longer_than_smtp_carries() -> None:
    errored = [row(1, "no_price", message="ä" * 5_000, asset_line_item_id="A" * 2_000)]
    content = made(facts(), source((), errored)).as_bytes()
    assert max(len(line) for line in content.split(b"\r\n")) <= 998


def test_a_plain_text_part_is_sent_as_it_reads() -> None:
    assert b"498 of 500 usage inputs processed, 2 with errors." in made(facts()).as_bytes()


@pytest.mark.parametrize("recipient", ["jane@example.com\r\nBcc: all@example.com", "a@b.c, d@e.f", ""])
def test_a_recipient_that_would_forge_a_header_is_refused(recipient: str) -> None:
    records = gather(ordinary_source(), "JR-00000042", LIMIT)
    with pytest.raises(Refused):
        _COMPOSER.compose(mail(facts(), recipient), records, NOW)


def test_a_subject_with_a_line_break_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run_ended.subject").write_text("one\nBcc: all@example.com\n")
    records = gather(ordinary_source(), "JR-00000042", LIMIT)
    with pytest.raises(Refused, match="line break"):
        composer(tmp_path).compose(mail(facts()), records, NOW)


def test_a_line_break_in_a_fact_does_not_reach_the_subject() -> None:
    subject = made(facts(type="Draft\r\nBcc: all@example.com"))["Subject"]
    assert subject.startswith("Draft Bcc: all@example.com completed")


def test_names_in_any_script_arrive() -> None:
    records = gather(ordinary_source(), "JR-00000042", LIMIT)
    message = _COMPOSER.compose(mail(facts(actor="Jörg"), "Jörg Müller <jm@example.com>"), records, NOW)
    assert b"=?utf-8?" in message.as_bytes()
    assert message["To"].addresses[0].display_name == "Jörg Müller"
    assert "Jörg" in text_of(message)


def test_a_template_of_ones_own_goes_before_ours_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "run_ended.subject").write_text("[billing] {{ run.run_id }} {{ run.badge }}\n")
    records = gather(ordinary_source(), "JR-00000042", LIMIT)
    message = composer(tmp_path).compose(mail(facts()), records, NOW)
    assert message["Subject"] == "[billing] JR-00000042 Completed with 2 errors"
    assert "What to do next" in text_of(message)


def test_the_frame_of_all_mails_stands_in_one_template(tmp_path: Path) -> None:
    (tmp_path / "frame.html").write_text("<h6>Ours</h6>{% block title %}{% endblock %}")
    late = {
        "schedule": "N",
        "job": "j",
        "late": "not_run",
        "nominal_time": "2026-11-21T23:00:00Z",
        "reason": "r",
    }
    kinds = {
        "run_ended": facts(),
        "schedule_late": late,
        "digest": digest_facts([facts()]),
        "token_expires": TOKEN,
        "account": ACCOUNT,
    }
    for kind, facts_of in kinds.items():
        records = gather(ordinary_source(), "JR-00000042", LIMIT)
        html = html_of(composer(tmp_path).compose(replace(mail(facts_of), kind=kind), records, NOW))
        assert "Ours</h6>" in html
        assert "See more" not in html


def test_a_mail_about_a_token_says_until_when_it_is_good_and_how_to_replace_it() -> None:
    message = composer().compose(replace(mail(TOKEN), kind="token_expires"), EMPTY, NOW)
    assert message["Subject"] == "Token nightly & <b> expires on 2026-12-01"
    text = text_of(message)
    assert "expires at 2026-12-01 23:00:00 UTC: a program" in text.replace("\n", " ")
    assert "batchwright users token jane@example.com --role 'Billing Utilities Admin'" in text
    assert "batchwright users revoke-token jane@example.com 'nightly & <b>'" in text
    assert "nightly &amp; &lt;b&gt;" in html_of(message)
    there = {**TOKEN, "base_url": "https://batch.example.com/"}
    message = composer().compose(replace(mail(there), kind="token_expires"), EMPTY, NOW)
    for part in (text_of(message), html_of(message)):
        assert "https://batch.example.com/preferences" in part
        assert "Ask an administrator for another" in part.replace("\n", " ")
        assert "batchwright users" not in part
        assert "/users/" not in part
    message = composer().compose(
        replace(mail({**there, "may_administer": True}), kind="token_expires"), EMPTY, NOW
    )
    for part in (text_of(message), html_of(message)):
        assert "https://batch.example.com/users/jane%40example.com" in part
        assert "Make another" in part.replace("\n", " ")
    about = {**TOKEN, "expired": True, "last_used_at": None, "role": None, "prefix": None}
    message = composer().compose(replace(mail(about), kind="token_expires"), EMPTY, NOW)
    assert message["Subject"] == "Token nightly & <b> EXPIRED on 2026-12-01"
    assert "never used, so perhaps nobody needs it" in text_of(message).replace("\n", " ")


@pytest.mark.parametrize(
    ("values", "subject", "said"),
    [
        ({}, "Set another password", "It is good once, for one hour."),
        ({"link": None}, "Set another password", "Your user is disabled, so there is none."),
        (
            {"event": "after_failures", "failures": 1_200, "link": None},
            "Somebody signed in as you after failed tries",
            "after 1200 tries that failed",
        ),
        (
            {"event": "password_changed", "link": None, "mail_only_to_files": True},
            "Your password was changed",
            "Mail is only written to files here",
        ),
    ],
)
def test_a_mail_about_an_account_says_what_happened_and_what_to_do(
    values: dict[str, Any], subject: str, said: str
) -> None:
    facts_of = ACCOUNT | values
    message = composer().compose(replace(mail(facts_of), kind="account"), EMPTY, NOW)
    assert message["Subject"] == subject
    assert said in " ".join(text_of(message).split())
    assert "Browser &lt;b&gt;" in html_of(message)
    for part in (text_of(message), html_of(message)):
        assert ("https://b.example.com/reset?code=x-y_z" in part) is (facts_of["link"] is not None)


def test_a_whole_template_of_ones_own_needs_no_frame(tmp_path: Path) -> None:
    (tmp_path / "run_ended.html").write_text(
        "<style>{% include 'run_ended.css' %}</style><h1 class='title'>{{ run.title }}</h1>"
    )
    records = gather(ordinary_source(), "JR-00000042", LIMIT)
    html = html_of(composer(tmp_path).compose(mail(facts()), records, NOW))
    assert "Draft usage rating</h1>" in html
    assert "font-size" in html
    assert "See more" not in html


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_a_late_run_says_its_local_time_where_that_is_another(zone: str) -> None:
    values = {
        "schedule": "a" * 64,
        "job": "draft-usage-rating",
        "late": "not_started",
        "nominal_time": "2026-11-21T23:00:00.000Z",
        "by": "2026-11-21T23:10:00.000Z",
        "time_zone": zone,
        "local_time": "2026-11-22T00:00:00+01:00",
    }
    message = composer().compose(replace(mail(values), kind="schedule_late"), EMPTY, NOW)
    assert ("2026-11-22 00:00:00 Europe/Berlin" in text_of(message)) == (zone != "UTC")
    assert ("Local time" in html_of(message)) == (zone != "UTC")


def test_a_template_that_asks_for_what_is_not_there_is_a_fault_and_not_a_blank(tmp_path: Path) -> None:
    (tmp_path / "run_ended.txt").write_text("{{ run.no_such_thing }}")
    records = gather(ordinary_source(), "JR-00000042", LIMIT)
    with pytest.raises(UndefinedError, match="no_such_thing"):
        composer(tmp_path).compose(mail(facts()), records, NOW)


def test_a_mail_leads_to_the_errors_by_code_to_the_inputs_and_to_the_page_of_the_retry() -> None:
    message = made(facts())
    at = "https://batch.example.com"
    run = f"{at}/runs/JR-00000042"
    text, html = text_of(message), html_of(message)
    for link in (f"{run}/outcomes?outcome=error&code=no_price", f"{run}/retry", f"{at}/preferences"):
        assert link in text
        assert link.replace("&", "&amp;") in html
    assert f'href="{at}/usage-inputs/IN-00000499"' in html
    assert "/usage-inputs/" not in html_of(made(facts(record_noun="charge")))
    without = made(facts(base_url=None))
    assert "http" not in text_of(without)
    assert "<a " not in html_of(without)


def test_a_mail_names_the_label_of_its_database() -> None:
    message = made(facts(label="Production"))
    assert str(message["Subject"]).startswith("[Production] ")
    assert "Production (postgresql+psycopg://db.example.com/billing)" in text_of(message)


def test_a_preview_of_any_job_is_a_whole_mail() -> None:
    message = compose_preview(
        composer(),
        job="sweep-up",
        type="Sweep up",
        now=NOW,
        base_url="https://batch.example.com",
        database="sqlite:///x.db",
    )
    assert message["Subject"] == "Sweep up completed: 498 processed, 2 errored (JR-00000000)"
    assert [part.get_filename() for part in message.iter_attachments()] == ["processed.csv", "errored.csv"]
    assert "This run never was." in text_of(message)


_currencies = st.sampled_from(["USD", "EUR", "JPY", "KWD"])
_amounts = st.decimals(-(10**12), 10**12, places=2).map(str)
_rows = st.lists(st.sampled_from(["ok", "no_price", "no_tier", "unforeseen"]), max_size=120)


@settings(max_examples=depth(15, 40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kinds=_rows,
    skipped=st.integers(0, 10**7),
    not_reached=st.integers(0, 10**7),
    totals=st.dictionaries(
        st.sampled_from(["draft_fee_amount", "rated_amount"]),
        st.dictionaries(_currencies, _amounts, min_size=1),
    ),
    status=st.sampled_from(["Completed", "Failed", "Aborted"]),
)
def test_counts_and_totals_of_the_message_equal_the_facts(
    kinds: list[str], skipped: int, not_reached: int, totals: dict[str, dict[str, str]], status: str
) -> None:
    processed: list[Row] = [row(n) for n, kind in enumerate(kinds) if kind == "ok"]
    errored: list[Row] = [row(n, kind) for n, kind in enumerate(kinds) if kind != "ok"]
    numbers = {
        "Total": len(kinds) + skipped + not_reached,
        "Processed": len(processed),
        "Errored": len(errored),
        "Skipped": skipped,
        "Not reached": not_reached,
    }
    values = facts(
        status=status, totals=totals, **{name.lower().replace(" ", "_"): n for name, n in numbers.items()}
    )
    message = made(values, source(processed, errored))
    text, (humanize, _) = text_of(message), read_html(message)
    for label, number in numbers.items():
        assert re.search(rf"^  {label} +{re.escape(count(number))}$", text, re.MULTILINE)
        assert f"{label} {count(number)} " in humanize
    for name, amounts in totals.items():
        label = name.replace("_", " ").capitalize()
        for currency, amount in amounts.items():
            line = rf"^  {label} +{currency} +{re.escape(grouped(amount))}$"
            assert re.search(line, text, re.MULTILINE)
            assert f"{label} {grouped(amount)} {currency} " in humanize
    assert len(re.findall(r"^  IN-\d+  ", text, re.MULTILINE)) == min(50, len(processed)) + min(
        50, len(errored)
    )
    for code in ("no_price", "no_tier", "unforeseen"):
        number = kinds.count(code)
        assert (f"{code} ({number} usage input" in " ".join(text.split())) == (number > 0)
    files = {part.get_filename(): part.get_content() for part in message.iter_attachments()}
    for name, rows in (("processed.csv", processed), ("errored.csv", errored)):
        assert (files[name].count("\n") - 1 if rows else 0) == len(rows)


def test_what_the_job_says_of_its_errors_stands_beside_the_retry_where_there_are_any() -> None:
    note = "They stay Rated, with the amount they had."
    assert note in text_of(made(facts(error_note=note)))
    assert note in html_of(made(facts(error_note=note)))
    for without in ({"errored": 0}, {"mode": "dry_run"}):
        assert note not in text_of(made(facts(error_note=note, **without)))


@pytest.mark.parametrize(
    ("recorded", "sent"),
    [
        ("<one@müller.example>", "<one@xn--mller-kva.example>"),
        ("<one@℀.com>", "<one@localhost>"),
        ("<one@example.com>", "<one@example.com>"),
    ],
)
def test_a_message_id_that_was_recorded_with_a_domain_in_another_script_leaves_in_ascii(
    recorded: str, sent: str
) -> None:
    recorded_mail = replace(mail(facts()), message_id=recorded)
    made = composer().compose(recorded_mail, gather(source(), "JR-00000042", LIMIT), NOW)
    assert f"Message-ID: {sent}\r\n".encode() in made.as_bytes()


def test_a_sender_at_a_domain_in_another_script_has_its_ascii_form() -> None:
    sender = "Batch <batch@müller.example>"
    made = Composer(sender=sender, templates=None, attachment_limit=LIMIT).compose(
        mail(facts()), gather(source(), "JR-00000042", LIMIT), NOW
    )
    assert b"From: Batch <batch@xn--mller-kva.example>\r\n" in made.as_bytes()
    assert mail_domain(Settings(mail=MailSettings(sender=sender))) == "xn--mller-kva.example"
