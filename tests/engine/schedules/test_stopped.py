"""A process that is stopped (SIGSTOP, a suspended machine) in the midst of firing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from batchwright.engine.schedule import Misfire
from batchwright.engine.schedules.scheduler import Scheduler
from tests.engine.schedules.making import NOW, Bench

pytestmark = pytest.mark.on_both

WAIT = 60.0


@contextmanager
def stopped(url: str, *keys: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has submitted the run of a schedule, and stands still before the commit of all."""
    command = [sys.executable, "-m", "tests.engine.schedules.stopping", url, *map(str, keys)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + WAIT
        while _state(process.pid) != "T":
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.wait()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_another_fires_in_its_place_and_its_waking_up_doubles_nothing(
    bench: Bench, migrated_url: str
) -> None:
    made = [bench.add(f"policy {misfire}", "0 * * * * ?", misfire=misfire) for misfire in Misfire]
    scheduler = Scheduler(
        database=bench.database, clock=bench.clock, firing=bench.firing(), seconds_between_looks=0.5
    )
    bench.clock.sleep(60)
    with stopped(migrated_url, *(schedule.id for schedule in made)) as process:
        until = time.monotonic() + WAIT
        while scheduler.look():
            assert time.monotonic() < until
            time.sleep(0.1)
        before = [(bench.fires(schedule), bench.runs(schedule)) for schedule in made]
        if bench.database.is_sqlite:
            assert process.wait(WAIT) == -signal.SIGKILL, "ended by who waited for its lock"
        else:
            os.kill(process.pid, signal.SIGCONT)
            assert process.wait(WAIT) == 0, "its session was ended; it looks again, and nothing is due"
    assert [(bench.fires(schedule), bench.runs(schedule)) for schedule in made] == before
    for (fire,), (run,) in before:
        assert (fire.nominal_time, fire.run_id) == (NOW + timedelta(minutes=1), run.run_id)
