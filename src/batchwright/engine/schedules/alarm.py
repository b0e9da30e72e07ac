"""What wakes the scheduler: APScheduler, with a job for each schedule. Who imports this loads APScheduler."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Self

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from batchwright.engine.cron.trigger import ExpressionTrigger
from batchwright.engine.schedule import Schedule

_Times = tuple[str, str, datetime | None, datetime | None]


class Alarm:
    """Calls ``ring`` at each nominal time of the schedules it is set to, in a thread of its own.

    Its jobs live in its memory: the schedules are in the database, and it decides who fires. A ring that is late is
    one ring, however many times have passed.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        logging.getLogger("apscheduler").setLevel(logging.WARNING)  # it says two lines for every ring
        self._ring = ring
        self._version: int | None = None
        self._set: dict[int, _Times] = {}
        # Its debug executor calls in the thread that waits: a ring takes microseconds, a pool of threads would not.
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": DebugExecutor()},
            job_defaults={"coalesce": True, "misfire_grace_time": None},
        )

    def __enter__(self) -> Self:
        """Begin to ring."""
        self._scheduler.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ring no more."""
        self._scheduler.shutdown(wait=False)

    def set(self, schedules: Iterable[Schedule], version: int | None) -> None:
        """Ring for these from now on, unless it is set to that version of them; what has not changed is left alone."""
        if version == self._version:
            return
        wanted = {schedule.id: schedule for schedule in schedules}
        for key in [key for key in self._set if key not in wanted or self._set[key] != _times(wanted[key])]:
            del self._set[key]
            if self._scheduler.get_job(str(key)) is not None:  # one without a next time is gone by itself
                self._scheduler.remove_job(str(key))
        for key, schedule in wanted.items():
            if key not in self._set:
                self._set[key] = _times(schedule)
                trigger = ExpressionTrigger(schedule.expression, schedule.start, schedule.end)
                self._scheduler.add_job(self._ring, trigger, id=str(key), name=schedule.name)
        self._version = version


def _times(schedule: Schedule) -> _Times:
    return schedule.cron, schedule.time_zone, schedule.start, schedule.end
