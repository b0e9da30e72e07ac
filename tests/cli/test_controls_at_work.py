"""A run that another process works on is aborted and paused from a second terminal."""

from __future__ import annotations

import fcntl
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from batchwright.engine.store.database import Database
from batchwright.engine.store.tables import steering
from tests.cli.conftest import PROGRAM, Batchwright
from tests.cli.slow_runs import WAIT, driven, slow_run, state_of

__all__ = ["driven", "slow_run"]


def wait_until(reached: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.05)


def has_asked(url: str) -> bool:
    """Whether it is asked; on SQLite, whether somebody stands next at the turnstile to do so."""
    database = Database(url)
    try:
        if database.is_sqlite:
            with Path(f"{database.url.database}-next").open("a") as upcoming:
                try:
                    fcntl.flock(upcoming, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return True
                return False
        with database.read() as connection:
            return connection.execute(select(steering)).first() is not None
    finally:
        database.close()


def steered_by(act: str, run_id: str, url: str, folder: Path) -> str:
    """What a second process says that steers the run; the scope at hand ends once it has come to its ask.

    On SQLite it waits for the scope, which holds the write lock.
    """
    command = [str(PROGRAM), "runs", act, run_id]
    second = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: has_asked(url))
        (folder / "go").touch()
        said: str
        said, err = second.communicate(timeout=WAIT)
    finally:
        second.kill()
        second.communicate()
    assert (second.returncode, err) == (0, "")
    return said


@pytest.mark.parametrize(("act", "status"), [("abort", "Aborted"), ("pause", "Paused")])
def test_a_run_at_work_obeys_and_its_terminal_says_so(
    driven: subprocess.Popen[str],
    slow_run: str,
    database: str,
    batchwright: Batchwright,
    working_directory: Path,
    act: str,
    status: str,
) -> None:
    said = steered_by(act, slow_run, database, working_directory)
    assert said.startswith(f"{slow_run} is asked to {act} and does so after the scope at hand.")
    out, err = driven.communicate(timeout=WAIT)
    assert (driven.returncode, json.loads(out)["status"]) == (1, status)
    shown, processed = state_of(batchwright, slow_run)
    assert shown == status
    assert processed in (1, 2)
    resumed = batchwright("runs", "resume", slow_run)
    if act == "abort":
        assert resumed.exit_code == 2
    else:
        assert f"Go on with `batchwright runs resume {slow_run}`" in err
        assert (resumed.exit_code, state_of(batchwright, slow_run)) == (0, ("Completed", 3))
