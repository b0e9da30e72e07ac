"""A database that version 0.1.0 left behind, when its packages stood at the top, is upgraded and worked on.

It holds a finished run whose mail waits, a schedule, and a run of three records that was killed in its second scope.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from batchwright.cli.main import main
from batchwright.engine.store.migrating import newest_revision

DUMP = Path(__file__).with_name("revision_0010.sql")


def batchwright(*words: str) -> Any:
    """What a command answers in JSON."""
    answer = CliRunner().invoke(main, [*words, "--json"])
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


@pytest.fixture
def old_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory holds it, and the settings name the job of the killed run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BATCHWRIGHT_JOBS", "tests.migrations.three_records:Slow")
    monkeypatch.setenv("BATCHWRIGHT_LEASE_SECONDS", "1")
    with closing(sqlite3.connect("batchwright.db")) as database:
        database.executescript(DUMP.read_text(encoding="utf-8"))


def test_a_database_of_the_first_version_is_upgraded_and_its_work_goes_on(old_database: None) -> None:
    assert CliRunner().invoke(main, ["db", "check"]).exit_code == 1
    assert CliRunner().invoke(main, ["db", "upgrade"]).stdout.endswith(f"at revision {newest_revision()}.\n")
    assert CliRunner().invoke(main, ["db", "check"]).exit_code == 0

    assert [(run["run_id"], run["status"]) for run in batchwright("runs", "list")] == [
        ("JR-00000002", "Processing"),
        ("JR-00000001", "Completed"),
    ]
    assert [mail["status"] for mail in batchwright("mail", "list")] == ["waiting"]
    # It was recorded to leave by SMTP: a sender of files lets it wait.
    refused = CliRunner().invoke(main, ["mail", "retry", "ML-00000001"])
    assert (refused.exit_code, "smtp" in refused.output, Path("mail").exists()) == (2, True, False)
    resumed = batchwright("runs", "resume", "JR-00000002")
    assert (resumed["status"], resumed["processed"], resumed["errored"]) == ("Completed", 3, 0)
    (schedule,) = batchwright("schedules", "list")
    assert (schedule["name"], schedule["job"], schedule["paused"]) == ("Nightly", "draft-usage-rating", False)
    run = batchwright("schedules", "run-now", "Nightly")
    assert (run["job"], run["status"]) == ("draft-usage-rating", "Completed")
