"""A worker whose surroundings fail it: no more threads, its file replaced, no file of heartbeats, peers gone."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwright.engine import worker
from batchwright.engine.clock import SystemClock
from batchwright.engine.errors import DatabaseReplaced, Refused
from batchwright.engine.job import Scope
from batchwright.engine.lease import GonePeers, OwnerMonitor
from batchwright.engine.run import State
from batchwright.engine.store.database import Database
from batchwright.engine.store.leases import LeaseStore
from batchwright.engine.store.notify import listener_for
from batchwright.testing.clock import FakeClock
from tests.engine.jobs import Parcels
from tests.engine.rig import NOW, Rig
from tests.engine.working import ended, working

on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)


@pytest.fixture
def rig(migrated_url: str, spy: type[Parcels]) -> Iterator[Rig]:
    """An engine on the machine's clock, with 3 parcels."""
    rig = Rig(Database(migrated_url), [spy], clock=SystemClock())
    rig.fill(3)
    yield rig
    rig.database.close()


@pytest.mark.on_both
def test_a_run_for_which_no_thread_can_be_started_is_handed_back_and_done_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SECONDS_WITHOUT_THREADS", 0.1)
    refusals = [RuntimeError("can't start new thread")]
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name.startswith("JR-") and refusals:
            raise refusals.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    run = rig.submit()
    with working(rig):
        done = ended(rig, run)
    assert (done.state, done.processed, done.fence) == (State.COMPLETED, 3, 2)


@on_sqlite
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_who_waits_for_news_of_a_file_that_is_gone_is_told(rig: Rig, tmp_path: Path, how: str) -> None:
    file = Path(rig.database.url.database or "")
    listener = listener_for(rig.database)
    listener.wait(0)
    file.rename(tmp_path / "old")
    if how == "replaced":
        file.write_bytes((tmp_path / "old").read_bytes())
    with pytest.raises(DatabaseReplaced, match="deleted or replaced"):
        listener.wait(60)
    listener.close()


@on_sqlite
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_run_in_the_foreground_whose_file_is_replaced_ends_and_leaves_the_new_one_alone(
    rig: Rig, spy: type[Parcels], tmp_path: Path, how: str
) -> None:
    run = rig.submit(scope_size=1)
    file, other = Path(rig.database.url.database or ""), tmp_path / "other.db"
    with sqlite3.connect(file) as source, sqlite3.connect(other) as copy:
        source.backup(copy)
    source.close()
    copy.close()

    def execute(scope: Scope) -> None:
        if scope.number == 2:
            for ending in ("-wal", "-shm"):  # what SQLite would apply to any file there
                file.with_name(f"{file.name}{ending}").unlink()
            file.unlink() if how == "deleted" else os.replace(other, file)

    spy.on_execute = staticmethod(execute)
    with pytest.raises(DatabaseReplaced, match="deleted or replaced"):
        rig.drive(run)
    assert len(spy.calls) == 2
    assert file.exists() is (how == "replaced")
    rig.database.close()
    if how == "replaced":
        assert (rig.read(run).state, set(rig.handled().values())) == (State.HOLDING, {0})


@on_sqlite
def test_a_worker_whose_file_is_replaced_ends_with_1_and_says_so(rig: Rig, tmp_path: Path) -> None:
    file = Path(rig.database.url.database or "")
    process = subprocess.Popen(
        [sys.executable, "-m", "batchwright", "worker"],
        stderr=subprocess.PIPE,
        text=True,
        env={"BATCHWRIGHT_DATABASE_URL": f"sqlite:///{file}", "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
    )
    with process:
        assert process.stderr is not None
        assert any("Working on" in line for line in process.stderr)
        wait_until_listening(file)
        file.rename(tmp_path / "old")
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "deleted or replaced" in said


def wait_until_listening(file: Path) -> None:
    """Until the worker has made its file of heartbeats: its first look."""
    while not Path(f"{file}-lease").exists():
        time.sleep(0.01)


@on_sqlite
def test_a_run_is_not_claimed_without_a_file_of_heartbeats(rig: Rig) -> None:
    run = rig.submit()
    Path(f"{rig.database.url.database}-lease").mkdir()
    claims = rig.dispatcher().claims
    with pytest.raises(Refused, match="file of heartbeats"):
        claims.claim_next()
    with pytest.raises(Refused, match="file of heartbeats"):
        claims.claim_or_wait(run.id, lambda: True)
    assert rig.read(run).state is State.HOLDING


@pytest.mark.on_both
def test_heartbeats_of_peers_that_stood_still_for_a_day_are_forgotten(rig: Rig) -> None:
    clock = FakeClock(NOW)
    store = LeaseStore(rig.database)
    dead, alive = OwnerMonitor(store, 30, clock), OwnerMonitor(store, 30, clock)
    dead.look([])
    alive.look([])
    store.begin("run/1", 1)
    peers = GonePeers(store, clock)
    for _ in range(26):
        peers.look()
        assert len(store.peers()) == 2
        alive.look([])
        clock.sleep(3_500)
    clock.sleep(3_600)
    peers.look()
    assert list(store.peers()) == [alive._name]
    assert store.look("run/1") is not None
    store.close()
