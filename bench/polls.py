"""`python -m bench.polls`: how much callers who poll, or who watch pages, slow down a run. See docs/bench.md."""

from __future__ import annotations

import argparse
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPConnection
from itertools import accumulate, pairwise
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, Self

from sqlalchemy import func, select

from batchwright.config.settings import Settings
from batchwright.console.pages.render import LIVE, VERSION
from batchwright.console.pages.session import COOKIE
from batchwright.engine.store.database import Database
from batchwright.engine.store.tables import run, scope
from batchwright.operations import user_store
from batchwright.operations.access.sessions import begin_session
from batchwright.operations.app import Application, make_application
from bench.company import Company, fill, settle
from bench.history import p95, rating, say
from bench.measure import databases
from bench.process import cpu_seconds, pss
from bench.waits import get, tokens_of, web

SECONDS_BETWEEN_POLLS: Final = 2.0
SECONDS_BETWEEN_LOOKS: Final = 1.0
Turn = tuple[datetime, datetime]
PATHS: Final = (
    "/api/v1/runs/{run_id}",
    "/api/v1/runs/{run_id}/progress",
    "/api/v1/runs?limit=20",
    "/api/v1/me",
)
REGIONS: Final = (("/runs/{run_id}", "region_run"), ("/runs", "region_runs"), ("/", "region_now"))
"""Pages that follow a run, and what of them does."""
_VERSION: Final = re.compile(r'data-version="(\w+)"')
_THROUGH: Final = re.compile(r"([\d,]+) of [\d,]+")
"""How many records of a run the page says are through."""


