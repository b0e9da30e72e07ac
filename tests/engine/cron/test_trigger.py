"""The trigger that APScheduler asks for the next time."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.schedulers.background import BackgroundScheduler

from batchwright.engine.cron import CronExpression
from batchwright.engine.cron.trigger import ExpressionTrigger

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOURLY = CronExpression("0 0 * * * ?")


def test_a_fire_at_this_very_moment_is_still_to_come() -> None:
    assert ExpressionTrigger(HOURLY).get_next_fire_time(None, NOON) == NOON


def test_after_a_fire_comes_the_next_one() -> None:
    assert ExpressionTrigger(HOURLY).get_next_fire_time(NOON, NOON) == NOON + timedelta(hours=1)


def test_with_a_clock_set_back_the_next_comes_after_the_one_before() -> None:
    back = NOON - timedelta(hours=5)
    assert ExpressionTrigger(HOURLY).get_next_fire_time(NOON, back) == NOON + timedelta(hours=1)


def test_times_that_have_passed_are_left_out_at_once() -> None:
    each_second = ExpressionTrigger(CronExpression("* * * * * ?"))
    later = NOON + timedelta(days=30)
    assert each_second.get_next_fire_time(NOON, later) == later


def test_start_and_end_fire_and_nothing_outside_them_does() -> None:
    bounded = ExpressionTrigger(HOURLY, start=NOON, end=NOON + timedelta(hours=1))
    assert bounded.get_next_fire_time(None, NOON - timedelta(days=1)) == NOON
    assert bounded.get_next_fire_time(NOON, NOON) == NOON + timedelta(hours=1)
    assert bounded.get_next_fire_time(NOON + timedelta(hours=1), NOON + timedelta(hours=1)) is None


def test_an_hour_that_comes_twice_fires_twice_and_in_order() -> None:
    trigger = ExpressionTrigger(CronExpression("0 0 * * * ?", "America/New_York"))
    at = datetime(2026, 11, 1, 5, 0, tzinfo=UTC)
    found = [at]
    for _ in range(3):
        at = trigger.get_next_fire_time(at, at) or at
        found.append(at)
    assert found == [datetime(2026, 11, 1, hour, tzinfo=UTC) for hour in (5, 6, 7, 8)]


def test_an_expression_without_a_next_time_gives_none() -> None:
    assert ExpressionTrigger(CronExpression("0 0 0 1 1 ? 2020")).get_next_fire_time(None, NOON) is None


def test_a_start_in_the_second_pass_of_a_repeated_hour_leaves_the_first_one_out() -> None:
    zone = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 10, 25, 2, 0, fold=1, tzinfo=zone)
    trigger = ExpressionTrigger(CronExpression("0 0/30 * ? * *", "Europe/Berlin"), start, start)
    assert trigger.get_next_fire_time(None, NOON) == datetime(2026, 10, 25, 1, 0, tzinfo=UTC)


def test_it_can_be_stored_and_read_again() -> None:
    trigger = ExpressionTrigger(CronExpression("0 30 2 ? * 6L", "Europe/Berlin"), start=NOON)
    again = pickle.loads(pickle.dumps(trigger))
    assert (again.expression, again.start, again.end) == (trigger.expression, NOON, None)
    assert again.get_next_fire_time(None, NOON) == trigger.get_next_fire_time(None, NOON)


def test_apscheduler_calls_at_its_times() -> None:
    fired, enough = [], threading.Event()

    def fire() -> None:
        fired.append(datetime.now(UTC))
        if len(fired) == 2:
            enough.set()

    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.add_job(fire, ExpressionTrigger(CronExpression("* * * * * ?")), misfire_grace_time=None)
    scheduler.start()
    try:
        assert enough.wait(10)
    finally:
        scheduler.shutdown()
    assert (fired[1] - fired[0]).total_seconds() > 0.1


def test_cron_itself_loads_no_scheduler() -> None:
    found = "import batchwright.engine.cron, sys; print('apscheduler' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
