"""Whether an ended run can be done again: what commands, pages and mail ask before they offer it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from batchwright.engine.errors import Conflict, MoveRefused, Pruned, Refused
from batchwright.engine.job import not_retried
from batchwright.engine.registry import Registry
from batchwright.engine.run import Run, State
from batchwright.engine.store import runs

AGAIN: Final = "Submit the job again to do all of it once more"


def retry_refusal(
    connection: Connection, registry: Registry, run: Run, *, dry: bool = False
) -> Refused | None:
    """Why a retry of the run, ``dry`` or as the run itself was, is refused; ``None`` where it is taken."""
    if not run.ended:
        return MoveRefused(
            f"{run.run_id} has not ended ({run.state})",
            field="run_id",
            remedy=f"Go on with it: `batchwright runs resume {run.run_id}`",
        )
    if run.pruned_at is not None:
        return Pruned(run.run_id, run.pruned_at, AGAIN)
    if run.errored + run.not_reached:
        try:
            job = registry.get(run.job)
        except Refused as unknown:
            return unknown
        return None if job.can_be_retried() else not_retried(job.type)
    return _finish_refusal(connection, run, dry)


def remedy_of_ended(connection: Connection, registry: Registry, run: Run) -> str:
    """What to do about an ended run that somebody wants to go on with."""
    if retry_refusal(connection, registry, run) is None:
        return f"To do its failed records again: `batchwright runs retry {run.run_id}`"
    return AGAIN


def _finish_refusal(connection: Connection, run: Run, dry: bool) -> Refused | None:
    """Why the end of a run is not done again: unless it failed there. What a preview has foretold is compared with what
    is done in one run: the lines of a dry run, and the end of an applied one, are never had from two.
    """
    done = runs.whose_finish(connection, run)
    if done is not None and done.pruned_at is not None:
        return Pruned(done.run_id, done.pruned_at, AGAIN)
    if run.state is not State.FAILED or not (run.total or done is not None):
        reason = "has no record that errored or was not reached: there is nothing to retry"
    elif run.is_dry or dry or run.preview_key is not None:
        reason = "failed after its last record; the end of a dry run or of an applied preview is not repeated alone"
    else:
        return None
    return Conflict(f"{run.run_id} {reason}", field="run_id", remedy=AGAIN)
