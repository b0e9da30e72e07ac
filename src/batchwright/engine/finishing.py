"""The last transaction of a run in this process: its job finishes, or it fails, or it is left to others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import NamedTuple

from sqlalchemy import Connection

from batchwright.engine import events, preview_check, reports
from batchwright.engine.clock import Clock
from batchwright.engine.ending import Endings
from batchwright.engine.events import Events
from batchwright.engine.job import BatchJob, Finish
from batchwright.engine.job_code import JOB_CODE, check_done
from batchwright.engine.registry import Registry
from batchwright.engine.run import ACTIVE, Run, State
from batchwright.engine.scope import RunSession
from batchwright.engine.store import runs
from batchwright.engine.store.engines import let_wait
from batchwright.engine.store.lending import lent
from batchwright.engine.submit import submit_next


class Ending(NamedTuple):
    """A run as its last transaction leaves it, and the runs that its job submitted to follow it."""

    run: Run
    followers: Sequence[Run] = ()


class Finishing:
    """Has runs finish, fail, or leave this process.

    ``zone`` is that of the business day, for runs that follow others.
    """

    def __init__(
        self, *, registry: Registry, clock: Clock, events: Events, endings: Endings, zone: tzinfo
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._events = events
        self._endings = endings
        self._zone = zone

    def finish(self, run: Run, job: BatchJob, session: RunSession) -> Run:
        """Let a run whose scopes are done finish, or do what somebody asked of it."""
        with session.transaction() as connection:
            ending = self.complete(connection, run, job)
        return self.committed(ending)

    def complete(self, connection: Connection, run: Run, job: BatchJob) -> Ending:
        """The same on a connection whose COMMIT is still to come: then ``committed`` is to be called."""
        if runs.hold_run(connection, run) is not None:
            return Ending(self._endings.apply_request(connection, run, names_records=False))
        run = runs.by_key(connection, run.id)
        if run.state not in ACTIVE:  # the connection was lost in COMMIT, after the database had committed
            return Ending(run)
        check_all_reached(run)
        finish = self._at_finish(run, connection)
        if run.is_dry or run.preview_key is not None or type(job).finish is not BatchJob.finish:
            let_wait(connection)
            with lent(connection, "finish"), runs.ending(connection, run):
                _call_finish(connection, run, job, finish)
        self._events.publish(events.Reached(run.run_id, "finish called"))
        runs.add_warnings(connection, run.id, None, finish.warnings)
        ended = self._endings.end(connection, run, State.COMPLETED, finish.totals, None)
        self._events.publish(events.Reached(run.run_id, "finish saved"))
        return Ending(ended, finish.submitted)

    def committed(self, ending: Ending) -> Run:
        """The run, once the transaction that ended it is through: only then are its followers announced."""
        for run in ending.followers:
            self._events.publish(events.RunSubmitted(run.run_id, run.job, run.mode, run.actor))
        return ending.run

    def fail(self, run: Run, session: RunSession, reason: str) -> Run:
        """End a run as Failed. Records named by id are not reached where no plan was made of them."""
        names_records = self._endings.names_records(run)
        with session.transaction() as connection:
            runs.hold_run(connection, run)
            run = runs.by_key(connection, run.id)
            if run.ended:
                return run
            run = self._endings.without_plan(connection, run, names_records=names_records)
            return self._endings.end(connection, run, State.FAILED, run.totals, reason)

    def leave(self, run: Run, session: RunSession) -> Run:
        """Do what is asked of the run, now that no scope is in flight; else hand it back, to be claimed again."""
        names_records = self._endings.names_records(run)
        with session.transaction() as connection:
            if runs.hold_run(connection, run) is not None:
                return self._endings.apply_request(connection, run, names_records=names_records)
            run = runs.by_key(connection, run.id)
            # Else the connection was lost in COMMIT, after the database had committed.
            if run.state in ACTIVE:
                runs.move(connection, run, State.QUEUED, owner=None, **runs.NO_TAKEOVERS)
            return runs.by_key(connection, run.id)

    def _at_finish(self, run: Run, connection: Connection) -> Finish:
        now = self._clock.now()

        def chain(job: BatchJob, reason: str | None, scope_size: int | None) -> Run:
            return submit_next(
                connection,
                self._registry,
                run,
                job,
                now,
                reason=reason,
                scope_size=scope_size,
                zone=self._zone,
            )

        done = runs.whose_finish(connection, run) or run
        totals = {name: dict(amounts) for name, amounts in done.totals.items()}
        return Finish(run=done, connection=connection, now=now, totals=totals, chain=chain)


def _call_finish(connection: Connection, run: Run, job: BatchJob, finish: Finish) -> None:
    if run.is_dry:
        preview_check.record_finish_preview(connection, run, job)
    if run.preview_key is not None:
        preview_check.check_finish(connection, run.preview_key, job, run)
    with JOB_CODE:
        check_done(job.finish(finish))  # type: ignore[func-returns-value]
        reports.check_totals(finish.totals)


def check_all_reached(run: Run) -> None:
    """Raise ``RuntimeError`` when a record has no outcome: an executor that lost a scope must not complete the run."""
    reached = run.processed + run.errored + run.skipped
    if reached != run.total:
        raise RuntimeError(f"{reached:,} of {run.total or 0:,} records were executed, and no scope was left")
