"""Executors side by side: `python -m bench.executors`. PostgreSQL; one draft rating each in turn, beside the floor.

Each executor is timed in a process of its own from submit to the end of the run, starting its pool included; the Dask
cluster, a scheduler and two workers on this machine, stands before. The floor is one process without a rating.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final

from batchwright.engine.store.database import Database
from bench.company import Company, fill, settle
from bench.measure import databases

_ROOT: Final = Path(__file__).resolve().parents[1]
WORKERS: Final = 2


def main() -> None:
    given = _arguments()
    company = Company(given.records)
    with databases("postgresql") as new_url:
        url = new_url()
        database = Database(url)
        fill(database, company)
        with _cluster(url, wanted="dask" in given.executors) as address:
            seconds: dict[str, list[float]] = {name: [] for name in ("floor", *given.executors)}
            for _ in range(given.rounds):
                for name, taken in seconds.items():
                    taken.append(_timed(name, url, company, given.scope, address))
                    settle(database)
                    print(f"{name}: {taken[-1]:.1f} s", file=sys.stderr, flush=True)
        database.close()
    for line in table(company, seconds):
        print(line)


def table(company: Company, seconds: dict[str, list[float]]) -> list[str]:
    """The medians, a line for each; a Markdown table."""
    lines = ["| executor | seconds | records/s | of the floor |", "|---|---|---|---|"]
    floor = median(seconds["floor"])
    for name, taken in seconds.items():
        middle = median(taken)
        lines.append(f"| {name} | {middle:.1f} | {company.inputs / middle:,.0f} | {floor / middle:.2f} |")
    return lines


def rate(url: str, executor: str, scope_size: int) -> None:
    """One draft rating of everything; prints its seconds."""
    from batchwright.engine.submit import Request, submit
    from batchwright.jobs.draft_usage_rating import DraftUsageRatingJob
    from batchwright.operations.app import default_application

    os.environ |= {"BATCHWRIGHT_DATABASE_URL": url, "BATCHWRIGHT_EXECUTOR": executor}
    app = default_application()
    request = Request(actor="bench", scope_size=scope_size, mail_actor=False)
    started = time.perf_counter()
    with app.database.write() as connection:
        run = submit(connection, DraftUsageRatingJob(), request, app.clock.now())
    run = app.dispatcher.drive(run.id)
    seconds = time.perf_counter() - started
    app.close()
    if run.state != "Completed" or run.processed != run.total:
        raise SystemExit(f"{run.run_id} ended {run.state}: {run.processed} of {run.total} rated; {run.error}")
    print(json.dumps(seconds))


def _timed(name: str, url: str, company: Company, scope_size: int, address: str) -> float:
    if name == "floor":
        arguments = ["-m", "bench.worker", "floor", url, str(company.inputs)]
        arguments += [str(company.inputs_per_asset), str(scope_size), "."]
    else:
        executor = address if name == "dask" else name
        arguments = ["-m", "bench.executors", "--rate", url, executor, "--scope", str(scope_size)]
    done = subprocess.run(
        [sys.executable, *arguments], cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    report = json.loads(done.stdout.splitlines()[-1])
    return float(report["seconds"] if name == "floor" else report)


@contextmanager
def _cluster(url: str, *, wanted: bool) -> Iterator[str]:
    """The address of a Dask cluster whose workers know the database."""
    if not wanted:
        yield ""
        return
    from distributed import LocalCluster

    os.environ["BATCHWRIGHT_DATABASE_URL"] = url
    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=WORKERS, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield str(cluster.scheduler_address).replace("tcp://", "dask://")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.executors", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="inputs (1,000,000)")
    parser.add_argument("--scope", type=int, default=2_000, help="inputs in a scope (2,000)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed (3)")
    parser.add_argument("--rate", nargs=2, metavar=("URL", "EXECUTOR"), help=argparse.SUPPRESS)
    parser.add_argument("executors", nargs="*", default=["inline", "local", "dask"])
    given = parser.parse_args()
    if given.rate:
        rate(given.rate[0], given.rate[1], given.scope)
        raise SystemExit
    return given


if __name__ == "__main__":
    main()
