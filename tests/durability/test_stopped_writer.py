"""A process that is stopped in the middle of a heartbeat keeps nobody from the heartbeats of an SQLite database."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from batchwright.engine.store import engines
from batchwright.engine.store.database import Database
from batchwright.engine.store.leases import LeaseStore
from tests.support.strangers import stranger


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LeaseStore]:
    """Heartbeats of an SQLite database, one of them begun."""
    leases = LeaseStore(Database(f"sqlite:///{tmp_path / 'books.db'}"))
    leases.begin("run/1", 1)
    yield leases
    leases.close()


def test_a_stopped_process_in_the_midst_of_a_heartbeat_is_ended(store: LeaseStore, tmp_path: Path) -> None:
    with stranger(tmp_path / "books.db-lease") as holder:
        holder.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        assert store.beat("run/1", 1)
        assert time.monotonic() - began < 10
        assert holder.wait(10) == -signal.SIGKILL


def test_a_process_that_runs_is_waited_for(
    store: LeaseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "LEASE_TRIES", 2)
    with stranger(tmp_path / "books.db-lease") as holder:
        with pytest.raises(OperationalError, match="locked"):
            store.beat("run/1", 1)
        assert holder.poll() is None
    assert store.beat("run/1", 1)


def test_a_stopped_process_that_has_no_lock_is_left_alone(store: LeaseStore, tmp_path: Path) -> None:
    with stranger(tmp_path / "other.db") as holder:
        holder.send_signal(signal.SIGSTOP)
        assert store.beat("run/1", 1)
        assert holder.poll() is None
