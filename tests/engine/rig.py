"""An engine on a database, with what it announced and published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from sqlalchemy import Connection, select

from batchwright.engine.clock import Clock
from batchwright.engine.dispatch import Dispatcher
from batchwright.engine.events import Event, Events, Reached
from batchwright.engine.executors import Executor, Inline
from batchwright.engine.job import BatchJob
from batchwright.engine.ledger import OutcomeReader, RecordOutcome
from batchwright.engine.queue import promote
from batchwright.engine.registry import Registry
from batchwright.engine.run import Run, State
from batchwright.engine.store import runs
from batchwright.engine.store.database import Database
from batchwright.engine.submit import Request, submit
from batchwright.testing.clock import FakeClock
from tests.engine.jobs import fill, parcel

NOW = datetime(2023, 6, 15, 12, 0, tzinfo=UTC)


class Rig:
    """Submits and drives runs; keeps every event, every point reached and every run that was announced as ended."""

    def __init__(
        self,
        database: Database,
        jobs: Sequence[type[BatchJob]],
        *,
        clock: Clock | None = None,
        lease_seconds: float = 30.0,
        max_active_runs: int = 5,
    ) -> None:
        self.database = database
        self.registry = Registry()
        for job in jobs:
            self.registry.add(job)
        self.clock = clock or FakeClock(NOW)
        self.lease_seconds = lease_seconds
        self.max_active_runs = max_active_runs
        self.events = Events()
        self.events.subscribe(self._note)
        self.executor: Executor = Inline()
        self.apart: Executor = Inline()
        self.zone: tzinfo = UTC
        self.published: list[Event] = []
        self.reached: list[Reached] = []
        self.subscribers: list[Callable[[Event], None]] = []
        self.announced: list[Run] = []
        self.on_announce: Callable[[Connection, Run], None] = lambda connection, run: None

    def dispatcher(self) -> Dispatcher:
        """One like those that every process makes for itself."""
        return Dispatcher(
            database=self.database,
            registry=self.registry,
            clock=self.clock,
            events=self.events,
            announce=self._announce,
            lease_seconds=self.lease_seconds,
            max_active_runs=self.max_active_runs,
            executor=self.executor,
            isolated=self.apart,
            zone=self.zone,
        )

    def fill(self, records: int, groups: Callable[[int], int | None] = lambda key: None) -> None:
        """Parcels 1 to ``records``."""
        with self.database.write() as connection:
            fill(connection, records, groups)

    def submit(self, job: str = "parcels", parameters: dict[str, Any] | None = None, **request: Any) -> Run:
        """A run in the database."""
        made = self.registry.get(job)(**(parameters or {}))
        with self.database.write() as connection:
            return submit(connection, made, Request(actor=request.pop("actor", "dana"), **request), NOW)

    def drive(self, run: Run | None = None, **request: Any) -> Run:
        """Drive a run to its end, submitting it first if there is none."""
        return self.dispatcher().drive((run or self.submit(**request)).id)

    def claimed(self, run: Run | None = None, owner: str = "elsewhere/1") -> Run:
        """The run as its owner has it right after its claim."""
        key = (run or self.submit()).id
        with self.database.write() as connection:
            promote(connection, self.max_active_runs)
            queued = runs.by_key(connection, key)
            to = State.PREPARING if queued.total is None else State.PROCESSING
            runs.move(connection, queued, to, fence=queued.fence + 1, owner=owner, started_at=NOW)
            return runs.by_key(connection, key)

    def read(self, run: Run) -> Run:
        """The run as it stands."""
        with self.database.read() as connection:
            return runs.by_key(connection, run.id)

    def outcomes(self, run: Run) -> list[RecordOutcome]:
        """The ledger of a run."""
        with self.database.read() as connection:
            return list(OutcomeReader(run, self.registry.get(run.job)(**run.parameters)).all(connection))

    def handled(self) -> dict[int, int]:
        """How often each parcel was handled."""
        with self.database.read() as connection:
            rows = connection.execute(select(parcel.c.id, parcel.c.handled).order_by(parcel.c.id))
            return {row.id: row.handled for row in rows}

    def rows(self, table: Any) -> list[Any]:
        """All rows of a table, in the order of its key."""
        with self.database.read() as connection:
            return list(connection.execute(select(table).order_by(*table.primary_key)).all())

    def ledger(self, run: Run) -> Counter[str]:
        """How many records came to which outcome."""
        return Counter(entry.outcome for entry in self.outcomes(run))

    def _note(self, event: Event) -> None:
        if isinstance(event, Reached):
            self.reached.append(event)
        else:
            self.published.append(event)
        for subscriber in self.subscribers:
            subscriber(event)

    def _announce(self, connection: Connection, run: Run) -> None:
        self.announced.append(run)
        self.on_announce(connection, run)
