"""A large run on a Dask cluster of two processes: a worker is killed, then the scheduler. Nothing is lost or doubled.

`python -m tests.soak.cluster dask` is the cluster, `… drive ADDRESS` one process that drives the run and tells what
happens; both end at the end of their stdin.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import text

from batchwright.config.settings import Settings
from batchwright.engine.events import Event
from batchwright.engine.run import Run
from batchwright.engine.store.database import Database
from batchwright.engine.submit import Request, submit
from batchwright.jobs.draft_usage_rating import DraftUsageRatingJob
from batchwright.operations.app import Application, make_application
from bench.company import Company, fill, settle

Say = Callable[[str], None]

SCOPE_SIZE: Final = 2_000
LEASE_SECONDS: Final = 5.0
WORKER_DIES_AT, SCHEDULER_DIES_AT = 0.25, 0.5
_ROOT: Final = Path(__file__).resolve().parents[2]
# Every figure that a draft leaves, but for the number of the run; added up, so that a million rows are one number.
_LEFT: Final = (
    """SELECT count(*), sum(draft_rated_amount), sum(hashtextextended(ROW(usage_input_id, status, code, message,
    draft_rated_amount, draft_price_key, draft_contract_key, draft_discount_percent, draft_prior_quantity)::text, 0))
    FROM usage_input""",
    """SELECT count(*), sum(draft_fee_amount), sum(hashtextextended(ROW(usage_schedule_id, draft_rated_quantity,
    draft_fee_amount)::text, 0)) FROM usage_schedule""",
)
_LEDGER: Final = """
    SELECT o.code, count(*), sum(hashtextextended(ROW(o.record_key, o.outcome, o.code, o.message)::text, 0))
    FROM outcome o WHERE o.run_id = :run GROUP BY o.code ORDER BY o.code"""

Left = list[tuple[Any, ...]]


@dataclass(slots=True)
class Found:
    """What happened on the way, and what was wrong at the end."""

    inputs: int = 0
    control_seconds: float = 0.0
    seconds: float = 0.0
    events: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        summary = ", ".join(f"{number} {name}" for name, number in sorted(self.events.items()))
        return (
            f"{self.inputs:,} inputs: in line {self.control_seconds:.0f} s, on a cluster that died {self.seconds:.0f} s"
            f" ({summary}); {len(self.faults)} faults"
        )


def compare(url: str, *, inputs: int, say: Say) -> Found:
    """Fill the empty database, rate all of it in line, and once more on a cluster that is killed bit by bit."""
    database, found = Database(url), Found(inputs)
    fill(database, Company(inputs, bad_every=1_001))
    say(f"{inputs:,} inputs written")
    started = time.monotonic()
    control = _submitted(url)
    app = _app(url, "inline")
    expected = _left(database, app.dispatcher.drive(control.id))
    app.close()
    found.control_seconds = time.monotonic() - started
    say(f"rated in line in {found.control_seconds:.0f} s")
    _forget(database)
    settle(database)
    run = _submitted(url)
    with _process(url, "dask") as cluster:
        line = _line(cluster)
        started = time.monotonic()
        with _process(url, "drive", line["address"], str(run.id)) as driver:
            _disturb(driver, cluster, line["workers"], -(-inputs // SCOPE_SIZE), found, say)
        found.seconds = time.monotonic() - started
    _judge(found, expected, _left(database, _read(url, run)))
    database.close()
    return found


def _disturb(
    driver: subprocess.Popen[str],
    cluster: subprocess.Popen[str],
    workers: list[int],
    scopes: int,
    found: Found,
    say: Say,
) -> None:
    """Listen to the driver until the run is over; kill a worker, then the scheduler with all it has left."""
    victims = [(WORKER_DIES_AT, workers[0], "worker"), (SCHEDULER_DIES_AT, cluster.pid, "scheduler")]
    assert driver.stdout is not None
    for line in driver.stdout:
        found.events[json.loads(line)["event"]] += 1
        if victims and found.events["ScopeDone"] >= victims[0][0] * scopes:
            _, pid, what = victims.pop(0)
            os.kill(pid, signal.SIGKILL)
            say(f"{what} killed after {found.events['ScopeDone']} of {scopes} scopes")
    if victims:
        found.faults.append(f"the run was over before these were killed: {victims}")


def _judge(found: Found, expected: Left, left: Left) -> None:
    for name in ("WorkerReplaced", "ExecutorFellBack"):
        if not found.events[name]:
            found.faults.append(f"nobody told of {name}: the deaths went unnoticed")
    found.faults += [
        f"{one} instead of {other}" for one, other in zip(left, expected, strict=True) if one != other
    ]


def _left(database: Database, run: Run) -> Left:
    """The run's end, its ledger, and what it left on inputs and schedules."""
    with database.read() as connection:
        rows = [tuple(connection.execute(text(statement)).one()) for statement in _LEFT]
        ledger = [tuple(row) for row in connection.execute(text(_LEDGER), {"run": run.id})]
    ended = (str(run.state), run.total, run.processed, run.errored, run.skipped, run.totals)
    return [ended, tuple(ledger), *rows]


def _forget(database: Database) -> None:
    """Back to where no forecast has been."""
    with database.write() as connection:
        connection.execute(
            text(
                "UPDATE usage_input SET status = 'Loaded', error_by = NULL, code = NULL, message = NULL,"
                " draft_rated_amount = NULL, draft_run_key = NULL, draft_price_key = NULL, draft_contract_key = NULL,"
                " draft_discount_percent = NULL, draft_prior_quantity = NULL"
            )
        )
        connection.execute(
            text("UPDATE usage_schedule SET draft_rated_quantity = NULL, draft_fee_amount = NULL")
        )


def _submitted(url: str) -> Run:
    app = _app(url, "inline")
    with app.database.write() as connection:
        request = Request(actor="soak", scope_size=SCOPE_SIZE, mail_actor=False)
        run = submit(connection, DraftUsageRatingJob(), request, app.clock.now())
    app.close()
    return run


def _read(url: str, run: Run) -> Run:
    app = _app(url, "inline")
    ended = app.dispatcher.drive(run.id)  # it has ended: nothing is driven
    app.close()
    return ended


def _app(url: str, executor: str) -> Application:
    return make_application(Settings(database_url=url, executor=executor, lease_seconds=LEASE_SECONDS))


@contextmanager
def _process(url: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.soak.cluster", *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT,
        env={**os.environ, "BATCHWRIGHT_DATABASE_URL": url},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.communicate()


def _line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    report: dict[str, Any] = json.loads(process.stdout.readline())
    return report


def _dask() -> None:
    import dask
    from distributed import LocalCluster

    dask.config.set({"distributed.scheduler.allowed-failures": 0})
    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        address = str(cluster.scheduler_address).replace("tcp://", "dask://")
        print(
            json.dumps({"address": address, "workers": [one.pid for one in cluster.workers.values()]}),
            flush=True,
        )
        sys.stdin.read()


def _drive(address: str, run_key: str) -> None:
    def tell(event: Event) -> None:
        print(json.dumps({"event": type(event).__name__}), flush=True)

    app = _app(os.environ["BATCHWRIGHT_DATABASE_URL"], address)
    app.events.subscribe(tell)
    app.dispatcher.drive(int(run_key))
    app.close()


if __name__ == "__main__":
    if sys.argv[1] == "dask":
        _dask()
    else:
        _drive(*sys.argv[2:])
