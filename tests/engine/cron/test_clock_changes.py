"""Clock changes: nothing is lost and nothing doubled, in any zone."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from batchwright.engine.cron import CronExpression
from tests.engine.cron.oracle import (
    MORE_RULES,
    RULES,
    ZONES,
    Window,
    days_between,
    random_rule,
    windows,
    year,
)
from tests.engine.cron.stepping import fires, instants
from tests.support.rungs import depth

FIRST_YEAR, LAST_YEAR = 2010, 2019

CHANGES = {"Asia/Kathmandu": 0, "America/Caracas": 1, "Asia/Pyongyang": 2, "Africa/Cairo": 8}
"""In those years, at least, where that is not about twice a year."""

DAILY = [rule.expression for rule in RULES if not rule.is_interval]


def compare(window: Window) -> None:
    for rule in RULES:
        found = instants(CronExpression(rule.expression, window.zone), window.begin, window.end)
        assert found == window.fires(rule), f"{rule.expression} in {window.zone}"


def shown(expression: str, zone: str, after: str, count: int) -> list[str]:
    """The next fires as the zone's clock shows them."""
    found = fires(CronExpression(expression, zone), datetime.fromisoformat(after), count)
    return [fire.astimezone(ZoneInfo(zone)).isoformat() for fire in found if fire is not None]


@pytest.mark.parametrize("zone", depth(ZONES[:2], ZONES))
def test_three_days_round_every_change_of_ten_years_fire_as_by_looking_at_every_minute(zone: str) -> None:
    changes = list(windows(zone, FIRST_YEAR, LAST_YEAR))
    assert len(changes) >= CHANGES.get(zone, 18)
    for window in changes:
        compare(window)


@pytest.mark.long
@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"])
def test_a_whole_year_fires_as_by_looking_at_every_minute(zone: str) -> None:
    compare(year(zone, 2026))


@pytest.mark.parametrize("seed", range(depth(1, 3)))
def test_random_lists_ranges_and_steps_fire_as_by_looking_at_every_minute(seed: int) -> None:
    chance = random.Random(seed)
    rules = (*MORE_RULES, *(random_rule(chance) for _ in range(15)))
    changes = list(windows("America/St_Johns", 2010, 2011))
    assert len(changes) == 4
    for window in changes:
        for rule in rules:
            found = instants(CronExpression(rule.expression, window.zone), window.begin, window.end)
            assert found == window.fires(rule), rule.expression


@pytest.mark.parametrize("zone", [zone for zone in ZONES if zone != "Pacific/Apia"])
@pytest.mark.parametrize("expression", DAILY)
def test_a_daily_job_runs_exactly_once_on_each_local_day(expression: str, zone: str) -> None:
    begin = datetime(2016, 1, 1, tzinfo=ZoneInfo(zone))
    end = datetime(2019, 1, 1, tzinfo=ZoneInfo(zone))
    found = instants(CronExpression(expression, zone), int(begin.timestamp()) - 1, int(end.timestamp()) - 1)
    dates = [datetime.fromtimestamp(at, ZoneInfo(zone)).date() for at in found]
    assert dates == days_between(
        datetime(2016, 1, 1, tzinfo=UTC).date(), datetime(2018, 12, 31, tzinfo=UTC).date()
    )


def test_a_fixed_time_in_a_gap_fires_when_the_gap_ends() -> None:
    assert shown("0 30 2 * * ?", "America/New_York", "2027-03-13T12:00-05:00", 2) == [
        "2027-03-14T03:00:00-04:00",
        "2027-03-15T02:30:00-04:00",
    ]


def test_midnight_that_does_not_exist_fires_at_one() -> None:
    assert shown("0 0 0 ? * * *", "America/Sao_Paulo", "2018-11-03T12:00-03:00", 2) == [
        "2018-11-04T01:00:00-02:00",
        "2018-11-05T00:00:00-02:00",
    ]


def test_several_fixed_times_in_one_gap_fire_once() -> None:
    assert shown("0 0,30 2,3 * * ?", "America/New_York", "2027-03-14T00:00-05:00", 2) == [
        "2027-03-14T03:00:00-04:00",
        "2027-03-14T03:30:00-04:00",
    ]


def test_a_fixed_time_in_a_repeated_hour_fires_in_the_first_pass_only() -> None:
    assert shown("0 30 1 * * ?", "America/New_York", "2026-11-01T00:00-04:00", 2) == [
        "2026-11-01T01:30:00-04:00",
        "2026-11-02T01:30:00-05:00",
    ]


def test_a_fixed_time_does_not_fire_for_one_who_asks_in_the_second_pass() -> None:
    assert shown("0 30 1 * * ?", "America/New_York", "2026-11-01T01:10-05:00", 1) == [
        "2026-11-02T01:30:00-05:00"
    ]


