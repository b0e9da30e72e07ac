"""A run that this process cannot do, because it has not the job or the job refuses the parameters, is left alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from batchwright.engine import events
from batchwright.engine.claim import Claims
from batchwright.engine.clock import SystemClock
from batchwright.engine.errors import Refused
from batchwright.engine.queue import promote
from batchwright.engine.registry import Registry
from batchwright.engine.run import Run, State
from batchwright.engine.store import queue
from batchwright.engine.store.notify import listener_for
from batchwright.engine.submit import Request, submit
from batchwright.engine.worker import Worker
from batchwright.testing.clock import FakeClock
from tests.engine.jobs import Parcels, ParcelsParameters
from tests.engine.rig import NOW, Rig
from tests.engine.working import WAIT, ended

pytestmark = pytest.mark.on_both
LEASE = 0.4


class NewParameters(ParcelsParameters):
    """With one more that the next version takes."""

    region: str | None = None


class Newer(Parcels):
    """The next version of the parcels."""

    Parameters = NewParameters


class Fresh(Parcels):
    """A job that came with the next version."""

    name = "fresh"


class Fleet:
    """Processes with the jobs of the old version, and with those of the new one, on one database."""

    def __init__(self, rig: Rig, spy: type[Parcels]) -> None:
        self.rig = rig
        self.old, self.new = Registry(), Registry()
        self.old.add(spy)
        self.new.add(Newer)
        self.new.add(Fresh)
        rig.clock = SystemClock()
        rig.fill(30)

    def submit(self, job: str = "fresh", parameters: dict[str, Any] | None = None, **request: Any) -> Run:
        """A run that only the new version can do; without parameters one of parcels that both can."""
        with self.having(self.old if job == "parcels" and not parameters else self.new):
            return self.rig.submit(job, parameters, **request)

    @contextmanager
    def having(self, registry: Registry) -> Iterator[None]:
        """What is made of the rig in the block has these jobs."""
        self.rig.registry = registry
        yield

    def claims(self, registry: Registry) -> Claims:
        with self.having(registry):
            return self.rig.dispatcher().claims

    @contextmanager
    def working(self, registry: Registry) -> Iterator[None]:
        """A worker of that version."""
        listener = listener_for(self.rig.database)
        with self.having(registry):
            worker = Worker(dispatcher=self.rig.dispatcher(), listener=listener, clock=self.rig.clock)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            yield
        finally:
            worker.drain()
            thread.join(WAIT)
            listener.close()


@pytest.fixture
def fleet(rig: Rig, spy: type[Parcels]) -> Fleet:
    return Fleet(rig, spy)


WANTED = [("fresh", {}), ("parcels", {"region": "north"})]
BOTH = pytest.mark.parametrize(("job", "parameters"), WANTED, ids=["job not here", "parameters refused"])


@BOTH
def test_a_run_that_cannot_be_done_here_is_passed_over_and_keeps_nobody_waiting(
    fleet: Fleet, job: str, parameters: dict[str, Any]
) -> None:
    fleet.rig.max_active_runs = 1
    left = fleet.submit(job, parameters)
    after = [fleet.submit("parcels") for _ in range(3)]
    claims = fleet.claims(fleet.old)
    assert claims.any_waiting()
    with fleet.working(fleet.old):
        assert {ended(fleet.rig, run).state for run in after} == {State.COMPLETED}
    assert not claims.any_waiting()
    assert claims.claim_next() == (None, False)
    now = fleet.rig.read(left)
    assert (now.state in (State.HOLDING, State.QUEUED), now.fence, now.owner) == (True, 0, None)
    with fleet.working(fleet.new):
        assert ended(fleet.rig, left).state is State.COMPLETED


@BOTH
def test_one_that_has_a_slot_already_holds_it_for_nobody_here(
    fleet: Fleet, job: str, parameters: dict[str, Any]
) -> None:
    fleet.rig.max_active_runs = 1
    left = fleet.submit(job, parameters)
    with fleet.rig.database.write() as connection:
        assert [run.id for run in promote(connection, 1).queued] == [left.id]
    done = fleet.submit("parcels", actor="eve")
    with fleet.working(fleet.old):
        assert ended(fleet.rig, done).state is State.COMPLETED
    assert fleet.rig.read(left).state is State.QUEUED


@BOTH
def test_a_half_done_run_is_left_with_its_fence_and_its_slot_is_free(
    fleet: Fleet, job: str, parameters: dict[str, Any]
) -> None:
    fleet.rig.max_active_runs, fleet.rig.lease_seconds = 1, LEASE
    left = fleet.rig.claimed(fleet.submit(job, parameters))
    done = fleet.submit("parcels", actor="eve")
    with fleet.working(fleet.old):
        assert ended(fleet.rig, done).state is State.COMPLETED
    assert fleet.rig.read(left) == left
    with fleet.working(fleet.new):
        now = ended(fleet.rig, left)
    assert (now.state, now.processed, now.fence) == (State.COMPLETED, 30, 2)
    assert set(fleet.rig.handled().values()) == {2}


def test_a_run_of_a_dead_caller_that_cannot_be_done_here_keeps_nobody_from_the_next(fleet: Fleet) -> None:
    left = fleet.submit(mode="sync", in_caller=True)
    done = fleet.submit("parcels", mode="sync", in_caller=True)
    with fleet.working(fleet.old):
        assert ended(fleet.rig, done).state is State.COMPLETED
    assert fleet.rig.read(left) == left


def test_the_order_of_a_line_holds_among_the_runs_that_can_be_done(fleet: Fleet) -> None:
    fleet.rig.max_active_runs = 1
    waiting = [
        fleet.submit(*WANTED[number % 2]) if number % 3 else fleet.submit("parcels") for number in range(9)
    ]
    mine = [run.run_id for number, run in enumerate(waiting) if number % 3 == 0]
    with fleet.working(fleet.old):
        for run in waiting[::3]:
            ended(fleet.rig, run)
    assert started(fleet.rig) == mine
    with fleet.working(fleet.new):
        for run in waiting:
            ended(fleet.rig, run)
    assert started(fleet.rig) == mine + [run.run_id for run in waiting if run.run_id not in mine]


def test_a_run_behind_that_was_given_a_slot_elsewhere_does_not_pass_one_that_was_left(fleet: Fleet) -> None:
    fleet.rig.max_active_runs = 1
    first, second = fleet.submit(), fleet.submit("parcels", {"region": "north"})
    # By a worker that has not the first job, nor tried the second.
    with fleet.rig.database.write() as connection:
        promote(connection, 1, queue.Runnable(("parcels",)))
    assert [fleet.rig.read(run).state for run in (first, second)] == [State.HOLDING, State.QUEUED]
    claimed, _ = fleet.claims(fleet.new).claim_next()
    assert claimed is not None
    assert claimed.id == first.id


def started(rig: Rig) -> list[str]:
    return [one.run_id for one in rig.published if isinstance(one, events.RunStarted)]


def test_more_refused_runs_than_a_look_reads_hide_no_other(fleet: Fleet) -> None:
    refused = [fleet.submit("parcels", {"region": "north"}) for _ in range(12)]
    done = fleet.submit("parcels")
    with capture_logs() as logs, fleet.working(fleet.old):
        ended(fleet.rig, done)
    assert {fleet.rig.read(run).fence for run in refused} == {0}
    logged = [line for line in logs if line["event"] == "run left to a worker that can do it"]
    # Once, not twelve times.
    assert [line["reason"].partition(":")[0] for line in logged] == ["bad parameters"]


def test_parameters_are_tried_once_a_run_and_never_under_the_lock(fleet: Fleet) -> None:
    tried: list[bool] = []

    class Asking(Parcels):
        """Tells whether somebody else can write while it is made."""

        name = "asking"

        def __init__(self, **parameters: Any) -> None:
            super().__init__(**parameters)
            if threading.current_thread() is not threading.main_thread():
                return
            free = threading.Event()
            threading.Thread(target=lambda: self.write(free), daemon=True).start()
            tried.append(free.wait(WAIT / 4))

        def write(self, done: threading.Event) -> None:
            with fleet.rig.database.write() as connection:
                queue.lock_queue(connection)
            done.set()

    fleet.new.add(Asking)
    job = fleet.new.get("asking")()
    with fleet.rig.database.write() as connection:
        submit(connection, job, Request(actor="dana"), NOW)
    tried.clear()
    claims = fleet.claims(fleet.new)
    assert claims.any_waiting()
    assert claims.any_waiting()
    claimed, more = claims.claim_next()
    assert (claimed is not None, more, tried) == (True, False, [True])


def test_a_constructor_that_asks_somebody_who_is_away_is_asked_again(fleet: Fleet) -> None:
    away = [ConnectionError("nobody there")]

    class Asking(Parcels):
        name = "asking"

        def __init__(self, **parameters: Any) -> None:
            super().__init__(**parameters)
            if away:
                raise away[0]

    fleet.new.add(Asking)
    failure, away[:] = away[0], []
    run = fleet.submit("asking")
    away.append(failure)
    fleet.rig.clock = clock = FakeClock(NOW)
    claims = fleet.claims(fleet.new)
    assert not claims.any_waiting()
    away.clear()
    assert not claims.any_waiting()
    clock.sleep(60)
    claimed, _ = claims.claim_next()
    assert claimed is not None
    assert claimed.id == run.id


@BOTH
@pytest.mark.parametrize("way", ["drive", "resume"])
def test_who_cannot_do_a_run_is_refused_when_they_are_to_drive_it(
    fleet: Fleet, job: str, parameters: dict[str, Any], way: str
) -> None:
    fleet.rig.lease_seconds = LEASE
    waits = fleet.submit(job, parameters)
    half_done = fleet.rig.claimed(fleet.submit(job, parameters, actor="eve"))
    with fleet.having(fleet.old):
        dispatcher = fleet.rig.dispatcher()
    for run in [waits, half_done] if way == "resume" else [waits]:
        before = fleet.rig.read(run)
        with pytest.raises(Refused, match="cannot be driven here"):
            getattr(dispatcher, way)(run.id)
        assert fleet.rig.read(run) == before
