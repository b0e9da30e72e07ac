"""Scopes executed by a real Dask cluster of two processes: a worker dies, then all of it, and the run goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from distributed import Client

from batchwright.engine import events
from batchwright.engine.clock import SystemClock
from batchwright.engine.cluster import Dask
from batchwright.engine.executors import Inline
from batchwright.engine.run import Control, State
from batchwright.engine.store import controls
from batchwright.engine.store.database import Database
from batchwright.operations.app import POOL
from tests.engine.jobs import metadata
from tests.engine.pooled import FOLDER, Held, wait_for
from tests.engine.rig import NOW, Rig
from tests.support.postgres import PostgresServer

PATIENCE = 4.0
ROOT = Path(__file__).parents[2]
URL = "BATCHWRIGHT_DATABASE_URL"

Cluster = subprocess.Popen[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the job and the test talk."""
    return tmp_path_factory.mktemp("dask")


@pytest.fixture(scope="module")
def url(postgres: PostgresServer, migrated_postgres_template: str) -> Iterator[str]:
    """A database for all tests here."""
    name = f"dask_{os.getpid()}"
    yield postgres.create_database(name, template=migrated_postgres_template)
    postgres.drop_database(name)


class Clusters:
    """One cluster after another, the next when the one before is gone; workers have the application's environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**os.environ, **environment}
        self.process: Cluster | None = None
        self._address = ""

    def address(self) -> str:
        """Where the cluster is that stands now."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.engine.dask_cluster"],
                env=self._environment,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert self.process.stdout is not None
            self._address = self.process.stdout.readline().strip()
        with Client(self._address) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(2, timeout=60)  # one that was killed is replaced in its own time
        return self._address.replace("tcp://", "dask://")

    def kill(self) -> None:
        """End the scheduler, and with it its workers."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Let it end by itself where it stands."""
        if self.process is not None and self.process.poll() is None:
            self.process.communicate()


@pytest.fixture(scope="module")
def clusters(url: str, folder: Path) -> Iterator[Clusters]:
    made = Clusters({URL: url, "BATCHWRIGHT_JOBS": "tests.engine.pooled:Held", FOLDER: str(folder)})
    yield made
    made.close()


@pytest.fixture
def rig(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """An engine with 80 parcels, none of them handled."""
    monkeypatch.setenv(FOLDER, str(folder))
    rig = Rig(Database(url), [Held], clock=SystemClock(), lease_seconds=PATIENCE)
    with rig.database.write() as connection:
        metadata.drop_all(connection)
    rig.fill(80)
    for left in folder.iterdir():
        left.unlink()
    yield rig
    rig.executor.close()
    rig.database.close()


def on(rig: Rig, address: str) -> None:
    rig.executor = Dask(address, f"{POOL}:execute_waiting_scope", Inline(), rig.events, PATIENCE)


def test_a_worker_that_is_killed_loses_and_doubles_nothing(
    rig: Rig, folder: Path, clusters: Clusters
) -> None:
    on(rig, clusters.address())
    (folder / "hold-3").touch()
    (folder / "bad-8").write_text("SystemExit")
    killed: list[int] = []

    def kill(event: object) -> None:
        if isinstance(event, events.ScopeDone) and not killed:
            killed.append(int(wait_for(folder / "scope-3")))
            os.kill(killed[0], signal.SIGKILL)
            (folder / "hold-3").unlink()

    rig.subscribers.append(kill)
    run = rig.drive(job="held")
    assert (run.state, run.processed, run.errored) == (State.COMPLETED, 79, 1)
    assert rig.handled() == {key: 0 if key == 73 else 1 for key in range(1, 81)}
    assert [one.record_key for one in rig.published if isinstance(one, events.RecordErrored)] == [73]
    assert [one for one in rig.published if isinstance(one, events.WorkerReplaced)]
    pids = {int((folder / f"scope-{number}").read_text()) for number in range(1, 9)}
    assert os.getpid() not in pids
    assert [one for one in rig.published if isinstance(one, events.ExecutorFellBack)] == []


def test_what_waits_at_a_worker_is_not_begun_once_the_run_is_to_be_aborted(
    rig: Rig, folder: Path, clusters: Clusters
) -> None:
    on(rig, clusters.address())
    for number in range(1, 5):
        (folder / f"hold-{number}").touch()
    run = rig.claimed(rig.submit(job="held"))

    def ask() -> None:
        begun: set[int] = set()
        while len(begun) < 2:
            begun = {number for number in range(1, 5) if (folder / f"scope-{number}").exists()}
        with rig.database.write() as connection:
            controls.request(connection, run, controls.ControlRequest(Control.ABORT, "erin", NOW))
        for number in range(1, 5):
            (folder / f"hold-{number}").unlink()

    asking = threading.Thread(target=ask)

    def when_planned(event: object) -> None:
        if isinstance(event, events.RunPlanned):
            asking.start()

    rig.subscribers.append(when_planned)
    ended = rig.dispatcher().work(run)
    asking.join()
    assert (ended.state, ended.processed, ended.not_reached) == (State.ABORTED, 20, 60)
    assert sum(rig.handled().values()) == 20


@pytest.mark.long
def test_a_run_goes_on_without_the_cluster_when_that_is_killed(
    rig: Rig, folder: Path, clusters: Clusters
) -> None:
    address = clusters.address()
    on(rig, address)
    (folder / "hold-4").touch()
    killed: list[int] = []

    def kill(event: object) -> None:
        if isinstance(event, events.ScopeDone) and not killed:
            killed.append(int(wait_for(folder / "scope-4")))
            clusters.kill()
            (folder / "hold-4").unlink()

    rig.subscribers.append(kill)
    run = rig.drive(job="held")
    assert (run.state, run.processed) == (State.COMPLETED, 80)
    assert set(rig.handled().values()) == {1}
    assert [one for one in rig.published if isinstance(one, events.ExecutorFellBack)] == [
        events.ExecutorFellBack(run.run_id, address, "local", f"no worker answered for {PATIENCE:g} s")
    ]


@pytest.mark.long
def test_a_run_goes_on_without_a_cluster_when_there_is_none(rig: Rig) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        on(rig, f"dask://127.0.0.1:{nobody.getsockname()[1]}")
        run = rig.drive(job="held")
    assert (run.state, run.processed) == (State.COMPLETED, 80)
    assert [one for one in rig.published if isinstance(one, events.ExecutorFellBack)]
