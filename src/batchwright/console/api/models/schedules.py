"""The shapes of schedules, their fires and cron expressions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from batchwright.console.api.models.shapes import Answer, Instant


class Schedule(Answer):
    """A schedule."""

    name: Annotated[str, Field(examples=["Draft Rating Job"])]
    cron: Annotated[str, Field(examples=["0 0 0 ? * * *"])]
    job: Annotated[str, Field(examples=["draft-usage-rating"])]
    parameters: dict[str, Any]
    time_zone: Annotated[str, Field(examples=["Europe/Berlin"])]
    misfire: Literal["skip", "latest", "all"]
    grace_seconds: int | None
    cap: int
    overlap: Literal["skip", "queue", "allow"]
    start: Instant | None
    end: Instant | None
    owner: str
    notify: list[str]
    paused: bool
    next_fire_at: Instant | None
    last_fire_at: Instant | None


class WholeSchedule(Schedule):
    """A schedule with all that its line in a list leaves out."""

    description: str
    held: bool
    mail_owner: bool
    reason: str | None
    explanation: str | None
    scope_size: int | None
    error_ceiling: str | None
    start_within_minutes: int | None
    finish_within_minutes: int | None
    ping: str | None
    created_at: Instant


class Fire(Answer):
    """What became of a nominal time of a schedule, or of a range of them that was not run, and why."""

    nominal_time: Instant
    last_nominal_time: Instant
    count: int
    run_id: str | None
    decision: Literal["started", "not_run"]
    reason: str | None


LocalTime = Annotated[str, Field(examples=["2026-11-21T00:00:00+01:00"])]


class NextFire(Answer):
    """A nominal time to come, in UTC and as the schedule's zone has it."""

    fire_at: Instant
    local_time: LocalTime


class NextFires(Answer):
    """The first of the nominal times to come."""

    times: list[NextFire]


class Backfilled(Answer):
    """A nominal time that had no run; `run_id` is `null` in a preview, `cause` says why it was not run when it came."""

    nominal_time: Instant
    local_time: LocalTime
    run_id: str | None
    cause: str | None


class Backfill(Answer):
    """The nominal times of a window that had no run."""

    times: list[Backfilled]


class AppliedSchedules(Answer):
    """What the text changed: names of schedules."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    unchanged: list[str]


class Rewound(Answer):
    """Names of the schedules that fire again."""

    names: list[str]


class Hold(Answer):
    """The hold of all schedules; `released_at` is `null` while it lasts."""

    held_at: Instant | None
    released_at: Instant | None


class Explanation(Answer):
    """A cron expression in words."""

    expression: Annotated[str, Field(examples=["0 0 22 ? * 6L"])]
    description: str
    clock_changes: str
