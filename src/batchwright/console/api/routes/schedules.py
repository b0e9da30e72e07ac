"""Schedules: make and change them, hold them, look at their times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Query as InQuery
from pydantic import Field
from starlette.responses import Response

from batchwright.console.api.door import (
    CALL,
    NO_REASON,
    Body,
    Call,
    Doors,
    PageQuery,
    Query,
    Why,
    answer,
    page_answer,
    versions_seen,
)
from batchwright.console.api.models.runs import Run
from batchwright.console.api.models.schedules import (
    AppliedSchedules,
    Backfill,
    Fire,
    Hold,
    NextFires,
    Rewound,
    Schedule,
    WholeSchedule,
)
from batchwright.console.api.models.shapes import Page
from batchwright.engine.schedule import DEFAULT_CAP, ScheduleRequest
from batchwright.operations.access.permissions import Right
from batchwright.operations.schedules.backfill import backfill_schedule
from batchwright.operations.schedules.cron import ExpressionRefused, read_last_moment, read_moment
from batchwright.operations.schedules.files import apply_schedules
from batchwright.operations.schedules.schedules import (
    NEXT,
    add_schedule,
    fires_page,
    hold_all,
    next_fires,
    pause_schedule,
    release_all,
    remove_schedule,
    resume_schedule,
    rewind_schedules,
    run_now,
    schedules_page,
    show_schedule,
    update_schedule,
)

doors = Doors("schedules")
ONE = "/schedules/{name:path}"
"""A name may hold a slash."""


class Terms(Body):
    """What can be said of a schedule and changed later; `start` and `end` are ISO 8601, in its zone without one."""

    parameters: dict[str, Any] = Field(default_factory=dict)
    owner: str | None = None
    time_zone: str = Field("UTC", examples=["Europe/Berlin"])
    misfire: Literal["skip", "latest", "all"] = "latest"
    grace_seconds: int | None = None
    cap: int = DEFAULT_CAP
    overlap: Literal["skip", "queue", "allow"] = "skip"
    start: str | None = Field(None, examples=["2026-11-01"])
    end: str | None = Field(None, examples=["2027-10-31T18:00"])
    notify: list[str] = Field(default_factory=list)
    mail_owner: bool = True
    reason: str | None = None
    explanation: str | None = None
    scope_size: int | None = None
    error_ceiling: str | None = Field(None, examples=["5%"])
    start_within_minutes: int | None = None
    finish_within_minutes: int | None = None
    ping: str | None = None

    def given(self) -> dict[str, Any]:
        """What the request names, as the operations take it."""
        fields = self.model_dump(exclude_unset=True)
        for name in ("start", "end"):
            if fields.get(name) is not None:
                fields[name] = read_last_moment(fields[name], field=name)
        return fields


class NewSchedule(Terms):
    """A schedule to make."""

    name: str = Field(examples=["Draft Rating Job"])
    cron: str = Field(examples=["0 0 0 ? * * *"])
    job: str = Field(examples=["draft-usage-rating"])


class ScheduleChanges(Terms):
    """Fields of a schedule to change; those that are not named stay, `null` takes a value away."""

    cron: str = Field("0 0 0 ? * * *", examples=["0 0 1 ? * * *"])
    job: str = Field("", examples=["draft-usage-rating"])


class HoldChange(Why):
    """Whether all schedules are to be held."""

    held: bool


class Window(Why):
    """From when to when, both included, ISO 8601, in the schedule's zone without one; a date alone is the whole day."""

    begin: str = Field(alias="from", examples=["2026-11-01"])
    end: str = Field(alias="to", examples=["2026-11-03"])
    preview: bool = False


class Crontab(Why):
    """A text of schedules, as `crontab.example` explains; with `prune` those that it does not name are removed."""

    text: str = Field(examples=['0 0 0 ? * * * "Draft Rating Job" draft-usage-rating'])
    dry_run: bool = False
    prune: bool = False


class FirstTimes(Query):
    """How many of the times to come."""

    limit: int = Field(NEXT, ge=1, le=1_000)


@doors.door("GET", "/schedules", schedules_page, Right.LOOK, answers={200: Page[Schedule]})
def listing(query: Annotated[PageQuery, InQuery()], call: Call = CALL) -> Response:
    """The schedules by name."""
    return page_answer(call, schedules_page(call.app, limit=query.limit, after=query.after, actor=call.actor))


@doors.door("POST", "/schedules", add_schedule, Right.OPERATE, answers={201: Schedule})
def add(new: NewSchedule, call: Call = CALL) -> Response:
    """Make a schedule."""
    with _named_as_sent():
        made = add_schedule(call.app, ScheduleRequest(**new.given()), actor=call.actor)
    where = f"/api/v1/schedules/{quote(made['name'], safe='')}"
    return answer(made, status=HTTPStatus.CREATED, headers={"Location": where})


