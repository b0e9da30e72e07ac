"""Acts on records: usage inputs, billing schedules, mail, the database, imports."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from batchwright.config.settings import operating_system_user
from tests.cli.conftest import PROGRAM, Batchwright, error_of, place_of
from tests.support.scripted_smtp import SILENCE, ScriptedSmtp

ADD = [
    "usage-inputs",
    "add",
    "--asset-line-item",
    "ALI-0001",
    "--usage-date",
    "2023-06-12",
    "--product-uom",
    "Each",
]


def answer(batchwright: Batchwright, *words: str, code: int = 0) -> Any:
    result = batchwright(*words, "--json")
    assert result.exit_code == code, result.stderr
    return json.loads(result.stdout)


def last_entry(batchwright: Batchwright) -> dict[str, Any]:
    entry: dict[str, Any] = answer(batchwright, "audit", "list", "--limit", "1")[0]
    return entry


def test_an_input_is_added_edited_and_deleted_each_with_an_audit_entry(
    company: str, batchwright: Batchwright
) -> None:
    added = answer(batchwright, *ADD, "--quantity", "5", "--description", "Meter 7", "--reason", "late")
    assert (added["status"], added["quantity"], added["description"]) == ("Loaded", "5.00", "Meter 7")
    entry = last_entry(batchwright)
    assert (entry["act"], entry["reason"]) == ("usage_input.add", "late")
    assert (entry["actor"], entry["os_user"]) == ("erika", operating_system_user())
    an_id = added["usage_input_id"]
    edited = answer(batchwright, "usage-inputs", "edit", an_id, "--quantity", "7.5", "--actor", "max")
    assert edited["quantity"] == "7.50"
    assert last_entry(batchwright)["actor"] == "max"
    assert answer(batchwright, "usage-inputs", "delete", an_id) == {"deleted": [an_id]}
    assert last_entry(batchwright)["act"] == "usage_input.delete"
    assert batchwright("usage-inputs", "show", an_id).exit_code == 2


def test_what_a_filter_matches_is_reset_and_deleted_with_an_outcome_for_each(
    rated: str, batchwright: Batchwright
) -> None:
    reset = answer(batchwright, "usage-inputs", "reset", "--where", "code=no_price", "--reason", "priced")
    assert (reset["job"], reset["reason"]) == ("usage-input-reset", "priced")
    assert {row["outcome"] for row in reset["outcomes"]} == {"ok"}
    where = "asset_line_item_id=ALI-0001"
    rerated = answer(batchwright, "run", "usage-rating", "--where", where, "--no-mail")
    assert (rerated["total"], rerated["processed"]) == (2, 2)
    deleted = answer(batchwright, "usage-inputs", "delete", "--where", where)
    assert {row["code"] for row in deleted["outcomes"]} == {"not_eligible"}
    assert batchwright("usage-inputs", "reset", "IN-1", "--where", where).exit_code == 2


def test_acts_say_in_words_what_was_done(rated: str, batchwright: Batchwright) -> None:
    added = batchwright(*ADD, "--quantity", "5", "--id", "MINE-1").stdout
    assert added.splitlines()[0].split() == ["Input", "id", "MINE-1"]
    assert batchwright("usage-inputs", "delete", "MINE-1").stdout == "Deleted 1 usage input: MINE-1\n"
    assert (
        batchwright("usage-inputs", "reset", "--status", "Error").stdout
        == "Reset 10 usage inputs to Loaded.\n"
    )
    moved = batchwright(
        "billing-schedules", "set-status", "BS-01311820", "BS-01311821", "--status", "invoiced"
    )
    assert moved.stdout == "Set 2 billing schedules to Invoiced.\n"
    again = batchwright("billing-schedules", "set-status", "BS-01311820", "--status", "invoiced")
    assert again.stdout == "Set 0 billing schedules to Invoiced.\nInvoiced already: BS-01311820\n"


def test_billing_schedules_move_on_by_a_day_or_a_file_after_their_numbers_were_said(
    company: str, batchwright: Batchwright
) -> None:
    look = ("billing-schedules", "list", "--ready-by", "2023-07-01", "--status", "pending_billing")
    move = ("billing-schedules", "set-status", "--ready-by", "2023-07-01", "--status", "Pending Invoice")
    ready = [row["billing_schedule_id"] for row in answer(batchwright, *look)]
    number = f"{len(ready)} billing schedules"

    output = batchwright(*move, "--dry-run").stdout.splitlines()
    assert output[:2] == [f"To Pending Invoice: {number}", f"  from Pending Billing: {len(ready)}"]
    assert answer(batchwright, *move, "--dry-run")["moving"] == len(ready)
    assert [row["billing_schedule_id"] for row in answer(batchwright, *look)] == ready

    done = batchwright(*move).stdout.splitlines()
    assert done == [*output[:-1], f"Set {number} to Pending Invoice."]
    assert answer(batchwright, *look) == []
    ids = "\n".join(ready)
    back = ("billing-schedules", "set-status", "--ids-from", "-", "--status", "pending_billing", "--json")
    assert json.loads(batchwright(*back, stdin=ids).stdout) == {"moved": ready, "untouched": []}


def test_inputs_in_error_are_reset_by_id_by_code_and_from_a_file(
    rated: str, batchwright: Batchwright
) -> None:
    errored = {
        row["code"]: row["record_id"]
        for row in answer(batchwright, "runs", "outcomes", rated, "--outcome", "error")
    }
    by_code = answer(batchwright, "usage-inputs", "reset", "--status", "Error", "--code", "no_tier")
    assert by_code["reset"] == [errored["no_tier"]]
    assert answer(batchwright, "usage-inputs", "reset", errored["no_price"])["reset"] == [errored["no_price"]]
    lines = f"{errored['no_contract']}\n{errored['no_price']}\n"
    result = batchwright("usage-inputs", "reset", "--ids-from", "-", "--json", stdin=lines)
    assert json.loads(result.stdout) == {
        "reset": [errored["no_contract"]],
        "untouched": [errored["no_price"]],
    }


def test_a_mail_that_was_written_is_listed_shown_and_not_sent_twice(
    rated: str, batchwright: Batchwright
) -> None:
    listed = answer(batchwright, "mail", "list")
    assert [(mail["recipient"], mail["status"], mail["run_id"]) for mail in listed] == [
        ("erika@example.com", "sent", rated)
    ]
    assert answer(batchwright, "mail", "show", "ML-00000001")["facts"]["run_id"] == rated
    result = batchwright("mail", "retry", "ML-00000001", "--json")
    assert result.exit_code == 2
    assert error_of(result)["field"] == "mail_id"


def test_mail_waits_while_the_server_is_down_and_a_retry_delivers_it(
    company: str, batchwright: Batchwright, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHWRIGHT_MAIL__TRANSPORT", "smtp")
    monkeypatch.setenv("BATCHWRIGHT_MAIL__SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("BATCHWRIGHT_MAIL__SMTP_PORT", "1")
    ran = batchwright("run", "draft-usage-rating", "--asset-line-item", "ALI-0001")
    assert ran.exit_code == 0
    assert "ML-00000001 to erika@example.com is waiting" in ran.stdout
    assert "ML-00000001" in batchwright("mail", "list", "--status", "waiting").stdout
    assert batchwright("mail", "list", "--status", "failed", "--json").stdout == "[]\n"
    monkeypatch.delenv("BATCHWRIGHT_MAIL__TRANSPORT")
    refused = batchwright("mail", "retry", "ML-00000001", "--json")
    assert (refused.exit_code, error_of(refused)["field"]) == (2, "mail_id")
    monkeypatch.setenv("BATCHWRIGHT_MAIL__TRANSPORT", "smtp")
    with ScriptedSmtp() as server:
        monkeypatch.setenv("BATCHWRIGHT_MAIL__SMTP_PORT", str(server.port))
        assert answer(batchwright, "mail", "retry", "ML-00000001")["status"] == "sent"
    assert len(server.messages) == 1
    assert not (working_directory / "mail").exists()


def test_a_command_sends_the_mail_of_its_own_run_and_the_rest_goes_when_asked(
    company: str, batchwright: Batchwright, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHWRIGHT_MAIL__TRANSPORT", "smtp")
    monkeypatch.setenv("BATCHWRIGHT_MAIL__SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("BATCHWRIGHT_MAIL__SMTP_PORT", "1")
    rate = ("run", "draft-usage-rating", "--asset-line-item", "ALI-0001")
    batchwright(*rate)
    batchwright("runs", "abort", batchwright(*rate, "--enqueue").stdout.strip())
    with ScriptedSmtp() as server:
        monkeypatch.setenv("BATCHWRIGHT_MAIL__SMTP_PORT", str(server.port))
        assert "ML-00000003 to erika@example.com\n" in batchwright(*rate).stdout
        waiting = answer(batchwright, "mail", "list", "--status", "waiting")
        assert [mail["mail_id"] for mail in waiting] == ["ML-00000002", "ML-00000001"]
        retried = answer(batchwright, "mail", "retry", "--status", "waiting")
        assert [(mail["mail_id"], mail["status"]) for mail in retried] == [
            ("ML-00000001", "sent"),
            ("ML-00000002", "sent"),
        ]
    assert len(server.messages) == 3
    assert answer(batchwright, "mail", "retry", "--status", "failed") == []
    assert batchwright("mail", "retry").exit_code == 2
    assert batchwright("mail", "retry", "ML-00000001", "--status", "failed").exit_code == 2


def test_a_command_gives_a_mail_server_some_seconds_at_most(
    company: str, batchwright: Batchwright, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchwright.operations.mail.SECONDS_FOR_MAIL", 0.3)
    monkeypatch.setenv("BATCHWRIGHT_MAIL__TRANSPORT", "smtp")
    with ScriptedSmtp(RCPT=SILENCE) as server:
        monkeypatch.setenv("BATCHWRIGHT_MAIL__SMTP_HOST", server.host)
        monkeypatch.setenv("BATCHWRIGHT_MAIL__SMTP_PORT", str(server.port))
        ran = batchwright("run", "draft-usage-rating", "--asset-line-item", "ALI-0001")
    assert ran.exit_code == 0
    assert ran.stdout.endswith("ML-00000001 to erika@example.com is waiting\n")


def test_ctrl_c_while_mail_hangs_ends_with_the_answer_of_the_run_and_its_code(
    company: str, batchwright: Batchwright, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHWRIGHT_MAIL__TRANSPORT", "smtp")
    with ScriptedSmtp(DOT=SILENCE) as server:
        monkeypatch.setenv("BATCHWRIGHT_MAIL__SMTP_HOST", server.host)
        monkeypatch.setenv("BATCHWRIGHT_MAIL__SMTP_PORT", str(server.port))
        words = [str(PROGRAM), "run", "draft-usage-rating", "--json"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            server.at("DOT", seconds=60)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    run = json.loads(out)
    assert (run["status"], process.returncode) == ("Completed", 3 if run["errored"] else 0)
    assert "The mail is left for later" in err
    (mail,) = answer(batchwright, "mail", "list")
    assert (mail["status"], mail["attempts"]) == ("waiting", 1)


def test_the_preview_of_a_mail_has_headers_text_and_html(company: str, batchwright: Batchwright) -> None:
    shown = batchwright("mail", "preview", "draft-usage-rating").stdout
    assert "Subject: " in shown
    document = answer(batchwright, "mail", "preview", "draft-usage-rating")
    assert set(document) == {"from", "to", "subject", "text", "html", "attachments"}
    assert "<html" in document["html"]


def test_an_upgrade_makes_the_database_and_a_second_finds_it_up_to_date(
    database_url: str, batchwright: Batchwright, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHWRIGHT_DATABASE_URL", database_url)
    made, again = batchwright("db", "upgrade"), batchwright("db", "upgrade")
    assert made.exit_code == again.exit_code == 0
    assert made.stdout.startswith(f"The database {place_of(database_url)} is made, at revision ")
    assert again.stdout == f"The database {place_of(database_url)} is up to date.\n"
    assert batchwright("db", "check").stdout == f"The database {place_of(database_url)} is in order.\n"


def test_an_import_says_what_it_loaded_from_each_file(
    database: str, batchwright: Batchwright, working_directory: Path
) -> None:
    (working_directory / "customers.csv").write_text("customer_id,name\nC-1,One\nC-2,Two\n", encoding="utf-8")
    report = answer(batchwright, "import", "customers.csv")
    assert [(file["file"], file["loaded"], file["skipped"]) for file in report["files"]] == [
        ("customers.csv", 2, 0)
    ]
    assert report["skipped"] == 0


def test_an_import_that_leaves_out_bad_lines_ends_with_3_and_names_them(
    database: str, batchwright: Batchwright, working_directory: Path
) -> None:
    (working_directory / "customers.csv").write_text("customer_id,name\nC-1,One\n,Two\n", encoding="utf-8")
    refused = batchwright("import", "customers.csv", "--json")
    assert refused.exit_code == 2
    assert "customers.csv" in error_of(refused)["message"]
    assert "line 3" in error_of(refused)["message"]
    skipped = batchwright("import", "customers.csv", "--skip-bad", "bad.csv")
    assert skipped.exit_code == 3
    assert "1 bad line left out and written to bad.csv:" in skipped.stdout
    assert "line 3" in skipped.stdout
    assert ",Two" in (working_directory / "bad.csv").read_text(encoding="utf-8")


def test_the_check_of_the_settings_tells_every_problem_and_ends_with_1(
    batchwright: Batchwright, working_directory: Path
) -> None:
    good = batchwright("config", "check")
    assert (good.exit_code, good.stdout) == (0, "The settings are good.\n")
    (working_directory / "batchwright.toml").write_text(
        "scope_sise = 3\nlease_seconds = -1\n", encoding="utf-8"
    )
    assert batchwright("config", "check").exit_code == 1
    problems = answer(batchwright, "config", "check", code=1)
    assert sorted(problem["setting"] for problem in problems) == ["lease_seconds", "scope_sise"]


def test_the_check_of_the_settings_names_a_job_that_cannot_be_imported(
    batchwright: Batchwright, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHWRIGHT_JOBS", "nowhere_at_all:Job")
    (problem,) = answer(batchwright, "config", "check", code=1)
    assert (problem["setting"], problem["origin"]) == ("jobs", "environment variable BATCHWRIGHT_JOBS")
    assert problem["reason"].startswith("cannot import the job 'nowhere_at_all:Job': ModuleNotFoundError")


def test_the_check_of_the_settings_names_schedules_whose_ping_is_not_sent(
    database: str, batchwright: Batchwright, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (
        "schedules",
        "add",
        "Nightly",
        "0 0 0 ? * *",
        "usage-rating",
        "--ping",
        "http://10.0.0.5:8000/hush",
    )
    refused = batchwright(*words)
    assert (refused.exit_code, "BATCHWRIGHT_PING_PRIVATE" in refused.stderr) == (2, True)
    with monkeypatch.context() as allowing:
        allowing.setenv("BATCHWRIGHT_PING_PRIVATE", "true")
        assert batchwright(*words).exit_code == 0
        assert batchwright("config", "check").exit_code == 0
    (problem,) = answer(batchwright, "config", "check", code=1)
    assert (problem["setting"], problem["origin"]) == ("ping_private", "default")
    assert "'Nightly' leads to 10.0.0.5, a private address, and is not sent" in problem["reason"]
    assert "hush" not in str(problem)


def test_the_settings_are_shown_with_their_origin_and_without_passwords(
    batchwright: Batchwright, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHWRIGHT_DATABASE_URL", "postgresql://user:secret@db.example.com/billing")
    result = batchwright("config", "show", "--json")
    settings = {line["setting"]: line for line in json.loads(result.stdout)}
    assert "secret" not in result.stdout
    assert settings["database_url"]["origin"] == "environment variable BATCHWRIGHT_DATABASE_URL"
    assert settings["lease_seconds"]["origin"] == "default"
