"""Processes that compete for one SQLite file: each gets its share of the commits, and nothing is done twice.

`python -m tests.soak.fairness URL RUN_KEY FILE` is one of them: it drives one run, whose scopes take a while, as soon
as it is told to on its stdin, and writes down when it committed and how long it had to wait.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import text

from batchwright.config.settings import Settings
from batchwright.engine.events import Event, Reached, ScopeRetried
from batchwright.engine.job import BatchJob, Record, Schema, Scope, StartContext
from batchwright.engine.store.database import Database
from batchwright.engine.submit import Request, submit
from batchwright.operations.app import make_application

Say = Callable[[str], None]

PROCESSES: Final = 4
SCOPE_SECONDS: Final = 0.02
FAIR: Final = (0.20, 0.30)
"""What each may have of the commits, when there are many."""
WINDOW: Final = 1_000
"""Shares are looked at over so many commits, too."""
_JOB: Final = "tests.soak.fairness:Paced"


class PacedParameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    first: int
    last: int


class Paced(BatchJob):
    """Counts each of its numbers once, and takes its time in the transaction."""

    name = "paced"
    type = "Paced counting"
    scope_size = 1
    Parameters: ClassVar[Schema] = PacedParameters

    def start(self, context: StartContext) -> Iterable[Record]:
        return map(Record, range(self.parameters.first, self.parameters.last + 1))

    def execute(self, scope: Scope) -> None:
        for key in scope.keys:
            scope.connection.execute(
                text(
                    "INSERT INTO soak_count VALUES (:key, 1) ON CONFLICT (key) DO UPDATE SET times = times + 1"
                ),
                {"key": key},
            )
        time.sleep(SCOPE_SECONDS)


@dataclass(slots=True)
class Found:
    """Shares are of all commits until the first process was through; waits are for the write lock, in seconds."""

    commits: int = 0
    shares: list[float] = field(default_factory=list)
    window_shares: tuple[float, float] = (1.0, 0.0)
    longest_wait: float = 0.0
    retried: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        shares = ", ".join(f"{share:.1%}" for share in self.shares)
        low, high = self.window_shares
        return (
            f"{self.commits:,} commits in {self.seconds:.0f} s; shares {shares}; over {WINDOW:,} commits from {low:.1%}"
            f" to {high:.1%}; longest wait {self.longest_wait:.3f} s; {self.retried} scopes tried again;"
            f" {len(self.faults)} faults"
        )


def compare(url: str, folder: Path, *, commits: int, say: Say, fair: tuple[float, float] = FAIR) -> Found:
    """Let the processes make so many commits in all on the empty database; ``fair`` is the least and most of each."""
    database = Database(url)
    database.upgrade()
    each = commits // PROCESSES
    keys = _submit(database, each)
    say(f"{PROCESSES} processes, {each:,} commits each")
    files = [folder / f"process-{number}.json" for number in range(PROCESSES)]
    started = time.monotonic()
    said = _drive(url, keys, files)
    found = Found(commits=each * PROCESSES, seconds=time.monotonic() - started)
    if faults := [line for text in said for line in text.splitlines() if "Working" not in line]:
        found.faults += faults[:10]
    else:
        _judge(found, [json.loads(file.read_text()) for file in files], fair)
    found.faults += _doubles(database, found.commits)
    database.close()
    return found


def _submit(database: Database, each: int) -> list[int]:
    keys = []
    with database.write() as connection:
        connection.execute(text("CREATE TABLE soak_count (key integer PRIMARY KEY, times integer NOT NULL)"))
        now = make_application(Settings()).clock.now()
        for number in range(PROCESSES):
            job = Paced(first=number * each + 1, last=(number + 1) * each)
            keys.append(submit(connection, job, Request(actor=f"process {number}", scope_size=1), now).id)
    return keys


def _drive(url: str, keys: Sequence[int], files: Sequence[Path]) -> list[str]:
    """Start one process for each run, have all begin at once, and wait; what they said."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.soak.fairness", url, str(key), str(file)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=file.parent,
            env={"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        )
        for key, file in zip(keys, files, strict=True)
    ]  # fmt: skip
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [process.communicate()[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _judge(found: Found, told: Sequence[dict[str, Any]], fair: tuple[float, float]) -> None:
    first_through = min(one["times"][-1] for one in told)
    order = sorted(
        (at, number) for number, one in enumerate(told) for at in one["times"] if at <= first_through
    )
    found.shares = [_share(order, number) for number in range(len(told))]
    for begin in range(0, len(order) - WINDOW + 1, WINDOW):
        shares = [_share(order[begin : begin + WINDOW], number) for number in range(len(told))]
        low, high = found.window_shares
        found.window_shares = min(low, *shares), max(high, *shares)
    found.longest_wait = max(one["longest_wait"] for one in told)
    found.retried = sum(len(one["retried"]) for one in told)
    found.faults += [f"a scope was tried again: {reason}" for one in told for reason in one["retried"][:3]]
    if not all(fair[0] <= share <= fair[1] for share in found.shares):
        found.faults.append(f"the shares are not fair: {found.shares}")


def _share(order: Sequence[tuple[float, int]], number: int) -> float:
    return sum(one == number for _, one in order) / len(order)


def _doubles(database: Database, commits: int) -> list[str]:
    with database.read() as connection:
        counted = connection.execute(text("SELECT count(*), coalesce(sum(times), 0) FROM soak_count")).one()
        done = connection.execute(text("SELECT count(*) FROM scope WHERE state = 'done'")).scalar_one()
        states = set(connection.execute(text("SELECT state FROM run")).scalars())
    if tuple(counted) == (commits, commits) and done == commits and states == {"Completed"}:
        return []
    return [f"{counted} numbers and counts, {done} scopes done, runs {states}; {commits} of each expected"]


class _Times:
    """A subscriber: when this process committed, and the longest time it stood before the write lock."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.longest_wait = 0.0
        self.retried: list[str] = []

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, ScopeRetried):
            self.retried.append(event.reason)
        elif isinstance(event, Reached) and event.point == "scope read" and self.times:
            self.longest_wait = max(self.longest_wait, now - self.times[-1])
        elif isinstance(event, Reached) and event.point == "scope committed":
            self.times.append(now)


def _main(url: str, run_key: str, file: str) -> None:
    app = make_application(Settings(database_url=url, executor="inline", jobs=(_JOB,)))
    times = _Times()
    app.events.subscribe(times)
    print("Working", flush=True)
    sys.stdin.readline()
    app.dispatcher.drive(int(run_key))
    app.close()
    Path(file).write_text(
        json.dumps({"times": times.times, "longest_wait": times.longest_wait, "retried": times.retried})
    )


if __name__ == "__main__":
    _main(*sys.argv[1:])
