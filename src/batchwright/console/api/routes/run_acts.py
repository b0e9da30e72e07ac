"""What is done to a run that there is: steer it, do it again, do what it foretold."""

from __future__ import annotations

from typing import Final, Literal

from starlette.responses import Response

from batchwright.console.api.door import CALL, NO_REASON, Body, Call, Doors, Why, answer
from batchwright.console.api.models.runs import Run
from batchwright.console.api.run_answers import PRUNED, RUN, is_synchronous, submitted_answer
from batchwright.operations.access.permissions import Right
from batchwright.operations.runs.controls import abort_run, hold_run, move_run, pause_run, release_run
from batchwright.operations.runs.previews import apply_run
from batchwright.operations.runs.retrying import retry_run
from batchwright.operations.runs.submitting import RunTerms

doors = Doors("runs")


class Where(Why):
    """A place in the line of a run's queue key: exactly one of these."""

    front: bool = False
    end: bool = False
    before: str | None = None
    after: str | None = None


class Terms(Body):
    """How a run that follows another is wanted; what is left out is as it was with that."""

    reason: str | None = None
    notify: list[str] | None = None

    def terms(self) -> RunTerms:
        """What is given."""
        terms: RunTerms = {}
        if self.reason is not None:
            terms["reason"] = self.reason
        if self.notify is not None:
            terms["notify"] = self.notify
        return terms


class Retry(Terms):
    """How a retry is wanted."""

    mode: Literal["batch", "sync", "dry_run"] | None = None


class Apply(Terms):
    """How a preview is to be applied."""

    mode: Literal["batch", "sync"] = "batch"


AS_IT_WAS: Final = Retry()
IN_THE_BACKGROUND: Final = Apply()


@doors.door("POST", "/runs/{run_id}/abort", abort_run, Right.OPERATE, answers={202: Run})
def abort(run_id: str, why: Why = NO_REASON, call: Call = CALL) -> Response:
    """End a run early."""
    return answer(abort_run(call.app, run_id, actor=call.actor, reason=why.reason, mail=False), status=202)


@doors.door("POST", "/runs/{run_id}/pause", pause_run, Right.OPERATE, answers={202: Run})
def pause(run_id: str, why: Why = NO_REASON, call: Call = CALL) -> Response:
    """Pause a run."""
    return answer(pause_run(call.app, run_id, actor=call.actor, reason=why.reason), status=202)


@doors.door("POST", "/runs/{run_id}/resume", release_run, Right.OPERATE, answers={202: Run})
def resume(run_id: str, why: Why = NO_REASON, call: Call = CALL) -> Response:
    """Put a paused run back in line, for whichever process is free."""
    return answer(release_run(call.app, run_id, actor=call.actor, reason=why.reason), status=202)


@doors.door("POST", "/runs/{run_id}/hold", hold_run, Right.ADMINISTER, answers={200: Run})
def hold(run_id: str, why: Why = NO_REASON, call: Call = CALL) -> Response:
    """Keep a run that waits from starting."""
    return answer(hold_run(call.app, run_id, actor=call.actor, reason=why.reason))


@doors.door("POST", "/runs/{run_id}/move", move_run, Right.OPERATE, answers={200: Run})
def move(run_id: str, where: Where, call: Call = CALL) -> Response:
    """Give a Holding run another place in its line."""
    return answer(move_run(call.app, run_id, actor=call.actor, **where.model_dump()))


@doors.door(
    "POST",
    "/runs/{run_id}/retry",
    retry_run,
    Right.OPERATE,
    answers=RUN,
    others=PRUNED,
    runs_here=is_synchronous,
)
def retry(run_id: str, how: Retry = AS_IT_WAS, call: Call = CALL) -> Response:
    """Do what errored, or was not reached, again."""
    submitted = retry_run(call.app, run_id, actor=call.actor, mode=how.mode, **how.terms())
    return submitted_answer(call.app, submitted)


@doors.door(
    "POST",
    "/runs/{run_id}/apply",
    apply_run,
    Right.OPERATE,
    answers=RUN,
    others=PRUNED,
    runs_here=is_synchronous,
)
def apply(run_id: str, how: Apply = IN_THE_BACKGROUND, call: Call = CALL) -> Response:
    """Do what a dry run previewed."""
    terms: RunTerms = {"sync": how.mode == "sync", **how.terms()}
    return submitted_answer(call.app, apply_run(call.app, run_id, actor=call.actor, **terms))
