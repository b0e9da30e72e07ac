"""Listings and single records, on both databases."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import PROGRAM, Batchwright, Program

LISTINGS = {
    "runs list": "run_id",
    "runs outcomes JR-00000001": "record_id",
    "usage-inputs list": "usage_input_id",
    "usage-schedules list": "usage_schedule_id",
    "billing-schedules list": "billing_schedule_id",
    "asset-line-items list": "asset_line_item_id",
    "customers list": "customer_id",
    "accounts list": "account_id",
    "price-books list": "price_book_id",
    "prices list": "price_book_id",
    "contracts list": "contract_id",
    "custom-line-items list": "line_item_id",
    "forecast": "month",
    "jobs list": "name",
    "mail list": "mail_id",
    "audit list": "entry_id",
    "config show": "setting",
}
RECORDS = [
    "runs show JR-00000001",
    "usage-inputs show IN-00007052",
    "billing-schedules show BS-01311820",
    "asset-line-items show ALI-0001",
    "customers show C-1001",
    "accounts show HL-EAST",
    "price-books show PB-US-2023",
    "prices show PB-EU-2023/Messages --on 2023-06-30",
    "contracts show CT-HL-2023",
    "custom-line-items show CLI-001",
    "jobs show draft-usage-rating",
    "mail show ML-00000001",
    "mail preview draft-usage-rating",
    "config check",
    "db check",
    "doctor",
    "audit verify",
]


def rows(batchwright: Batchwright, *words: str) -> list[dict[str, Any]]:
    result = batchwright(*words, "--json")
    assert result.exit_code == 0, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_every_listing_with_json_is_one_array_on_stdout_and_nothing_on_stderr(
    rated: str, batchwright: Batchwright
) -> None:
    for line, key in LISTINGS.items():
        result = batchwright(*line.split(), "--json")
        assert result.exit_code == 0, line
        listed = json.loads(result.stdout)
        assert isinstance(listed, list), line
        assert next(iter(listed[0])) == key, line
        assert result.stderr == "", line


def test_every_listing_in_a_pipe_has_a_line_of_titles_and_a_line_for_each_row(
    rated: str, batchwright: Batchwright
) -> None:
    for line in LISTINGS:
        result = batchwright(*line.split())
        assert result.exit_code == 0, line
        assert len(result.stdout.splitlines()) == 1 + len(rows(batchwright, *line.split())), line
        assert not set(result.stdout) & set("│─━┃\x1b"), line


def test_every_record_is_shown_in_words_and_as_one_json_document(
    rated: str, batchwright: Batchwright
) -> None:
    for line in RECORDS:
        in_words, as_json = batchwright(*line.split()), batchwright(*line.split(), "--json")
        assert (in_words.exit_code, as_json.exit_code) == (0, 0), line
        assert in_words.stdout
        assert json.loads(as_json.stdout) is not None
        assert in_words.stderr == as_json.stderr == "", line


@pytest.mark.parametrize(
    "line",
    [
        "usage-inputs list",
        "usage-schedules list",
        "billing-schedules list",
        "asset-line-items list",
        "audit list",
    ],
)
def test_a_limit_cuts_a_listing_that_is_whole_without(
    line: str, company: str, batchwright: Batchwright
) -> None:
    words = line.split()
    whole = rows(batchwright, *words)
    assert rows(batchwright, *words, "--limit", "1") == whole[:1]


def test_the_run_log_is_filtered_by_all_that_is_asked(rated: str, batchwright: Batchwright) -> None:
    every = rows(batchwright, "runs", "list")
    [run] = every
    day, actor = run["started_at"][:10], run["actor"]
    options = ["--status", "failed", "--status", "complete", "--from", day, "--actor", actor, "--errors"]
    assert rows(batchwright, "runs", "list", *options) == every
    for other in (
        ["--before", day],
        ["--from", "2999-01-01T00:00+02:00"],
        ["--customer", "C"],
        ["--schedule", "N"],
    ):
        assert rows(batchwright, "runs", "list", *other) == []
    refused = batchwright("runs", "list", "--before", "noon", "--json")
    assert refused.exit_code == 2
    assert json.loads(refused.stdout)["error"]["field"] == "--before"


def test_the_run_log_has_the_columns_of_the_run_queue_and_log(rated: str, batchwright: Batchwright) -> None:
    titles, line = batchwright("runs", "list").stdout.splitlines()
    columns = ["Job ID", "Type", "Status", "Customer", "Period", "Reason", "Actor", "Started UTC", "Duration"]
    places = [titles.index(column) for column in columns]
    assert places == sorted(places)
    assert line.startswith(f"{rated}  Draft usage rating  Complete (10 errors)")


def test_usage_inputs_are_narrowed_down_by_asset_and_status(rated: str, batchwright: Batchwright) -> None:
    of_asset = rows(batchwright, "usage-inputs", "list", "--asset-line-item", "ALI-0001")
    where = "asset_line_item_id=ALI-0001,from=2023-01-01"
    assert rows(batchwright, "usage-inputs", "list", "--where", where) == of_asset
    assert [row["usage_input_id"] for row in of_asset] == ["IN-00007052", "IN-00007053"]
    assert {row["status"] for row in rows(batchwright, "usage-inputs", "list", "--status", "Error")} == {
        "Error"
    }


def test_the_forecast_of_a_month_stands_beside_what_is_rated(rated: str, batchwright: Batchwright) -> None:
    usd = {
        row["month"]: row
        for row in rows(batchwright, "forecast", "--by", "month")
        if row["currency"] == "USD"
    }
    assert usd["2023-06"]["fee_amount"] == "0.00"
    assert float(usd["2023-06"]["draft_fee_amount"]) >= 4000


def test_billing_schedules_in_csv_have_the_fields_of_their_json(
    company: str, batchwright: Batchwright
) -> None:
    words = ("billing-schedules", "list", "--period", "2023-06", "--customer", "C-1001")
    lines = list(csv.DictReader(io.StringIO(batchwright(*words, "--format", "csv").stdout)))
    expected = rows(batchwright, *words)
    assert len(lines) > 1
    assert lines == [{**row, "superseded": "false"} for row in expected]


def test_what_was_loaded_is_written_as_the_files_that_load_it(
    company: str, batchwright: Batchwright, working_directory: Path
) -> None:
    nouns = ("customers", "accounts", "price-books", "prices", "contracts", "custom-line-items")
    before = {noun: rows(batchwright, noun, "list") for noun in nouns}
    for noun in nouns:
        file = working_directory / f"{noun.replace('-', '_')}.csv"
        file.write_text(batchwright(noun, "list", "--format", "csv").stdout, encoding="utf-8")
    imported = batchwright("import", ".", "--update")
    assert imported.exit_code == 0, imported.stderr
    assert {noun: rows(batchwright, noun, "list") for noun in nouns} == before


@pytest.mark.parametrize("by", ["month", "customer", "product"])
def test_a_forecast_in_csv_has_the_fields_of_its_json(by: str, rated: str, batchwright: Batchwright) -> None:
    lines = list(csv.DictReader(io.StringIO(batchwright("forecast", "--by", by, "--format", "csv").stdout)))
    expected = rows(batchwright, "forecast", "--by", by)
    assert lines == [{name: value or "" for name, value in row.items()} for row in expected]


def test_outcomes_in_csv_and_json_are_the_same(rated: str, batchwright: Batchwright) -> None:
    words = ["runs", "outcomes", rated, "--outcome", "error"]
    lines = list(csv.DictReader(io.StringIO(batchwright(*words, "--format", "csv").stdout)))
    as_json = json.loads(batchwright(*words, "--format", "json").stdout)
    assert len(lines) == 10
    assert [line["code"] for line in lines] == [row["code"] for row in as_json]
    assert rows(batchwright, *words) == as_json


def test_outcomes_begin_at_a_record_or_are_those_of_one(rated: str, batchwright: Batchwright) -> None:
    words = ["runs", "outcomes", rated]
    whole = rows(batchwright, *words)
    assert rows(batchwright, *words, "--first-record", "12") == whole[11:]
    assert rows(batchwright, *words, "--record-id", str(whole[11]["record_id"])) == whole[11:12]
    refused = batchwright(*words, "--first-record", "0")
    assert (refused.exit_code, "number 0" in refused.stderr) == (2, True)


def test_a_reader_who_has_seen_enough_ends_a_listing_quietly(company: str) -> None:
    process = subprocess.Popen(
        [PROGRAM, "usage-inputs", "list", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"[\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 0


def on_terminal(columns: int, *words: str) -> list[str]:
    """The lines that a command writes to a terminal of that width, without colours."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    process = subprocess.Popen([PROGRAM, *words], stdout=theirs, env=environment)
    os.close(theirs)
    shown = read_all(ours)
    assert process.wait(60) == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()


