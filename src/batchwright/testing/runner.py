"""A job in line, on a throw-away database: the test's own process drives it, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage
from typing import Any

import pytest
from sqlalchemy import Table, select

from batchwright.config.settings import Settings
from batchwright.engine.events import Point
from batchwright.engine.job import BatchJob
from batchwright.engine.job_code import passing_on
from batchwright.engine.ledger import OutcomeReader, RecordOutcome
from batchwright.engine.run import Run, State
from batchwright.operations.app import make_application
from batchwright.testing.child import OneJob, Place, mailer
from batchwright.testing.clock import FakeClock
from batchwright.testing.sandbox import Data, Sandbox

VERDICTS = (pytest.fail.Exception, pytest.skip.Exception, pytest.exit.Exception)
"""What a job may raise for the test around it, and not for its run."""


class JobRunner:
    """Runs jobs, kills them where the test says, and shows what they left behind."""

    def __init__(self, sandbox: Sandbox, clock: FakeClock) -> None:
        self._sandbox = sandbox
        self._clock = clock
        self._jobs: dict[int, BatchJob] = {}
        self.url = sandbox.url
        self.mailbox = sandbox.mailbox

    def fill(self, data: Data) -> None:
        """Write tables and rows: ``data`` is called with a connection, and committed."""
        self._sandbox.fill(data)

    def submit(self, job: BatchJob, *, mode: str = "batch", scope_size: int | None = None) -> Run:
        """Enqueue the job; ``mode`` is ``batch``, ``sync`` or ``dry_run``. Raises ``Refused`` as everywhere."""
        with passing_on(*VERDICTS):
            run = self._sandbox.submit(job, mode=mode, scope_size=scope_size)
        self._jobs[run.id] = job
        return run

    def run(
        self, job: BatchJob, *, mode: str = "batch", scope_size: int | None = None, may_fail: bool = False
    ) -> Run:
        """Enqueue the job, and drive it to its end. Raises ``AssertionError`` when it fails and may not."""
        run = self.drive(self.submit(job, mode=mode, scope_size=scope_size))
        if run.state is State.FAILED and not may_fail:
            raise AssertionError(f"{run.run_id} failed: {run.error}")
        return run

    def drive(self, run: Run) -> Run:
        """Drive the run in this process until it has ended, and send its mail.

        One whose process was killed is taken over; the lease runs out on the fake clock.
        """
        settings = Settings.model_validate({"database_url": self.url, "executor": "inline"})
        app = make_application(settings, clock=self._clock)
        app.registry = OneJob(type(self._jobs[run.id]))
        try:
            with passing_on(*VERDICTS):
                ended = app.dispatcher.resume(run.id)
            mailer(app, self.mailbox, app.composer, self._clock.now()).send_due()
        finally:
            app.close()
        return ended

    def kill_at(self, run: Run, point: Point, *, scope: int | None = None) -> Run:
        """Drive the run in a process of its own, and have that killed (SIGKILL) at a point of ``events.POINTS``.

        A point of a scope wants the scope's number, from 1. Raises ``AssertionError`` when it is not reached.
        """
        place = Place(point, scope)
        death = self._sandbox.child(self._jobs[run.id], run, kill=place)
        if not death.killed:
            said = f":\n{death.report.error}" if death.report.error else ""
            raise AssertionError(f"{run.run_id} did not come to {place}{said}")
        return self._sandbox.run_of(run)

    def outcomes(self, run: Run) -> dict[int, RecordOutcome]:
        """What became of each record, by its key."""
        run = self._sandbox.run_of(run)
        with self._sandbox.database() as database, database.read() as connection:
            found = OutcomeReader(run, self._jobs[run.id]).all(connection)
            return {one.record_key: one for one in found}

    def rows(self, table: Table) -> Sequence[Any]:
        """All rows of a table in the order of its primary key."""
        with self._sandbox.database() as database, database.read() as connection:
            return connection.execute(select(table).order_by(*table.primary_key.columns)).all()

    @property
    def mails(self) -> list[EmailMessage]:
        """The mails about runs that have arrived, to ``reader@example.com``."""
        return self.mailbox.messages
