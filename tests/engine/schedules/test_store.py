"""What is kept of schedules and of their nominal times."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from batchwright.engine.schedule import Hold, Misfire, NotRunCause, Overlap, ScheduleSpec
from batchwright.engine.store import schedules
from batchwright.engine.store.database import Database
from batchwright.engine.store.schedules import Fire
from tests.engine.schedules.making import NOW, add, spec

pytestmark = pytest.mark.on_both

EVERYTHING = spec(
    "Month's end",
    "0 30 2 L * ?",
    time_zone="Europe/Berlin",
    job="usage-rating",
    parameters={"asset_line_item_ids": ["A-1"]},
    misfire=Misfire.ALL,
    grace_seconds=3600,
    cap=3,
    overlap=Overlap.QUEUE,
    start=NOW,
    end=NOW + timedelta(days=365),
    owner="erin@example.com",
    notify=("a@example.com", "b@example.com"),
    mail_owner=False,
    reason="close the month",
    explanation="as agreed",
    scope_size=50,
    error_ceiling="5%",
    start_within_minutes=5,
    finish_within_minutes=60,
    ping="https://example.com/ping",
)


def run_at(time: datetime, run_id: str = "JR-00000001") -> Fire:
    return Fire(nominal_time=time, last_nominal_time=time, count=1, decision="started", run_id=run_id)


def paused(first: datetime, last: datetime, count: int) -> Fire:
    return Fire(first, last, count, "not_run", cause=NotRunCause.PAUSED, reason="paused")


def test_all_that_was_wanted_of_a_schedule_is_read_back(database: Database) -> None:
    with database.write() as connection:
        stored = schedules.insert_schedule(connection, EVERYTHING, NOW)
    with database.read() as connection:
        assert schedules.by_name(connection, "Month's end") == stored
    assert {field.name: getattr(stored, field.name) for field in fields(ScheduleSpec)} == {
        field.name: getattr(EVERYTHING, field.name) for field in fields(ScheduleSpec)
    }
    assert (stored.created_at, stored.timed_at, stored.paused, stored.last_nominal_time) == (
        NOW,
        NOW,
        False,
        None,
    )


def test_only_another_expression_or_zone_changes_what_the_times_are(database: Database) -> None:
    schedule, later = add(database), NOW + timedelta(hours=1)
    with database.write() as connection:
        same = schedules.update_schedule(connection, schedule, spec(misfire=Misfire.SKIP), later)
        other = schedules.update_schedule(connection, same, spec(time_zone="Europe/Berlin"), later)
    assert (same.misfire, same.timed_at) == (Misfire.SKIP, NOW)
    assert (other.time_zone, other.timed_at) == ("Europe/Berlin", later)


def test_a_pause_is_kept_with_its_bounds(database: Database) -> None:
    schedule, later = add(database), NOW + timedelta(days=1)
    with database.write() as connection:
        paused = schedules.pause(connection, schedule, NOW)
        resumed = schedules.resume(connection, paused, later)
    assert (paused.paused, paused.paused_at, paused.resumed_at) == (True, NOW, None)
    assert (resumed.paused, resumed.paused_at, resumed.resumed_at) == (False, NOW, later)


def test_every_change_raises_the_version_and_a_hold_is_one(database: Database) -> None:
    with database.read() as connection:
        assert schedules.version(connection) == 0
        assert not schedules.read_hold(connection).lasts
    add(database)
    with database.write() as connection:
        schedules.lock_changes(connection)
        schedules.hold_all(connection, NOW)
        assert schedules.version(connection) == 2
        assert schedules.read_hold(connection).lasts
        schedules.release_all(connection, NOW + timedelta(hours=1))
        assert schedules.read_hold(connection) == Hold(NOW, NOW + timedelta(hours=1))


def test_a_nominal_time_is_recorded_once(database: Database) -> None:
    schedule = add(database)
    with database.write() as connection:
        schedules.insert_fires(connection, [(schedule.id, run_at(NOW))], NOW)
    with pytest.raises(IntegrityError), database.write() as connection:
        schedules.insert_fires(connection, [(schedule.id, run_at(NOW, "JR-00000002"))], NOW)


def test_the_record_of_a_time_is_the_range_that_holds_it(database: Database) -> None:
    schedule, hour = add(database), timedelta(hours=1)
    with database.write() as connection:
        missed = paused(NOW, NOW + 3 * hour, 4)
        schedules.insert_fires(
            connection, [(schedule.id, missed), (schedule.id, run_at(NOW + 4 * hour))], NOW
        )
        found = schedules.fire_covering(connection, schedule.id, NOW + 2 * hour)
        assert found is not None
        assert (found.count, found.cause, found.reason) == (4, NotRunCause.PAUSED, "paused")
        assert schedules.fire_covering(connection, schedule.id, NOW + timedelta(hours=3.5)) is None
        assert [fire.nominal_time for fire in schedules.fires(connection, schedule.id)] == [
            NOW + 4 * hour,
            NOW,
        ]
        assert schedules.last_started(connection) == {schedule.id: NOW + 4 * hour}


def test_removing_a_schedule_frees_its_name(database: Database) -> None:
    schedule = add(database)
    with database.write() as connection:
        schedules.insert_fires(connection, [(schedule.id, run_at(NOW))], NOW)
        schedules.remove(connection, schedule)
        assert schedules.by_name(connection, schedule.name) is None
    assert add(database).name == schedule.name


def test_what_somebody_keeps_is_left_out_on_postgresql(database: Database) -> None:
    first, second = add(database, "first"), add(database, "second")
    if database.is_sqlite:  # there every write transaction is alone
        with database.write() as connection:
            assert schedules.lock_free(connection, [second.id, first.id]) == [first, second]
        return
    with database.write() as mine, database.write() as other:
        assert schedules.lock_free(mine, [first.id]) == [first]
        assert schedules.lock_free(other, [first.id, second.id]) == [second]


def test_times_are_kept_in_utc(database: Database) -> None:
    schedule = add(database, start=datetime.fromisoformat("2026-07-01T00:00:00+02:00"))
    assert schedule.start == datetime(2026, 6, 30, 22, 0, tzinfo=UTC)
    assert schedule.start.tzinfo is UTC
