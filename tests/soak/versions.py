"""Two versions of a job set on four workers, deployed one after the other, under schedules and enqueued runs.

The new version has one more job, and one more parameter of the old job. Nothing may fail, no time be refused, and in
each line what one version can do is begun in its order.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row, text

from batchwright.config.settings import Settings, operating_system_user
from batchwright.engine.job import BatchJob, Record, Schema, Scope, StartContext
from batchwright.engine.schedule import Misfire, Overlap, ScheduleRequest
from batchwright.engine.submit import Request, submit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application, make_application
from batchwright.operations.schedules.schedules import add_schedule, pause_schedule
from tests.soak.fleet import ROOT

WORKERS: Final = 4
ACTORS: Final = ("A", "B", "C")
RECORDS: Final = 5
SCOPE_SECONDS: Final = 0.01
OLD: Final = "tests.soak.versions:Counting"
NEW: Final = "tests.soak.versions:NewCounting,tests.soak.versions:Fresh"
_PATIENCE_SECONDS: Final = 600.0
_COUNT: Final = (
    "CREATE TABLE soak_count (run integer, key integer, times integer NOT NULL, PRIMARY KEY (run, key))"
)


class OldParameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int


class NewParameters(OldParameters):
    region: str = "north"


class Counting(BatchJob):
    """Counts each of a few records once, in a scope each."""

    name = "counting"
    type = "Counting"
    scope_size = 1
    Parameters: ClassVar[Schema] = OldParameters

    def start(self, context: StartContext) -> Iterable[Record]:
        return [Record(key) for key in range(1, RECORDS + 1)]

    def execute(self, scope: Scope) -> None:
        once_more = "ON CONFLICT (run, key) DO UPDATE SET times = soak_count.times + 1"
        for key in scope.keys:
            scope.connection.execute(
                text(f"INSERT INTO soak_count VALUES (:run, :key, 1) {once_more}"),
                {"run": scope.run.id, "key": key},
            )
        time.sleep(SCOPE_SECONDS)


class NewCounting(Counting):
    """The same with another parameter."""

    Parameters = NewParameters


class Fresh(NewCounting):
    """A job that the old version has not."""

    name = "fresh"
    type = "Fresh counting"


@dataclass(slots=True)
class Found:
    """`waited` are the seconds from a submit to the start of runs that the old version cannot do."""

    runs: int = 0
    fires: int = 0
    handed_back: int = 0
    seconds: float = 0.0
    waited: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        longest = max(self.waited, default=0.0)
        return (
            f"{self.runs} runs, {self.fires} of them by schedules, in {self.seconds:.0f} s; {self.handed_back} begun"
            f" again after their worker was stopped or killed; {len(self.waited)} for the new version alone waited"
            f" up to {longest:.1f} s; {len(self.faults)} faults"
        )


def compare(
    url: str,
    folder: Path,
    *,
    runs: int,
    cron: str = "0 * * * * ?",
    seconds_between: float,
    workers: int = WORKERS,
) -> Found:
    """Deploy the new version worker by worker, so many seconds apart, while runs of both versions are submitted."""
    old, new = _application(url, OLD), _application(url, NEW)
    old.database.upgrade()
    with old.database.write() as connection:
        connection.execute(text(_COUNT))
    actor = Actor(name="dana@example.com", os_user=operating_system_user())
    for app, name, job in ((old, "Old", "counting"), (new, "Fresh", "fresh")):
        wanted = ScheduleRequest(
            name=name,
            cron=cron,
            job=job,
            parameters={"number": 1},
            misfire=Misfire.ALL,
            overlap=Overlap.ALLOW,
        )
        add_schedule(app, wanted, actor=actor)
    found = Found()
    began = time.monotonic()
    with _deployed(url, folder, workers, found) as fleet:
        for turn in range(workers + 1):
            _submit_some(old, new, runs * turn // (workers + 1), runs * (turn + 1) // (workers + 1))
            time.sleep(seconds_between)
            if turn < workers:
                fleet.replace(turn, NEW)
        for name in ("Old", "Fresh"):
            pause_schedule(new, name, actor=actor)
        _wait_for_all(new)
        found.seconds = time.monotonic() - began
    _judge(found, new, runs)
    old.close()
    new.close()
    return found


def _application(url: str, jobs: str) -> Application:
    return make_application(Settings(database_url=url, jobs=tuple(jobs.split(","))))


class _Fleet:
    """Worker processes by their place, each of one version."""

    def __init__(self, url: str, folder: Path, found: Found) -> None:
        self._url, self._folder, self._found = url, folder, found
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, place: int, jobs: str) -> None:
        """Start a worker, and wait until it is at work."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "BATCHWRIGHT_DATABASE_URL": self._url,
            "BATCHWRIGHT_JOBS": jobs,
            "BATCHWRIGHT_EXECUTOR": "inline",
            "BATCHWRIGHT_LEASE_SECONDS": "3",
            "BATCHWRIGHT_MAIL__DIRECTORY": str(self._folder / "mail"),
        }
        log = self._folder / f"worker{place}.log"
        with log.open("wb") as said:
            self._processes[place] = subprocess.Popen(
                [sys.executable, "-m", "batchwright", "worker"],
                env=environment,
                stderr=said,
                cwd=self._folder,
            )
        until = time.monotonic() + _PATIENCE_SECONDS
        while b"Working on" not in log.read_bytes():
            if time.monotonic() > until or self._processes[place].poll() is not None:
                raise RuntimeError(f"worker {place} did not start: {log.read_text()}")
            time.sleep(0.02)

    def replace(self, place: int, jobs: str) -> None:
        """Every other one drains, the rest are killed: a half-done run is taken over by who can do it."""
        process = self._processes[place]
        process.send_signal(signal.SIGKILL if place % 2 else signal.SIGTERM)
        code = process.wait(60)
        if code not in (0, -signal.SIGKILL):
            self._found.faults.append(f"worker {place} ended with {code}")
        self.start(place, jobs)

    def stop(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for place, process in self._processes.items():
            if (code := process.wait(60)) != 0:
                self._found.faults.append(f"worker {place} ended with {code}")


@contextmanager
def _deployed(url: str, folder: Path, workers: int, found: Found) -> Iterator[_Fleet]:
    fleet = _Fleet(url, folder, found)
    for place in range(workers):
        fleet.start(place, OLD)
    try:
        yield fleet
    finally:
        fleet.stop()


def _submit_some(old: Application, new: Application, first: int, last: int) -> None:
    """By turns a run that both versions can do, one with a new parameter, and one of the new job."""
    for number in range(first, last):
        app, job = ((old, "counting"), (new, "counting"), (new, "fresh"))[number % 3]
        made = app.registry.make(job, {"number": number})
        request = Request(actor=ACTORS[number // 3 % len(ACTORS)], mail_actor=False)
        with app.database.write() as connection:
            submit(connection, made, request, app.clock.now())


def _wait_for_all(app: Application) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    left = text("SELECT count(*) FROM run WHERE state NOT IN ('Completed', 'Failed', 'Aborted')")
    while True:
        with app.database.read() as connection:
            number = connection.execute(left).scalar_one()
        if number == 0:
            return
        if time.monotonic() > until:
            raise TimeoutError(f"{number} runs have not ended after {_PATIENCE_SECONDS:g} s")
        time.sleep(0.1)


def _judge(found: Found, app: Application, submitted: int) -> None:
    with app.database.read() as connection:
        runs = connection.execute(
            text(
                "SELECT id, job, actor, parameters, schedule, state, fence, created_at, started_at FROM run ORDER BY id"
            )
        ).all()
        not_run = connection.execute(
            text("SELECT nominal_time, cause, reason FROM schedule_fire WHERE decision <> 'started'")
        ).all()
        counted = tuple(connection.execute(text("SELECT count(*), sum(times) FROM soak_count")).one())
    found.runs, found.fires = len(runs), sum(run.schedule is not None for run in runs)
    found.handed_back = sum(run.fence > 1 for run in runs)
    if found.runs - found.fires != submitted:
        found.faults.append(f"{found.runs - found.fires} runs of {submitted}")
    found.faults += [f"run {run.id} of {run.job} is {run.state}" for run in runs if run.state != "Completed"]
    found.faults += [
        f"time {one.nominal_time} was not run: {one.reason}" for one in not_run if one.cause != "paused"
    ]
    if counted != (RECORDS * found.runs, RECORDS * found.runs):
        found.faults.append(f"{counted} records and counts of {RECORDS * found.runs}")
    lines: dict[tuple[str, bool], list[Row[Any]]] = defaultdict(list)
    for run in runs:
        if run.schedule is None:
            lines[run.actor, _is_new(run)].append(run)
    for (actor, _), line in lines.items():
        starts = [run.started_at for run in line]
        if starts != sorted(starts):
            found.faults.append(f"the line of {actor} was not kept")
    found.waited = [_seconds(run) for run in runs if _is_new(run)]


def _is_new(run: Row[Any]) -> bool:
    return run.job == "fresh" or "region" in run.parameters


def _seconds(run: Row[Any]) -> float:
    begun, made = (
        value if isinstance(value, datetime) else datetime.fromisoformat(value)
        for value in (run.started_at, run.created_at)
    )
    return (begun - made).total_seconds()
