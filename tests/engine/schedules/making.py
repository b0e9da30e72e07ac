"""Schedules for tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from batchwright.engine.errors import Refused
from batchwright.engine.events import Event
from batchwright.engine.job import BatchJob
from batchwright.engine.run import Run, State
from batchwright.engine.schedule import Schedule, ScheduleSpec
from batchwright.engine.schedules import due
from batchwright.engine.schedules.firing import Firing
from batchwright.engine.schedules.policy import Start
from batchwright.engine.store import runs, schedules
from batchwright.engine.store.database import Database
from batchwright.engine.store.schedules import StoredFire
from batchwright.engine.submit import Request, submit_set
from batchwright.testing.clock import FakeClock
from tests.engine.rig import Rig
from tests.support.run_log import every_run

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def spec(name: str = "Nightly", cron: str = "0 0 0 ? * * *", **values: Any) -> ScheduleSpec:
    """What somebody wants of a schedule."""
    return ScheduleSpec(
        name=name, cron=cron, **{"job": "parcels", "parameters": {}, "owner": "dana"} | values
    )


def add(database: Database, *args: Any, now: datetime = NOW, **values: Any) -> Schedule:
    """A schedule in the database."""
    with database.write() as connection:
        schedules.lock_changes(connection)
        return schedules.insert_schedule(connection, spec(*args, **values), now)


class Bench:
    """Schedules of parcels on a database, a clock that is set by hand, and what was told of them."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.database = rig.database
        self.clock = FakeClock(NOW)
        self.told: list[Event] = []
        rig.subscribers.append(self.told.append)

    def firing(self) -> Firing:
        """As every process makes one for itself."""
        return Firing(
            database=self.database,
            clock=self.clock,
            events=self.rig.events,
            submit=lambda connection, starts: self.submit(connection, starts),
            has_job=lambda job: job in self.rig.registry.names(),
        )

    def submit(
        self, connection: Connection, starts: Sequence[tuple[Schedule, Start]]
    ) -> Sequence[Run | Refused]:
        """Runs of the schedules; one whose job is not there is refused."""
        results: dict[int, Run | Refused] = {}
        wanted: dict[int, tuple[BatchJob, Request]] = {}
        for place, (schedule, start) in enumerate(starts):
            try:
                job = self.rig.registry.get(schedule.job)(**schedule.parameters)
            except Refused as refusal:
                results[place] = refusal
                continue
            request = Request(
                actor=schedule.owner,
                trigger="schedule",
                schedule=schedule.name,
                after_earlier=start.after_earlier,
                mail_actor=False,
            )
            wanted[place] = job, request
        submitted = submit_set(connection, list(wanted.values()), self.clock.now())
        results |= zip(wanted, submitted, strict=True)
        return [results[place] for place in range(len(starts))]

    def add(self, *args: Any, **values: Any) -> Schedule:
        """A schedule, made now."""
        return add(self.database, *args, now=self.clock.now(), **values)

    def fire_at(self, now: datetime, *schedules: Schedule) -> None:
        """Let a process look at that instant."""
        self.clock.sleep((now - self.clock.now()).total_seconds())
        self.firing().fire([schedule.id for schedule in schedules])

    def fires(self, schedule: Schedule) -> list[StoredFire]:
        """What became of its times, oldest first."""
        with self.database.read() as connection:
            return schedules.fires(connection, schedule.id)[::-1]

    def runs(self, schedule: Schedule) -> list[Run]:
        """Its runs, oldest first."""
        with self.database.read() as connection:
            listed = every_run(connection)
        return sorted((run for run in listed if run.schedule == schedule.name), key=lambda run: run.id)

    def end_runs(self) -> None:
        """Let every run that has not ended be aborted."""
        with self.database.write() as connection:
            for run in every_run(connection):
                if not run.ended:
                    runs.move(connection, run, State.ABORTED)

    def accounted(self, schedule: Schedule) -> set[datetime]:
        """Every time that has a record. Fails where two records hold one time, or a range counts wrongly."""
        found: set[datetime] = set()
        for fire in self.fires(schedule):
            times = set(
                due.each(schedule.expression, fire.nominal_time - due.A_MOMENT, fire.last_nominal_time)
            )
            assert len(times) == fire.count, fire
            assert not times & found, fire
            found |= times
        return found
