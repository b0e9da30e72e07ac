"""The workers there are, and what none of them can do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from batchwright.engine.errors import Refused
from batchwright.engine.job import BatchJob, Record
from batchwright.engine.store import workers
from batchwright.operations.app import Application, make_application
from batchwright.operations.runs.controls import pause_run
from batchwright.operations.runs.looking import show_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.workers import KEPT, SILENT_AFTER, Presence, list_workers
from batchwright.testing.clock import StandingClock
from tests.support.application import ACTOR, NOW

pytestmark = pytest.mark.on_both


class Fresh(BatchJob):
    """A job that came with the next version."""

    name = "fresh"
    type = "Fresh"

    def start(self, context: Any) -> list[Any]:
        return [Record(7)]

    def execute(self, scope: Any) -> None:
        pass


class Older(Fresh):
    """Does not take what the newer one is given."""

    def __init__(self, **parameters: Any) -> None:
        raise TypeError("unexpected")


@pytest.fixture
def other(app: Application, clock: StandingClock) -> Iterator[Application]:
    """The application of another process."""
    application = make_application(app.settings, clock=clock)
    yield application
    application.close()


def test_a_worker_is_listed_with_its_jobs_and_what_it_drives_until_it_ends(app: Application) -> None:
    app.registry.add(Fresh)
    presence = Presence(app)
    presence.beat()
    run_id = submit_run(app, "fresh", {}, actor=ACTOR, claim=True).run_id
    (listed,) = list_workers(app)
    assert (listed["host"], listed["process"]) == (socket.gethostname(), os.getpid())
    assert "fresh" in listed["jobs"]
    assert (listed["runs"], listed["silent"], listed["left_runs"]) == ([run_id], False, {})
    presence.end()
    assert list_workers(app) == []


def test_a_worker_says_what_it_and_its_children_take_of_memory_and_connections(app: Application) -> None:
    presence = Presence(app)
    presence.beat()
    (alone,) = list_workers(app)
    waiting = [sys.executable, "-c", "print(flush=True); input()"]
    with (
        subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child,
        ExitStack() as reads,
    ):
        assert child.stdout is not None
        child.stdout.readline()
        for _ in range(5):
            reads.enter_context(app.database.read())
        presence.beat()
        child.communicate(b"\n")
    (listed,) = list_workers(app)
    assert listed["processes"] > alone["processes"]
    assert listed["rss_bytes"] >= listed["pss_bytes"] > alone["pss_bytes"] > 1_000_000
    assert listed["connections"] > 5
    assert alone["connections"] >= 1


def test_one_that_stands_still_is_silent_after_a_minute_and_gone_after_a_day(
    app: Application, other: Application
) -> None:
    Presence(app).beat()
    app.clock = StandingClock(NOW + SILENT_AFTER)
    assert [one["silent"] for one in list_workers(app)] == [True]
    for later, number in ((KEPT, 2), (KEPT + timedelta(seconds=1), 1)):
        other.clock = StandingClock(NOW + later)
        presence = Presence(other)
        presence.beat()
        assert len(list_workers(other)) == number
        presence.end()


def test_a_row_that_was_taken_for_a_dead_one_is_there_again_with_the_next_beat(app: Application) -> None:
    presence = Presence(app)
    presence.beat()
    with app.database.write() as connection:
        workers.remove_silent(connection, NOW + KEPT)
    presence.beat()
    assert len(list_workers(app, 1)) == 1
    with pytest.raises(Refused):
        list_workers(app, 0)


def test_a_run_that_no_worker_can_do_says_so_until_one_can(app: Application, other: Application) -> None:
    app.registry.add(Fresh)
    run_id = submit_run(app, "fresh", {}, actor=ACTOR).run_id
    assert show_run(app, run_id)["no_worker"] == "no worker is there"
    old = Presence(other)
    with capture_logs() as logs:
        old.beat()
        old.beat()
    assert [(line["event"], line["job"], line["runs"], line["run_id"]) for line in logs] == [
        ("no worker has the job", "fresh", 1, run_id)
    ]
    assert show_run(app, run_id)["no_worker"] == "no worker has the job 'fresh'"
    with capture_logs() as logs:
        Presence(app).beat()
        old.beat()
    assert logs == []
    assert "no_worker" not in show_run(app, run_id)


def test_a_run_whose_parameters_no_worker_takes_says_so(app: Application, other: Application) -> None:
    app.registry.add(Fresh)
    other.registry.add(Older)
    run_id = submit_run(app, "fresh", {}, actor=ACTOR).run_id
    assert not other.dispatcher.claims.any_waiting()
    Presence(other).beat()
    assert [one["left_runs"] for one in list_workers(app)] == [{run_id: "TypeError: unexpected"}]
    assert show_run(app, run_id)["no_worker"] == "no worker takes its parameters: TypeError: unexpected"
    pause_run(app, run_id, actor=ACTOR)
    assert "no_worker" not in show_run(app, run_id)


def test_a_half_done_run_that_no_worker_takes_over_says_so(app: Application, other: Application) -> None:
    app.registry.add(Fresh)
    submitted = submit_run(app, "fresh", {}, actor=ACTOR, claim=True)
    presence = Presence(other)
    presence.beat()
    assert "no_worker" not in show_run(app, submitted.run_id)
    assert other.dispatcher.claims.leave_orphaned([submitted.claim.run]) == []
    presence.beat()
    assert show_run(app, submitted.run_id)["no_worker"] == "no worker has the job 'fresh'"
