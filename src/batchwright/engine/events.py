"""What happens to runs, as small typed facts. Whoever wants to know subscribes.

An event of a run is published after its commit. A process that dies in between has done it and told
nobody: the database is the record, events only inform. Only :class:`Reached` speaks of a moment, also of one inside a
transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

import structlog

from batchwright.engine.job_code import JOB_CODE
from batchwright.engine.schedule import NotRunCause

log = structlog.get_logger()

Point = Literal[
    "claimed",
    "plan committed",
    "planned",
    "scope read",
    "scope executed",
    "scope saved",
    "scope committed",
    "finish called",
    "finish saved",
    "ended",
    "mail claimed",
    "mail accepted",
    "mail marked",
]

POINTS: tuple[Point, ...] = get_args(Point)
"""Moments of a run at which a test may end the process, in their order.

``plan committed`` comes with each portion of scopes. The four of a scope come with each scope, and the first two of
them again for each trial; ``scope saved`` and ``finish saved`` stand right before the commit. ``mail accepted`` lies
between the server's answer and the mark.
"""


@dataclass(frozen=True, slots=True)
class Reached:
    """A run, or the mail of one, is at a named moment; ``scope`` is the number people see, where there is one."""

    run_id: str | None
    point: Point
    scope: int | None = None


@dataclass(frozen=True, slots=True)
class RunSubmitted:
    """A run was enqueued: somebody's, or one that another run's ``finish`` asked for.

    Not published for a run in the caller's own transaction: whether that commits, only the caller knows.
    """

    run_id: str
    job: str
    mode: str
    actor: str


@dataclass(frozen=True, slots=True)
class RunWaiting:
    """The run cannot go on yet; ``reason`` says what it waits for."""

    run_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A process has claimed the run, or taken it over, and works on it from now on."""

    run_id: str
    job: str
    fence: int


@dataclass(frozen=True, slots=True)
class RunTakenOver:
    """The run's process was gone; this one goes on."""

    run_id: str
    from_owner: str


@dataclass(frozen=True, slots=True)
class RunPlanned:
    """All scopes are known. ``done`` records were finished before, by an interrupted process."""

    run_id: str
    total: int
    scopes: int
    done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeDone:
    """A scope has committed.

    ``ok``, ``errored`` and ``skipped`` count its own records; ``done`` of the run's ``total`` are through.
    ``seconds`` is how long it took from its first try to its commit, on the clock of the process that executed it.
    """

    run_id: str
    job: str
    scope: int
    ok: int
    errored: int
    skipped: int
    seconds: float
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class ScopeRetried:
    """A scope met a passing fault of the database and is tried again."""

    run_id: str
    scope: int
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class RecordErrored:
    """A record raised an unexpected exception; its scope went on without it."""

    run_id: str
    scope: int
    record_key: int
    message: str
    fault: str = ""
    """The kind and the place of the exception."""
    traceback: str | None = None
    """With the first of a fault that its process met in the run."""


@dataclass(frozen=True, slots=True)
class WorkerReplaced:
    """A process of the pool that executes scopes was gone; its scopes are executed again by another."""

    executor: str
    reason: str


@dataclass(frozen=True, slots=True)
class ExecutorFellBack:
    """The executor asked for did not answer; the run goes on with ``instead``."""

    run_id: str
    executor: str
    instead: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunHandedBack:
    """Its process was asked to stop: the run is Queued, and anybody may go on with it."""

    run_id: str


@dataclass(frozen=True, slots=True)
class RunPaused:
    """The run stands still, without a process, until it is resumed."""

    run_id: str


@dataclass(frozen=True, slots=True)
class RunLost:
    """This process no longer works on the run, though it has not ended it: ``reason`` says why."""

    run_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """Nothing moves the run any more: ``state`` is Completed, Failed or Aborted."""

    run_id: str
    job: str
    state: str
    error: str | None
    not_reached: int = 0


@dataclass(frozen=True, slots=True)
class ScheduleFired:
    """A nominal time of a schedule has its run, decided ``seconds_late`` after it."""

    schedule: str
    nominal_time: datetime
    run_id: str
    seconds_late: float


@dataclass(frozen=True, slots=True)
class ScheduleTimesNotRun:
    """Nominal times of a schedule were recorded without a run; ``reason`` is the text that people read."""

    schedule: str
    nominal_time: datetime
    last_nominal_time: datetime
    count: int
    cause: NotRunCause
    reason: str


@dataclass(frozen=True, slots=True)
class MailSent:
    """A mail was accepted, and marked so."""

    mail_id: str
    run_id: str | None


@dataclass(frozen=True, slots=True)
class MailDeferred:
    """A mail could not be delivered now; it is tried again."""

    mail_id: str
    run_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class MailFailed:
    """A mail was refused for good."""

    mail_id: str
    run_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class MailUntouched:
    """For a day nobody has tried to send these waiting mails: no sender has their ``route`` (``file``, ``smtp``)."""

    route: str | None
    count: int
    oldest: str


@dataclass(frozen=True, slots=True)
class ScheduleLate:
    """A run of a schedule has not started or not ended in time, or ``count`` times were not run; published once.

    ``late`` is ``not_started``, ``not_finished`` or ``not_run``; ``nominal_time`` is text, in UTC.
    """

    schedule: str
    nominal_time: str
    late: str
    run_id: str | None
    count: int


@dataclass(frozen=True, slots=True)
class PingSent:
    """The ping address of a schedule was called after a success, and answered."""

    schedule: str
    run_id: str | None


@dataclass(frozen=True, slots=True)
class PingFailed:
    """The ping address did not answer that all is well; it is called again, unless ``is_last``."""

    schedule: str
    run_id: str | None
    attempt: int
    reason: str
    is_last: bool


Event = (
    RunSubmitted
    | RunWaiting
    | RunStarted
    | RunTakenOver
    | RunPlanned
    | ScopeDone
    | ScopeRetried
    | RecordErrored
    | WorkerReplaced
    | ExecutorFellBack
    | RunHandedBack
    | RunPaused
    | RunLost
    | RunEnded
    | ScheduleFired
    | ScheduleTimesNotRun
    | MailSent
    | MailDeferred
    | MailFailed
    | MailUntouched
    | ScheduleLate
    | PingSent
    | PingFailed
    | Reached
)


class Events:
    """Hands every event to every subscriber, in the publisher's thread."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Event], None]] = []

    def subscribe(self, subscriber: Callable[[Event], None]) -> None:
        """Call ``subscriber`` with each event from now on."""
        self._subscribers.append(subscriber)

    def publish(self, event: Event) -> None:
        """Tell the subscribers. One that raises is logged: no listener decides what becomes of a run."""
        for subscriber in self._subscribers:
            try:
                with JOB_CODE:
                    subscriber(event)
            except Exception:
                log.exception("a subscriber failed", event_type=type(event).__name__)
