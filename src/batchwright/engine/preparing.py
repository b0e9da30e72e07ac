"""A run that is Preparing: its scopes are planned and stored, and each record is held to be given once."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from sqlalchemy import Connection

from batchwright.engine import events
from batchwright.engine.claim import Stop
from batchwright.engine.clock import Clock
from batchwright.engine.events import Events
from batchwright.engine.finishing import Finishing
from batchwright.engine.job import BatchJob, StartContext
from batchwright.engine.job_code import JOB_CODE, each
from batchwright.engine.plan import Ascent, GivenTwice, first_twice, split_into_scopes
from batchwright.engine.preview_check import check_preview
from batchwright.engine.run import Run, State
from batchwright.engine.scope import RunSession
from batchwright.engine.store import controls, runs, scopes
from batchwright.engine.store.database import Database
from batchwright.engine.store.lending import lent
from batchwright.engine.submit import stored_selection

SCOPES_PER_PLANNING_COMMIT = 50


class Plan(NamedTuple):
    """What was planned of a run. A scope may have no record: its group is visited all the same."""

    scopes: int = 0
    records: int = 0


class _PlannedBefore(Exception):
    """The plan is stored already: an earlier try was committed, and its connection lost in COMMIT."""

    def __init__(self, run: Run) -> None:
        super().__init__(run.run_id)
        self.run = run


class Preparing:
    """Plans runs. One without a scope ends in the transaction that would have let it go on to them.

    One that applies a preview is held against it first: it fails where that would come out otherwise by now.
    """

    def __init__(self, *, database: Database, clock: Clock, events: Events, finishing: Finishing) -> None:
        self._database = database
        self._clock = clock
        self._events = events
        self._finishing = finishing

    def prepare(self, run: Run, job: BatchJob, session: RunSession, stop: Stop) -> Run:
        """Plan the scopes, again when that was interrupted; the run stays Preparing when something asks to stop.

        Raises ``PreviewOutdated`` where the preview that the run applies does not hold any more.
        """
        if not self._preview_holds(run, job, stop):
            return run
        try:
            with self._database.read() as reading, lent(reading, "start"):
                plan = self._plan(run, session, _planned(reading, run, job), stop)
            return run if plan is None else self._end_planning(run, job, session, plan)
        except _PlannedBefore as before:
            return before.run

    def _preview_holds(self, run: Run, job: BatchJob, stop: Stop) -> bool:
        """False when something asks to stop before all of the preview was computed again."""
        if run.preview_key is None:
            return True
        with self._database.read() as connection:
            preview = runs.by_key(connection, run.preview_key)
        return check_preview(
            self._database, self._clock, preview, job, lambda: stop() or self._is_requested(run)
        )

    def _is_requested(self, run: Run) -> bool:
        with self._database.read_autocommit() as connection:
            return controls.read(connection, run.id) is not None

    def _plan(
        self, run: Run, session: RunSession, planned: Iterator[scopes.PlannedScope], stop: Stop
    ) -> Plan | None:
        """Store the scopes, committed in portions. ``None`` when something asks to stop between two of them."""
        plan, requested = Plan(), None
        keys, groups = Ascent(), Ascent()
        while portion := list(islice(planned, SCOPES_PER_PLANNING_COMMIT)):
            if requested is not None or (plan.scopes and stop()):
                return None
            with session.transaction() as connection:
                requested = runs.hold_fence(connection, run)
                if not plan.scopes:
                    self._begin_plan(connection, run)
                scopes.insert_scopes(connection, run.id, portion)
            records = sum(len(scope.keys) for scope in portion)
            plan = Plan(plan.scopes + len(portion), plan.records + records)
            for scope in portion:
                keys.see(scope.keys)
                groups.see(scope.groups)
            self._events.publish(events.Reached(run.run_id, "plan committed"))
        self._check_given_once(run, keys, groups)
        return plan

    def _check_given_once(self, run: Run, keys: Ascent, groups: Ascent) -> None:
        """Raise ``GivenTwice`` before a record is done twice, or a group in several scopes."""
        if keys.is_unbroken and groups.is_unbroken:
            return
        with self._database.read() as connection:

            def of(name: str) -> Iterator[array[int]]:
                return (getattr(scope, name) for scope in scopes.read_all(connection, run.id))

            key = None if keys.is_unbroken else first_twice(lambda: of("keys"), keys.count)
            group = None if groups.is_unbroken else first_twice(lambda: of("groups"), groups.count)
        if group is not None:
            raise GivenTwice(
                f"start gave the records of group {group} apart: give those of a group one after another"
            )
        if key is not None:
            raise GivenTwice(f"start gave record {key} twice: give each once, with DISTINCT, say")

    def _end_planning(self, run: Run, job: BatchJob, session: RunSession, plan: Plan) -> Run:
        """Let the run go on to its scopes; where there are none it ends in the same transaction."""
        if plan.scopes:
            with session.transaction() as connection:
                ready = runs.move(connection, run, State.PROCESSING, total=plan.records)
            self._events.publish(events.Reached(run.run_id, "planned"))
            return ready
        with session.transaction() as connection:
            self._begin_plan(connection, run)
            ending = self._finishing.complete(
                connection, runs.move(connection, run, State.PROCESSING, total=0), job
            )
        self._events.publish(events.Reached(run.run_id, "planned"))
        self._events.publish(events.RunPlanned(run.run_id, 0, 0, 0))
        return self._finishing.committed(ending)

    def _begin_plan(self, connection: Connection, run: Run) -> None:
        """Forget what an interrupted process planned."""
        seen = runs.by_key(connection, run.id)
        if seen.state is not State.PREPARING:
            raise _PlannedBefore(seen)
        if scopes.any_planned(connection, run.id):
            scopes.delete_plan(connection, run.id)


def _planned(reading: Connection, run: Run, job: BatchJob) -> Iterator[scopes.PlannedScope]:
    """The scopes of a run; of one that applies a preview those of the preview, whatever came since; none where it is
    the end of another run that is done again.
    """
    if run.preview_key is not None:
        return scopes.planned_as(reading, run.preview_key)
    if runs.whose_finish(reading, run) is not None:
        return iter(())
    context = StartContext(reading, lambda: stored_selection(reading, run.id))
    with JOB_CODE:
        records = job.start(context)
    return split_into_scopes(each(records), run.scope_size)
