"""Log lines of events."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import structlog
from sqlalchemy import Connection
from structlog.testing import capture_logs

from batchwright.engine import events
from batchwright.engine.event_log import MESSAGES, EventLog
from batchwright.engine.job import Scope
from batchwright.engine.run import Run
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig
from tests.support.faults import sqlite_busy

TROUBLE = [
    events.RunTakenOver("JR-00000042", "elsewhere/1"),
    events.ScopeRetried("JR-00000042", 3, 2, "database is locked"),
    events.RecordErrored("JR-00000042", 3, 17, "ValueError: no"),
    events.ExecutorFellBack("JR-00000042", "dask://127.0.0.1:8786", "local", "nobody answered for 30 s"),
    events.RunLost("JR-00000042", "taken over by another process"),
    events.MailDeferred("ML-00000007", "JR-00000042", "451 later"),
    events.MailFailed("ML-00000007", "JR-00000042", "550 no such user"),
    events.RunEnded("JR-00000042", "parcels", "Failed", "stopped at the error ceiling of 1"),
]
SCOPE_DONE = events.ScopeDone(
    run_id="JR-00000042",
    job="parcels",
    scope=3,
    ok=9,
    errored=1,
    skipped=0,
    seconds=0.25,
    done=30,
    total=40,
)
ORDINARY = [
    events.RunSubmitted("JR-00000042", "parcels", "batch", "dana"),
    events.RunWaiting("JR-00000042", "5 runs are active or go first"),
    events.RunStarted("JR-00000042", "parcels", 1),
    events.RunPlanned("JR-00000042", 40, 4, 0),
    SCOPE_DONE,
    events.RunHandedBack("JR-00000042"),
    events.RunPaused("JR-00000042"),
    events.MailSent("ML-00000007", "JR-00000042"),
    events.RunEnded("JR-00000042", "parcels", "Completed", None),
    events.RunEnded("JR-00000042", "parcels", "Aborted", None),
]


def line_of(event: events.Event) -> dict[str, Any]:
    with capture_logs() as lines:
        log = EventLog()
        log(event)
        if isinstance(event, events.RecordErrored):
            log(SCOPE_DONE)
    assert len(lines) == 1 + isinstance(event, events.RecordErrored)
    return dict(lines[0])


def test_every_event_has_its_words() -> None:
    assert set(MESSAGES) == set(get_args(events.Event)) - {events.Reached}


def test_a_point_that_is_reached_is_not_logged() -> None:
    with capture_logs() as lines:
        EventLog()(events.Reached("JR-00000042", "scope saved", 3))
    assert lines == []


@pytest.mark.parametrize("event", TROUBLE, ids=lambda event: type(event).__name__)
def test_what_somebody_should_look_at_is_a_warning_with_the_run_id(event: events.Event) -> None:
    line = line_of(event)
    assert (line["log_level"], line["run_id"]) == ("warning", "JR-00000042")


@pytest.mark.parametrize("event", ORDINARY, ids=lambda event: type(event).__name__)
def test_what_is_ordinary_is_info_with_the_run_id(event: events.Event) -> None:
    line = line_of(event)
    assert (line["log_level"], line["run_id"]) == ("info", "JR-00000042")


def test_the_line_of_a_scope_has_its_number_and_its_figures() -> None:
    line = line_of(SCOPE_DONE)
    assert (line["scope"], line["done"], line["total"], line["errored"]) == (3, 30, 40, 1)
    assert line["seconds"] == 0.25


def test_what_is_logged_while_a_scope_is_worked_on_carries_the_run_and_the_number_of_the_scope(
    rig: Rig, spy: type[Parcels]
) -> None:
    seen: list[dict[str, Any]] = []
    spy.on_execute = staticmethod(lambda scope: seen.append(dict(structlog.contextvars.get_contextvars())))
    rig.fill(20)
    rig.drive(rig.submit())  # so that keys and numbers of scopes differ
    seen.clear()
    run = rig.drive(rig.submit())
    assert seen == [{"run_id": run.run_id, "scope": 1}, {"run_id": run.run_id, "scope": 2}]
    assert structlog.contextvars.get_contextvars() == {}


def test_a_scope_that_is_tried_again_is_named_by_its_number(rig: Rig, spy: type[Parcels]) -> None:
    rig.fill(20)
    rig.drive(rig.submit())
    faults = [sqlite_busy()]

    def fail_once(scope: Scope) -> None:
        if scope.number == 2 and faults:
            raise faults.pop()

    spy.on_execute = staticmethod(fail_once)
    rig.drive(rig.submit())
    assert [one.scope for one in rig.published if isinstance(one, events.ScopeRetried)] == [2]


def test_a_step_between_scopes_that_is_tried_again_is_logged(rig: Rig) -> None:
    rig.fill(10)
    faults = [sqlite_busy()]

    def fail_once(connection: Connection, run: Run) -> None:
        if faults:
            raise faults.pop()

    rig.on_announce = fail_once
    with capture_logs() as lines:
        assert rig.drive(rig.submit()).state == "Completed"
    (line,) = lines
    assert (line["log_level"], line["event"]) == ("warning", "step of the run tried again")
    assert (line["attempt"], line["reason"]) == (2, "database is locked")
