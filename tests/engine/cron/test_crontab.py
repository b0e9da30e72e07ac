"""Unix lines, as they stand in crontab files."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from batchwright.engine.cron import CronError, CronExpression
from tests.engine.cron.stepping import fires

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def same(unix: str, salesforce: str) -> bool:
    return fires(CronExpression.from_crontab(unix), NEW_YEAR, 60) == fires(
        CronExpression(salesforce), NEW_YEAR, 60
    )


def days(text: str, count: int) -> list[str]:
    found = fires(CronExpression.from_crontab(text), NEW_YEAR, count)
    return [f"{fire:%a %d}" for fire in found if fire is not None]


@pytest.mark.parametrize(
    ("unix", "salesforce"),
    [
        ("30 2 * * *", "0 30 2 * * ?"),
        ("*/5 8-18 * * *", "0 0/5 8-18 * * ?"),
        ("0 0 * * 0", "0 0 0 ? * SUN"),
        ("0 0 * * 7", "0 0 0 ? * SUN"),
        ("0 0 * * 7-7", "0 0 0 ? * SUN"),
        ("0 0 * * 1-5", "0 0 0 ? * MON-FRI"),
        ("0 0 * * 5-7", "0 0 0 ? * FRI-SUN"),
        ("0 0 * * 6-0", "0 0 0 ? * SAT-SUN"),
        ("0 0 * * 0-7", "0 0 0 * * ?"),
        ("0 0 * * 1-7", "0 0 0 * * ?"),
        ("0 0 * * */2", "0 0 0 ? * SUN,TUE,THU,SAT"),
        ("0 0 * * mon-fri/2", "0 0 0 ? * MON,WED,FRI"),
        ("0 0 1 jan,Jul *", "0 0 0 1 1,7 ?"),
        ("0 0 1 */3 *", "0 0 0 1 1,4,7,10 ?"),
        ("@yearly", "0 0 0 1 1 ?"),
        ("@annually", "0 0 0 1 1 ?"),
        ("@monthly", "0 0 0 1 * ?"),
        ("@weekly", "0 0 0 ? * SUN"),
        ("@daily", "0 0 0 * * ?"),
        ("@MIDNIGHT", "0 0 0 * * ?"),
        ("@hourly", "0 0 * * * ?"),
    ],
)
def test_a_unix_line_means_what_it_means_to_unix(unix: str, salesforce: str) -> None:
    assert same(unix, salesforce)


def test_a_salesforce_expression_stands_in_a_crontab_as_it_is() -> None:
    assert same("0 0 0 ? * 6#3 2026-2030", "0 0 0 ? * 6#3 2026-2030")


def test_two_restricted_day_fields_fire_on_either_day() -> None:
    assert days("0 0 13 * 5", 6) == ["Fri 02", "Fri 09", "Tue 13", "Fri 16", "Fri 23", "Fri 30"]


def test_a_day_field_that_begins_with_a_star_must_match_as_well() -> None:
    assert days("0 0 */2 * 1", 3) == ["Mon 05", "Mon 19", "Mon 09"]
    assert days("0 0 13 * */2", 2) == ["Tue 13", "Sat 13"]


def test_a_unix_line_is_refused_outside_crontabs() -> None:
    with pytest.raises(CronError):
        CronExpression("30 2 * * 1-5")


def test_the_dialect_is_part_of_what_makes_expressions_equal() -> None:
    assert CronExpression.from_crontab("0 0 0 * * ?") != CronExpression("0 0 0 * * ?")


@pytest.mark.parametrize(
    ("text", "field", "position"),
    [
        ("@reboot", "expression", 0),
        ("@every_hour", "expression", 0),
        ("@daily now", "expression", 7),
        ("60 * * * *", "minutes", 0),
        ("0 24 * * *", "hours", 2),
        ("0 0 0 * *", "day of month", 4),
        ("0 0 * * 8", "day of week", 8),
        ("0 0 ? * 1", "day of month", 4),
        ("0 0 L * *", "day of month", 4),
        ("0 0 15W * *", "day of month", 6),
        ("0 0 * * 5#2", "day of week", 9),
        ("0 0 * * 5L", "day of week", 9),
        ("0 0 * *", "expression", 7),
        ("", "expression", 0),
    ],
)
def test_what_is_no_unix_line_is_refused(text: str, field: str, position: int) -> None:
    with pytest.raises(CronError) as caught:
        CronExpression.from_crontab(text)
    assert (caught.value.field, caught.value.position) == (field, position)
    assert caught.value.remedy
