"""Counting fires without stepping through them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from batchwright.engine.cron import CronExpression
from tests.engine.cron.oracle import ZONES, random_rule, windows
from tests.support.effort import at_most_calls

STANDING = {
    "America/Sao_Paulo",
    "America/Caracas",
    "Asia/Amman",
    "Asia/Tehran",
    "Asia/Kathmandu",
    "Asia/Pyongyang",
    "Pacific/Apia",
}
"""Zones whose clocks were not changed in 2024 and 2025."""


def stepped(expression: CronExpression, after: datetime, until: datetime) -> int:
    counted, at = 0, after
    while (fire := expression.next_after(at)) is not None and (at := fire.astimezone(UTC)) <= until:
        counted += 1
    return counted


@pytest.mark.parametrize("zone", [zone for zone in (*ZONES, "America/Scoresbysund") if zone not in STANDING])
def test_it_finds_as_many_as_stepping_round_every_change_of_the_clock(zone: str) -> None:
    chance = random.Random(zone)
    changes = list(windows(zone, 2024, 2025))
    assert len(changes) >= 2
    for window in changes:
        begin, end = (datetime.fromtimestamp(at, UTC) for at in (window.begin, window.end))
        for _ in range(2):
            expression = CronExpression(random_rule(chance).expression, zone)
            after = begin + timedelta(seconds=chance.randrange(100_000) + chance.random())
            until = end - timedelta(seconds=chance.randrange(100_000))
            assert expression.count(after, until) == stepped(expression, after, until), expression


def test_it_finds_as_many_as_stepping_for_seconds_and_days() -> None:
    after = datetime(2026, 3, 28, 22, 59, 30, 500_000, tzinfo=UTC)
    for text in (
        "7/20 3-5 22-2 * * ?",
        "* 59 23 ? * SUN",
        "0 0 0 L * ?",
        "30,40 0/7 1,2,3 28-31 3,10 ? 2026",
    ):
        expression = CronExpression(text, "Europe/Berlin")
        for seconds in (0, 1, 90, 3_600, 86_400, 259_200):
            until = after + timedelta(seconds=seconds)
            assert expression.count(after, until) == stepped(expression, after, until), (text, seconds)


def test_a_cadence_of_one_second_is_counted_by_days_and_not_by_seconds() -> None:
    begin = datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    with at_most_calls(1_000 * 365):
        counted = CronExpression("* * * * * ?").count(begin, begin + timedelta(days=365))
    assert counted == 365 * 86_400


def test_nothing_is_counted_where_the_end_is_not_after_the_beginning() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert CronExpression("* * * * * ?").count(at, at) == 0
    assert CronExpression("* * * * * ?").count(at, at - timedelta(days=3)) == 0
