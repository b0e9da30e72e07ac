"""Walk an expression from fire to fire."""

from __future__ import annotations

from datetime import UTC, datetime

from batchwright.engine.cron import CronExpression


def fires(expression: CronExpression, after: datetime, count: int) -> list[datetime | None]:
    """The next fires in UTC, with ``None`` last where there are no more.

    In UTC, because Python finds no time in a repeated hour equal to one of another zone (PEP 495).
    """
    found: list[datetime | None] = []
    next_fire: datetime | None = after
    while len(found) < count and next_fire is not None:
        next_fire = expression.next_after(next_fire)
        found.append(next_fire and next_fire.astimezone(UTC))
    return found


def instants(expression: CronExpression, begin: int, end: int) -> list[int]:
    """The fires after one instant and up to another, all in seconds since 1970."""
    found: list[int] = []
    fire = expression.next_after(datetime.fromtimestamp(begin, UTC))
    while fire is not None and fire.timestamp() <= end:
        found.append(int(fire.timestamp()))
        fire = expression.next_after(fire)
    return found
