"""Cron expressions for people: read, explained, and when they fire. Needs no database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from batchwright.engine.cron import CronError, CronExpression
from batchwright.engine.errors import Refused
from batchwright.operations.views import View, instant

CLOCK_CHANGES = {
    False: "a fixed time: one that the clock leaves out fires when the gap ends, one that comes twice fires once",
    True: "an interval: it fires at every wall time that really comes, as often as it comes",
}


class ExpressionRefused(Refused):
    """The expression or its time zone cannot be used. ``position``: index in ``text``, ``None`` for a zone."""

    def __init__(self, text: str, error: CronError) -> None:
        super().__init__(str(error).removesuffix(f". {error.remedy}"), field=error.field, remedy=error.remedy)
        self.text = text
        self.position = error.position


def read_expression(text: str, time_zone: str = "UTC", *, from_crontab: bool = False) -> CronExpression:
    """Read a Salesforce or Quartz expression, or refuse it with ``ExpressionRefused``.

    ``from_crontab`` allows five Unix fields, and `@daily` and the like, as well.
    """
    try:
        return (
            CronExpression.from_crontab(text, time_zone) if from_crontab else CronExpression(text, time_zone)
        )
    except CronError as error:
        raise ExpressionRefused(text, error) from error


def read_moment(text: str, *, field: str) -> datetime:
    """A time as people type it, ISO 8601, without a zone too: `2026-11-01`, `2026-11-01T01:30Z`. Raises `Refused`."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        remedy = "Write it as 2026-11-01 or 2026-11-01T01:30 (ISO 8601)"
        raise Refused(f"{text!r} is no time", field=field, remedy=remedy) from None


def explain(text: str) -> View:
    """What an expression means: `expression`, `description`, and what it does at `clock_changes`."""
    expression = read_expression(text)
    return {
        "expression": text,
        "description": expression.describe(),
        "clock_changes": CLOCK_CHANGES[expression.is_interval],
    }


def next_fires(expression: CronExpression, after: datetime, count: int) -> Iterator[View]:
    """The fires after a time, at most ``count``: `fire_at` in UTC, `local_time` as the zone's clock shows it."""
    fire = expression.next_after(after)
    while fire is not None and count > 0:
        yield {"fire_at": instant(fire), "local_time": fire.isoformat()}
        fire, count = expression.next_after(fire), count - 1
