"""Ctrl-C, tried on a real process with a real signal."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

from tests.cli.conftest import Batchwright
from tests.cli.slow_runs import WAIT, driven, slow_run, state_of

__all__ = ["driven", "slow_run"]


def how_to_go_on(run_id: str) -> str:
    return f"Go on with `batchwright runs resume {run_id}`, or end it with `batchwright runs abort {run_id}`"


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
    assert how_to_go_on(slow_run) in err
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
    assert json.loads(out)["error"]["remedy"] == how_to_go_on(slow_run)
    (working_directory / "go").touch()
    resumed = batchwright("runs", "resume", slow_run)
    assert resumed.exit_code == 0, resumed.stderr
    assert "run taken over, its owner had died" in resumed.stderr
    assert state_of(batchwright, slow_run) == ("Completed", 3)
