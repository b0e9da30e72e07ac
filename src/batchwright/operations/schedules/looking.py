"""Looking at schedules as people do: with their times described, the last one and the next ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from batchwright.engine.cron import CronExpression
from batchwright.engine.errors import Refused
from batchwright.engine.schedule import Hold, Schedule
from batchwright.engine.schedules import due
from batchwright.engine.store import schedules as store
from batchwright.engine.store.schedules import StoredFire
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import check_one_of
from batchwright.operations.paging import PAGE, Page, check_page
from batchwright.operations.schedules.cron import CLOCK_CHANGES, bound_of, read_expression
from batchwright.operations.schedules.schedules import (
    NEXT,
    all_with_last,
    description_of,
    troubles_of,
    view_of,
)
from batchwright.operations.views import View, instant, picked

STATES = ("active", "held", "paused")
ORDERS = ("name", "next")
PAST = timedelta(days=7)
"""The stretch up to now of which `foresee_times` says when it would have fired."""
_FAR = "9999"


@dataclass(frozen=True, kw_only=True)
class ScheduleFilter:
    """Which schedules: those in a state, of a job, of an owner; and whether by name or by their next fire."""

    state: str | None = None
    job: str | None = None
    owner: str | None = None
    by: str = "name"


def look_at_schedules(
    app: Application,
    wanted: ScheduleFilter,
    *,
    limit: int = PAGE,
    after: str | None = None,
    actor: Actor | None = None,
) -> Page[View]:
    """A page of the schedules. The cursor is the name of the last one, and good for the filter that it was made for.

    Each is the JSON of `list_schedules` with `description`, `state` (active, paused, or held with all others),
    `trouble` (why it does not do what it should), `next_local_time` in its zone, and of the `last` time recorded
    `nominal_time, decision, reason, run_id, status, errored`.
    """
    permit(app, actor, Right.LOOK, "schedule.list")
    check_page(limit)
    check_one_of(wanted.by, ORDERS, field="by")
    if wanted.state is not None:
        check_one_of(wanted.state, STATES, field="state")
    with app.database.read() as connection:
        now, hold = app.clock.now(), store.read_hold(connection)
        every, last, disabled = all_with_last(app, connection)
        schedules = [one for one in every if _is_wanted(one, hold, wanted)]
        fired = store.last_started(connection)
        shown = [(schedule, view_of(schedule, hold, fired.get(schedule.id), now)) for schedule in schedules]
        if wanted.by == "next":
            shown.sort(key=lambda pair: pair[1]["next_fire_at"] or _FAR)
        names = [one.name for one, _ in shown]
        begin = names.index(after) + 1 if after in names else 0
        rows = shown[begin : begin + limit]
        run_ids = [fire.run_id for one, _ in rows if (fire := last.get(one.id)) and fire.run_id]
        results = store.results(connection, run_ids)
    items = [
        {
            **view,
            "description": description_of(one),
            "state": _state(one, hold),
            "trouble": "; ".join(troubles_of(one, last.get(one.id), disabled, now)) or None,
            "next_local_time": _local(view["next_fire_at"], one.time_zone),
            "last": _last(last.get(one.id), results),
        }
        for one, view in rows
    ]
    return Page(items, items[-1]["name"] if begin + limit < len(shown) else None)


def foresee_times(
    app: Application,
    cron: str,
    time_zone: str = "UTC",
    *,
    start: date | datetime | None = None,
    end: date | datetime | None = None,
    actor: Actor | None = None,
) -> View:
    """When a schedule that nobody has saved would fire; the expression may be a Unix line.

    Returns `dialect` (Salesforce or crontab), `description`, `clock_changes` (what it does then), the next ten `times`
    (`fire_at, local_time, clock_change`: what the clock does on that day, if anything), and of the last seven days the
    `past_count` and the newest `past` ones. Refuses an expression, a zone and bounds that cannot be used.
    """
    permit(app, actor, Right.LOOK, "cron.explain")
    expression = read_expression(cron, time_zone, from_crontab=True)
    now = app.clock.now().astimezone(UTC)
    begin = None if start is None else bound_of(start, time_zone, field="start")
    until = (
        datetime.max.replace(tzinfo=UTC)
        if end is None
        else bound_of(end, time_zone, field="end", is_upper=True)
    )
    if begin is not None and begin > until:
        raise Refused("the end lies before the start", field="end", remedy="Give a later end, or none")
    since, coming = now - PAST, now
    if begin is not None:  # a time equal to it fires, and stretches begin after their first instant
        since, coming = (begin - due.A_MOMENT if begin > one else one for one in (since, now))
    to = min(now, until)
    zone = ZoneInfo(time_zone)
    times = due.each(expression, coming, until)
    return {
        "dialect": _dialect(cron, time_zone),
        "description": expression.describe(),
        "clock_changes": CLOCK_CHANGES[expression.is_interval],
        "times": list(_times(islice(times, NEXT), zone)),
        "past_count": expression.count(since, to) if since < to else 0,
        "past": [instant(one) for one in reversed(_newest(expression, since, to))],
    }


def _is_wanted(schedule: Schedule, hold: Hold, wanted: ScheduleFilter) -> bool:
    asked = (
        (wanted.state, _state(schedule, hold)),
        (wanted.job, schedule.job),
        (wanted.owner, schedule.owner),
    )
    return all(one is None or one == is_there for one, is_there in asked)


def _state(schedule: Schedule, hold: Hold) -> str:
    return "paused" if schedule.paused else "held" if hold.lasts else "active"


def _last(fire: StoredFire | None, results: dict[str, tuple[str, int]]) -> View | None:
    if fire is None:
        return None
    status, errored = results.get(fire.run_id or "", (None, 0))
    return {
        "nominal_time": instant(fire.last_nominal_time),
        **picked(fire, "decision reason run_id"),
        "status": status,
        "errored": errored,
    }


def _local(fire_at: str | None, time_zone: str) -> str | None:
    """The time as a clock of the zone shows it; there is one where there is a time."""
    return (
        None
        if fire_at is None
        else datetime.fromisoformat(fire_at).astimezone(ZoneInfo(time_zone)).isoformat()
    )


def _dialect(cron: str, time_zone: str) -> str:
    try:
        read_expression(cron, time_zone)
    except Refused:
        return "crontab"
    return "Salesforce"


def _newest(expression: CronExpression, since: datetime, until: datetime) -> list[datetime]:
    return due.newest(expression, since, until, NEXT) if since < until else []


def _times(times: Iterator[datetime], zone: ZoneInfo) -> Iterator[View]:
    for fire in times:
        local = fire.astimezone(zone)
        yield {
            "fire_at": instant(fire),
            "local_time": local.isoformat(),
            "clock_change": _clock_change(local.date(), zone),
        }


def _clock_change(day: date, zone: ZoneInfo) -> str | None:
    """What the clock does on a day: "the clock goes back by 60 min"."""
    try:
        before, after = (
            datetime.combine(one, time(), zone).utcoffset() for one in (day, day + timedelta(days=1))
        )
    except OverflowError:
        return None
    if before is None or after is None or before == after:
        return None
    minutes = round(abs(after - before).total_seconds() / 60)
    return f"the clock goes {'forward' if after > before else 'back'} by {minutes} min"
