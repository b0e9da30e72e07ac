"""How long an empty run takes from its submit to its end on a worker that waits: `python -m bench.latency`."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import select

from batchwright.config.settings import Settings, operating_system_user
from batchwright.engine.run import ENDED, State
from batchwright.engine.store.database import Database, upgrade
from batchwright.engine.store.tables import run as run_table
from batchwright.operations.actor import Actor
from batchwright.operations.app import make_application
from batchwright.operations.runs.submitting import submit_run
from tests.support.postgres import postgres_server

ROOT = Path(__file__).parents[1]
JOB = "bench.empty_job:EmptyJob"
SECONDS_BETWEEN_LOOKS = 0.0005


def main() -> None:
    """Print the median of a number of runs one at a time, and the time of many submitted at once."""
    parser = argparse.ArgumentParser(prog="python -m bench.latency")
    parser.add_argument("--runs", type=int, default=100, help="one at a time (100)")
    parser.add_argument("--many", type=int, default=1_000, help="one after the other (1,000)")
    given = parser.parse_args()
    print(f"{'':12}{'median':>10}{'fastest':>10}{'95 of 100':>10}{f'{given.many:,} runs':>14}")
    for kind in ("sqlite", "postgresql"):
        with TemporaryDirectory(prefix="batchwright-latency-") as folder, _database(kind, folder) as url:
            upgrade(url)
            with _worker(url, folder):
                milliseconds = sorted(_measured(url, folder, given.runs))
                started = time.perf_counter()
                _measured(url, folder, given.many)
                seconds = time.perf_counter() - started
        figures = (
            statistics.median(milliseconds),
            milliseconds[0],
            milliseconds[int(len(milliseconds) * 0.95)],
        )
        print(f"{kind:12}" + "".join(f"{figure:>7.1f} ms" for figure in figures) + f"{seconds:>12.1f} s")


def _measured(url: str, folder: str, number: int) -> list[float]:
    """Milliseconds from before the submit until the end is seen, of each run; the next is submitted then."""
    app = make_application(_settings(url, folder))
    actor = Actor(name="bench", os_user=operating_system_user())
    taken = []
    with _looking(app.database) as state_of:
        for _ in range(number):
            started = time.perf_counter()
            run_id = submit_run(app, "empty", {}, actor=actor, mail_actor=False).run_id
            while (state := state_of(run_id)) not in ENDED:
                time.sleep(SECONDS_BETWEEN_LOOKS)
            taken.append((time.perf_counter() - started) * 1000)
            if state != State.COMPLETED:
                raise SystemExit(f"{run_id} ended {state}")
    app.close()
    return taken


@contextmanager
def _looking(database: Database) -> Iterator[Any]:
    """A function that gives the state of a run, on one connection."""
    statement = select(run_table.c.state)
    with database.engine.connect() as connection:
        reading = connection.execution_options(batchwright_read=True)

        def state_of(run_id: str) -> str:
            with reading.begin():
                return str(reading.scalar(statement.where(run_table.c.run_id == run_id)))

        yield state_of


@contextmanager
def _worker(url: str, folder: str) -> Iterator[None]:
    """A worker process that waits for work."""
    environment = {
        **os.environ,
        "BATCHWRIGHT_DATABASE_URL": url,
        "BATCHWRIGHT_JOBS": JOB,
        "BATCHWRIGHT_EXECUTOR": "inline",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", "from batchwright.cli.main import main; main()", "-q", "worker"]
    worker = subprocess.Popen(command, env=environment, cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        assert worker.stderr is not None
        said = worker.stderr.readline()
        if not said.startswith("Working"):
            raise SystemExit(f"the worker does not start: {said}{worker.stderr.read()}")
        time.sleep(1)
        yield
    finally:
        worker.terminate()
        worker.wait(30)


@contextmanager
def _database(kind: str, folder: str) -> Iterator[str]:
    """The URL of a database whose commits reach the disk."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/latency.db"
    else:
        with postgres_server(fsync=True) as server:
            yield server.create_database("latency")


def _settings(url: str, folder: str) -> Settings:
    return Settings.model_validate(
        {
            "database_url": url,
            "jobs": [JOB],
            "executor": "inline",
            "mail": {"directory": Path(folder) / "mail"},
        }
    )


if __name__ == "__main__":
    main()
