"""Logs of a real process: on stderr alone, JSON where that is no terminal, with run and scope."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Program

JOB = '''
import sqlite3
from batchwright.engine import BatchJob
from batchwright.engine.job import Record


class Cranky(BatchJob):
    """Two scopes; a record of the second is bad, and the database is busy once."""

    name = "cranky"
    type = "Cranky"
    scope_size = 2
    was_busy = False

    def start(self, context):
        return [Record(key) for key in range(1, 5)]

    def execute(self, scope):
        if scope.number == 1 and not Cranky.was_busy:
            Cranky.was_busy = True
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorname = "SQLITE_BUSY"
            raise error
        if 4 in scope.keys:
            raise ValueError("four is bad")
'''


@pytest.fixture
def cranky(company: str, working_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job whose run has trouble of every kind."""
    (working_directory / "cranky.py").write_text(JOB, encoding="utf-8")
    monkeypatch.setenv("BATCHWRIGHT_JOBS", "cranky:Cranky")


def test_with_v_every_line_on_stderr_is_json_with_the_run_and_stdout_is_one_document(
    company: str, program: Program
) -> None:
    done = program("-v", "run", "draft-usage-rating", "--scope-size", "100", "--json")
    assert done.returncode == 3, done.stderr
    run = json.loads(done.stdout)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {line["run_id"] for line in lines} == {run["run_id"]}
    assert [line["event"] for line in lines[:3]] == ["run submitted", "run started", "run planned"]
    assert [line["event"] for line in lines[-2:]] == ["run ended", "mail sent"]
    scopes = [line["scope"] for line in lines if line["event"] == "scope done"]
    assert scopes == list(range(1, lines[2]["scopes"] + 1))


def test_without_v_the_log_holds_trouble_alone_with_run_and_scope(cranky: None, program: Program) -> None:
    done = program("run", "cranky", "--json")
    assert done.returncode == 3, done.stderr
    run_id = json.loads(done.stdout)["run_id"]
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    logged = [(line["level"], line["event"], line["run_id"], line["scope"]) for line in lines]
    assert logged == [
        ("warning", "scope tried again", run_id, 1),
        ("warning", "record raised an exception", run_id, 2),
    ]
    assert lines[1]["message"].startswith("ValueError: four is bad [")


def test_with_q_there_is_no_log_of_a_run(cranky: None, program: Program) -> None:
    assert program("-q", "run", "cranky", "--json").stderr == ""
