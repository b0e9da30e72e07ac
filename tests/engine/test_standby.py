"""A scope that keeps the interpreter for longer than a lease makes nobody look dead; a stopped process does look so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from batchwright.engine.clock import SystemClock
from batchwright.engine.lease import OwnerMonitor
from batchwright.engine.run import Run, State
from batchwright.engine.standby import Standby
from batchwright.engine.store.database import Database
from batchwright.engine.store.leases import LeaseStore
from tests.engine.grabbing import Grabbing
from tests.engine.pooled import is_alive
from tests.engine.rig import Rig

pytestmark = pytest.mark.on_both

LEASE_SECONDS = 2.0
SECONDS = 60.0
LOOKS = 30
"""So many looks at a counter that stands still, 0.05 s apart: many times the interval of the beats."""
BRIEFLY = "from batchwright.engine import standby_process as s; s.LONGEST_SILENCE_SECONDS = 1.0; s.main()"


@pytest.fixture
def grabbed(migrated_url: str) -> Iterator[Rig]:
    rig = Rig(Database(migrated_url), [Grabbing], clock=SystemClock(), lease_seconds=LEASE_SECONDS)
    rig.fill(10)
    yield rig
    rig.database.close()


def owner_of(rig: Rig, run: Run, seconds: float) -> subprocess.Popen[str]:
    """A process whose interpreter is kept from now on."""
    url = rig.database.url.render_as_string(hide_password=False)
    command = [
        sys.executable,
        "-m",
        "tests.engine.grabbing",
        url,
        str(run.id),
        f"{LEASE_SECONDS}",
        f"{seconds}",
    ]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "grabbing\n"
    return owner


def standing_by(owner: subprocess.Popen[str]) -> int:
    """The process that stands by for the owner."""
    (child,) = Path(f"/proc/{owner.pid}/task/{owner.pid}/children").read_text().split() or _of_threads(owner)
    return int(child)


def _of_threads(owner: subprocess.Popen[str]) -> list[str]:
    tasks = Path(f"/proc/{owner.pid}/task").iterdir()
    return [child for task in tasks for child in (task / "children").read_text().split()]


def counter_of(leases: LeaseStore) -> int:
    heartbeat = leases.look("run/1")
    assert heartbeat is not None
    return heartbeat.counter


def looks_dead(rig: Rig, run: Run, until: Callable[[], bool]) -> bool:
    """Whether a peer that looks at the run calls its owner dead before ``until`` is so."""
    leases = LeaseStore(rig.database)
    monitor = OwnerMonitor(leases, LEASE_SECONDS, rig.clock)
    try:
        while not until():
            if monitor.look([rig.read(run)]):
                return True
            time.sleep(monitor.interval / 2)
        return False
    finally:
        monitor.close()
        leases.close()


def test_who_keeps_the_interpreter_for_long_is_not_dead(grabbed: Rig) -> None:
    run = grabbed.submit(job="grabbing")
    owner = owner_of(grabbed, run, 3 * LEASE_SECONDS)
    with owner:
        assert not looks_dead(grabbed, run, lambda: owner.poll() is not None or grabbed.read(run).ended)
        owner.communicate()
    ended = grabbed.read(run)
    assert (ended.state, ended.fence, owner.returncode) == (State.COMPLETED, 1, 0)


@pytest.mark.parametrize("number", [signal.SIGSTOP, pytest.param(signal.SIGKILL, marks=pytest.mark.long)])
def test_who_is_stopped_or_killed_meanwhile_is_dead_after_a_lease(
    grabbed: Rig, number: signal.Signals
) -> None:
    run = grabbed.submit(job="grabbing")
    owner = owner_of(grabbed, run, SECONDS)
    with owner:
        child = standing_by(owner)
        assert child != owner.pid
        owner.send_signal(number)
        began = time.monotonic()
        assert looks_dead(grabbed, run, lambda: time.monotonic() - began > SECONDS)
        owner.terminate()
        owner.send_signal(signal.SIGCONT)
        owner.wait()
        until = time.monotonic() + SECONDS
        while is_alive(child):
            assert time.monotonic() < until
            time.sleep(0.01)


def test_it_beats_in_place_of_a_silent_thread_and_for_so_long_at_most(grabbed: Rig) -> None:
    leases = LeaseStore(grabbed.database)
    leases.begin("run/1", 1, lease_seconds=LEASE_SECONDS)
    standby = Standby(grabbed.database)
    calls = [standby._connects(), ["run/1", 1, 0.05]]
    process = subprocess.Popen([sys.executable, "-c", BRIEFLY], stdin=subprocess.PIPE, text=True)
    with process:
        assert process.stdin is not None
        process.stdin.write("".join(json.dumps(line) + "\n" for line in calls))
        process.stdin.flush()
        until = time.monotonic() + SECONDS
        counters = [counter_of(leases)]
        while counters[-1] < 3 or counters[-1] != counters[-LOOKS:][0] or len(counters) < LOOKS:
            assert time.monotonic() < until, counters[-LOOKS:]
            time.sleep(0.05)
            counters.append(counter_of(leases))
        assert process.poll() is None  # it is there and silent
        process.stdin.write(json.dumps(["+run/1"]) + "\n")  # a turn of the thread
        process.stdin.flush()
        while counter_of(leases) == counters[-1]:
            assert time.monotonic() < until
            time.sleep(0.05)
    assert process.returncode == 0  # its stdin was closed
    leases.close()


def test_without_a_long_run_there_is_no_such_process(grabbed: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    spawned: list[Standby] = []
    monkeypatch.setattr(Standby, "_spawn", spawned.append)
    rig = Rig(grabbed.database, [type("Quick", (Grabbing,), {"apply": lambda *_: None})])
    assert rig.drive(job="grabbing").state is State.COMPLETED
    assert spawned == []


def test_one_that_is_gone_or_stopped_is_replaced(grabbed: Rig) -> None:
    standby = Standby(grabbed.database)
    for number in (signal.SIGKILL, signal.SIGSTOP):
        standby.start()
        assert standby.pid is not None
        os.kill(standby.pid, number)
        until = time.monotonic() + SECONDS
        while standby.pid is not None:  # it is gone, or its pipe is full
            standby.has_turn("run/1")
            assert time.monotonic() < until
    standby.start()
    assert standby.pid is not None
    standby.close()
    assert standby.pid is None
