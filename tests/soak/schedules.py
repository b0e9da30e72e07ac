"""Schedules fired by real workers: five that are killed by turns, and a thousand schedules in one second."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import insert

from batchwright.engine.run import Run, State
from batchwright.engine.schedule import Misfire, Overlap, ScheduleSpec
from batchwright.engine.schedules import due
from batchwright.engine.store import schedules as store
from batchwright.engine.store.database import Database, upgrade
from batchwright.engine.store.schedules import Fire, StoredFire
from batchwright.engine.store.tables import run as run_table
from bench.empty_job import EmptyJob
from tests.support.run_log import every_run

ROOT: Final = Path(__file__).resolve().parents[2]
JOB: Final = EmptyJob.name
SECONDS_BETWEEN_KILLS: Final = 5.0
SECONDS_AHEAD: Final = 2.0
START_SECONDS: Final = 90.0
END_SECONDS: Final = 120.0
MOST_SECONDS_OVER_BARE: Final = 1.0

Say = Callable[[str], None]


@dataclass(slots=True)
class Found:
    """What came of it. ``seconds_late`` are those of each fire's commit, by the true clock."""

    faults: list[str] = field(default_factory=list)
    times: int = 0
    runs: int = 0
    kills: int = 0
    bare_seconds: float = 0.0
    seconds_late: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        late = sorted(self.seconds_late)
        figures = [f"p{share:g} {late[int(len(late) * share / 100)]:.3f} s" for share in (50, 99) if late]
        if late:
            figures.append(f"longest {late[-1]:.3f} s")
        bare = f", as many bare inserts took {self.bare_seconds:.3f} s" if self.bare_seconds else ""
        return (
            f"{self.times:,} times, {self.runs:,} runs, {self.kills} kills; late: {', '.join(figures)}{bare}"
        )


@dataclass(frozen=True, slots=True)
class _Running:
    process: subprocess.Popen[bytes]
    number: int
    seconds_ahead: float


