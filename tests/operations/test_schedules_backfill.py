"""Backfill: a run for each nominal time of a window that has none, each recorded, none doubled."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from batchwright.engine.errors import Refused
from batchwright.engine.run import State
from batchwright.engine.schedule import NotRunCause, ScheduleRequest
from batchwright.engine.store import queue
from batchwright.engine.store import schedules as store
from batchwright.engine.store.schedules import Fire
from batchwright.engine.store.tables import run as run_table
from batchwright.operations.app import Application, make_application
from batchwright.operations.runs.looking import list_runs
from batchwright.operations.schedules.backfill import MOST, backfill_schedule, backfill_window
from batchwright.operations.schedules.schedules import add_schedule, list_fires, update_schedule
from batchwright.operations.views import View
from tests.support.application import ACTOR, NOW, make_settings

Entries = Callable[[], list[dict[str, Any]]]


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2023, 6, number, hour, tzinfo=UTC)


@pytest.fixture
def schedule(app: Application) -> View:
    """A nightly schedule, made on 1 July."""
    request = ScheduleRequest(
        name="N", cron="0 0 0 ? * *", job="draft-usage-rating", notify=["a@example.com"]
    )
    return add_schedule(app, request, actor=ACTOR)


def backfilled(app: Application, begin: datetime, end: datetime, **options: Any) -> list[View]:
    return backfill_schedule(app, "N", begin, end, actor=ACTOR, **options)


def record(app: Application, *fires: Fire) -> None:
    with app.database.write() as connection:
        schedule = store.by_name(connection, "N")
        assert schedule is not None
        store.insert_fires(connection, [(schedule.id, fire) for fire in fires], NOW)


def not_run(first: datetime, last: datetime, count: int) -> Fire:
    return Fire(first, last, count, "not_run", cause=NotRunCause.PAUSED, reason="paused")


def shown(app: Application) -> list[tuple[str, str, int, str]]:
    return [
        (fire["nominal_time"][5:10], fire["last_nominal_time"][5:10], fire["count"], fire["decision"])
        for fire in reversed(list_fires(app, "N"))
    ]


def test_each_time_of_the_window_gets_a_run_of_the_schedule(
    app: Application, schedule: View, entries: Entries
) -> None:
    made = backfilled(app, day(1), day(3), reason="the worker was not there")
    assert [row["nominal_time"] for row in made] == [
        "2023-06-01T00:00:00.000Z",
        "2023-06-02T00:00:00.000Z",
        "2023-06-03T00:00:00.000Z",
    ]
    runs = {run["run_id"]: run for run in list_runs(app)}
    assert sorted(runs) == [row["run_id"] for row in made]
    for run in runs.values():
        assert (run["schedule"], run["trigger"], run["actor"]) == ("N", "schedule", "dana@example.com")
    assert [fire["run_id"] for fire in reversed(list_fires(app, "N"))] == [row["run_id"] for row in made]
    (entry,) = [entry for entry in entries() if entry["act"] == "schedule.backfill"]
    assert (entry["subject"], entry["reason"]) == ("N", "the worker was not there")
    assert entry["after"]["runs"] == [row["run_id"] for row in made]


def test_it_is_said_which_times_fell_into_a_pause_or_a_hold_recorded_or_not(
    app: Application, schedule: View
) -> None:
    record(app, not_run(day(2), day(3), 2), Fire(day(5), day(5), 1, "not_run", cause=NotRunCause.HELD))
    with app.database.write() as connection:
        there = store.by_name(connection, "N", lock=True)
        assert there is not None
        store.pause(connection, there, day(7))
    planned = backfilled(app, day(1), day(8), preview=True)
    causes = [None, "paused", "paused", None, "held", None, "paused", "paused"]
    assert [row["cause"] for row in planned] == causes
    assert [row["cause"] for row in backfilled(app, day(1), day(8))] == causes


def test_how_long_a_run_usually_takes_is_known_from_the_last_that_completed(
    app: Application, schedule: View
) -> None:
    window = backfill_window(app, "N", day(1), day(2))
    assert (window["usual_seconds"], window["one_by_one"]) == (None, True)
    backfilled(app, day(1), day(4))
    states = ((State.COMPLETED, 10), (State.COMPLETED, 14), (State.FAILED, 1), (State.COMPLETED, 90))
    with app.database.write() as connection:
        for number, (state, seconds) in enumerate(states, start=1):
            times = {"started_at": NOW, "ended_at": NOW + timedelta(seconds=seconds)}
            connection.execute(update(run_table).where(run_table.c.id == number).values(state=state, **times))
    assert backfill_window(app, "N", day(1), day(2))["usual_seconds"] == 14.0


def test_a_preview_lists_what_would_run_and_writes_nothing(
    app: Application, schedule: View, entries: Entries
) -> None:
    before = entries()
    planned = backfilled(app, day(1), day(2), preview=True)
    assert planned == [
        {
            "nominal_time": f"2023-06-0{number}T00:00:00.000Z",
            "local_time": f"2023-06-0{number}T00:00:00+00:00",
            "run_id": None,
            "cause": None,
        }
        for number in (1, 2)
    ]
    assert (list_runs(app), list_fires(app, "N"), entries()) == ([], [], before)


def test_a_time_that_has_its_run_gets_no_other(app: Application, schedule: View) -> None:
    first = backfilled(app, day(2), day(3))
    assert [row["nominal_time"][8:10] for row in backfilled(app, day(1), day(4))] == ["01", "04"]
    assert backfilled(app, day(1), day(4)) == []
    assert len(list_runs(app)) == len(first) + 2


def test_times_that_were_not_run_are_taken_out_of_their_range(app: Application, schedule: View) -> None:
    record(app, not_run(day(1), day(10), 10))
    backfilled(app, day(4), day(5))
    assert shown(app) == [
        ("06-01", "06-03", 3, "not_run"),
        ("06-04", "06-04", 1, "started"),
        ("06-05", "06-05", 1, "started"),
        ("06-06", "06-10", 5, "not_run"),
    ]


@pytest.mark.parametrize(("begin", "end"), [(1, 10), (1, 4), (7, 10), (5, 5)])
def test_every_time_stays_accounted_for(begin: int, end: int, app: Application, schedule: View) -> None:
    record(app, not_run(day(1), day(5), 5), not_run(day(6), day(10), 5))
    made = backfilled(app, day(begin), day(end))
    assert len(made) == end - begin + 1
    assert sum(count for _, _, count, _ in shown(app)) == 10
    spans = [(first, last) for first, last, _, _ in shown(app)]
    assert all(earlier[1] < later[0] for earlier, later in pairwise(spans))


def test_a_long_range_of_seconds_is_taken_apart_in_a_moment(app: Application) -> None:
    request = ScheduleRequest(name="N", cron="* * * ? * *", job="draft-usage-rating")
    add_schedule(app, request, actor=ACTOR)
    last = day(30, 23)
    count = int((last - day(1)).total_seconds()) + 1
    record(app, not_run(day(1), last, count))
    backfilled(app, day(15), day(15))
    fires = list(reversed(list_fires(app, "N")))
    assert [fire["count"] for fire in fires] == [14 * 86_400, 1, count - 1 - 14 * 86_400]
    assert fires[0]["last_nominal_time"] == "2023-06-14T23:59:59.000Z"
    assert fires[2]["nominal_time"] == "2023-06-15T00:00:01.000Z"


def test_a_window_without_a_zone_is_of_the_schedule(app: Application) -> None:
    request = ScheduleRequest(
        name="N", cron="0 0 0 ? * *", job="draft-usage-rating", time_zone="Asia/Kathmandu"
    )
    add_schedule(app, request, actor=ACTOR)
    planned = backfilled(app, datetime(2023, 6, 2), datetime(2023, 6, 2), preview=True)  # noqa: DTZ001
    assert [row["local_time"] for row in planned] == ["2023-06-02T00:00:00+05:45"]


def test_a_window_that_cannot_be_is_refused(app: Application, schedule: View) -> None:
    for begin, end, field in (
        (day(2), day(1), "to"),
        (day(1), NOW + timedelta(seconds=1), "to"),
        (day(1) - timedelta(days=MOST + 10), day(1), "from"),
    ):
        with pytest.raises(Refused) as refused:
            backfilled(app, begin, end)
        assert (refused.value.field, bool(refused.value.remedy)) == (field, True)
    assert list_runs(app) == []


def test_times_of_an_earlier_expression_are_not_backfilled(
    app: Application, schedule: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.clock, "now", lambda: NOW + timedelta(days=2))
    update_schedule(app, "N", {"cron": "0 0 1 ? * *"}, actor=ACTOR)
    with pytest.raises(Refused, match="has its expression and zone since 2023-07-03"):
        backfilled(app, day(1), day(2))


@pytest.mark.on_both
def test_of_those_who_backfill_at_once_no_time_is_run_twice(
    app: Application, schedule: View, migrated_url: str, tmp_path: Path
) -> None:
    rivals = [make_application(make_settings(migrated_url, tmp_path), clock=app.clock) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda rival: backfilled(rival, day(1), day(20)), rivals))
    for rival in rivals:
        rival.close()
    assert sorted(len(rows) for rows in made) == [0, 0, 0, 20]
    assert len(list_runs(app)) == len(list_fires(app, "N")) == 20


def test_runs_of_a_backfill_follow_one_another_unless_overlap_is_allowed(app: Application) -> None:
    for name, overlap, waits in (("N", "skip", True), ("M", "allow", False)):
        request = ScheduleRequest(name=name, cron="0 0 0 ? * *", job="draft-usage-rating", overlap=overlap)
        add_schedule(app, request, actor=ACTOR)
        backfill_schedule(app, name, day(1), day(2), actor=ACTOR)
        with app.database.read() as connection:
            startable = [run.schedule for run in queue.queue_heads(connection, 10)]
        assert startable.count(name) == (1 if waits else 2)
