"""The first and last times of a schedule or a backfill: whole days, and hours that come twice or never."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from batchwright.engine.errors import Refused
from batchwright.engine.schedule import ScheduleRequest
from batchwright.operations.app import Application
from batchwright.operations.schedules.backfill import backfill_schedule, backfill_window
from batchwright.operations.schedules.files import Difference, apply_schedules
from batchwright.operations.schedules.schedules import add_schedule, next_fires, show_schedule
from batchwright.operations.views import View
from batchwright.testing.clock import FakeClock
from tests.support.application import ACTOR, NOW

BERLIN = "Europe/Berlin"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


def added(app: Application, cron: str, time_zone: str = BERLIN, **terms: Any) -> View:
    request = ScheduleRequest(name="N", cron=cron, job="draft-usage-rating", time_zone=time_zone, **terms)
    return add_schedule(app, request, actor=ACTOR)


def applied(app: Application, line: str) -> Difference:
    text = f'TZ={BERLIN}\n0 30 2 ? * * "N" draft-usage-rating {line}\n'
    return apply_schedules(app, text, file="crontab", actor=ACTOR)


def local(rows: list[View]) -> list[str]:
    return [row["local_time"] for row in rows]


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


def window(app: Application, begin: date, end: date) -> tuple[str, str]:
    found = backfill_window(app, "N", begin, end)
    return found["from"][:19], found["to"][:19]


def test_a_date_alone_is_the_whole_day_in_the_zone_of_the_schedule(app: Application) -> None:
    made = added(app, "0 0 */6 ? * *", start=date(2023, 7, 3), end=date(2023, 7, 3))
    assert (made["start"], made["end"]) == ("2023-07-02T22:00:00.000Z", "2023-07-03T21:59:59.000Z")
    assert local(next_fires(app, "N")) == [f"2023-07-03T{hour:02}:00:00+02:00" for hour in (0, 6, 12, 18)]


@pytest.mark.parametrize("text", ["2023-07-03", "20230703", "2023-W27-1"])
def test_a_date_alone_in_a_file_is_the_whole_day_however_iso_8601_writes_it(
    app: Application, text: str
) -> None:
    applied(app, f"--end {text}")
    assert show_schedule(app, "N")["end"] == "2023-07-03T21:59:59.000Z"
    assert applied(app, f"--end={text}").is_none


def test_a_date_alone_ends_a_backfill_with_the_day_and_today_with_now(
    app: Application, clock: FakeClock
) -> None:
    added(app, "0 0 */6 ? * *")
    assert window(app, date(2023, 6, 29), date(2023, 6, 30)) == ("2023-06-28T22:00:00", "2023-06-30T21:59:59")
    assert window(app, date(2023, 7, 1), date(2023, 7, 1)) == ("2023-06-30T22:00:00", "2023-07-01T08:30:00")
    rows = backfill_schedule(app, "N", date(2023, 6, 30), date(2023, 7, 1), actor=ACTOR, preview=True)
    assert [time[8:13] for time in local(rows)] == ["30T00", "30T06", "30T12", "30T18", "01T00", "01T06"]
    with pytest.raises(Refused, match="has not come yet"):
        backfill_schedule(app, "N", date(2023, 6, 30), date(2023, 7, 2), actor=ACTOR)


def test_a_day_that_ends_in_a_repeated_hour_is_whole(app: Application) -> None:
    """In Asunción the 24th of March 2024 went on for an hour after its midnight."""
    added(app, "0 30 * ? * *", "America/Asuncion", start=date(2024, 3, 23), end=date(2024, 3, 23))
    assert len(next_fires(app, "N", 100)) == 25


def test_an_end_in_a_repeated_hour_is_no_change_when_the_file_is_applied_again(
    app: Application, clock: FakeClock
) -> None:
    line = "--start 2027-03-28T02:30 --end 2027-10-31T02:30"
    assert applied(app, line).view["added"] == ["N"]
    assert applied(app, line).is_none
    clock.sleep((datetime(2027, 12, 1, tzinfo=UTC) - NOW).total_seconds())
    assert applied(app, line).is_none


def test_a_schedule_whose_end_has_passed_may_be_changed_otherwise(app: Application, clock: FakeClock) -> None:
    applied(app, "--end 2023-10-29T02:30")
    clock.sleep(365 * 24 * 3600)
    difference = applied(app, "--end 2023-10-29T02:30 --grace 60")
    assert difference.changed == {"N": {"grace_seconds": (None, 60)}}


def test_a_start_within_a_gap_keeps_the_fire_at_its_end(app: Application) -> None:
    made = added(app, "0 30 2 ? * *", start=wall("2027-03-28T02:30"))
    assert made["start"] == "2027-03-28T01:00:00.000Z"
    assert made["next_fire_at"] == "2027-03-28T01:00:00.000Z"


def test_an_end_within_a_gap_keeps_the_fire_at_its_end_and_none_later(app: Application) -> None:
    added(app, "0 0/15 * ? * *", start=wall("2027-03-28T01:45"), end=wall("2027-03-28T02:15"))
    assert local(next_fires(app, "N")) == ["2027-03-28T01:45:00+01:00", "2027-03-28T03:00:00+02:00"]


def test_a_window_over_a_repeated_hour_has_both_passes(app: Application, clock: FakeClock) -> None:
    added(app, "0 0/30 * ? * *")
    clock.sleep((datetime(2023, 11, 1, tzinfo=UTC) - NOW).total_seconds())
    begin, end = wall("2023-10-29T02:00"), wall("2023-10-29T02:59")
    rows = backfill_schedule(app, "N", begin, end, actor=ACTOR, preview=True)
    assert local(rows) == [
        "2023-10-29T02:00:00+02:00",
        "2023-10-29T02:30:00+02:00",
        "2023-10-29T02:00:00+01:00",
        "2023-10-29T02:30:00+01:00",
    ]


def test_a_time_that_names_its_zone_or_its_pass_is_that_instant(app: Application) -> None:
    made = added(
        app,
        "0 0/30 * ? * *",
        start=wall("2027-10-31T02:30").replace(fold=1),
        end=datetime(2027, 10, 31, 4, 30, tzinfo=timezone(timedelta(hours=2))),
    )
    assert (made["start"], made["end"]) == ("2027-10-31T01:30:00.000Z", "2027-10-31T02:30:00.000Z")
    first = datetime(2027, 10, 31, 2, 30, tzinfo=ZoneInfo(BERLIN))
    request = ScheduleRequest(name="M", cron="0 0/30 * ? * *", job="draft-usage-rating", end=first)
    assert add_schedule(app, request, actor=ACTOR)["end"] == "2027-10-31T00:30:00.000Z"


@pytest.mark.parametrize(
    ("term", "day", "zone"),
    [("end", date.max, "America/New_York"), ("start", date.min, BERLIN), ("start", date.min, "UTC")],
)
def test_a_time_beyond_all_times_is_refused(app: Application, term: str, day: date, zone: str) -> None:
    with pytest.raises(Refused, match="beyond all times") as refused:
        added(app, "0 0 0 ? * *", zone, **{term: day})
    assert refused.value.field == term