class Workers:
    """Workers that note when they fired; all are gone at the end."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BATCHWRIGHT_")},
            "PYTHONPATH": str(ROOT),
            "BATCHWRIGHT_DATABASE_URL": url,
            "BATCHWRIGHT_JOBS": "bench.empty_job:EmptyJob",
            "BATCHWRIGHT_LEASE_SECONDS": "2",
        }
        self._number = 0
        self.running: list[_Running] = []

    def start(self, seconds_ahead: float = 0.0) -> None:
        """One more."""
        self._number += 1
        said = self._folder / f"said-{self._number}.txt"
        with said.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.soak.ticking", str(self._notes(self._number)), str(seconds_ahead)],
                cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        self.running.append(_Running(process, self._number, seconds_ahead))

    def wait_until_ready(self) -> None:
        """Until each that was started has begun to work."""
        until = time.monotonic() + START_SECONDS
        while not all(self._is_ready(one.number) for one in self.running):
            if time.monotonic() > until or any(one.process.poll() is not None for one in self.running):
                raise TimeoutError(f"a worker did not begin, it said: {self.said()}")
            time.sleep(0.05)

    def kill_and_start_again(self, number: int) -> None:
        """SIGKILL to one of those that run, and another in its place."""
        one = self.running.pop(number)
        one.process.kill()
        one.process.wait()
        self.start(one.seconds_ahead)

    def stop(self, *, wanted: signal.Signals = signal.SIGTERM) -> list[int]:
        """End all; their return codes."""
        for one in self.running:
            one.process.send_signal(wanted)
        codes = [one.process.wait(END_SECONDS) for one in self.running]
        self.running = []
        return codes

    def seconds_late(self) -> list[float]:
        """Of every fire that somebody lived to note."""
        lines = [line for number in range(1, self._number + 1) for line in self._lines(number)]
        return [float(line.split()[1]) for line in lines if " " in line]

    def said(self) -> str:
        """What the workers wrote to stderr."""
        return "".join(file.read_text() for file in sorted(self._folder.glob("said-*.txt")))[-3_000:]

    def _is_ready(self, number: int) -> bool:
        return "ready" in self._lines(number)

    def _lines(self, number: int) -> list[str]:
        notes = self._notes(number)
        return notes.read_text().splitlines() if notes.exists() else []

    def _notes(self, number: int) -> Path:
        return self._folder / f"notes-{number}.txt"


@contextmanager
def _workers(folder: Path, url: str) -> Iterator[Workers]:
    made = Workers(folder, url)
    try:
        yield made
    finally:
        made.stop(wanted=signal.SIGKILL)


def kill_by_turns(url: str, folder: Path, *, seconds: float, seed: int, say: Say) -> Found:
    """Five workers, one of them two seconds ahead, fire a schedule each second; every five seconds one is killed."""
    chance, found = random.Random(seed), Found()
    upgrade(url)
    database = Database(url)
    with _workers(folder, url) as workers:
        for number in range(5):
            workers.start(SECONDS_AHEAD if number == 0 else 0.0)
        workers.wait_until_ready()
        _add(database, ["Each second"], "* * * * * ?")
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, SECONDS_BETWEEN_KILLS))
            if time.monotonic() < until:
                workers.kill_and_start_again(chance.randrange(5))
                found.kills += 1
        with database.write() as connection:
            store.lock_changes(connection)
            schedule = store.by_name(connection, "Each second", lock=True)
            assert schedule is not None
            schedule = store.pause(connection, schedule, datetime.now(UTC))
        _wait_for_runs(database, found)
        workers.wait_until_ready()
        _check_codes(found, workers)
        found.seconds_late = workers.seconds_late()
    with database.read() as connection:
        fires, all_runs = store.fires(connection, schedule.id), every_run(connection)
    # The one that is ahead may have fired what had not come for the one that paused.
    until_time = max((fire.last_nominal_time for fire in fires), default=schedule.created_at)
    wanted = list(due.each(schedule.expression, schedule.created_at, until_time))
    _check(found, wanted, fires, all_runs)
    if len(wanted) < seconds - 2 * SECONDS_AHEAD:
        found.faults.append(f"only {len(wanted)} times in {seconds:g} s have a record")
    database.close()
    say(str(found))
    return found


def all_at_once(url: str, folder: Path, *, schedules: int, workers: int, say: Say) -> Found:
    """So many schedules are due in the same second; beside it the time that as many bare inserts take."""
    found = Found()
    upgrade(url)
    database = Database(url)
    bare = [_bare_seconds(database, schedules)]
    with _workers(folder, url) as running:
        for _ in range(workers):
            running.start()
        running.wait_until_ready()
        at = (datetime.now(UTC) + timedelta(seconds=20)).replace(microsecond=0)
        cron = f"{at.second} {at.minute} {at.hour} {at.day} {at.month} ? {at.year}"
        _add(database, [f"number {number}" for number in range(schedules)], cron)
        if datetime.now(UTC) > at - timedelta(seconds=5):
            raise TimeoutError("the schedules were not there in time")
        until = time.monotonic() + 20 + END_SECONDS
        while len(running.seconds_late()) < schedules and time.monotonic() < until:
            time.sleep(0.2)
        found.seconds_late = running.seconds_late()
        _check_codes(found, running)
    with database.read() as connection:
        fires = [fire for one in store.all_schedules(connection) for fire in store.fires(connection, one.id)]
        all_runs = every_run(connection)
    started = Counter(fire.run_id for fire in fires if fire.decision == "started" and fire.nominal_time == at)
    if len(fires) != schedules or len(started) != schedules or len(all_runs) != schedules:
        found.faults.append(f"{schedules} schedules: {len(fires)} records and {len(all_runs)} runs")
    found.times, found.runs = len(fires), len(all_runs)
    bare.append(_bare_seconds(database, schedules))
    found.bare_seconds = min(bare)
    late = sorted(found.seconds_late)
    # Several workers drive the runs that are there already while one goes on firing: no bound holds on two processors.
    most = found.bare_seconds + MOST_SECONDS_OVER_BARE if workers == 1 else END_SECONDS
    if not late or late[int(len(late) * 0.99)] > most:
        found.faults.append(f"later than {MOST_SECONDS_OVER_BARE:g} s over bare inserts: {found}")
    database.close()
    say(str(found))
    return found


def _add(database: Database, names: Sequence[str], cron: str) -> None:
    with database.write() as connection:
        store.lock_changes(connection)
        for name in names:
            spec = ScheduleSpec(
                name=name, cron=cron, job=JOB, parameters={}, owner="soak", mail_owner=False,
                misfire=Misfire.ALL, overlap=Overlap.ALLOW,
            )  # fmt: skip
            store.insert_schedule(connection, spec, datetime.now(UTC))


def _bare_seconds(database: Database, number: int) -> float:
    """How long it takes to insert so many rows of a run and of a fire, in one transaction that is rolled back."""
    now = datetime.now(UTC)
    _add_one(database)
    with database.engine.connect() as connection, connection.begin() as transaction:
        schedule = store.all_schedules(connection)[0]
        began = time.monotonic()
        for count in range(number):
            row = {
                "job": JOB, "type": "Empty", "mode": "batch", "in_caller": False, "state": "Holding", "actor": "soak",
                "parameters": "{}", "trigger": "schedule", "schedule": schedule.name, "after_earlier": False,
                "scope_size": 1, "notify": "[]", "mail_actor": False, "queue_key": "soak", "queue_position": count,
                "fence": 0, "created_at": now,
            }  # fmt: skip
            connection.execute(insert(run_table).values(row).returning(run_table.c.id)).scalar_one()
            time_of_fire = now + timedelta(seconds=count)
            fire = Fire(time_of_fire, time_of_fire, 1, "started", run_id=f"JR-{count:08}")
            store.insert_fires(connection, [(schedule.id, fire)], now)
        took = time.monotonic() - began
        transaction.rollback()
    with database.write() as connection:
        store.remove(connection, schedule)
    return took


def _add_one(database: Database) -> None:
    with database.write() as connection:
        bare = ScheduleSpec(name=" bare", cron="0 0 0 1 1 ? 2199", job=JOB, parameters={}, owner="soak")
        store.insert_schedule(connection, bare, datetime.now(UTC))


def _wait_for_runs(database: Database, found: Found) -> None:
    """Until every run has ended, also those of workers that were killed."""
    until = time.monotonic() + END_SECONDS
    left = -1
    while left and time.monotonic() < until:
        time.sleep(0.5)
        with database.read() as connection:
            left = sum(not run.ended for run in every_run(connection))
    if left:
        found.faults.append(f"{left} runs have not ended")


def _check_codes(found: Found, workers: Workers) -> None:
    codes = workers.stop()
    if any(codes):
        found.faults.append(f"workers ended with {codes}, they said: {workers.said()}")


def _check(
    found: Found, wanted: Sequence[datetime], fires: Sequence[StoredFire], all_runs: Sequence[Run]
) -> None:
    """Each time has one record, each that was started one run of its own, and there are no other runs."""
    found.times, found.runs = len(wanted), len(all_runs)
    started = {fire.nominal_time: fire.run_id for fire in fires if fire.decision == "started"}
    unrun = [fire for fire in fires if fire.decision == "not_run"]
    missing = [time for time in wanted if time not in started]
    missing = [
        time
        for time in missing
        if not any(one.nominal_time <= time <= one.last_nominal_time for one in unrun)
    ]
    if missing:
        found.faults.append(f"{len(missing)} times without a record, the first {missing[0]}")
    if sum(fire.count for fire in fires) != len(wanted):
        found.faults.append(
            f"{sum(fire.count for fire in fires)} times are recorded, {len(wanted)} there were"
        )
    if sorted(filter(None, started.values())) != sorted(run.run_id for run in all_runs):
        found.faults.append(f"{len(started)} times were started, and there are {len(all_runs)} runs")
    ended = Counter(str(run.state) for run in all_runs)
    if set(ended) - {str(State.COMPLETED)}:
        found.faults.append(f"runs ended: {dict(ended)}")
