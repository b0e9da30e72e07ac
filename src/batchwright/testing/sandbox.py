"""Where a job is tried out: a throw-away database with the author's data, a mailbox, and children that may die."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from batchwright.engine.job import BatchJob
from batchwright.engine.run import Run
from batchwright.engine.store import runs
from batchwright.engine.store.database import Database
from batchwright.engine.submit import Request, submit
from batchwright.notifications.outbox import HOLD
from batchwright.testing.child import Task
from batchwright.testing.databases import Databases
from batchwright.testing.fork_server import Death, ForkServer
from batchwright.testing.mailbox import Mailbox
from batchwright.testing.outside import Outside
from batchwright.testing.snapshot import Ignored, Snapshot, Tables, read_facts, read_records, read_tables

NOW = datetime(2023, 6, 15, 12, 0, tzinfo=UTC)
"""What time it is in a test: ``scope.now`` and ``finish.now``."""
READER = "reader@example.com"
"""Who gets the mail about each run."""

Data = Callable[[Connection], object]
"""Writes the author's tables and rows."""


class Sandbox:
    """One throw-away database and what belongs to it. ``folder`` is its own, and empty."""

    def __init__(self, folder: Path, databases: Databases, fork_server: ForkServer) -> None:
        self._fork_server = fork_server
        self._throw_away = databases.make(folder)
        self.url = self._throw_away.url
        self.mailbox = Mailbox(folder / "mailbox")
        self._database = Database(self.url)  # kept, for what it has compiled
        self._mail_at = NOW

    @contextmanager
    def database(self) -> Iterator[Database]:
        """The database, with no connection left after the block."""
        try:
            yield self._database
        finally:
            self._database.disconnect()

    def fill(self, data: Data) -> None:
        """Write the author's data, and keep this state to begin from."""
        with self.database() as database, database.write() as connection:
            data(connection)
        self._throw_away.keep()

    def begin_again(self, outside: Sequence[Outside] = ()) -> None:
        """Everything as it was after ``fill``."""
        self._mail_at = NOW
        self._throw_away.bring_back()
        self.mailbox.clear()
        for one in outside:
            one.clear()

    def submit(self, job: BatchJob, *, mode: str = "batch", scope_size: int | None = None) -> Run:
        """Enqueue the job; a reader gets its mail."""
        request = Request(actor="author", mode=mode, scope_size=scope_size, notify=[READER], mail_actor=False)
        with self.database() as database, database.write() as connection:
            return submit(connection, job, request, NOW)

    def child(self, job: BatchJob, run: Run, **what: Any) -> Death:
        """Have a child do something with the run. It dies at another place each time, so no record looks deadly."""
        with self.database() as database, database.write() as connection:
            runs.forget_takeovers(connection, run.id)
        kind = type(job)
        self._mail_at += 2 * HOLD  # whatever mail a dead child has claimed is due again
        return self._fork_server.run(
            Task(
                module=kind.__module__,
                file=str(sys.modules[kind.__module__].__file__),
                qualname=_importable(kind),
                path=tuple(sys.path),
                url=self.url,
                run_key=run.id,
                now=NOW,
                mail_at=self._mail_at,
                mailbox=self.mailbox.folder,
                **what,
            )
        )

    def run_of(self, run: Run) -> Run:
        """The run as it is now."""
        with self.database() as database, database.read() as connection:
            return runs.by_key(connection, run.id)

    def tables(self, ignored: Ignored) -> Tables:
        """The author's tables as they stand."""
        with self.database() as database, database.read() as connection:
            return read_tables(connection, ignored)

    def snapshot(self, run: Run, job: BatchJob, ignored: Ignored, outside: Sequence[Outside]) -> Snapshot:
        """All that the run has left behind so far."""
        with self.database() as database, database.read() as connection:
            run = runs.by_key(connection, run.id)
            return Snapshot(
                tables=read_tables(connection, ignored),
                records=read_records(connection, run, job),
                facts=read_facts(connection, run),
                totals=repr(sorted((name, sorted(sums.items())) for name, sums in run.totals.items())),
                mails=self.mailbox.messages,
                outside=_seen(outside),
            )

    def close(self) -> None:
        """Take the database away."""
        self._database.close()
        self._throw_away.drop()


def _seen(outside: Sequence[Outside]) -> dict[str, str]:
    return {name: content for one in outside for name, content in one.seen().items()}


def _importable(kind: type[BatchJob]) -> str:
    if "<locals>" in kind.__qualname__:
        raise TypeError(
            f"{kind.__qualname__} is defined inside a function, where no other process finds it: "
            "define the job at the top of a module"
        )
    return kind.__qualname__
