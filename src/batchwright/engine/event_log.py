"""Makes log lines of events: one line each, with the run's id, and the scope's number where the event has one."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import structlog

from batchwright.engine import events
from batchwright.engine.events import Event
from batchwright.engine.run import State

log = structlog.get_logger()

MESSAGES: dict[type[Event], str] = {
    events.RunSubmitted: "run submitted",
    events.RunWaiting: "run waits",
    events.RunStarted: "run started",
    events.RunTakenOver: "run taken over, its owner had died",
    events.RunPlanned: "run planned",
    events.ScopeDone: "scope done",
    events.ScopeRetried: "scope tried again",
    events.RecordErrored: "record raised an exception",
    events.WorkerReplaced: "pool process replaced",
    events.ExecutorFellBack: "run falls back to another executor",
    events.RunHandedBack: "run handed back",
    events.RunPaused: "run paused",
    events.RunLost: "run is no longer worked on here",
    events.RunEnded: "run ended",
    events.ScheduleFired: "schedule fired",
    events.ScheduleTimesNotRun: "times of a schedule not run",
    events.MailSent: "mail sent",
    events.MailDeferred: "mail deferred",
    events.MailFailed: "mail rejected",
    events.MailUntouched: "mail waits for a sender of its route",
    events.ScheduleLate: "schedule late",
    events.PingSent: "ping answered",
    events.PingFailed: "ping not answered",
}
"""What the line of each event says; its facts follow by name. Points reached are for tests, and are not logged."""

RELEASED = (events.RunEnded, events.RunHandedBack, events.RunPaused, events.RunLost)

TROUBLE = (
    events.RunTakenOver,
    events.ScopeRetried,
    events.WorkerReplaced,
    events.ExecutorFellBack,
    events.RunLost,
    events.MailDeferred,
    events.MailFailed,
    events.MailUntouched,
    events.ScheduleLate,
    events.PingFailed,
)


class EventLog:
    """Makes the lines: at warning what somebody should look at, all else at info.

    Exceptions of records are logged at the end of their scope, a line for each different one with its traceback and how
    many records raised it; those logged before only once more, with their number, when the run is over here.
    """

    def __init__(self) -> None:
        self._faults: dict[str, dict[str, _Fault]] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, events.Reached):
            return
        if isinstance(event, events.RecordErrored):
            faults = self._faults.setdefault(event.run_id, {})
            faults.setdefault(event.fault, _Fault(event)).records += 1
            return
        if isinstance(event, events.ScopeDone):
            self._log_faults(event.run_id, only_new=True)
        if isinstance(event, RELEASED):
            self._log_faults(event.run_id, only_new=False)
            self._faults.pop(event.run_id, None)
        write = log.warning if _is_trouble(event) else log.info
        write(MESSAGES[type(event)], **asdict(event))

    def _log_faults(self, run_id: str, *, only_new: bool) -> None:
        for fault in self._faults.get(run_id, {}).values():
            if fault.records and not (only_new and fault.logged):
                facts = asdict(fault.first)
                if fault.logged:
                    facts["traceback"] = None
                log.warning(MESSAGES[events.RecordErrored], **facts, records=fault.records)
                fault.logged, fault.records = True, 0


@dataclass(slots=True)
class _Fault:
    first: events.RecordErrored
    records: int = 0
    """Those not logged yet."""
    logged: bool = False


def _is_trouble(event: Event) -> bool:
    if isinstance(event, events.RunEnded):
        return event.state == State.FAILED
    if isinstance(event, events.ScheduleTimesNotRun):
        return not event.cause.is_intended
    return isinstance(event, TROUBLE)
