"""`batchwright cron`: what an expression means and when it fires, without a database."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Batchwright, error_of


def test_explain_says_in_words_what_an_expression_means(
    batchwright: Batchwright, working_directory: Path
) -> None:
    result = batchwright("cron", "explain", "0 0 22 ? * 6L")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:2] == [
        "Expression     0 0 22 ? * 6L",
        "Fires          At 22:00 on the last Friday of the month",
    ]
    assert list(working_directory.iterdir()) == []


def test_explain_says_what_a_fixed_time_and_an_interval_do_at_clock_changes(batchwright: Batchwright) -> None:
    for text, words in (("0 30 2 * * ?", "a fixed time"), ("0 0/15 * * * ?", "an interval")):
        facts = json.loads(batchwright("cron", "explain", text, "--json").stdout)
        assert list(facts) == ["expression", "description", "clock_changes"]
        assert facts["clock_changes"].startswith(words)


def test_next_shows_each_fire_on_the_zones_clock_and_in_utc(batchwright: Batchwright) -> None:
    words = ["--time-zone", "America/New_York", "--from", "2026-10-31T12:00", "-n", "2"]
    result = batchwright("cron", "next", "0 30 1 * * ?", *words)
    assert result.stdout.splitlines()[1:] == [
        "Sun 2026-11-01 01:30:00 -0400  2026-11-01 05:30:00",
        "Mon 2026-11-02 01:30:00 -0500  2026-11-02 06:30:00",
    ]


def test_next_answers_in_json_with_times_in_utc(batchwright: Batchwright) -> None:
    words = ["--time-zone", "America/New_York", "--from", "2026-11-01T00:45", "-n", "3", "--json"]
    rows = json.loads(batchwright("cron", "next", "0 0/30 * * * ?", *words).stdout)
    assert rows == [
        {"fire_at": "2026-11-01T05:00:00.000Z", "local_time": "2026-11-01T01:00:00-04:00"},
        {"fire_at": "2026-11-01T05:30:00.000Z", "local_time": "2026-11-01T01:30:00-04:00"},
        {"fire_at": "2026-11-01T06:00:00.000Z", "local_time": "2026-11-01T01:00:00-05:00"},
    ]


def test_next_begins_now_and_tells_ten(batchwright: Batchwright) -> None:
    before = datetime.now(UTC)
    rows = json.loads(batchwright("cron", "next", "* * * * * ?", "--json").stdout)
    times = [datetime.fromisoformat(row["fire_at"]) for row in rows]
    assert len(times) == 10
    assert 0 < (times[0] - before).total_seconds() < 60


def test_a_time_that_names_its_zone_keeps_it(batchwright: Batchwright) -> None:
    words = ["--time-zone", "Asia/Tokyo", "--from", "2026-01-01T00:00Z", "-n", "1", "--json"]
    [row] = json.loads(batchwright("cron", "next", "0 0 0 * * ?", *words).stdout)
    assert row["local_time"] == "2026-01-02T00:00:00+09:00"


def test_an_expression_that_never_fires_is_said_so(batchwright: Batchwright) -> None:
    result = batchwright("cron", "next", "0 0 0 30 2 ?")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "It never fires after that time.\n"
    assert json.loads(batchwright("cron", "next", "0 0 0 30 2 ?", "--json").stdout) == []


@pytest.mark.parametrize("command", ["explain", "next"])
def test_a_bad_expression_is_refused_with_field_position_and_remedy(
    command: str, batchwright: Batchwright
) -> None:
    result = batchwright("cron", command, "0 0 0 ? * MON-FRI/2", "--json")
    assert result.exit_code == 2
    error = error_of(result)
    assert error["field"] == "day of week"
    assert error["message"].endswith("(position 17)")
    assert error["remedy"] == "Write numbers: 2-6/2"


def test_on_a_terminal_a_caret_stands_below_the_fault() -> None:
    ours, theirs = pty.openpty()
    command = [str(PROGRAM), "cron", "explain", "0 0 0 ? * MON-FRI/2"]
    done = subprocess.run(command, stderr=theirs, stdout=subprocess.PIPE, timeout=60, check=False)
    os.close(theirs)
    lines = os.read(ours, 10_000).decode().splitlines()
    os.close(ours)
    assert done.returncode == 2
    assert done.stdout == b""
    assert lines[1] == "  0 0 0 ? * MON-FRI/2"
    assert lines[2] == "  " + " " * 17 + "^"


def test_in_a_pipe_there_is_no_caret(batchwright: Batchwright) -> None:
    said = batchwright("cron", "explain", "0 0 0 ? * MON-FRI/2").stderr
    assert "(position 17)" in said
    assert "^" not in said


@pytest.mark.parametrize(
    ("words", "field", "message"),
    [
        (["--time-zone", "Europe/berlin"], "time zone", "'Europe/berlin' is not a time zone"),
        (["--from", "yesterday"], "--from", "'yesterday' is not a valid time"),
        (["-n", "0"], "-n", "0 is not in the range"),
    ],
)
def test_a_bad_option_is_refused(
    words: list[str], field: str, message: str, batchwright: Batchwright
) -> None:
    result = batchwright("cron", "next", "0 0 0 * * ?", *words, "--json")
    assert result.exit_code == 2
    assert error_of(result)["field"] == field
    assert message in error_of(result)["message"]


def test_an_expression_cannot_steer_the_terminal(batchwright: Batchwright) -> None:
    said = batchwright("cron", "explain", "0 0 \x1b[31m * * ?").stderr
    assert "\\x1b" in said
    assert "\x1b" not in said
