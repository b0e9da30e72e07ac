"""A run and its states. Every allowed move stands in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

RETRY = "retry"
APPLY = "apply"
"""The trigger of a run that applies the preview of its parent."""

Totals = Mapping[str, Mapping[str, int]]
"""Name of a total -> currency -> minor units, for example ``{"draft_fee_amount": {"USD": 600000}}``."""


class State(StrEnum):
    """Salesforce's states of a batch job, and Paused."""

    HOLDING = "Holding"
    QUEUED = "Queued"
    PREPARING = "Preparing"
    PROCESSING = "Processing"
    PAUSED = "Paused"
    COMPLETED = "Completed"
    FAILED = "Failed"
    ABORTED = "Aborted"


class Control(StrEnum):
    """A request that is stored with a run. The process of an active run carries out `abort` and `pause` once the scopes
    in flight have ended; `hold` keeps a paused run paused until an administrator resumes it.
    """

    ABORT = "abort"
    PAUSE = "pause"
    HOLD = "hold"


ACTIVE = (State.PREPARING, State.PROCESSING)
"""A process is, or should be, working on it."""

ENDED = (State.COMPLETED, State.FAILED, State.ABORTED)
"""Nothing moves it any more."""

LIVE = tuple(state for state in State if state not in ENDED)

WAITING = (State.HOLDING, State.QUEUED, State.PAUSED)
"""No process works on it: whoever steers it moves it there and then."""

MOVES: Mapping[tuple[State, State], str] = {
    (State.HOLDING, State.QUEUED): "a slot among the active runs became free for it",
    (State.QUEUED, State.PREPARING): "a process claimed it and plans its scopes",
    (State.QUEUED, State.PROCESSING): "a process claimed it again; its scopes were already planned",
    (State.PREPARING, State.PROCESSING): "all scopes are planned",
    (State.PREPARING, State.QUEUED): "its process was asked to stop and handed it back; it is planned anew",
    (State.PROCESSING, State.QUEUED): "its process was asked to stop and handed it back",
    (State.PROCESSING, State.COMPLETED): "all scopes are done and finish has run",
    (State.PREPARING, State.FAILED): "start raised an exception",
    (
        State.PROCESSING,
        State.FAILED,
    ): "finish raised, a scope could not be saved, or the error ceiling was reached",
    (State.HOLDING, State.PAUSED): "somebody paused it before it had a slot",
    (State.QUEUED, State.PAUSED): "somebody paused it before a process claimed it; its slot is free",
    (State.PREPARING, State.PAUSED): "its process was asked to pause it; it is planned anew later",
    (State.PROCESSING, State.PAUSED): "its process was asked to pause it, and finished the scopes in flight",
    (State.PAUSED, State.HOLDING): "somebody resumed it; it stands in line again, at its old place",
    (State.HOLDING, State.ABORTED): "somebody aborted it before it had a slot",
    (State.QUEUED, State.ABORTED): "somebody aborted it before a process claimed it",
    (State.PAUSED, State.ABORTED): "somebody aborted it while it was paused",
    (State.PREPARING, State.ABORTED): "its process was asked to abort it; nothing was done",
    (State.PROCESSING, State.ABORTED): "its process was asked to abort it, and finished the scopes in flight",
}
"""Every allowed move, and when it happens. A takeover moves nothing: it only raises the fence."""


@dataclass(frozen=True, slots=True)
class NewRun:
    """What is known of a run when it is submitted."""

    job: str
    type: str
    mode: str
    in_caller: bool
    state: State
    actor: str
    reason: str | None
    explanation: str | None
    parameters: dict[str, Any]
    trigger: str
    schedule: str | None
    after_earlier: bool
    parent_id: int | None
    customer_id: str | None
    periods: list[str] | None
    scope_size: int
    error_ceiling: str | None
    notify: list[str]
    mail_actor: bool
    queue_key: str
    dedup_key: str | None


@dataclass(frozen=True, slots=True)
class Run(NewRun):
    """One run, as its row says.

    ``id`` is the key, ``run_id`` the id people see. While the run works, the four counts and ``totals`` are
    summed from its scopes; ``totals`` holds minor units.
    """

    id: int
    run_id: str
    queue_position: int
    fence: int
    owner: str | None
    claimed_at: datetime | None
    takeovers_without_progress: int
    progress_at_takeover: int | None
    total: int | None
    processed: int
    errored: int
    skipped: int
    not_reached: int
    totals: Totals
    error: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    start_number: int | None
    pruned_at: datetime | None

    @property
    def begun_at(self) -> datetime:
        """By what runs are listed: the start, or the creation while it waits."""
        return self.started_at or self.created_at

    @property
    def is_dry(self) -> bool:
        """A dry run computes only."""
        return self.mode == "dry_run"

    @property
    def preview_key(self) -> int | None:
        """The key of the dry run whose preview it applies: it does just what that one foretold, or nothing."""
        return self.parent_id if self.trigger == APPLY else None

    @property
    def ended(self) -> bool:
        """Nothing moves it any more."""
        return self.state in ENDED


def parent_caption(trigger: str | None) -> str:
    """What the run's parent is to it, for the line that names it."""
    return {RETRY: "Retry of", APPLY: "Preview of it"}.get(trigger or "", "Submitted by")


def badge(run: Run) -> str:
    """What the run log shows: ``Queued``, ``Running``, ``Complete`` (with its errors), ``Failed`` (with why)."""
    if run.state in (State.HOLDING, State.QUEUED):
        return "Queued"
    if run.state in (State.PREPARING, State.PROCESSING, State.PAUSED):
        return "Running"
    if run.state is State.COMPLETED:
        if not run.errored:
            return "Complete"
        return f"Complete ({run.errored} error{'s' if run.errored != 1 else ''})"
    return f"Failed ({run.error or 'aborted'})"