def test_a_listing_on_a_terminal_is_a_table_that_fits_it(rated: str) -> None:
    lines = on_terminal(80, "forecast")
    assert "──" in lines[2]
    assert max(len(line) for line in lines) <= 80


def test_a_table_on_a_narrow_terminal_wraps_between_words_and_loses_no_column(rated: str) -> None:
    lines = on_terminal(80, "forecast")
    titles = " ".join(" ".join(lines[:2]).split())
    for word in ("Month", "Currency", "(Draft) rated", "quantity", "amount", "Actual", "Fee amount"):
        assert word in titles


def test_a_table_too_wide_for_a_narrow_terminal_is_a_block_of_names_and_values_for_each_row(
    rated: str,
) -> None:
    lines = on_terminal(60, "runs", "list")
    assert lines[:3] == [
        "JR-00000001",
        "  Type         Draft usage rating",
        "  Status       Complete (10 errors)",
    ]
    assert "  Processed    492" in lines
    assert not re.search("Customer|Reason", "\n".join(lines)), "what a row has not is left out"


@pytest.mark.parametrize(("width", "counted"), [(100, False), (180, True)])
def test_the_run_log_leaves_out_its_counts_on_a_terminal_too_narrow_for_them(
    rated: str, width: int, counted: bool
) -> None:
    lines = on_terminal(width, "runs", "list")
    assert max(len(line) for line in lines) <= width
    for title in (
        "Job ID",
        "Type",
        "Status",
        "Customer",
        "Period",
        "Reason",
        "Actor",
        "Started UTC",
        "Duration",
    ):
        assert title in lines[0]
    assert ("Processed" in lines[0]) == counted


