"""Nominal times: which of them are due, and stretches of them.

All is compared in UTC: of two times in one zone Python compares what the clock on the wall shows, and that comes twice
in autumn (PEP 495).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from batchwright.engine.cron import CronExpression
from batchwright.engine.schedule import Schedule

A_MOMENT = timedelta(microseconds=1)
_FIRST_REACH = timedelta(minutes=1)


def bounds(schedule: Schedule, now: datetime) -> tuple[datetime, datetime]:
    """Every nominal time after the one instant and up to the other is due; none when they are not in order."""
    after = max(filter(None, (schedule.created_at, schedule.timed_at, schedule.last_nominal_time)))
    if schedule.start is not None:
        after = max(after, schedule.start - A_MOMENT)
    until = now if schedule.end is None else min(now, schedule.end)
    return after.astimezone(UTC), until.astimezone(UTC)


def next_due(schedule: Schedule) -> datetime | None:
    """The first nominal time that is not recorded, past or to come; ``None`` when there is none any more."""
    after, until = bounds(schedule, datetime.max.replace(tzinfo=UTC))
    return first(schedule.expression, after, until)


def next_fire(schedule: Schedule, now: datetime) -> datetime | None:
    """The first nominal time after now, between start and end; what is late already is left out."""
    after, until = bounds(schedule, datetime.max.replace(tzinfo=UTC))
    return first(schedule.expression, max(after, now.astimezone(UTC)), until)


def first(expression: CronExpression, after: datetime, until: datetime) -> datetime | None:
    """The first time after ``after``, up to ``until``."""
    fire = expression.next_after(after)
    if fire is None:
        return None
    fire = fire.astimezone(UTC)
    return fire if fire <= until else None


def each(expression: CronExpression, after: datetime, until: datetime) -> Iterator[datetime]:
    """All times after ``after``, up to ``until``."""
    at = after
    while (fire := first(expression, at, until)) is not None:
        yield fire
        at = fire


def newest(expression: CronExpression, after: datetime, until: datetime, number: int) -> list[datetime]:
    """The last so many times of the stretch, in order. Looks back from its end twice as far each time."""
    if number < 1 or first(expression, after, until) is None:
        return []
    reach = _FIRST_REACH
    while (begin := max(after, until - reach)) > after and expression.count(begin, until) < number:
        reach *= 2
    # A dense stretch may begin anywhere in what was added last: halve down to what is needed of it.
    low, high = begin, until
    while expression.count(low, until) > 2 * number and high - low > _FIRST_REACH:
        middle = low + (high - low) / 2
        low, high = (middle, high) if expression.count(middle, until) >= number else (low, middle)
    return list(each(expression, low, until))[-number:]
