"""`batchwright worker`, a real process told to stop by real signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwright.cli.exits import OUTDATED, REFUSED
from batchwright.engine.store.database import Database
from batchwright.engine.store.notify import notify
from tests.cli.conftest import PROGRAM, Batchwright
from tests.cli.slow_runs import WAIT, slow_run, state_of, wait_for
from tests.support.rungs import depth

__all__ = ["slow_run"]


@pytest.fixture
def worker(slow_run: str, working_directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A worker in the middle of the first scope of the run."""
    process = subprocess.Popen([PROGRAM, "worker"], stderr=subprocess.PIPE, text=True)
    wait_for(working_directory / "at-1")
    yield process
    (working_directory / "go").touch()
    process.terminate()
    process.communicate(timeout=WAIT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_worker_told_to_stop_finishes_its_scope_hands_its_run_over_and_ends_with_0(
    worker: subprocess.Popen[str],
    slow_run: str,
    batchwright: Batchwright,
    working_directory: Path,
    number: signal.Signals,
) -> None:
    worker.send_signal(number)
    assert worker.stderr is not None
    said = iter(worker.stderr.readline, "")
    assert any("Stopping after the scopes at hand" in line for line in said)
    (working_directory / "go").touch()
    _, rest = worker.communicate(timeout=WAIT)
    assert worker.returncode == 0
    assert "Stopped" in rest
    assert state_of(batchwright, slow_run) == ("Queued", 1)


def test_a_second_signal_ends_a_worker_at_once(
    worker: subprocess.Popen[str], slow_run: str, batchwright: Batchwright
) -> None:
    worker.send_signal(signal.SIGTERM)
    assert worker.stderr is not None
    said = iter(worker.stderr.readline, "")
    assert any("Stopping after the scopes at hand" in line for line in said)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(WAIT) == 128 + signal.SIGTERM
    assert state_of(batchwright, slow_run) == ("Processing", 0)


@pytest.mark.on_both
def test_a_worker_whose_database_is_upgraded_ends_with_a_code_that_asks_for_a_new_one(database: str) -> None:
    with subprocess.Popen([PROGRAM, "worker"], stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr is not None
        assert any("Working on" in line for line in iter(worker.stderr.readline, ""))
        there = Database(database)
        with there.write() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
            notify(connection)
        there.close()
        assert worker.wait(WAIT) == OUTDATED
        assert "The database was upgraded to revision 9999 meanwhile" in worker.stderr.read()
    again = subprocess.run([PROGRAM, "worker"], capture_output=True, text=True, timeout=WAIT, check=False)
    assert (again.returncode, "is at revision 9999" in again.stderr) == (REFUSED, True)


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)  # the log is the same on both
@pytest.mark.parametrize("log", depth(["closed"], ["full", "reader gone", "closed"]))
def test_a_worker_whose_log_nobody_takes_does_its_run_and_drains(
    database_kind: str, log: str, slow_run: str, batchwright: Batchwright, working_directory: Path
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    place = {"full": "2>/dev/full", "reader gone": f"2>&{writer}", "closed": "<&- >&- 2>&-"}[log]
    process = subprocess.Popen(["bash", "-c", f'exec "$0" -v worker {place}', PROGRAM], pass_fds=[writer])
    try:
        wait_for(working_directory / "at-1")
        process.send_signal(signal.SIGTERM)
        (working_directory / "go").touch()
        assert process.wait(WAIT) == 0
    finally:
        process.kill()
        process.wait()
        os.close(writer)
    assert state_of(batchwright, slow_run) == ("Queued", 1)


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)  # SQLite's one writer is the worker
def test_a_run_that_a_worker_claims_first_is_followed_and_ends_as_if_driven_here(
    worker: subprocess.Popen[str],
    working_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BATCHWRIGHT_MAX_ACTIVE_RUNS", "1")
    command = [str(PROGRAM), "run", "slow", "--json"]
    waiting = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert waiting.stderr is not None
        lines = iter(waiting.stderr.readline, "")
        owner = f"{socket.gethostname()}/{worker.pid}"
        assert any(f"is driven by {owner}; following it" in line for line in lines)
        (working_directory / "go").touch()
        out, _ = waiting.communicate(timeout=WAIT)
    finally:
        waiting.kill()
        waiting.communicate()
    assert (waiting.returncode, json.loads(out)["status"]) == (0, "Completed")


def test_a_worker_without_a_database_refuses_and_names_the_place(batchwright: Batchwright) -> None:
    refused = batchwright("worker")
    assert refused.exit_code == 2
    assert "there is no Batchwright database at" in refused.stderr
