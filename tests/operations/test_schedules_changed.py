"""A schedule that is changed: which of its past times are due then, and which are settled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from batchwright.engine.errors import Refused
from batchwright.engine.schedule import ScheduleRequest
from batchwright.operations.app import Application
from batchwright.operations.runs.looking import list_runs
from batchwright.operations.schedules.backfill import backfill_schedule
from batchwright.operations.schedules.files import apply_schedules
from batchwright.operations.schedules.schedules import (
    add_schedule,
    list_fires,
    pause_schedule,
    resume_schedule,
    update_schedule,
)
from batchwright.operations.worker.worker import firing_of
from batchwright.testing.clock import FakeClock
from tests.support.application import ACTOR, NOW

DAY = timedelta(days=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


def added(app: Application, **terms: Any) -> None:
    values: dict[str, Any] = {"name": "N", "cron": "0 0 * ? * * *", "job": "draft-usage-rating"}
    add_schedule(app, ScheduleRequest(**values | {"misfire": "all", "overlap": "allow"} | terms), actor=ACTOR)


def updated(app: Application, **changes: Any) -> None:
    update_schedule(app, "N", changes, actor=ACTOR)


def look(app: Application) -> None:
    """A worker looks now."""
    with app.database.read() as connection:
        keys = [key for (key,) in connection.exec_driver_sql("SELECT id FROM schedule")]
    firing_of(app).fire(keys)


def started(app: Application) -> list[str]:
    """The nominal times that a run was started for, oldest first."""
    fires = list_fires(app, "N")
    return [fire["nominal_time"][5:16] for fire in reversed(fires) if fire["decision"] == "started"]


def by_update(app: Application, **bounds: datetime | None) -> None:
    updated(app, **bounds)


def by_apply(app: Application, **bounds: datetime | None) -> None:
    options = "".join(f" --{name} {at.isoformat()}" for name, at in bounds.items() if at is not None)
    text = f'0 0 * ? * * * "N" draft-usage-rating --misfire all --overlap allow{options}'
    apply_schedules(app, text, file="crontab", actor=ACTOR)


Change = Callable[..., None]


@pytest.mark.parametrize("change", [by_update, by_apply])
@pytest.mark.parametrize("start", [None, NOW + DAY], ids=["taken away", "moved back"])
def test_a_start_taken_away_or_moved_back_makes_no_past_time_due(
    app: Application, clock: FakeClock, change: Change, start: datetime | None
) -> None:
    added(app, start=NOW + 9 * DAY)
    clock.sleep(2 * DAY.total_seconds())
    change(app, start=start)
    look(app)
    assert (list_runs(app), list_fires(app, "N")) == ([], [])
    clock.sleep(1800)
    look(app)
    assert started(app) == ["07-03T09:00"]


@pytest.mark.parametrize("change", [by_update, by_apply])
@pytest.mark.parametrize("end", [None, NOW + 30 * DAY], ids=["taken away", "extended"])
def test_an_end_taken_away_or_extended_makes_no_past_time_due(
    app: Application, clock: FakeClock, change: Change, end: datetime | None
) -> None:
    added(app, end=NOW + timedelta(hours=1))
    clock.sleep(1800)
    look(app)
    clock.sleep(2 * DAY.total_seconds())
    change(app, end=end)
    look(app)
    assert started(app) == ["07-01T09:00"]
    clock.sleep(3600)
    look(app)
    assert started(app) == ["07-01T09:00", "07-03T10:00"]


def test_a_time_within_the_former_start_that_was_not_looked_at_yet_stays_due(
    app: Application, clock: FakeClock
) -> None:
    added(app, start=NOW + timedelta(hours=2))
    clock.sleep(4 * 3600)
    updated(app, start=None)
    look(app)
    assert started(app) == ["07-01T11:00", "07-01T12:00"]


def test_a_time_at_the_former_end_stays_due_where_none_came_since(app: Application, clock: FakeClock) -> None:
    added(app, end=NOW + timedelta(minutes=30))
    clock.sleep(1801)
    updated(app, end=None)
    look(app)
    assert started(app) == ["07-01T09:00"]


def test_times_within_the_former_end_are_settled_where_others_came_since(
    app: Application, clock: FakeClock
) -> None:
    added(app, end=NOW + timedelta(hours=2))
    clock.sleep(4 * 3600)
    updated(app, end=None)
    look(app)
    (fire,) = list_fires(app, "N")
    assert (fire["count"], fire["decision"]) == (2, "not_run")
    assert fire["reason"] == "changed: its start or end was replaced first"


def test_start_and_end_changed_at_once_while_it_is_paused_make_no_past_time_due_when_it_is_resumed(
    app: Application, clock: FakeClock
) -> None:
    added(app, start=NOW + DAY, end=NOW + 2 * DAY)
    pause_schedule(app, "N", actor=ACTOR)
    clock.sleep(4 * DAY.total_seconds())
    updated(app, start=NOW, end=NOW + 9 * DAY)
    resume_schedule(app, "N", actor=ACTOR)
    look(app)
    assert list_runs(app) == []
    assert [fire["count"] for fire in list_fires(app, "N")] == [24]
    clock.sleep(1800)
    look(app)
    assert started(app) == ["07-05T09:00"]


@pytest.mark.parametrize("text", ["@hourly", "0   0 */1 * * ?", "0 0 0-23 ? jan-DEC sun-sat"])
def test_an_expression_that_means_the_same_is_no_change_and_a_missed_time_stays_missed(
    app: Application, clock: FakeClock, text: str
) -> None:
    added(app, misfire="skip")
    clock.sleep(3 * 3600)
    line = f'{text} "N" draft-usage-rating --misfire skip --overlap allow'
    assert apply_schedules(app, line, file="crontab", actor=ACTOR).is_none
    assert list_fires(app, "N") == []
    if not text.startswith("@"):
        with pytest.raises(Refused, match="nothing to change"):
            updated(app, cron=text)
    updated(app, grace_seconds=None, cap=3)
    look(app)
    (fire,) = list_fires(app, "N")
    assert (fire["count"], fire["reason"]) == (3, "misfire skipped: policy skip")
    rows = backfill_schedule(app, "N", NOW, NOW + timedelta(hours=3), actor=ACTOR)
    assert len(rows) == 3


def test_another_term_beside_an_expression_that_means_the_same_leaves_the_expression(
    app: Application, clock: FakeClock
) -> None:
    added(app)
    clock.sleep(3600)
    line = '@hourly "N" draft-usage-rating --misfire all --overlap allow --cap 5'
    assert apply_schedules(app, line, file="crontab", actor=ACTOR).changed == {"N": {"cap": (24, 5)}}
    look(app)
    assert started(app) == ["07-01T09:00"]


def test_a_window_moved_out_of_the_past_and_back_makes_nothing_due(
    app: Application, clock: FakeClock
) -> None:
    added(app)
    updated(app, start=datetime(2024, 1, 1, tzinfo=UTC))
    clock.sleep(2 * DAY.total_seconds())
    updated(app, start=None)
    look(app)
    assert list_runs(app) == []
