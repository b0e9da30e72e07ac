"""Firing: what is due is decided, recorded and submitted in one transaction."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, event, select
from structlog.testing import capture_logs

from batchwright.engine import events
from batchwright.engine.errors import Refused
from batchwright.engine.event_log import EventLog
from batchwright.engine.run import Run, State
from batchwright.engine.schedule import Misfire, NotRunCause, Overlap, Schedule
from batchwright.engine.schedules import firing
from batchwright.engine.schedules.firing import SECONDS_TO_OTHERS
from batchwright.engine.schedules.policy import Start
from batchwright.engine.store import schedules
from batchwright.engine.store.schedules import Fire
from batchwright.engine.store.tables import schedule_watch
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig
from tests.engine.schedules.making import NOW, Bench, spec
from tests.support.run_log import every_run

pytestmark = pytest.mark.on_both

MINUTELY = "0 * * * * ?"
MINUTE = timedelta(minutes=1)

Starts = Sequence[tuple[Schedule, Start]]


def shown(bench: Bench, schedule: Schedule) -> list[tuple[datetime, int, str | None]]:
    """Of each fire its first time, how many it holds, and its run or its reason."""
    return [(fire.nominal_time, fire.count, fire.run_id or fire.reason) for fire in bench.fires(schedule)]


def test_a_fire_is_recorded_with_its_run(bench: Bench) -> None:
    schedule = bench.add("Nightly", MINUTELY, owner="erin")
    bench.fire_at(NOW + MINUTE, schedule)
    (run,), (fire,) = bench.runs(schedule), bench.fires(schedule)
    assert (run.trigger, run.schedule, run.actor, run.state) == ("schedule", "Nightly", "erin", State.HOLDING)
    assert (fire.nominal_time, fire.decision, fire.run_id) == (NOW + MINUTE, "started", run.run_id)
    assert fire.recorded_at == NOW + MINUTE


def test_it_is_told_after_the_commit(bench: Bench) -> None:
    schedule = bench.add("Nightly", MINUTELY, misfire=Misfire.ALL, overlap=Overlap.ALLOW, cap=1)
    bench.fire_at(NOW + 3 * MINUTE, schedule)
    run_id = bench.runs(schedule)[-1].run_id
    assert bench.told == [
        events.ScheduleFired("Nightly", NOW + 2 * MINUTE, bench.runs(schedule)[0].run_id, 60.0),
        events.RunSubmitted(bench.runs(schedule)[0].run_id, "parcels", "batch", "dana"),
        events.ScheduleFired("Nightly", NOW + 3 * MINUTE, run_id, 0.0),
        events.RunSubmitted(run_id, "parcels", "batch", "dana"),
        events.ScheduleTimesNotRun(
            "Nightly",
            NOW + MINUTE,
            NOW + MINUTE,
            1,
            NotRunCause.MISFIRE,
            "misfire skipped: policy all runs the last 1",
        ),
    ]


def test_who_comes_second_finds_nothing_due(bench: Bench) -> None:
    schedule = bench.add("Nightly", MINUTELY)
    bench.fire_at(NOW + MINUTE, schedule)
    bench.firing().fire([schedule.id])
    assert len(bench.fires(schedule)) == len(bench.runs(schedule)) == 1


def test_many_at_once_start_one_run(bench: Bench) -> None:
    schedule = bench.add("Nightly", MINUTELY)
    bench.clock.sleep(60)
    ready = threading.Barrier(5)

    def fire() -> None:
        ready.wait()
        bench.firing().fire([schedule.id])

    threads = [threading.Thread(target=fire) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bench.fires(schedule)) == len(bench.runs(schedule)) == 1


def test_a_clock_that_is_set_back_doubles_nothing(bench: Bench) -> None:
    schedule = bench.add("Nightly", MINUTELY)
    bench.fire_at(NOW + MINUTE, schedule)
    bench.end_runs()
    bench.clock.sleep(-3600)
    for _ in range(61):
        bench.fire_at(bench.clock.now() + MINUTE, schedule)
        bench.end_runs()
    assert bench.clock.now() == NOW + 2 * MINUTE
    assert [fire.nominal_time for fire in bench.fires(schedule)] == [NOW + MINUTE, NOW + 2 * MINUTE]


def test_an_overlapped_cadence_is_one_range_that_grows(bench: Bench) -> None:
    schedule = bench.add("Nightly", MINUTELY)
    for minute in range(1, 6):
        bench.fire_at(NOW + minute * MINUTE, schedule)
    run_id = bench.runs(schedule)[0].run_id
    assert shown(bench, schedule) == [
        (NOW + MINUTE, 1, run_id),
        (NOW + 2 * MINUTE, 4, f"overlapped: {run_id} had not ended"),
    ]
    bench.end_runs()
    bench.fire_at(NOW + 6 * MINUTE, schedule)
    assert len(bench.runs(schedule)) == 2
    assert bench.accounted(schedule) == {NOW + minute * MINUTE for minute in range(1, 7)}


def test_with_the_policy_queue_each_run_waits_for_those_before_it(bench: Bench, rig: Rig) -> None:
    schedule = bench.add("Nightly", MINUTELY, overlap=Overlap.QUEUE)
    for minute in (1, 2, 3):
        bench.fire_at(NOW + minute * MINUTE, schedule)
    first, second, third = bench.runs(schedule)
    claims = rig.dispatcher().claims
    claimed, more = claims.claim_next()
    assert claimed is not None
    assert (claimed.id, more) == (first.id, False)
    assert claims.claim_next() == (None, False)
    rig.dispatcher().work(claimed)
    claimed, _ = claims.claim_next()
    assert claimed is not None
    assert claimed.id == second.id
    assert rig.read(third).state is State.HOLDING


def test_refused_parameters_are_recorded_and_keep_nobody_from_the_others(bench: Bench) -> None:
    removed = bench.add("Gone", MINUTELY, parameters={"colour": "red"})
    good = bench.add("Good", MINUTELY, overlap=Overlap.ALLOW)
    bench.fire_at(NOW + MINUTE, removed, good)
    bench.fire_at(NOW + 2 * MINUTE, removed, good)
    assert len(bench.runs(good)) == 2
    (fire,) = bench.fires(removed)
    assert (fire.nominal_time, fire.count) == (NOW + MINUTE, 2)
    assert str(fire.reason).startswith("refused: bad parameters: colour: ")
    assert [
        (one.schedule, one.count, one.cause)
        for one in bench.told
        if isinstance(one, events.ScheduleTimesNotRun)
    ] == [("Gone", 1, NotRunCause.REFUSED)] * 2


def test_times_of_a_job_that_is_not_here_are_left_to_who_has_it(bench: Bench, spy: type[Parcels]) -> None:
    class Fresh(spy):  # type: ignore[misc, valid-type]
        name = "fresh"

    fresh = bench.add("Fresh", MINUTELY, job="fresh", misfire=Misfire.ALL, overlap=Overlap.ALLOW)
    good = bench.add("Good", MINUTELY, overlap=Overlap.ALLOW)
    with capture_logs() as logs:
        for minute in (1, 2, 3):
            bench.fire_at(NOW + minute * MINUTE, fresh, good)
    assert [len(bench.fires(one)) for one in (fresh, good)] == [0, 3]
    # Each firing is another process here.
    warnings = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert warnings == ["schedule left to a worker that can fire it"] * 3
    bench.rig.registry.add(Fresh)
    bench.fire_at(NOW + 4 * MINUTE, fresh)
    assert [fire.decision for fire in bench.fires(fresh)] == ["started"] * 4
    assert bench.accounted(fresh) == {NOW + minute * MINUTE for minute in range(1, 5)}


def test_a_time_whose_parameters_are_refused_is_left_to_others_for_a_moment_before_it_is_recorded(
    bench: Bench,
) -> None:
    newer = bench.add("Newer", MINUTELY, parameters={"colour": "red"})
    firing = bench.firing()
    firing._refusal = lambda schedule: Refused("bad parameters")
    for _ in range(2):  # each time anew
        bench.clock.sleep(60)
        recorded = len(bench.fires(newer)), bench.accounted(newer)
        firing.fire([newer.id])
        bench.clock.sleep(SECONDS_TO_OTHERS - 1)
        firing.fire([newer.id])
        assert (len(bench.fires(newer)), bench.accounted(newer)) == recorded
        bench.clock.sleep(1)
        firing.fire([newer.id])
        assert len(bench.accounted(newer)) == len(recorded[1]) + 1
        bench.clock.sleep(-SECONDS_TO_OTHERS)


def test_an_exception_in_one_schedule_is_recorded_and_keeps_nobody_from_the_others(bench: Bench) -> None:
    bad, good = bench.add("Bad", MINUTELY), bench.add("Good", MINUTELY)
    submit = bench.submit

    def raising(connection: Connection, starts: Starts) -> Sequence[Run | Refused]:
        submitted = submit(connection, starts)
        if bad.id in [schedule.id for schedule, _ in starts]:
            raise RuntimeError("its module is broken")
        return submitted

    bench.submit = raising  # type: ignore[method-assign]
    bench.fire_at(NOW + MINUTE, bad, good)
    assert shown(bench, bad) == [(NOW + MINUTE, 1, "refused: RuntimeError: its module is broken")]
    assert len(bench.runs(good)) == 1
    assert bench.runs(bad) == []


def test_a_fault_of_the_database_leaves_everything_due(bench: Bench) -> None:
    schedule = bench.add("Nightly", MINUTELY)
    submit = bench.submit

    def failing(connection: Connection, starts: Starts) -> Sequence[Run | Refused]:
        raise psycopg.OperationalError("the server has gone away")

    bench.submit = failing  # type: ignore[method-assign]
    with pytest.raises(psycopg.OperationalError):
        bench.fire_at(NOW + MINUTE, schedule)
    assert bench.fires(schedule) == []
    bench.submit = submit  # type: ignore[method-assign]
    bench.firing().fire([schedule.id])
    assert len(bench.runs(schedule)) == 1


def test_more_than_a_set_are_fired_together(bench: Bench) -> None:
    made = [bench.add(f"number {number}", MINUTELY) for number in range(firing.SET + 5)]
    bench.fire_at(NOW + MINUTE, *made)
    with bench.database.read() as connection:
        assert len(every_run(connection)) == len(made)
        assert set(schedules.last_started(connection)) == {schedule.id for schedule in made}


def test_many_schedules_take_no_more_statements_than_few(bench: Bench) -> None:
    def statements(number: int) -> int:
        made = [bench.add(f"{number}: {count}", MINUTELY) for count in range(number)]
        said: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if "FROM parcel" not in statement:  # which each job asks for itself
                said.append(statement)

        event.listen(bench.database.engine, "before_cursor_execute", note)
        bench.fire_at(bench.clock.now() + MINUTE, *made)
        event.remove(bench.database.engine, "before_cursor_execute", note)
        assert all(len(bench.runs(schedule)) == 1 for schedule in made)
        return len(said)

    assert statements(40) == statements(3)


OUTAGES = [
    # policy, how long, the times there were, the runs that were started, the rows that were written
    ("skip", timedelta(seconds=30), 1, 0, 1),
    ("latest", timedelta(seconds=30), 1, 1, 1),
    ("all", timedelta(seconds=30), 1, 1, 1),
    ("skip", timedelta(minutes=5), 5, 0, 1),
    ("latest", timedelta(minutes=5), 5, 1, 2),
    ("all", timedelta(minutes=5), 5, 5, 5),
    ("skip", timedelta(hours=26), 1560, 0, 1),
    ("latest", timedelta(hours=26), 1560, 1, 2),
    ("all", timedelta(hours=26), 1560, 24, 25),
    ("skip", timedelta(hours=-1), 0, 0, 0),
    ("latest", timedelta(hours=-1), 0, 0, 0),
    ("all", timedelta(hours=-1), 0, 0, 0),
]


@pytest.mark.parametrize(("misfire", "outage", "times", "started", "rows"), OUTAGES)
def test_after_an_outage_every_time_is_accounted_for(
    bench: Bench, misfire: str, outage: timedelta, times: int, started: int, rows: int
) -> None:
    schedule = bench.add("Nightly", MINUTELY, misfire=Misfire(misfire))
    begin = NOW + MINUTE + timedelta(seconds=40)
    bench.fire_at(NOW + MINUTE, schedule)
    bench.end_runs()
    bench.clock.sleep(40)
    bench.fire_at(begin + outage, schedule)
    assert len(bench.runs(schedule)) - 1 == started
    assert len(bench.fires(schedule)) - 1 == rows
    assert bench.accounted(schedule) == {NOW + minute * MINUTE for minute in range(1, times + 2)}


@pytest.mark.parametrize(("misfire", "started", "rows"), [("skip", 0, 1), ("latest", 1, 2), ("all", 24, 25)])
def test_a_cadence_of_one_second_paused_for_a_month_is_a_row(
    bench: Bench, misfire: str, started: int, rows: int
) -> None:
    schedule, month = bench.add("Each second", "* * * * * ?", misfire=Misfire(misfire)), timedelta(days=30)
    with bench.database.write() as connection:
        schedules.pause(connection, schedule, NOW)
    bench.fire_at(NOW + month / 2, schedule)
    assert bench.fires(schedule) == []
    with bench.database.write() as connection:
        schedules.resume(connection, schedule, NOW + month)
    bench.fire_at(NOW + month, schedule)
    fires = bench.fires(schedule)
    assert sum(fire.decision == "started" for fire in fires) == len(bench.runs(schedule)) == started
    assert (len(fires), fires[0].count, fires[0].reason) == (rows, 30 * 86_400 - started, "paused")


def test_settling_records_what_is_due_and_leaves_nothing_to_fire(bench: Bench) -> None:
    schedule = bench.add("Nightly", MINUTELY)
    bench.clock.sleep(600)
    with bench.database.write() as connection:
        settled = firing.settle(connection, schedule, bench.clock.now(), "expression")
        again = firing.settle(connection, settled, bench.clock.now(), "expression")
        schedules.update_schedule(connection, again, spec("Nightly", "30 * * * * ?"), bench.clock.now())
    bench.firing().fire([schedule.id])
    assert shown(bench, schedule) == [(NOW + MINUTE, 10, "changed: its expression was replaced first")]


def not_run_for(cause: NotRunCause, bench: Bench) -> Schedule:
    """A schedule that wants to know of late times, and one of its times that was not run for that cause."""
    parameters = {"colour": "red"} if cause is NotRunCause.REFUSED else {}
    misfire = Misfire.SKIP if cause is NotRunCause.MISFIRE else Misfire.LATEST
    end = NOW + MINUTE if cause is NotRunCause.ENDED else None
    terms = {"misfire": misfire, "end": end, "start_within_minutes": 10}
    schedule = bench.add("Nightly", MINUTELY, parameters=parameters, **terms)
    late = NOW + MINUTE + timedelta(seconds=30)
    with bench.database.write() as connection:
        match cause:
            case NotRunCause.PAUSED:
                paused = schedules.pause(connection, schedule, NOW)
                schedules.resume(connection, paused, late)
                late += MINUTE  # the policy makes up for the last time alone
            case NotRunCause.HELD:
                schedules.lock_changes(connection)
                schedules.hold_all(connection, NOW)
                schedules.release_all(connection, late)
                late += MINUTE
            case NotRunCause.CHANGED:
                firing.settle(connection, schedule, late, "expression or zone")
    if cause is NotRunCause.OVERLAPPED:
        bench.fire_at(NOW + MINUTE, schedule)
        late = NOW + 2 * MINUTE
    bench.fire_at(late, schedule)
    return schedule


@pytest.mark.parametrize("cause", NotRunCause)
def test_a_time_that_nobody_wanted_to_be_left_out_is_told_of_and_logged_as_a_warning(
    bench: Bench, cause: NotRunCause
) -> None:
    schedule = not_run_for(cause, bench)
    (fire,) = [fire for fire in bench.fires(schedule) if fire.decision == "not_run"]
    assert (fire.cause, (fire.reason or "").startswith(cause)) == (cause, True)
    with bench.database.read() as connection:
        of_times = select(schedule_watch.c.reason).where(schedule_watch.c.run_id.is_(None))
        notified = list(connection.scalars(of_times))
    with capture_logs() as lines:
        for event_of_schedule in bench.told:
            EventLog()(event_of_schedule)
    warnings = [line["reason"] for line in lines if line["log_level"] == "warning"]
    is_trouble = cause in (NotRunCause.MISFIRE, NotRunCause.OVERLAPPED, NotRunCause.REFUSED)
    assert notified == warnings == ([fire.reason] if is_trouble else [])


def test_a_time_that_was_backfilled_before_it_was_due_is_not_fired_again(bench: Bench) -> None:
    schedule = bench.add("Nightly", MINUTELY)
    backfilled = Fire(NOW + 2 * MINUTE, NOW + 2 * MINUTE, 1, "started", run_id="JR-00000099")
    with bench.database.write() as connection:
        schedules.insert_fires(connection, [(schedule.id, backfilled)], NOW)
    bench.fire_at(NOW + 3 * MINUTE, schedule)
    assert shown(bench, schedule) == [
        (NOW + MINUTE, 1, "misfire skipped: policy latest"),
        (NOW + 2 * MINUTE, 1, "JR-00000099"),
        (NOW + 3 * MINUTE, 1, bench.runs(schedule)[0].run_id),
    ]


def test_a_run_that_keeps_the_dedup_key_is_named(bench: Bench) -> None:
    schedule = bench.add("Nightly", MINUTELY)

    def refusing(connection: Connection, starts: Starts) -> Sequence[Run | Refused]:
        return [Refused("JR-00000001 has the key")]

    bench.submit = refusing  # type: ignore[method-assign]
    bench.fire_at(NOW + MINUTE, schedule)
    assert shown(bench, schedule) == [(NOW + MINUTE, 1, "refused: JR-00000001 has the key")]


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("policy", ["skip", "latest", "all"])
def test_a_time_that_is_found_in_time_behind_a_long_write_is_on_time(bench: Bench, policy: str) -> None:
    schedule = bench.add("N", MINUTELY, misfire=Misfire(policy))
    for number in range(1, 4):
        bench.clock.sleep(60)
        firing = bench.firing()
        looking = threading.Thread(target=firing.fire, args=([schedule.id],))
        with bench.database.write():
            looking.start()
            until = time.monotonic() + 30
            while schedule.id not in firing._found:
                assert time.monotonic() < until
                time.sleep(0.005)
            bench.clock.sleep(8)
        looking.join(30)
        bench.clock.sleep(-8)
        assert [fire.decision for fire in bench.fires(schedule)] == ["started"] * number
        bench.end_runs()
