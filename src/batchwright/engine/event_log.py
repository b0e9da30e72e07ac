"""Makes log lines of events: one line each, with the run's id, and the scope's number where the event has one."""

from __future__ import annotations

from dataclasses import asdict

import structlog

from batchwright.engine import events
from batchwright.engine.events import Event
from batchwright.engine.run import State

log = structlog.get_logger()

WORDS: dict[type[Event], str] = {
    events.RunSubmitted: "run submitted",
    events.RunWaiting: "run waits",
    events.RunStarted: "run started",
    events.RunTakenOver: "run goes on here, its process was gone",
    events.RunPlanned: "run planned",
    events.ScopeDone: "scope done",
    events.ScopeRetried: "scope tried again",
    events.RecordErrored: "record raised an exception",
    events.WorkerReplaced: "process of the pool replaced",
    events.ExecutorFellBack: "run goes on with another executor",
    events.RunHandedBack: "run handed back",
    events.RunPaused: "run paused",
    events.RunLost: "run is no longer worked on here",
    events.RunEnded: "run ended",
    events.ScheduleFired: "schedule fired",
    events.ScheduleTimesNotRun: "times of a schedule not run",
    events.MailSent: "mail sent",
    events.MailPutOff: "mail put off",
    events.MailFailed: "mail refused for good",
    events.ScheduleLate: "schedule late",
    events.PingSent: "ping answered",
    events.PingFailed: "ping not answered",
}
"""What the line of each event says; its facts follow by name. Points reached are for tests, and are not logged."""

TROUBLE = (
    events.RunTakenOver,
    events.ScopeRetried,
    events.RecordErrored,
    events.WorkerReplaced,
    events.ExecutorFellBack,
    events.RunLost,
    events.MailPutOff,
    events.MailFailed,
    events.ScheduleLate,
    events.PingFailed,
)


def log_event(event: Event) -> None:
    """One line: at warning what somebody should look at, all else at info."""
    if isinstance(event, events.Reached):
        return
    write = log.warning if _is_trouble(event) else log.info
    write(WORDS[type(event)], **asdict(event))


def _is_trouble(event: Event) -> bool:
    if isinstance(event, events.RunEnded):
        return event.state == State.FAILED
    if isinstance(event, events.ScheduleTimesNotRun):
        return not event.cause.is_intended
    return isinstance(event, TROUBLE)
