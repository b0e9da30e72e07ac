"""A run of the slow job, and a process that drives it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwright.config.settings import load_settings
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
        run_id = submit_run(app, "slow", {}, actor=app.default_actor()).run_id
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