def test_progress_goes_to_the_terminal_on_stderr_and_the_answer_to_the_pipe_on_stdout(company: str) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "run", "draft-usage-rating", "--scope-size", "50", "--json"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(theirs)
    shown = read_all(ours)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    assert json.loads(out)["total"] == 502
    assert "502 of 502" in shown


def read_all(terminal: int) -> str:
    """What a program writes to a terminal until it ends; Linux then answers with EIO."""
    chunks: list[bytes] = []
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            chunk = b""
        if not chunk:
            os.close(terminal)
            return b"".join(chunks).decode()
        chunks.append(chunk)


def test_a_process_writes_only_json_to_stdout_and_its_logs_to_stderr(company: str, program: Program) -> None:
    result = program("-vv", "run", "draft-usage-rating", "--asset-line-item", "ALI-0001", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["totals"] == {"draft_fee_amount": {"USD": "6000.00"}}


def test_a_backup_is_a_database_of_its_own(
    company: str, batchwright: Batchwright, working_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backed_up = batchwright("db", "backup", "copy.db")
    if not company.startswith("sqlite"):
        assert backed_up.exit_code == 2
        assert "pg_dump" in backed_up.stderr
        return
    assert backed_up.exit_code == 0
    inputs = rows(batchwright, "usage-inputs", "list")
    monkeypatch.setenv("BATCHWRIGHT_DATABASE_URL", f"sqlite:///{working_directory / 'copy.db'}")
    assert rows(batchwright, "usage-inputs", "list") == inputs
