"""Subscribers to events from outside: functions that installed packages name by an entry point."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points

import structlog

from batchwright.engine.events import Event
from batchwright.engine.job_code import JOB_CODE

ENTRY_POINT_GROUP = "batchwright.subscribers"

log = structlog.get_logger()


def installed_subscribers() -> Iterator[Callable[[Event], None]]:
    """The functions of the group. One that cannot be imported is logged, and keeps nobody from the others."""
    for point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            with JOB_CODE:
                subscriber = point.load()
            yield subscriber
        except Exception:
            log.exception("a subscriber cannot be imported", subscriber=point.value)
