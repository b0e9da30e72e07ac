"""What a command says of a database that is busy, full or damaged, and how long it waits."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from batchwright.cli.exits import FAILED
from batchwright.cli.main import failure_of
from tests.cli.conftest import Batchwright
from tests.support.strangers import stranger

EDIT = ["users", "add", "eva@example.com", "--role", "viewer"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("words", [["--timeout", "0.2", *EDIT], [*EDIT, "--timeout", "0.2"]])
def test_a_command_waits_no_longer_than_it_is_told(
    batchwright: Batchwright, database: str, words: list[str]
) -> None:
    with stranger(Path(database.removeprefix("sqlite:///"))) as holder:
        began = time.monotonic()
        refused = batchwright(*words)
        assert time.monotonic() - began < 20
        assert refused.exit_code == FAILED
        assert f"Error: database is locked: process {holder.pid} (" in refused.stderr
        assert "--timeout" in refused.stderr
    assert batchwright(*words).exit_code == 0


@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan", "1e400"])
def test_a_limit_that_is_no_number_of_seconds_is_refused(batchwright: Batchwright, seconds: str) -> None:
    for words in (["--timeout", seconds, "db", "check"], ["db", "check", "--timeout", seconds]):
        refused = batchwright(*words)
        assert refused.exit_code == 2
        assert "above 0" in refused.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [("SQLITE_FULL", "the disk of the database is full"), ("SQLITE_CORRUPT", "the database is damaged")],
)
def test_a_disk_that_is_full_and_a_file_that_is_damaged_are_called_so(name: str, said: str) -> None:
    raised = sqlite3.OperationalError("as SQLite says it")
    raised.sqlite_errorname = name
    failure = failure_of(OperationalError("INSERT", {}, raised))
    assert (failure.exit_code, failure.message) == (FAILED, f"{said}: as SQLite says it")