def test_an_interval_fires_in_both_passes_of_a_repeated_hour() -> None:
    assert shown("0 0/30 * * * ?", "America/New_York", "2026-11-01T00:45-04:00", 5) == [
        "2026-11-01T01:00:00-04:00",
        "2026-11-01T01:30:00-04:00",
        "2026-11-01T01:00:00-05:00",
        "2026-11-01T01:30:00-05:00",
        "2026-11-01T02:00:00-05:00",
    ]


def test_an_interval_has_no_extra_fire_when_a_gap_ends() -> None:
    assert shown("0 10 * * * ?", "America/New_York", "2027-03-14T01:00-05:00", 2) == [
        "2027-03-14T01:10:00-05:00",
        "2027-03-14T03:10:00-04:00",
    ]


@pytest.mark.parametrize(
    "text", ["0 0/20 2 * * ?", "0 */30 2 * * ?", "* 30 2 * * ?", "30 0-59/7 2 * * ?", "0 0 2-2 * * ?"]
)
def test_an_interval_all_of_whose_times_of_a_day_lie_in_a_gap_fires_once_when_it_ends(text: str) -> None:
    fires = shown(text, "America/New_York", "2027-03-14T00:00-05:00", 2)
    assert fires[0] == "2027-03-14T03:00:00-04:00"
    assert fires[1].startswith("2027-03-15T02:")


@pytest.mark.parametrize("text", ["0 0/20 1-2 * * ?", "0 0/20 2-4 * * ?", "0 0/20 2,23 * * ?"])
def test_an_interval_some_of_whose_times_of_the_day_come_has_no_extra_fire(text: str) -> None:
    fires = shown(text, "America/New_York", "2027-03-14T01:50-05:00", 1)
    assert fires != ["2027-03-14T03:00:00-04:00"] or "2-4" in text


def test_an_interval_within_a_gap_at_midnight_or_a_skipped_day_fires_once_when_that_ends() -> None:
    fires = shown("0 0/30 0 * * ?", "America/Sao_Paulo", "2018-11-03T12:00-03:00", 2)
    assert fires == ["2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"]
    fires = shown("0 0/30 9-10 30 12 ?", "Pacific/Apia", "2011-12-29T12:00-10:00", 1)
    assert fires == ["2011-12-31T00:00:00+14:00"]


def test_a_list_of_hours_is_fixed_and_a_range_of_hours_an_interval() -> None:
    after = "2026-11-01T00:30-04:00"
    assert len(shown("0 0 1,2 * * ?", "America/New_York", after, 3)) == 3
    assert shown("0 0 1,2 * * ?", "America/New_York", after, 2)[1] == "2026-11-01T02:00:00-05:00"
    assert shown("0 0 1-2 * * ?", "America/New_York", after, 2)[1] == "2026-11-01T01:00:00-05:00"


def test_a_second_by_second_interval_passes_a_skipped_day_in_one_step() -> None:
    last = datetime(2011, 12, 29, 23, 59, 59, tzinfo=ZoneInfo("Pacific/Apia"))
    next_fire = CronExpression("* * * * * ?", "Pacific/Apia").next_after(last)
    assert next_fire is not None
    assert next_fire.isoformat() == "2011-12-31T00:00:00+14:00"


def test_a_fixed_time_of_a_skipped_day_fires_when_the_next_day_begins() -> None:
    assert shown("0 30 2 * * ?", "Pacific/Apia", "2011-12-29T12:00-10:00", 3) == [
        "2011-12-31T00:00:00+14:00",
        "2011-12-31T02:30:00+14:00",
        "2012-01-01T02:30:00+14:00",
    ]
    assert shown("0 0 0 * * ?", "Pacific/Apia", "2011-12-29T12:00-10:00", 2) == [
        "2011-12-31T00:00:00+14:00",
        "2012-01-01T00:00:00+14:00",
    ]


def test_a_change_by_half_an_hour_doubles_nothing() -> None:
    assert shown("0 45 1 * * ?", "Australia/Lord_Howe", "2017-04-02T00:00+11:00", 2) == [
        "2017-04-02T01:45:00+11:00",
        "2017-04-03T01:45:00+10:30",
    ]


def test_a_time_that_no_clock_shows_stands_for_the_instant_that_is_meant() -> None:
    zone = ZoneInfo("America/New_York")
    expression = CronExpression("0 * * * * ?", "America/New_York")
    for fold, expected in ((0, "2027-03-14T03:31:00-04:00"), (1, "2027-03-14T01:31:00-05:00")):
        found = expression.next_after(datetime(2027, 3, 14, 2, 30, tzinfo=zone, fold=fold))
        assert found is not None
        assert found.isoformat() == expected


def test_what_is_asked_in_another_zone_is_answered_in_the_expressions() -> None:
    found = CronExpression("0 0 9 * * ?", "Asia/Kathmandu").next_after(datetime(2026, 5, 1, tzinfo=UTC))
    assert found is not None
    assert found.tzinfo is ZoneInfo("Asia/Kathmandu")
    assert found.isoformat() == "2026-05-01T09:00:00+05:45"
