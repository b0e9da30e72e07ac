"""A schedule, as its row says, the flag that holds them all, and what is still to be notified of its times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from batchwright.engine.cron import CronExpression
from batchwright.engine.run import State

DEFAULT_CAP = 24
MOST_AHEAD = timedelta(minutes=1)
"""How far clocks may differ."""


class Misfire(StrEnum):
    """What becomes of times that were not run when they came."""

    SKIP = "skip"
    LATEST = "latest"
    ALL = "all"


class Overlap(StrEnum):
    """What becomes of a time while an earlier run of the schedule has not ended."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"


class NotRunCause(StrEnum):
    """Why no run was started for nominal times."""

    PAUSED = "paused"
    HELD = "held"
    ENDED = "ended"
    CHANGED = "changed"
    MISFIRE = "misfire"
    OVERLAPPED = "overlapped"
    REFUSED = "refused"

    @property
    def is_intended(self) -> bool:
        """Whether somebody asked for it: nobody is notified, and it is logged at info instead of warning."""
        return self in (NotRunCause.PAUSED, NotRunCause.HELD, NotRunCause.ENDED, NotRunCause.CHANGED)


class NotRunReason(NamedTuple):
    """A cause, and the text that people read: it begins with the cause and has the details."""

    cause: NotRunCause
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRequest:
    """All of a schedule that people decide, as it was typed: nothing of it is checked.

    ``cron`` is Salesforce's and Quartz's, or a Unix line where it comes from a crontab. ``owner`` is the actor of its
    runs; left out, it is who makes the schedule, or who has it already. ``start`` and ``end`` without a zone are wall
    times of ``time_zone``, a date alone is the whole day. ``reason`` to ``error_ceiling`` are those of its runs, and
    ``mail_owner=False`` keeps the owner from their mail.
    """

    name: str
    cron: str
    job: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    owner: str | None = None
    time_zone: str = "UTC"
    misfire: str = Misfire.LATEST
    grace_seconds: int | None = None
    cap: int = DEFAULT_CAP
    overlap: str = Overlap.SKIP
    start: date | datetime | None = None
    end: date | datetime | None = None
    notify: Sequence[str] = ()
    mail_owner: bool = True
    reason: str | None = None
    explanation: str | None = None
    scope_size: int | None = None
    error_ceiling: str | None = None
    start_within_minutes: int | None = None
    finish_within_minutes: int | None = None
    ping: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSpec(ScheduleRequest):
    """The same, checked and complete, as it is stored. ``start`` and ``end`` are in UTC."""

    parameters: dict[str, Any]
    owner: str
    misfire: Misfire = Misfire.LATEST
    overlap: Overlap = Overlap.SKIP
    start: datetime | None = None
    end: datetime | None = None
    notify: tuple[str, ...] = ()

    @property
    def expression(self) -> CronExpression:
        """When it fires. Raises ``CronError``, which cannot be for one that was checked when it was saved."""
        return read_expression(self.cron, self.time_zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule(ScheduleSpec):
    """A schedule in the database. All nominal times up to ``last_nominal_time`` are recorded as fires, or lay outside
    its start and end as they were then: none of them is due any more.

    ``timed_at`` is the last change of the expression or the zone. ``paused_at`` and ``resumed_at`` bound the last
    pause, or the one that lasts (``paused``).
    """

    id: int
    created_at: datetime
    timed_at: datetime
    paused: bool
    paused_at: datetime | None
    resumed_at: datetime | None
    last_nominal_time: datetime | None
    ahead_told: datetime | None = None

    def ahead_of(self, now: datetime) -> datetime | None:
        """The time, more than a minute ahead, up to which nothing fires, since a clock that was ahead recorded it."""
        known = (self.created_at, self.timed_at, self.last_nominal_time)
        latest = max(time for time in known if time is not None)
        return latest if latest - now > MOST_AHEAD else None


@dataclass(frozen=True, slots=True)
class Hold:
    """The maintenance in which nothing fires, or the last one; while it lasts ``released_at`` is empty."""

    held_at: datetime | None = None
    released_at: datetime | None = None

    @property
    def lasts(self) -> bool:
        """Whether nothing fires now."""
        return self.held_at is not None and self.released_at is None


@lru_cache(maxsize=10_000)
def read_expression(cron: str, time_zone: str) -> CronExpression:
    """The expression as it is kept: also a Unix line. What may be written where is for the door to say."""
    return CronExpression.from_crontab(cron, time_zone)


Late = Literal["not_started", "not_finished", "not_run", "ahead"]


class RunTimes(NamedTuple):
    """What is known of a run."""

    state: State
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LateCheck:
    """What is still to notify of a nominal time, or of a range that was not run (no ``run_id``, with its ``reason``).

    By ``start_by`` its run should have started, by ``finish_by`` ended; ``ping`` is called when it has succeeded.
    What has been notified, or need not be any more, is ``None``.
    """

    schedule_id: int
    nominal_time: datetime
    last_nominal_time: datetime
    count: int
    run_id: str | None
    reason: str | None
    start_by: datetime | None
    finish_by: datetime | None
    ping: str | None


class Judgement(NamedTuple):
    """What is to be notified now, and what is left of the check then."""

    late: Sequence[Late]
    start_by: datetime | None
    finish_by: datetime | None
    ping: str | None
