"""A schedule as somebody asks for it, and what is checked before it is saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from batchwright.engine.cron import CronExpression
from batchwright.engine.errors import Refused
from batchwright.engine.schedule import DEFAULT_CAP, Misfire, Overlap, Schedule, Wanted
from batchwright.engine.submit import CEILING
from batchwright.notifications.addresses import check_address
from batchwright.notifications.ping import check_ping
from batchwright.operations.access.permissions import Right, permit, right_to_run
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import check_one_of
from batchwright.operations.schedules.cron import read_expression

LONGEST_NAME = 255
MOST_AT_ONCE = 1_000
"""The largest cap: late runs that the misfire policy `all` starts together."""
LONGEST_MINUTES = 60 * 24 * 366
LONGEST_GRACE = LONGEST_MINUTES * 60

MISFIRES = tuple(str(policy) for policy in Misfire)
OVERLAPS = tuple(str(policy) for policy in Overlap)


@dataclass(frozen=True, kw_only=True)
class ScheduleOrder:
    """All terms of a schedule as they were typed; what is left out is the default of `Wanted`, which it becomes.

    `cron` is a Salesforce or Quartz expression, and with `from_crontab` a Unix line, too. `parameters` are the job's.
    `owner`, left out, is who makes the schedule, or who has it already. `start` and `end` without a zone are wall
    times of `time_zone`.
    """

    name: str
    cron: str
    job: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    from_crontab: bool = False
    owner: str | None = None
    time_zone: str = "UTC"
    misfire: str = Misfire.LATEST
    grace_seconds: int | None = None
    cap: int = DEFAULT_CAP
    overlap: str = Overlap.SKIP
    start: datetime | None = None
    end: datetime | None = None
    notify: Sequence[str] = ()
    mail_owner: bool = True
    reason: str | None = None
    explanation: str | None = None
    scope_size: int | None = None
    error_ceiling: str | None = None
    start_within_minutes: int | None = None
    finish_within_minutes: int | None = None
    ping: str | None = None


def order_of(schedule: Schedule) -> ScheduleOrder:
    """What somebody would have to ask for to get the schedule as it is."""
    values = {field.name: getattr(schedule, field.name) for field in fields(Wanted)}
    return ScheduleOrder(from_crontab=True, **values)


def permit_schedule(
    app: Application, actor: Actor, act: str, *, jobs: Iterable[str], owner: str | None
) -> None:
    """Refuse with `Forbidden` unless the actor may run these jobs, and may do so in the name of the owner."""
    rights = {Right.OPERATE, *(right_to_run(job) for job in jobs)}
    for right in sorted(rights, key=list(Right).index):
        permit(app, actor, right, act)
        if owner is not None:
            permit(app, replace(actor, name=_checked_owner(owner, actor)), right, act)


def check_order(
    app: Application,
    connection: Connection,
    order: ScheduleOrder,
    *,
    actor: Actor,
    before: Schedule | None,
    now: datetime,
) -> Wanted:
    """What is to be saved: each term checked, the job's parameters as its schema reads them, ids looked up.

    `before` is the schedule that it changes. Raises `Refused` for the first term that cannot be used, and for an
    expression that never fires.
    """
    _check_name(order.name)
    check_one_of(order.misfire, MISFIRES, field="misfire")
    check_one_of(order.overlap, OVERLAPS, field="overlap")
    _check_numbers(order)
    expression = read_expression(order.cron, order.time_zone, from_crontab=order.from_crontab)
    start, end = _zoned(order.start, order.time_zone), _zoned(order.end, order.time_zone)
    if before is None or (before.cron, before.time_zone, before.start, before.end) != (
        order.cron,
        order.time_zone,
        start,
        end,
    ):
        _check_fires(expression, start, end, now)
    return Wanted(
        name=order.name,
        cron=order.cron,
        job=order.job,
        parameters=_checked_parameters(app, connection, order),
        owner=_checked_owner(order.owner or (actor.name if before is None else before.owner), actor),
        time_zone=order.time_zone,
        misfire=Misfire(order.misfire),
        grace_seconds=order.grace_seconds,
        cap=order.cap,
        overlap=Overlap(order.overlap),
        start=start,
        end=end,
        notify=tuple(dict.fromkeys(check_address(address, "notify") for address in order.notify)),
        mail_owner=order.mail_owner,
        reason=order.reason,
        explanation=order.explanation,
        scope_size=order.scope_size,
        error_ceiling=order.error_ceiling,
        start_within_minutes=order.start_within_minutes,
        finish_within_minutes=order.finish_within_minutes,
        ping=None if order.ping is None else check_ping(order.ping),
    )


def _check_name(name: str) -> None:
    if name.strip() != name or not name or not name.isprintable() or len(name) > LONGEST_NAME or '"' in name:
        raise Refused(
            f"{name[:LONGEST_NAME]!r} is no name of a schedule",
            field="name",
            remedy=f"Give 1 to {LONGEST_NAME} printable characters without a double quote, and no blank around them",
        )


def _check_numbers(order: ScheduleOrder) -> None:
    bounds = (
        ("grace_seconds", order.grace_seconds, 0, LONGEST_GRACE),
        ("cap", order.cap, 1, MOST_AT_ONCE),
        ("scope_size", order.scope_size, 1, 10**9),
        ("start_within_minutes", order.start_within_minutes, 1, LONGEST_MINUTES),
        ("finish_within_minutes", order.finish_within_minutes, 1, LONGEST_MINUTES),
    )
    for name, value, least, most in bounds:
        if value is not None and not least <= value <= most:
            raise Refused(
                f"{name} {value} is not in the range from {least} to {most}",
                field=name,
                remedy="Give one in it",
            )
    if order.error_ceiling is not None and not CEILING.fullmatch(order.error_ceiling):
        raise Refused(
            f"{order.error_ceiling!r} is no error ceiling",
            field="error_ceiling",
            remedy="Give a count such as 100, or a percentage such as 5%",
        )


def _zoned(moment: datetime | None, time_zone: str) -> datetime | None:
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=ZoneInfo(time_zone))


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


def _checked_parameters(app: Application, connection: Connection, order: ScheduleOrder) -> dict[str, Any]:
    job = app.registry.get(order.job)(**order.parameters)
    job.select(connection)
    parameters: dict[str, Any] = job.parameters.model_dump(mode="json")
    return parameters


def _checked_owner(owner: str, actor: Actor) -> str:
    try:
        return Actor(name=owner, os_user=actor.os_user).name
    except Refused as refused:
        raise Refused(
            refused.message.replace("actor", "owner"), field="owner", remedy=refused.remedy
        ) from None
