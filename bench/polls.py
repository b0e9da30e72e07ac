"""`python -m bench.polls`: how much callers who poll slow down a run, told by one run. See docs/bench.md."""

from __future__ import annotations

import argparse
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Final, Self

from sqlalchemy import func, select

from batchwright.config.settings import Settings
from batchwright.engine.store.database import Database
from batchwright.engine.store.tables import scope
from batchwright.operations.app import make_application
from bench.company import Company, fill, settle
from bench.measure import databases
from bench.pages import rating
from bench.process import pss
from bench.waits import get, tokens_of, web

SECONDS_BETWEEN_POLLS: Final = 2.0
Turn = tuple[datetime, datetime]
PATHS: Final = (
    "/api/v1/runs/JR-00000001",
    "/api/v1/runs/JR-00000001/progress",
    "/api/v1/runs?limit=20",
    "/api/v1/me",
)


def main() -> None:
    """Print the records a second of a run while nobody polls, and while so many do; both in turns."""
    parser = argparse.ArgumentParser(prog="python -m bench.polls", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="usage inputs (1,000,000)")
    parser.add_argument("--callers", type=int, default=20, help="who poll, each every two seconds (20)")
    parser.add_argument("--turns", type=int, default=10, help="with and without them (10)")
    parser.add_argument("--seconds", type=float, default=5, help="of a turn (5)")
    parser.add_argument(
        "--apart", action="store_true", help="rate in processes of a pool (PostgreSQL), not in line"
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    given = parser.parse_args()
    print("| database | records/s alone | polled | slower by | p95 ms of a poll | MB of the web | load |")
    print("|---|---|---|---|---|---|---|")
    for name in ("sqlite", "postgresql") if given.database == "both" else (given.database,):
        with databases(name) as new_url, TemporaryDirectory(prefix="batchwright-polls-") as folder:
            print(f"| {name} | {_measured(new_url(), folder, given)} |", flush=True)


def _measured(url: str, folder: str, given: argparse.Namespace) -> str:
    database = Database(url)
    fill(database, Company(given.inputs))
    settle(database)
    app = make_application(Settings(database_url=url))
    callers = list(tokens_of(app, given.callers))
    alone, polled, taken = [], [], []
    work = "rate apart" if given.apart else "rate"
    with web(url, folder) as (process, port), rating(url, given.inputs, work):
        _until_at_work(database)
        for _ in range(given.turns):
            alone.append(_turn(given.seconds))
            with _Polls(port, callers) as polls:
                polled.append(_turn(given.seconds))
            taken += polls.taken
        memory = pss(process.pid)
    rates = [_rate(database, turns) for turns in (alone, polled)]
    app.close()
    database.close()
    slower = f"{(1 - rates[1] / rates[0]) * 100:.1f} %"
    figures = [f"{rates[0]:,.0f}", f"{rates[1]:,.0f}", slower, f"{1_000 * quantiles(taken, n=20)[-1]:.0f}"]
    return " | ".join([*figures, f"{memory:.0f}", f"{os.getloadavg()[0]:.1f}"])


def _until_at_work(database: Database) -> None:
    with database.read_autocommit() as connection:
        begun = connection.scalar(select(scope.c.id).where(scope.c.state == "done").limit(1))
    if begun is None:
        time.sleep(0.5)
        _until_at_work(database)


def _turn(seconds: float) -> Turn:
    began = datetime.now(UTC)
    time.sleep(seconds)
    return began, datetime.now(UTC)


def _rate(database: Database, turns: list[Turn]) -> float:
    """The median of records a second; a turn in which a run ended, or was only planned, tells nothing."""
    rates = []
    for began, ended in turns:
        within = (scope.c.done_at >= began, scope.c.done_at < ended)
        whole = select(scope.c.run_id).group_by(scope.c.run_id)
        whole = whole.having(func.min(scope.c.done_at) < began, func.max(scope.c.done_at) >= ended)
        records = select(func.sum(scope.c.records)).where(*within, scope.c.run_id.in_(whole))
        with database.read_autocommit() as connection:
            done = connection.scalar(records)
        if done:
            rates.append(int(done) / (ended - began).total_seconds())
    if not rates:
        raise SystemExit("no turn fell into one run: take more --inputs, or fewer --seconds")
    return median(rates)


class _Polls:
    """Callers who poll while the block lasts."""

    def __init__(self, port: int, tokens: list[str]) -> None:
        self._port, self._tokens = port, tokens
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(len(tokens))
        self.taken: list[float] = []
        """Seconds that each of their calls took."""

    def __enter__(self) -> Self:
        self._calling = [self._pool.submit(self._call, *caller) for caller in enumerate(self._tokens)]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for one in self._calling:
            one.result()
        self._pool.shutdown()

    def _call(self, number: int, token: str) -> None:
        self._over.wait(SECONDS_BETWEEN_POLLS * number / len(self._tokens))
        while not self._over.wait(SECONDS_BETWEEN_POLLS):
            began = time.perf_counter()
            get(self._port, token, PATHS[number % len(PATHS)])
            self.taken.append(time.perf_counter() - began)


if __name__ == "__main__":
    main()
