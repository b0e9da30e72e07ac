"""The trigger of APScheduler over an expression. It alone here needs APScheduler, and who imports it loads that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from apscheduler.triggers.base import BaseTrigger

from batchwright.engine.cron.expression import CronExpression

_A_MOMENT = timedelta(microseconds=1)


class ExpressionTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Fires when a ``CronExpression`` does, from ``start`` to ``end`` (aware), both included.

    It only wakes: times that have passed before it is asked are left out, however many, for whoever keeps account
    of them. Give its job ``misfire_grace_time=None``.
    """

    __slots__ = ("end", "expression", "start")

    def __init__(
        self, expression: CronExpression, start: datetime | None = None, end: datetime | None = None
    ) -> None:
        self.expression = expression
        self.start = None if start is None else start.astimezone(UTC)
        self.end = None if end is None else end.astimezone(UTC)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The first fire at or after ``now`` and after the previous one, in UTC; ``None`` when there is none."""
        after = now - _A_MOMENT
        if previous_fire_time is not None:
            after = max(after.astimezone(UTC), previous_fire_time.astimezone(UTC))
        if self.start is not None:
            after = max(after.astimezone(UTC), self.start - _A_MOMENT)
        fire = self.expression.next_after(after)
        if fire is None:
            return None
        fire = fire.astimezone(UTC)
        return None if self.end is not None and fire > self.end else fire

    def __getstate__(self) -> tuple[CronExpression, datetime | None, datetime | None]:
        return self.expression, self.start, self.end

    def __setstate__(self, state: tuple[CronExpression, datetime | None, datetime | None]) -> None:
        self.expression, self.start, self.end = state

    def __str__(self) -> str:
        return f"cron[{self.expression.text} in {self.expression.time_zone}]"
