"""A process that has its place at SQLite's turnstile, and is stopped there or keeps it, does not keep everybody."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from batchwright.engine.faults import is_transient
from batchwright.engine.store import engines, lock_holders, turnstile
from batchwright.engine.store.database import Database
from batchwright.engine.store.turnstile import Turnstile
from tests.support.strangers import saying, stranger

HOLD = """
import sys
from pathlib import Path
from batchwright.engine.store.turnstile import Turnstile
print("asks", flush=True)
with Turnstile(Path(sys.argv[1])).turn():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


@contextmanager
def somebody(file: Path, said: str) -> Iterator[subprocess.Popen[str]]:
    """Another process at the turnstile, once it has said so much."""
    with saying([sys.executable, "-c", HOLD, str(file)], said) as process:
        yield process


def wait_until_locked(lock: Path) -> None:
    """Until somebody has the lock on the file."""
    while lock_holders.holder(lock, "FLOCK") is None:
        pass


def test_a_process_that_is_stopped_in_its_turn_before_it_writes_is_ended(file: Path) -> None:
    with somebody(file, "held") as holder:
        holder.send_signal(signal.SIGSTOP)
        with Turnstile(file).turn():
            assert holder.wait(10) == -signal.SIGKILL


def test_a_process_that_is_stopped_as_the_next_one_is_ended(file: Path) -> None:
    with ExitStack() as ours:
        ours.enter_context(Turnstile(file).turn())
        with somebody(file, "asks") as upcoming:
            wait_until_locked(file.with_name("books.db-next"))
            upcoming.send_signal(signal.SIGSTOP)
            ours.close()
            with Turnstile(file).turn():
                assert upcoming.wait(10) == -signal.SIGKILL


def test_a_process_that_works_is_named_and_waited_for_so_long_at_most(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "SECONDS_BETWEEN_LOOKS", 0.1)
    monkeypatch.setattr(turnstile, "SECONDS_BEFORE_NAMING", 0.2)
    monkeypatch.setattr(turnstile, "LONGEST_SECONDS", 0.5)
    with somebody(file, "held") as holder, capture_logs() as lines:
        with pytest.raises(
            OperationalError, match=rf"database is locked: process {holder.pid} \(.*\) keeps"
        ) as error:
            Turnstile(file).turn().__enter__()
        assert is_transient(error.value)
        assert holder.poll() is None
        [line] = lines
        assert line["held_by"].startswith(f"process {holder.pid} (")
    # What waited in vain has left nothing behind.
    with Turnstile(file).turn():
        pass


def test_a_stranger_that_keeps_the_write_lock_is_named_and_waited_for_so_long_at_most(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "SECONDS_BEFORE_NAMING", 0.1)
    monkeypatch.setattr(engines, "SQLITE_BUSY_MILLISECONDS_AT_ONCE", 100)
    database = Database(f"sqlite:///{file}")
    with database.write():
        pass
    database.wait_at_most(0.3)
    with stranger(file) as holder, capture_logs() as lines:
        with (
            pytest.raises(
                OperationalError, match=rf"database is locked: process {holder.pid} \(.*\) keeps"
            ) as error,
            database.write(),
        ):
            pass
        assert is_transient(error.value)
        [line] = lines
        assert line["held_by"].startswith(f"process {holder.pid} (")
    with database.write():
        pass
    database.close()


def test_the_limit_holds_at_the_turnstile_too(file: Path) -> None:
    database = Database(f"sqlite:///{file}")
    database.wait_at_most(0.2)
    with (
        somebody(file, "held") as holder,
        pytest.raises(OperationalError, match=rf"process {holder.pid} \(.*\) keeps"),
        database.write(),
    ):
        pass
    database.close()
