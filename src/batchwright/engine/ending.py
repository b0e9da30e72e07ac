"""How a run leaves its process or its line: ended with figures and mail, or paused. Each in one transaction."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import structlog
from sqlalchemy import Connection

from batchwright.engine import attribution
from batchwright.engine.clock import Clock
from batchwright.engine.errors import error_text
from batchwright.engine.faults import is_transient
from batchwright.engine.job import Warn
from batchwright.engine.job_code import JOB_CODE
from batchwright.engine.queue import fill_slots
from batchwright.engine.registry import Registry
from batchwright.engine.run import ACTIVE, Control, Run, State, Totals
from batchwright.engine.store import controls, runs, scopes
from batchwright.engine.submit import stored_selection

log = structlog.get_logger()

Announce = Callable[[Connection, Run], None]


class Endings:
    """Ends and pauses runs on the connection it is given, from the state and under the fence that the run shows.

    ``announce`` is called in the transaction that ends a run: the outbox, given by the composition root. The slot
    that becomes free goes to the next run of the flex queue. All raise ``FenceLost`` when the run is not as shown.
    """

    def __init__(self, *, registry: Registry, announce: Announce, clock: Clock, max_active_runs: int) -> None:
        self._registry = registry
        self._announce = announce
        self._clock = clock
        self._max_active_runs = max_active_runs

    def end(self, connection: Connection, run: Run, state: State, totals: Totals, error: str | None) -> Run:
        """The run's last move, its final figures and its mail."""
        total = run.total or 0
        customer_id, periods = attribution.combine(scopes.attributions(connection, run.id))
        ended = runs.move(
            connection,
            run,
            state,
            total=total,
            processed=run.processed,
            errored=run.errored,
            skipped=run.skipped,
            not_reached=total - run.processed - run.errored - run.skipped,
            totals=totals,
            error=error,
            customer_id=run.customer_id or customer_id,
            periods=run.periods or periods,
            owner=None,
            ended_at=self._clock.now(),
        )
        controls.clear(connection, run.id)  # after the move: nobody can ask any more
        self._announce_safely(connection, ended)
        fill_slots(connection, self._max_active_runs)
        return ended

    def names_records(self, run: Run) -> bool:
        """Whether the run's selection are its records, as far as this process knows.

        Calls code of the job: not to be called under a lock.
        """
        if run.total is not None or run.preview_key is not None:
            return False
        try:
            with JOB_CODE:
                return bool(self._registry.make(run.job, run.parameters).selects_records)
        except Exception:
            return False

    def without_plan(self, connection: Connection, run: Run, *, names_records: bool) -> Run:
        """The run, if it is not planned yet, without the half of a plan: that says nothing about the other half.

        Records that it names by id are those it does not reach then.
        """
        if run.total is not None:
            return run
        scopes.delete_plan(connection, run.id)
        if not names_records or runs.whose_finish(connection, run) is not None:
            return run
        return replace(run, total=_plan_selection(connection, run))

    def abort(self, connection: Connection, run: Run, actor: str, *, names_records: bool) -> Run:
        """End the run for ``actor``; what was committed stays, the rest is not reached."""
        run = self.without_plan(connection, run, names_records=names_records)
        return self.end(connection, run, State.ABORTED, run.totals, f"aborted by {actor}")

    def pause(self, connection: Connection, run: Run) -> Run:
        """Let the run stand still without a process and without a slot."""
        runs.move(connection, run, State.PAUSED, owner=None, **runs.NO_TAKEOVERS)
        controls.clear(connection, run.id)
        fill_slots(connection, self._max_active_runs)
        return runs.by_key(connection, run.id)

    def apply_request(self, connection: Connection, run: Run, *, names_records: bool) -> Run:
        """Do what is asked of an active run that this process drives, once no scope is in flight.

        For whoever got an answer from ``runs.hold_fence``. Returns the run as it stands: Paused or Aborted; as it is
        when that was done before, in a transaction whose COMMIT lost its connection.
        """
        run = runs.by_key(connection, run.id)
        requested = controls.read(connection, run.id)
        if run.state not in ACTIVE or requested is None:
            return run
        if requested.control is Control.PAUSE:
            return self.pause(connection, run)
        return self.abort(connection, run, requested.actor, names_records=names_records)

    def _announce_safely(self, connection: Connection, run: Run) -> None:
        """Mail never decides: a run also ends when its mail cannot be recorded, and says so in a warning."""
        if not (run.mail_actor or run.notify):
            return
        try:
            with connection.begin_nested():
                self._announce(connection, run)
        except Exception as error:
            if is_transient(error):
                raise
            log.error("mail not recorded", reason=error_text(error))
            runs.add_warnings(
                connection, run.id, None, [Warn("no_mail", f"no mail recorded: {error_text(error)}", None)]
            )


def _plan_selection(connection: Connection, run: Run) -> int:
    """Store the records that were named as scopes which nobody has executed, for the ledger; how many they are."""
    records = 0
    for number, keys in zip(count(1), stored_selection(connection, run.id), strict=False):
        scope = scopes.PlannedScope(number, records + 1, array("q", keys), array("q"))
        scopes.insert_scopes(connection, run.id, [scope])
        records += len(keys)
    return records
