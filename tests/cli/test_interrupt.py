"""Ctrl-C, tried on a real process with a real signal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwright.config.settings import load_settings
from batchwright.operations.actor import default_actor
from batchwright.operations.app import make_application
from batchwright.operations.runs.submitting import submit_run
from tests.cli.conftest import PROGRAM, Batchwright

WAIT = 60.0


@pytest.fixture
def slow_run(database: str, working_directory: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run of the slow job that nobody drives yet. Its id."""
    shutil.copy(Path(__file__).with_name("slow_job.py"), working_directory / "slow_job.py")
    monkeypatch.setenv("BATCHWRIGHT_JOBS", "slow_job:SlowJob")
    monkeypatch.setenv("BATCHWRIGHT_LEASE_SECONDS", "2")
    monkeypatch.syspath_prepend(str(working_directory))
    app = make_application(load_settings(os.environ, working_directory))
    try:
        run_id = submit_run(app, "slow", {}, actor=default_actor(app.settings)).run_id
    finally:
        app.close()
    return run_id


@pytest.fixture
def driven(slow_run: str, working_directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that drives the run and is in the middle of its first scope."""
    process = subprocess.Popen(
        [PROGRAM, "runs", "resume", slow_run, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(working_directory / "at-1")
    yield process
    process.kill()
    process.communicate()


def wait_for(file: Path) -> None:
    until = time.monotonic() + WAIT
    while not file.exists():
        assert time.monotonic() < until, f"{file.name} did not appear"
        time.sleep(0.02)


def state_of(batchwright: Batchwright, run_id: str) -> tuple[str, int]:
    run = json.loads(batchwright("runs", "show", run_id, "--json").stdout)
    return run["status"], run["processed"]


def test_ctrl_c_finishes_the_scope_at_hand_and_leaves_the_run_queued(
    driven: subprocess.Popen[str], slow_run: str, batchwright: Batchwright, working_directory: Path
) -> None:
    driven.send_signal(signal.SIGINT)
    assert driven.stderr is not None
    assert driven.stderr.readline() == "\n"
    assert "Stopping after the scope at hand" in driven.stderr.readline()
    (working_directory / "go").touch()
    out, err = driven.communicate(timeout=WAIT)
    assert driven.returncode == 130
    assert json.loads(out)["status"] == "Queued"
    assert f"Go on with `batchwright runs resume {slow_run}`" in err
    assert state_of(batchwright, slow_run) == ("Queued", 1)
    resumed = batchwright("runs", "resume", slow_run)
    assert resumed.exit_code == 0, resumed.stderr
    assert state_of(batchwright, slow_run) == ("Completed", 3)


def test_a_second_ctrl_c_ends_at_once_and_the_run_can_still_be_resumed(
    driven: subprocess.Popen[str], slow_run: str, batchwright: Batchwright, working_directory: Path
) -> None:
    assert driven.stderr is not None
    driven.send_signal(signal.SIGINT)
    driven.stderr.readline()
    driven.send_signal(signal.SIGINT)
    out, err = driven.communicate(timeout=WAIT)
    assert driven.returncode == 130
    assert "the scope at hand was not saved" in err
    assert f"batchwright runs resume {slow_run}" in err
    assert json.loads(out)["error"]["remedy"] == f"Go on with `batchwright runs resume {slow_run}`"
    (working_directory / "go").touch()
    resumed = batchwright("runs", "resume", slow_run)
    assert resumed.exit_code == 0, resumed.stderr
    assert "goes on here" in resumed.stderr
    assert state_of(batchwright, slow_run) == ("Completed", 3)
