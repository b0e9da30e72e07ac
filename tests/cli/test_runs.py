"""Running jobs: ways, exit codes, what is said at the end, retry, resume, preview."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.answers_of_runs import RUN_FIELDS, answer
from tests.cli.conftest import Batchwright, error_of

LOG_TITLES = ("Job ID", "Type", "Status", "Customer", "Period", "Reason", "Actor", "Started UTC", "Duration")
SEED = ["run", "draft-usage-rating", "--usage-input", "IN-00007052", "--usage-input", "IN-00007053"]


def test_a_run_without_errors_ends_with_0_and_its_json(company: str, batchwright: Batchwright) -> None:
    run = answer(batchwright, *SEED)
    assert list(run) == RUN_FIELDS
    assert (run["status"], run["processed"], run["errored"]) == ("Completed", 2, 0)
    assert run["totals"] == {"draft_fee_amount": {"USD": "6000.00"}}


def test_a_run_with_errored_records_ends_with_3_and_says_what_to_do(
    company: str, batchwright: Batchwright
) -> None:
    result = batchwright("run", "draft-usage-rating")
    assert result.exit_code == 3
    assert "JR-00000001  Draft usage rating: Complete (10 errors)" in result.stdout
    assert "502 in all: 492 processed, 10 errored, 0 skipped" in result.stdout
    assert "batchwright runs outcomes JR-00000001 --outcome error\n" in result.stdout
    assert "batchwright runs retry JR-00000001\n" in result.stdout


def test_the_end_of_a_run_names_recipient_folder_of_the_mail_and_database(
    company: str, batchwright: Batchwright, working_directory: Path
) -> None:
    out = batchwright(*SEED).stdout
    assert "ML-00000001 to erika@example.com" in out
    assert f"is only written to files, in {working_directory / 'mail'}" in out
    assert "Database" in out
    assert len(list((working_directory / "mail").glob("*.eml"))) == 1


def test_an_actor_without_an_address_is_told_that_nobody_gets_the_mail(
    company: str, batchwright: Batchwright
) -> None:
    out = batchwright(*SEED, "--actor", "somebody").stdout
    assert "has no recipient" in out
    assert "written to files" not in out


def test_several_mails_of_a_run_are_written_to_files(company: str, batchwright: Batchwright) -> None:
    assert "are only written to files, in " in batchwright(*SEED, "--notify", "billing@example.com").stdout


def test_a_synchronous_run_prints_each_outcome_and_sends_the_actor_no_mail(
    company: str, batchwright: Batchwright
) -> None:
    out = batchwright(*SEED, "--sync").stdout
    assert [line.split() for line in out.splitlines()[1:3]] == [
        ["IN-00007052", "ok", "USD", "4000.00"],
        ["IN-00007053", "ok", "USD", "2000.00"],
    ]
    assert json.loads(batchwright("mail", "list", "--json").stdout) == []
    run = answer(batchwright, *SEED, "--sync")
    assert list(run) == [*RUN_FIELDS, "outcomes"]
    assert run["mode"] == "sync"
    assert [outcome["amount"] for outcome in run["outcomes"]] == ["4000.00", "2000.00"]


def test_an_enqueued_run_prints_its_id_alone_and_resume_drives_it(
    company: str, batchwright: Batchwright
) -> None:
    queued = batchwright(*SEED, "--enqueue")
    assert (queued.exit_code, queued.stdout) == (0, "JR-00000001\n")
    assert answer(batchwright, "runs", "show", "JR-00000001")["badge"] == "Queued"
    resumed = answer(batchwright, "runs", "resume", "JR-00000001")
    assert (resumed["status"], resumed["processed"]) == ("Completed", 2)


def test_a_run_that_has_ended_is_not_resumed(rated: str, batchwright: Batchwright) -> None:
    result = batchwright("runs", "resume", rated, "--json")
    assert result.exit_code == 2
    assert f"batchwright runs retry {rated}" in error_of(result)["remedy"]


def test_a_dry_run_changes_nothing_and_shows_what_it_would_write(
    company: str, batchwright: Batchwright
) -> None:
    before = batchwright("usage-schedules", "list", "--json").stdout
    result = batchwright(*SEED, "--dry-run")
    assert result.exit_code == 0
    assert "batchwright runs preview JR-00000001" in result.stdout
    assert batchwright("usage-schedules", "list", "--json").stdout == before
    preview = json.loads(batchwright("runs", "preview", "JR-00000001", "--format", "json").stdout)
    figures = {"amount", "currency", "before", "after", "difference", "detail"}
    assert {"kind", "record_id", "customer_id", *figures} == set(preview[0])
    assert "4000.00" in [line["amount"] for line in preview]
    assert "IN-00007052" in batchwright("runs", "preview", "JR-00000001").stdout
    assert answer(batchwright, "runs", "show", "JR-00000001")["mode"] == "dry_run"


def test_ids_are_read_from_a_file_and_from_standard_input(
    company: str, batchwright: Batchwright, working_directory: Path
) -> None:
    ids = b"\xef\xbb\xbfIN-00007052\r\n\r\n  IN-00007053  \n"
    (working_directory / "ids.txt").write_bytes(ids)
    words = ["run", "draft-usage-rating", "--json", "--ids-from"]
    from_file = batchwright(*words, "ids.txt")
    from_stdin = batchwright(*words, "-", stdin=ids)
    for result in (from_file, from_stdin):
        parameters = json.loads(result.stdout)["parameters"]
        assert parameters["usage_input_ids"] == ["IN-00007052", "IN-00007053"]


def test_inputs_and_assets_together_are_refused(company: str, batchwright: Batchwright) -> None:
    result = batchwright(*SEED, "--asset-line-item", "ALI-0001", "--json")
    assert result.exit_code == 2
    assert "not both" in error_of(result)["message"]


def test_what_a_run_was_asked_to_do_is_in_its_row(company: str, batchwright: Batchwright) -> None:
    words = [
        "--scope-size",
        "1",
        "--error-ceiling",
        "50%",
        "--actor",
        "max",
        "--reason",
        "month end",
        "--no-mail",
    ]
    run = answer(batchwright, *SEED, *words, "--notify", "a@example.com", "--notify", "b@example.com")
    assert (run["actor"], run["reason"], run["trigger"]) == ("max", "month end", "cli")
    mails = answer(batchwright, "runs", "show", run["run_id"])["mails"]
    assert [mail["recipient"] for mail in mails] == ["a@example.com", "b@example.com"]


def test_a_run_over_its_error_ceiling_fails_with_1_and_says_how_to_go_on(
    company: str, batchwright: Batchwright
) -> None:
    result = batchwright("run", "draft-usage-rating", "--error-ceiling", "1", "--scope-size", "10")
    assert result.exit_code == 1
    assert "Failed" in result.stdout
    assert "not reached" in result.stdout
    assert "batchwright runs retry JR-00000001" in result.stdout


def test_a_retry_is_a_run_of_its_own_linked_to_the_first(rated: str, batchwright: Batchwright) -> None:
    retried = answer(batchwright, "runs", "retry", rated, "--reason", "prices came in", code=3)
    assert (retried["parent_run_id"], retried["trigger"], retried["reason"]) == (
        rated,
        "retry",
        "prices came in",
    )
    assert answer(batchwright, "runs", "show", rated)["children"] == [retried["run_id"]]
    lines = batchwright("runs", "show", rated).stdout.splitlines()
    assert ["Followed", "by", retried["run_id"]] in [line.split() for line in lines]


def test_options_that_a_retry_is_not_given_are_those_of_its_parent(
    company: str, batchwright: Batchwright
) -> None:
    options = ["--error-ceiling", "1", "--scope-size", "10", "--reason", "June", "--notify", "a@example.com"]
    parent = answer(batchwright, "run", "draft-usage-rating", *options, code=1)
    retried = answer(batchwright, "runs", "retry", parent["run_id"], "--no-mail", code=1)
    assert retried["error"].startswith("stopped at the error ceiling of 1: 2 of ")
    assert retried["reason"] == "June"
    mails = answer(batchwright, "runs", "show", retried["run_id"])["mails"]
    assert [mail["recipient"] for mail in mails] == ["a@example.com"]


def test_a_synchronous_retry_prints_its_outcomes_and_sends_the_actor_no_mail(
    rated: str, batchwright: Batchwright
) -> None:
    retried = answer(batchwright, "runs", "retry", rated, "--sync", code=3)
    assert retried["mode"] == "sync"
    assert len(retried["outcomes"]) == retried["total"]
    assert answer(batchwright, "runs", "show", retried["run_id"])["mails"] == []


def test_a_run_without_errors_is_not_retried(company: str, batchwright: Batchwright) -> None:
    batchwright(*SEED)
    result = batchwright("runs", "retry", "JR-00000001", "--json")
    assert result.exit_code == 2
    assert "nothing to retry" in error_of(result)["message"]


def test_a_repaired_input_is_retried_to_the_end(rated: str, batchwright: Batchwright) -> None:
    errored = json.loads(batchwright("runs", "outcomes", rated, "--outcome", "error", "--json").stdout)
    negative = next(row["record_id"] for row in errored if row["code"] == "negative_quantity")
    others = [row["record_id"] for row in errored if row["record_id"] != negative]
    assert batchwright("usage-inputs", "delete", *others).exit_code == 0
    assert batchwright("usage-inputs", "edit", negative, "--quantity", "3").exit_code == 0
    retried = answer(batchwright, "run", "draft-usage-rating")
    assert (retried["status"], retried["errored"]) == ("Completed", 0)


def test_runs_are_listed_by_status_and_job(rated: str, batchwright: Batchwright) -> None:
    def listed(*words: str) -> list[str]:
        return [run["run_id"] for run in json.loads(batchwright("runs", "list", *words, "--json").stdout)]

    second = batchwright(*SEED, "--enqueue").stdout.strip()
    assert listed() == [second, rated]
    assert listed("--limit", "1") == [second]
    assert listed("--status", "Holding") == [second]
    assert listed("--status", "Completed", "--job", "draft-usage-rating") == [rated]
    assert listed("--status", "complete") == [rated]
    assert listed("--status", "Running") == []
    refused = batchwright("runs", "list", "--status", "Done", "--json")
    assert refused.exit_code == 2
    assert "Use one of Holding" in json.loads(refused.stdout)["error"]["remedy"]


def test_a_dry_run_is_called_one_in_the_log(company: str, batchwright: Batchwright) -> None:
    ended = batchwright(*SEED, "--dry-run")
    assert "Draft usage rating (dry run): Complete" in ended.stdout + ended.stderr
    for words in (["list"], ["show", "JR-00000001"]):
        assert "Draft usage rating (dry run)" in batchwright("runs", *words).stdout
    assert answer(batchwright, "runs", "show", "JR-00000001")["type"] == "Draft usage rating"


def test_what_to_do_next_about_a_failed_run_is_not_what_was_just_done(
    company: str, batchwright: Batchwright
) -> None:
    batchwright("run", "draft-usage-rating", "--error-ceiling", "0")
    shown = batchwright("runs", "show", "JR-00000001").stdout
    assert "batchwright runs retry JR-00000001" in shown
    assert "batchwright runs show" not in shown


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_quiet_says_nothing_on_stderr(company: str, batchwright: Batchwright) -> None:
    assert batchwright("-q", *SEED).stderr == ""


def test_the_log_shows_of_whom_and_of_which_months_the_usage_was_and_show_why_a_run_failed(
    company: str, batchwright: Batchwright
) -> None:
    batchwright(*SEED)
    listed = batchwright("runs", "list").stdout
    titles, line = listed.splitlines()[0], next(row for row in listed.splitlines() if "JR-00000001" in row)
    order = [titles.index(title) for title in LOG_TITLES]
    assert order == sorted(order)
    assert "C-1001" in line
    assert "2023-06" in line
    answer(batchwright, "runs", "list", "--limit", "1")
    failed = batchwright("run", "draft-usage-rating", "--error-ceiling", "0")
    assert failed.exit_code == 1
    shown = batchwright("runs", "show", "JR-00000002").stdout
    assert "stopped at the error ceiling of 0" in shown


def test_a_preview_is_applied_once_and_fails_the_second_time(company: str, batchwright: Batchwright) -> None:
    batchwright("run", "usage-rating", *SEED[2:], "--dry-run")
    run = answer(batchwright, "runs", "apply", "JR-00000001")
    assert (run["parent_run_id"], run["trigger"], run["status"]) == ("JR-00000001", "apply", "Completed")
    assert run["totals"] == {"rated_amount": {"USD": "6000.00"}}
    again = batchwright("runs", "apply", "JR-00000001", "--json")
    assert again.exit_code == 1
    assert "IN-00007052 would be skipped not_eligible" in json.loads(again.stdout)["error"]
    assert "Preview of it" in batchwright("runs", "show", run["run_id"]).stdout
    table = batchwright("runs", "preview", "JR-00000001", "--by", "customer").stdout
    assert [word for word in table.split() if word in ("Before", "After", "Difference")] == [
        *("Before", "After", "Difference"),
    ]
    csv = batchwright("runs", "preview", "JR-00000001", "--format", "csv", "--limit", "1").stdout
    assert csv.splitlines()[0].startswith("kind,record_id,customer_id,currency,before,after,difference")
    assert len(csv.splitlines()) == 2


def test_a_preview_in_which_no_money_changes_says_what_does(company: str, batchwright: Batchwright) -> None:
    batchwright("run", "usage-input-deletion", "--where", "status=Loaded,customer_id=C-1003", "--dry-run")
    title, line = batchwright("runs", "preview", "JR-00000001", "--limit", "1").stdout.splitlines()
    assert "What changes" in title
    assert "status: Loaded" in line