def main() -> None:
    """Print the records a second of a run while nobody asks, and while so many do; both in turns."""
    parser = argparse.ArgumentParser(prog="python -m bench.polls", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="usage inputs (1,000,000)")
    parser.add_argument("--callers", type=int, default=20, help="who poll the API each two seconds (20)")
    parser.add_argument(
        "--viewers",
        type=int,
        default=0,
        help="in place of them, who watch a page, its live region each second",
    )
    parser.add_argument("--turns", type=int, default=10, help="with and without them (10)")
    parser.add_argument("--seconds", type=float, default=5, help="of a turn (5)")
    parser.add_argument(
        "--apart", action="store_true", help="rate in processes of a pool (PostgreSQL), not in line"
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    given = parser.parse_args()
    print(
        "| database | records/s alone | beside | slower by | p95 ms | CPU ms of each | nothing new | oldest s |"
        " MB of the web | load |"
    )
    print(f"|{'---|' * 10}")
    for name in ("sqlite", "postgresql") if given.database == "both" else (given.database,):
        with databases(name) as new_url, TemporaryDirectory(prefix="batchwright-polls-") as folder:
            print(f"| {name} | {_measured(new_url(), folder, given)} |", flush=True)


def _measured(url: str, folder: str, given: argparse.Namespace) -> str:
    database = Database(url)
    say(f"{given.inputs:,} inputs are written")
    fill(database, Company(given.inputs))
    settle(database)
    app = make_application(Settings(database_url=url))
    who = list(_references_of(app, given.viewers) if given.viewers else tokens_of(app, given.callers))
    alone, beside, taken, spent = [], [], [], 0.0
    viewers: list[_Viewer] = []
    with (
        web(url, folder) as (process, port),
        rating(url, given.inputs, "rate apart" if given.apart else "rate"),
        ExitStack() as open_until_then,
    ):
        _until_at_work(database)
        for turn in range(given.turns):
            alone.append(_turn(given.seconds))
            run_id = _newest(database)
            if given.viewers:
                asking = [
                    open_until_then.enter_context(_Viewer(port, *one, run_id)) for one in enumerate(who)
                ]
                viewers += asking
                load = _Asking([viewer.look for viewer in asking], SECONDS_BETWEEN_LOOKS)
            else:
                polls = [partial(get, port, token, _path(PATHS, n, run_id)) for n, token in enumerate(who)]
                load = _Asking(polls, SECONDS_BETWEEN_POLLS)
            load.once()
            before = cpu_seconds(process.pid)
            with load:
                beside.append(_turn(given.seconds))
            taken += load.taken
            spent += cpu_seconds(process.pid) - before
            say(f"{turn + 1} of {given.turns} turns")
        memory = pss(process.pid)
    rates = [_rate(database, turns) for turns in (alone, beside)]
    figures = [*_figures(rates, taken, spent), *_figures_of(viewers, database), f"{memory:.0f}"]
    app.close()
    database.close()
    return " | ".join([*figures, f"{os.getloadavg()[0]:.1f}"])


def _figures(rates: Sequence[float], taken: Sequence[float], spent: float) -> list[str]:
    """Records a second, by how much fewer they are, the p95 of an answer and what one costs."""
    slower = f"{(1 - rates[1] / rates[0]) * 100:.1f} %"
    rest = [slower, f"{p95(taken):.0f}", f"{1_000 * spent / len(taken):.1f}"]
    return [*(f"{rate:,.0f}" for rate in rates), *rest]


def _figures_of(viewers: Sequence[_Viewer], database: Database) -> list[str]:
    """How many looks had nothing new, and how old what a viewer saw was at most."""
    if not viewers:
        return ["-", "-"]
    same = [look is None for viewer in viewers for _, look in viewer.seen]
    ages = [age for viewer in viewers for age in viewer.ages(database)]
    return [f"{100 * sum(same) / len(same):.0f} %", f"{max(ages):.1f}" if ages else "-"]


def _references_of(app: Application, number: int) -> Iterator[str]:
    """Of the sessions of so many users, the first of whom is an administrator."""
    list(tokens_of(app, number))
    with app.database.write() as connection:
        for user in user_store.list_users(connection):
            now = app.clock.now()
            begun = begin_session(connection, user["id"], address="127.0.0.1", browser="bench", now=now)
            yield begun.reference


def _newest(database: Database) -> str:
    with database.read_autocommit() as connection:
        return str(connection.scalar(select(run.c.run_id).order_by(run.c.id.desc()).limit(1)))


def _path(paths: Sequence[str], number: int, run_id: str) -> str:
    return paths[number % len(paths)].format(run_id=run_id)


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


class _Asking:
    """Callers who ask while the block lasts, each again so many seconds after it was answered."""

    def __init__(self, asks: Sequence[Callable[[], object]], seconds: float) -> None:
        self._asks, self._seconds = asks, seconds
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(len(asks))
        self.taken: list[float] = []
        """Seconds that each of their calls took."""

    def once(self) -> None:
        """Have each ask before it counts: what a web process does for the first time takes longer."""
        for ask in self._asks:
            ask()

    def __enter__(self) -> Self:
        self._asking = [self._pool.submit(self._ask, *one) for one in enumerate(self._asks)]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for one in self._asking:
            one.result()
        self._pool.shutdown()

    def _ask(self, number: int, ask: Callable[[], object]) -> None:
        seconds = self._seconds * number / len(self._asks)  # not all at once
        while not self._over.wait(seconds):
            began = time.perf_counter()
            ask()
            self.taken.append(time.perf_counter() - began)
            seconds = self._seconds


class _Viewer:
    """A browser with a page that follows a run, as its script looks at it."""

    def __init__(self, port: int, number: int, reference: str, run_id: str) -> None:
        path, self._region = REGIONS[number % len(REGIONS)]
        self._path, self._run_id = path.format(run_id=run_id), run_id
        self._connection = HTTPConnection("127.0.0.1", port)
        self._headers = {"Cookie": f"{COOKIE}={reference}", LIVE: self._region, VERSION: ""}
        self.seen: list[tuple[datetime, int | None]] = []
        """When it was answered, and how many records are through by the page; None where nothing was new."""

    def look(self) -> None:
        """Look at the region once."""
        self._connection.request("GET", self._path, headers=self._headers)
        answer = self._connection.getresponse()
        page = answer.read().decode()
        if answer.status not in (200, 204):
            raise SystemExit(f"{self._path} is answered {answer.status}: {page[:500]}")
        through = None
        if answer.status == 200:
            if version := _VERSION.search(page):
                self._headers[VERSION] = version[1]
            match = _THROUGH.search(self._of_the_run(page))
            through = int(match[1].replace(",", "")) if match else 0
        self.seen.append((datetime.now(UTC), through))

    def _of_the_run(self, page: str) -> str:
        """What a region says of the run that is followed: a list begins with a newer one as soon as there is one."""
        if self._region == "region_run":
            return page
        _, _, rest = page.partition(f">{self._run_id}<")
        return rest.partition(">JR-")[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ages(self, database: Database) -> Iterator[float]:
        """For each count that it was shown, how long that had been out of date before it was shown the next."""
        which = select(scope.c.done_at, scope.c.records).join(run, run.c.id == scope.c.run_id)
        which = which.where(run.c.run_id == self._run_id, scope.c.done_at.is_not(None)).order_by(
            scope.c.done_at
        )
        with database.read_autocommit() as connection:
            rows = connection.execute(which).all()
        done = list(zip((at for at, _ in rows), accumulate(records for _, records in rows), strict=True))
        for (_, shown), (at, through) in pairwise(one for one in self.seen if one[1] is not None):
            first = next((ended for ended, sum_ in done if sum_ > (shown or 0)), None)
            if first is not None and (through or 0) > (shown or 0) > 0:
                yield (at - first).total_seconds()


if __name__ == "__main__":
    main()