@doors.door("POST", "/schedules/apply", apply_schedules, Right.OPERATE, answers={200: AppliedSchedules})
def apply(crontab: Crontab, call: Call = CALL) -> Response:
    """Make the schedules as a text has them."""
    difference = apply_schedules(
        call.app,
        crontab.text,
        file="API",
        actor=call.actor,
        reason=crontab.reason,
        dry_run=crontab.dry_run,
        prune=crontab.prune,
    )
    return answer(difference.view)


@doors.door("POST", "/schedules/hold", hold_all, Right.ADMINISTER, answers={200: Hold})
def hold(change: HoldChange, call: Call = CALL) -> Response:
    """Hold all schedules, or release them."""
    act = hold_all if change.held else release_all
    return answer(act(call.app, actor=call.actor, reason=change.reason))


doors.operations.add(release_all)


@doors.door("GET", f"{ONE}/fires", fires_page, Right.LOOK, answers={200: Page[Fire]})
def fires(name: str, query: Annotated[PageQuery, InQuery()], call: Call = CALL) -> Response:
    """What became of a schedule's times."""
    return page_answer(
        call, fires_page(call.app, name, limit=query.limit, after=query.after, actor=call.actor)
    )


@doors.door("GET", f"{ONE}/next", next_fires, Right.LOOK, answers={200: NextFires})
def times_to_come(name: str, query: Annotated[FirstTimes, InQuery()], call: Call = CALL) -> Response:
    """When a schedule fires next."""
    return answer({"times": next_fires(call.app, name, query.limit, actor=call.actor)}, request=call.request)


@doors.door("POST", f"{ONE}/pause", pause_schedule, Right.OPERATE, answers={200: Schedule})
def pause(name: str, why: Why = NO_REASON, call: Call = CALL) -> Response:
    """Let a schedule fire nothing."""
    return answer(pause_schedule(call.app, name, actor=call.actor, reason=why.reason))


@doors.door("POST", f"{ONE}/resume", resume_schedule, Right.OPERATE, answers={200: Schedule})
def resume(name: str, why: Why = NO_REASON, call: Call = CALL) -> Response:
    """Let a paused schedule fire again."""
    return answer(resume_schedule(call.app, name, actor=call.actor, reason=why.reason))


@doors.door("POST", f"{ONE}/rewind", rewind_schedules, Right.OPERATE, answers={200: Rewound})
def rewind(name: str, why: Why = NO_REASON, call: Call = CALL) -> Response:
    """Let a schedule fire again of which a clock that was ahead recorded times to come."""
    return answer({"names": rewind_schedules(call.app, [name], actor=call.actor, reason=why.reason)})


@doors.door("POST", f"{ONE}/run-now", run_now, Right.OPERATE, answers={202: Run})
def run_at_once(name: str, why: Why = NO_REASON, call: Call = CALL) -> Response:
    """Submit a run of what a schedule runs."""
    submitted = run_now(call.app, name, actor=call.actor, reason=why.reason, trigger="api")
    where = {"Location": f"/api/v1/runs/{submitted.run_id}", "Retry-After": "2"}
    return answer(submitted.view, status=HTTPStatus.ACCEPTED, headers=where)


@doors.door("POST", f"{ONE}/backfill", backfill_schedule, Right.OPERATE, answers={200: Backfill})
def backfill(name: str, window: Window, call: Call = CALL) -> Response:
    """Submit a run for each time in a window that has none."""
    begin, end = read_moment(window.begin, field="from"), read_last_moment(window.end, field="to")
    times = backfill_schedule(
        call.app, name, begin, end, actor=call.actor, reason=window.reason, preview=window.preview
    )
    return answer({"times": times})


@doors.door("GET", ONE, show_schedule, Right.LOOK, answers={200: WholeSchedule})
def show(name: str, call: Call = CALL) -> Response:
    """One schedule."""
    return answer(show_schedule(call.app, name, actor=call.actor), request=call.request)


@doors.door(
    "PATCH",
    ONE,
    update_schedule,
    Right.OPERATE,
    answers={200: Schedule},
    others=(HTTPStatus.PRECONDITION_FAILED, HTTPStatus.PRECONDITION_REQUIRED),
)
def update(name: str, changes: ScheduleChanges, call: Call = CALL) -> Response:
    """Change fields of the version that is named in If-Match."""
    seen = versions_seen(call)
    with _named_as_sent():
        return answer(update_schedule(call.app, name, changes.given(), seen=seen, actor=call.actor))


@contextmanager
def _named_as_sent() -> Iterator[None]:
    """A refused part of an expression, or a zone, by the field of the body that it was sent in."""
    try:
        yield
    except ExpressionRefused as refused:
        refused.field = "time_zone" if refused.position is None else "cron"
        raise


@doors.door("DELETE", ONE, remove_schedule, Right.OPERATE, answers={200: Schedule})
def remove(name: str, call: Call = CALL) -> Response:
    """Delete a schedule; the answer is as it was."""
    return answer(remove_schedule(call.app, name, actor=call.actor))
