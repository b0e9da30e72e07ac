"""The file of heartbeats beside an SQLite database: damaged, or not ours to write."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from batchwright.engine.errors import Refused
from batchwright.engine.store.database import Database
from batchwright.engine.store.leases import Heartbeat, LeaseStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LeaseStore]:
    leases = LeaseStore(Database(f"sqlite:///{tmp_path / 'books.db'}"))
    yield leases
    leases.close()


@pytest.mark.parametrize(
    "content", [b"this is no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4080]
)
def test_a_damaged_file_of_heartbeats_is_set_aside_and_made_anew(
    store: LeaseStore, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "books.db-lease"
    file.write_bytes(content)
    with capture_logs() as lines:
        store.begin("run/1", 1)
    assert store.beat("run/1", 1)
    assert [line["event"] for line in lines] == [
        "the file of heartbeats is damaged; set aside, and made again"
    ]
    assert (tmp_path / "books.db-lease-damaged").read_bytes() == content


def test_a_file_of_heartbeats_of_an_older_version_gets_what_it_lacks(
    store: LeaseStore, tmp_path: Path
) -> None:
    old = sqlite3.connect(tmp_path / "books.db-lease")
    old.execute("CREATE TABLE heartbeat (name PRIMARY KEY, fence NOT NULL, counter NOT NULL, taker)")
    old.execute("INSERT INTO heartbeat VALUES ('run/1', 1, 7, NULL)")
    old.commit()
    old.close()
    assert store.look("run/1") == Heartbeat(1, 7)
    store.begin("run/2", 1, lease_seconds=30.0)
    assert store.look("run/2") == Heartbeat(1, 0, 30.0)


def test_a_file_of_heartbeats_that_cannot_be_opened_is_named(store: LeaseStore, tmp_path: Path) -> None:
    (tmp_path / "books.db-lease").mkdir()
    with pytest.raises(Refused, match=r"cannot use the file of heartbeats .*books\.db-lease: unable to open"):
        store.begin("run/1", 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write every file")
def test_a_file_of_heartbeats_that_may_only_be_read_is_named(store: LeaseStore, tmp_path: Path) -> None:
    file = tmp_path / "books.db-lease"
    sqlite3.connect(file).close()
    file.touch(0o444)
    file.chmod(0o444)
    with pytest.raises(Refused, match=r"cannot use the file of heartbeats .*books\.db-lease"):
        store.begin("run/1", 1)
