"""Cron expressions for people: read, explained, and when they fire. Needs no database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from batchwright.engine.cron import CronError, CronExpression, instant_of
from batchwright.engine.errors import Refused
from batchwright.operations.views import View, instant

CLOCK_CHANGES = {
    False: "a fixed time: one that the clock leaves out fires when the gap ends, one that comes twice fires once",
    True: "an interval: it fires at every wall time that really comes, as often as it comes, and where all of a day are"
    " left out, once when the gap ends",
}

_LAST_SECOND = time(23, 59, 59)
_ROOM = timedelta(days=366)
"""Of a day: nominal times are whole seconds."""


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
        raise Refused(f"{text!r} is not a valid time", field=field, remedy=remedy) from None


def read_last_moment(text: str, *, field: str) -> date | datetime:
    """The same for the last time of a window; of a date alone the date, for the whole day."""
    with suppress(ValueError):
        return date.fromisoformat(text)
    return read_moment(text, field=field)


def bound_of(moment: date | datetime, time_zone: str, *, field: str, is_upper: bool = False) -> datetime:
    """The instant, in UTC, that somebody means by the first or last time of a window.

    A date alone is the whole day, a time without a zone is of the zone named: where that comes twice, the window has
    both; where the clock leaves it out, it is the end of the gap. Raises `Refused` for what lies beyond all times.
    """
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, _LAST_SECOND if is_upper else time.min)
    try:
        found = _instant_of(moment, time_zone, is_upper=is_upper)
        _ = found - _ROOM  # what looks for times before it must find a calendar there, too
    except OverflowError:
        remedy = "Leave it out, or give an earlier year" if is_upper else "Leave it out, or give a later year"
        raise Refused(f"{moment.isoformat()} is beyond all times", field=field, remedy=remedy) from None
    return found


def _instant_of(moment: datetime, time_zone: str, *, is_upper: bool) -> datetime:
    if moment.tzinfo is None:
        return instant_of(moment, ZoneInfo(time_zone), last=is_upper or moment.fold == 1)
    if isinstance(moment.tzinfo, ZoneInfo):
        return instant_of(moment.replace(tzinfo=None), moment.tzinfo, last=moment.fold == 1)
    return moment.astimezone(UTC)


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
