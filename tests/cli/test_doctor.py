"""`batchwright doctor`: what it finds, where, with the remedy; the exit code is 1 where it finds something."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from batchwright.config.settings import Settings
from batchwright.operations.app import make_application
from batchwright.operations.workers import Presence
from tests.cli.conftest import Batchwright

ADD = ("schedules", "add", "Nightly", "0 0 0 ? * *", "usage-rating")


def findings(batchwright: Batchwright) -> list[dict[str, Any]]:
    in_words, as_json = batchwright("doctor"), batchwright("doctor", "--json")
    found: list[dict[str, Any]] = json.loads(as_json.stdout)
    assert all(list(one) == ["part", "message", "remedy"] for one in found)
    assert in_words.exit_code == as_json.exit_code == (1 if found else 0)
    assert len(in_words.stdout.splitlines()) == max(len(found), 1)
    return found


def test_a_database_that_nothing_waits_in_is_in_order_without_a_worker(
    database: str, batchwright: Batchwright
) -> None:
    assert findings(batchwright) == []
    assert batchwright("doctor").stdout == "Settings, database, workers, schedules and mail are in order.\n"


def test_a_schedule_that_waits_for_a_worker_is_found_until_one_is_there(
    database: str, batchwright: Batchwright
) -> None:
    assert batchwright(*ADD).exit_code == 0
    (found,) = findings(batchwright)
    assert (found["part"], found["remedy"]) == (
        "workers",
        "Start `batchwright worker` or `batchwright serve`",
    )
    app = make_application(Settings(database_url=database))
    with closing(app):
        Presence(app).beat()
    assert findings(batchwright) == []


def test_a_run_that_waits_for_a_worker_is_found_and_a_paused_schedule_is_not(
    company: str, batchwright: Batchwright
) -> None:
    assert batchwright(*ADD).exit_code == batchwright("schedules", "pause", "Nightly").exit_code == 0
    assert findings(batchwright) == []
    assert batchwright("run", "usage-rating", "--enqueue").exit_code == 0
    assert [one["part"] for one in findings(batchwright)] == ["workers"]


def test_held_schedules_are_found_with_the_command_that_releases_them(
    database: str, batchwright: Batchwright
) -> None:
    assert batchwright("schedules", "hold-all").exit_code == 0
    (found,) = findings(batchwright)
    assert (found["part"], found["remedy"]) == ("schedules", "`batchwright schedules release-all`")


def test_a_schedule_whose_owner_is_disabled_is_found_by_name(database: str, batchwright: Batchwright) -> None:
    for words in (
        ("users", "add", "jane@example.com", "--role", "operator"),
        (*ADD, "--owner", "jane@example.com"),
        ("schedules", "pause", "Nightly"),
        ("users", "disable", "jane@example.com"),
    ):
        assert batchwright(*words).exit_code == 0, words
    (found,) = findings(batchwright)
    assert found["message"] == "Nightly: its owner jane@example.com is a user who is disabled"


def test_a_job_that_cannot_be_imported_is_found_beside_the_rest(
    database: str, batchwright: Batchwright, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHWRIGHT_JOBS", "nowhere_at_all:Job")
    assert batchwright("schedules", "hold-all").exit_code == 0
    assert [one["part"] for one in findings(batchwright)] == ["settings", "schedules"]


def test_settings_that_cannot_be_read_are_all_that_is_found(
    database: str, batchwright: Batchwright, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHWRIGHT_LEASE_SECONDS", "-1")
    monkeypatch.setenv("BATCHWRIGHT_TIME_ZONE", "Mars")
    found = findings(batchwright)
    assert [one["part"] for one in found] == ["settings", "settings"]
    assert all("BATCHWRIGHT_" in one["message"] for one in found)


def test_a_damaged_file_is_found(database: str, batchwright: Batchwright, database_kind: str) -> None:
    if database_kind != "sqlite":
        pytest.skip("of a file")
    file = Path(make_url(database).database or "")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    with file.open("r+b") as stream:
        stream.seek(size * 3)
        stream.write(b"\xff" * size * 4)
    (found,) = findings(batchwright)[:1]
    assert found["part"] == "database"
