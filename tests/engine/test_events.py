"""What is told of a run, and when."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from batchwright.engine import events
from batchwright.engine.events import POINTS, Event, Events, Point, Reached
from batchwright.engine.job import Scope
from batchwright.engine.run import State
from batchwright.engine.store.leases import LeaseStore
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig

OF_A_SCOPE: tuple[Point, ...] = ("scope read", "scope executed", "scope saved", "scope committed")


def test_every_point_of_a_run_is_reached_in_its_order(rig: Rig) -> None:
    rig.fill(20)
    run = rig.drive()
    scopes = [Reached(run.run_id, point, scope) for scope in (1, 2) for point in OF_A_SCOPE]
    assert rig.reached == [
        Reached(run.run_id, "claimed"),
        Reached(run.run_id, "plan committed"),
        Reached(run.run_id, "planned"),
        *scopes,
        Reached(run.run_id, "finish called"),
        Reached(run.run_id, "finish saved"),
        Reached(run.run_id, "ended"),
    ]
    reached = dict.fromkeys(event.point for event in rig.reached)
    assert tuple(reached) == tuple(point for point in POINTS if not point.startswith("mail"))


def test_a_point_right_before_a_commit_is_reached_while_nobody_else_sees_the_work(rig: Rig) -> None:
    rig.fill(10)
    seen: dict[str, int] = {}

    def look(event: Event) -> None:
        if isinstance(event, Reached) and event.point in ("scope saved", "scope committed"):
            seen[event.point] = rig.handled()[1]

    rig.subscribers.append(look)
    rig.drive()
    assert seen == {"scope saved": 0, "scope committed": 1}


def test_the_point_before_the_end_is_reached_while_the_run_is_still_at_work(rig: Rig) -> None:
    rig.fill(1)
    run = rig.submit()
    seen: dict[str, State] = {}

    def look(event: Event) -> None:
        if isinstance(event, Reached) and event.point in ("finish saved", "ended"):
            seen[event.point] = rig.read(run).state

    rig.subscribers.append(look)
    rig.drive(run)
    assert seen == {"finish saved": State.PROCESSING, "ended": State.COMPLETED}


def test_trials_of_a_scope_reach_its_first_points_again_and_its_commit_once(
    rig: Rig, spy: type[Parcels]
) -> None:
    def fail(scope: Scope) -> None:
        if 3 in scope.keys:
            raise ValueError("three")

    spy.on_execute = staticmethod(fail)
    rig.fill(10)
    rig.drive()
    points = [event.point for event in rig.reached if event.scope == 1]
    assert points.count("scope read") > 2
    assert (points.count("scope saved"), points.count("scope committed")) == (1, 1)


@pytest.mark.parametrize(
    ("event_type", "state"), [(events.RunStarted, State.PREPARING), (events.RunEnded, State.COMPLETED)]
)
def test_what_is_told_of_a_run_has_been_committed(rig: Rig, event_type: type[Event], state: State) -> None:
    rig.fill(1)
    run = rig.submit()
    seen: list[State] = []

    def look(event: Event) -> None:
        if isinstance(event, event_type):
            seen.append(rig.read(run).state)

    rig.subscribers.append(look)
    rig.drive(run)
    assert seen == [state]


def test_a_run_that_is_handed_back_says_so(rig: Rig) -> None:
    rig.fill(30)
    run = rig.submit()
    rig.dispatcher().drive(run.id, stop=stop_after(1))
    assert rig.published[-1] == events.RunHandedBack(run.run_id)


def test_a_run_that_another_process_has_taken_is_told_of_as_lost(rig: Rig) -> None:
    rig.fill(10)
    run = rig.submit()
    claimed = rig.claimed(run)
    store = LeaseStore(rig.database)
    assert store.begin(f"run/{run.id}", claimed.fence + 1)
    store.close()
    rig.dispatcher().work(claimed)
    assert rig.published[-1] == events.RunLost(run.run_id, f"{run.run_id} was taken over by another process")


def test_a_subscriber_that_raises_keeps_nobody_from_hearing() -> None:
    heard: list[Event] = []

    def broken(event: Event) -> None:
        raise ValueError("no")

    publisher = Events()
    publisher.subscribe(broken)
    publisher.subscribe(heard.append)
    with capture_logs() as lines:
        publisher.publish(events.RunPaused("JR-00000001"))
    assert heard == [events.RunPaused("JR-00000001")]
    assert [line["event"] for line in lines] == ["a subscriber failed"]


def stop_after(scopes: int) -> Callable[[], bool]:
    """A stop that lets so many scopes through."""
    looks = iter(range(scopes))
    return lambda: next(looks, None) is None
