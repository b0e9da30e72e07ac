"""Makes log lines of events: one line each, with the run's id, and the scope's number where the event has one."""

from __future__ import annotations

from dataclasses import asdict

import structlog

from engine.events import (
    Event,
    RecordErrored,
    RunEnded,
    RunPlanned,
    RunStarted,
    RunTakenOver,
    RunWaiting,
    ScopeDone,
    ScopeRetried,
)
from engine.run import State

log = structlog.get_logger()

WORDS: dict[type[Event], str] = {
    RunWaiting: "run waits",
    RunStarted: "run started",
    RunTakenOver: "run goes on here, its process was gone",
    RunPlanned: "run planned",
    ScopeDone: "scope done",
    ScopeRetried: "scope tried again",
    RecordErrored: "record raised an exception",
    RunEnded: "run ended",
}
"""What the line of each event says; its facts follow by name."""


def log_event(event: Event) -> None:
    """One line: at warning what somebody should look at, all else at info."""
    write = log.warning if _is_trouble(event) else log.info
    write(WORDS[type(event)], **asdict(event))


def _is_trouble(event: Event) -> bool:
    if isinstance(event, RunEnded):
        return event.state == State.FAILED
    return isinstance(event, RunTakenOver | ScopeRetried | RecordErrored)
