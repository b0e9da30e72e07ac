"""What happens to runs, as small typed facts. Whoever wants to know subscribes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RunWaiting:
    """The run cannot go on yet; ``reason`` says what it waits for."""

    run_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A process has claimed the run."""

    run_id: str
    job: str
    fence: int


@dataclass(frozen=True, slots=True)
class RunTakenOver:
    """The run's process was gone; this one goes on."""

    run_id: str
    from_owner: str


@dataclass(frozen=True, slots=True)
class RunPlanned:
    """All scopes are known. ``done`` records were finished before, by an interrupted process."""

    run_id: str
    total: int
    scopes: int
    done: int


@dataclass(frozen=True, slots=True)
class ScopeDone:
    """A scope has committed. ``done`` of ``total`` records are through, ``errored`` of them errors or skips."""

    run_id: str
    scope: int
    done: int
    total: int
    errored: int


@dataclass(frozen=True, slots=True)
class ScopeRetried:
    """A scope met a passing fault of the database and is tried again."""

    run_id: str
    scope: int
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class RecordErrored:
    """A record raised an exception nobody foresaw; its scope went on without it."""

    run_id: str
    scope: int
    record_key: int
    message: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """Nothing moves the run any more."""

    run_id: str
    state: str
    error: str | None


Event = (
    RunWaiting | RunStarted | RunTakenOver | RunPlanned | ScopeDone | ScopeRetried | RecordErrored | RunEnded
)


class Events:
    """Hands every event to every subscriber, in the publisher's thread."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Event], None]] = []

    def subscribe(self, subscriber: Callable[[Event], None]) -> None:
        """Call ``subscriber`` with each event from now on."""
        self._subscribers.append(subscriber)

    def publish(self, event: Event) -> None:
        """Tell the subscribers. One that raises is logged: no listener decides what becomes of a run."""
        for subscriber in self._subscribers:
            try:
                subscriber(event)
            except Exception:
                log.exception("a subscriber failed", event_type=type(event).__name__)
