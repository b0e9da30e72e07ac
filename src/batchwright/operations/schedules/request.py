"""A schedule as somebody asks for it, and what is checked before it is saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import date, datetime
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection

from batchwright.config.texts import unlike_itself
from batchwright.engine.cron import CronExpression
from batchwright.engine.errors import Refused, error_text
from batchwright.engine.faults import is_transient
from batchwright.engine.job_code import JOB_CODE
from batchwright.engine.schedule import Misfire, Overlap, Schedule, ScheduleRequest, ScheduleSpec
from batchwright.engine.submit import CEILING
from batchwright.jobs.usage_selection import UsageJob
from batchwright.notifications.addresses import check_address
from batchwright.notifications.ping_address import check_ping
from batchwright.operations.access.permissions import Right, permit, right_to_run
from batchwright.operations.actor import Actor, check_actor
from batchwright.operations.app import Application
from batchwright.operations.checks import check_one_of
from batchwright.operations.schedules.cron import bound_of, read_expression

LONGEST_NAME = 255
MOST_AT_ONCE = 1_000
"""The largest cap: late runs that the misfire policy `all` starts together."""
LONGEST_MINUTES = 60 * 24 * 366
LONGEST_GRACE = LONGEST_MINUTES * 60

MISFIRES = tuple(str(policy) for policy in Misfire)
OVERLAPS = tuple(str(policy) for policy in Overlap)


def permit_schedule(
    app: Application, actor: Actor, act: str, *, jobs: Iterable[str], owner: str | None
) -> None:
    """Refuse with `Forbidden` unless the actor may run these jobs, and may do so in the name of the owner."""
    rights = {Right.OPERATE, *(right_to_run(app, job) for job in jobs)}
    for right in sorted(rights, key=list(Right).index):
        permit(app, actor, right, act)
        if owner is not None:
            permit(app, actor, right, act, owner=check_actor(owner, "owner"))


def check_request(
    app: Application,
    connection: Connection,
    request: ScheduleRequest,
    *,
    actor: Actor,
    before: Schedule | None,
    now: datetime,
    from_crontab: bool = False,
) -> ScheduleSpec:
    """What is to be saved: each field checked, the job's parameters as its schema reads them, ids looked up.

    `before` is the schedule that it changes; it keeps its expression where the new one means the same. `from_crontab`
    allows a Unix line as well. Raises `Refused` for the first field that cannot be used, and for an expression that
    never fires.
    """
    check_fields(field_values(request))
    _check_name(request.name)
    check_one_of(request.misfire, MISFIRES, field="misfire")
    check_one_of(request.overlap, OVERLAPS, field="overlap")
    _check_numbers(request)
    expression = read_expression(request.cron, request.time_zone, from_crontab=from_crontab)
    start = _bound(request.start, request.time_zone, "start")
    end = _bound(request.end, request.time_zone, "end", is_upper=True)
    cron = request.cron
    if before is not None and expression.is_equivalent_to(before.expression):
        cron = before.cron
    times = (cron, request.time_zone, start, end)
    if before is None or times != (before.cron, before.time_zone, before.start, before.end):
        _check_fires(expression, start, end, now)
    checked = {
        "cron": cron,
        "parameters": _checked_parameters(app, connection, request),
        "owner": check_actor(request.owner or (actor.name if before is None else before.owner), "owner"),
        "misfire": Misfire(request.misfire),
        "overlap": Overlap(request.overlap),
        "start": start,
        "end": end,
        "notify": tuple(dict.fromkeys(check_address(address, "notify") for address in request.notify)),
        "ping": _checked_ping(app, request.ping, before),
    }
    return ScheduleSpec(**field_values(request) | checked)


def _checked_ping(app: Application, ping: str | None, before: Schedule | None) -> str | None:
    """One that the schedule has already stays: where it leads is checked at each ping."""
    if ping is None or (before is not None and ping == before.ping):
        return ping
    return check_ping(ping, allows_private=app.settings.ping_private)


def field_values(request: ScheduleRequest) -> dict[str, Any]:
    """The values of a request, or of a schedule what somebody would have to ask for to get it as it is; by field."""
    return {field.name: getattr(request, field.name) for field in fields(ScheduleRequest)}


def check_fields(values: Mapping[str, Any]) -> None:
    """Refuse a field that a schedule does not have, and a value of another kind than its own."""
    for name, value in values.items():
        if name not in _kinds():
            raise Refused(f"a schedule has no {name!r}", field=name, remedy=f"Give {', '.join(_kinds())}")
        try:
            _kinds()[name].validate_python(value, strict=True)
        except ValidationError as error:
            said = error.errors(include_url=False)[0]["msg"]
            raise Refused(
                f"{name} cannot be {value!r}: {said}", field=name, remedy="Give one of that kind"
            ) from None


@cache
def _kinds() -> Mapping[str, TypeAdapter[Any]]:
    return {name: TypeAdapter(kind) for name, kind in get_type_hints(ScheduleRequest).items()}


def _check_name(name: str) -> None:
    if fault := unlike_itself(name):
        raise Refused(
            f"the name {name[:LONGEST_NAME]!r} {fault[0]}", field="name", remedy=fault[1].capitalize()
        )
    if name.strip() != name or not name or not name.isprintable() or len(name) > LONGEST_NAME or '"' in name:
        raise Refused(
            f"{name[:LONGEST_NAME]!r} is not a valid name of a schedule",
            field="name",
            remedy=f"Give 1 to {LONGEST_NAME} printable characters without a double quote, and no blank around them",
        )


def _check_numbers(request: ScheduleRequest) -> None:
    bounds = (
        ("grace_seconds", request.grace_seconds, 0, LONGEST_GRACE),
        ("cap", request.cap, 1, MOST_AT_ONCE),
        ("scope_size", request.scope_size, 1, 10**9),
        ("start_within_minutes", request.start_within_minutes, 1, LONGEST_MINUTES),
        ("finish_within_minutes", request.finish_within_minutes, 1, LONGEST_MINUTES),
    )
    for name, value, least, most in bounds:
        if value is not None and not least <= value <= most:
            raise Refused(
                f"{name} {value} is not in the range from {least} to {most}",
                field=name,
                remedy="Give one in it",
            )
    if request.error_ceiling is not None and not CEILING.fullmatch(request.error_ceiling):
        raise Refused(
            f"{request.error_ceiling!r} is not a valid error ceiling",
            field="error_ceiling",
            remedy="Give a count such as 100, or a percentage such as 5%",
        )


def _bound(
    moment: date | datetime | None, time_zone: str, field: str, *, is_upper: bool = False
) -> datetime | None:
    return None if moment is None else bound_of(moment, time_zone, field=field, is_upper=is_upper)


def _check_fires(
    expression: CronExpression, start: datetime | None, end: datetime | None, now: datetime
) -> None:
    if start is not None and end is not None and end.timestamp() < start.timestamp():
        raise Refused(
            f"the end {end.isoformat()} lies before the start {start.isoformat()}",
            field="end",
            remedy="Give a later end, or an earlier start",
        )
    # A time equal to the start fires, and `next_after` is strictly after.
    begin = max([now.timestamp(), *([start.timestamp() - 0.000_001] if start is not None else [])])
    fire = expression.next_after(datetime.fromtimestamp(begin, tz=now.tzinfo))
    if fire is None or (end is not None and fire.timestamp() > end.timestamp()):
        until = "" if end is None else f" up to its end {end.isoformat()}"
        since = "" if start is None else f" from its start {start.isoformat()} on"
        raise Refused(
            f"{expression.text!r} never fires{since}{until}: {expression.describe()}",
            field="cron",
            remedy="Look at its times with `batchwright cron next`, and correct the expression, start or end",
        )


def _checked_parameters(app: Application, connection: Connection, request: ScheduleRequest) -> dict[str, Any]:
    try:
        job = app.registry.make(request.job, request.parameters)
        with JOB_CODE:
            job.select(connection)
    except Exception as error:
        if isinstance(error, Refused) or is_transient(error):
            raise
        # Such as a constructor that misses an argument: what the job raises is its answer.
        raise Refused(
            f"the job {request.job} does not take the parameters: {error_text(error)}",
            field="param",
            remedy=f"Give each as --param NAME=VALUE; see `batchwright jobs show {request.job}`",
        ) from error
    parameters: dict[str, Any] = job.parameters.model_dump(mode="json")
    if isinstance(job, UsageJob) and job.parameters.selection_id is not None:
        problem, remedy = "a selection is good for an hour", "Name the ids, or leave it out for everything"
        raise Refused(problem, field="selection_id", remedy=remedy)
    return parameters
