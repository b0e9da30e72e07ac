"""What an expression may be, and what is said of one that may not."""

from __future__ import annotations

import pickle
import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from zoneinfo import ZoneInfo

import pytest

from batchwright.engine.cron import CronError, CronExpression
from tests.engine.cron.stepping import fires
from tests.support.rungs import depth

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def refusal(text: str, *, strict_salesforce: bool = False) -> CronError:
    with pytest.raises(CronError) as caught:
        CronExpression(text, strict_salesforce=strict_salesforce)
    return caught.value


def days(text: str, count: int, after: datetime = NEW_YEAR) -> list[str]:
    """The dates of the next fires."""
    return [f"{fire:%Y-%m-%d}" for fire in fires(CronExpression(text), after, count) if fire is not None]


def same(one: str, other: str) -> bool:
    return fires(CronExpression(one), NEW_YEAR, 50) == fires(CronExpression(other), NEW_YEAR, 50)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0 0 0 ? * * *", "0 0 0 * * ?"),
        ("0 /15 * * * ?", "0 0/15 * * * ?"),
        ("0 */15 * * * ?", "0 0,15,30,45 * * * ?"),
        ("0 0 22-2 * * ?", "0 0 22,23,0,1,2 * * ?"),
        ("0 0 22-4/2 * * ?", "0 0 22,0,2,4 * * ?"),
        ("0 0 22/5 * * ?", "0 0 22 * * ?"),
        ("0 0 0 28-3 * ?", "0 0 0 28,29,30,31,1,2,3 * ?"),
        ("0 0 0 1 NOV-FEB ?", "0 0 0 1 11,12,1,2 ?"),
        ("0 0 0 1 november ?", "0 0 0 1 nov ?"),
        ("0 0 0 ? * FRI-MON", "0 0 0 ? * 6,7,1,2"),
        ("0 0 0 ? * monday-Friday", "0 0 0 ? * 2-6"),
        ("0 0 0 ? * L", "0 0 0 ? * SAT"),
        ("0 0 0 ? * fril", "0 0 0 ? * 6L"),
        ("0 0 0 ? * Fri#3", "0 0 0 ? * 6#3"),
        ("0 0 0 L-0 * ?", "0 0 0 L * ?"),
        ("0 0 0 L-0W * ?", "0 0 0 LW * ?"),
        ("  0\t0   0 * * ? ", "0 0 0 * * ?"),
        ("00 00 00 01 01 ?", "0 0 0 1 1 ?"),
    ],
)
def test_two_ways_to_write_the_same(one: str, other: str) -> None:
    assert same(one, other)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 0 0 L * ?", ["2026-01-31", "2026-02-28", "2026-03-31"]),
        ("0 0 0 LW * ?", ["2026-01-30", "2026-02-27", "2026-03-31"]),
        ("0 0 0 L-3 * ?", ["2026-01-28", "2026-02-25", "2026-03-28"]),
        ("0 0 0 L-30 * ?", ["2026-03-01", "2026-05-01", "2026-07-01"]),
        ("0 0 0 L-3W * ?", ["2026-01-28", "2026-02-25", "2026-03-27"]),
        ("0 0 0 1W 6-8 ?", ["2026-06-01", "2026-07-01", "2026-08-03"]),
        ("0 0 0 31W * ?", ["2026-01-30", "2026-03-31", "2026-05-29"]),
        ("0 0 0 15W,L,LW,3 * ?", ["2026-01-03", "2026-01-15", "2026-01-30", "2026-01-31"]),
        ("0 0 0 ? * 6#3", ["2026-01-16", "2026-02-20", "2026-03-20"]),
        ("0 0 0 ? * 2#5", ["2026-03-30", "2026-06-29", "2026-08-31"]),
        ("0 0 0 ? * 6L", ["2026-01-30", "2026-02-27", "2026-03-27"]),
        ("0 0 0 29 2 ?", ["2028-02-29", "2032-02-29", "2036-02-29"]),
        ("0 0 0 */10 * ?", ["2026-01-11", "2026-01-21", "2026-01-31", "2026-02-01"]),
        ("0 0 0 1 7/6 ? 2026/2", ["2026-07-01", "2028-07-01", "2030-07-01"]),
    ],
)  # fmt: skip
def test_the_days_that_hang_on_the_month(text: str, expected: list[str]) -> None:
    assert days(text, len(expected)) == expected


@pytest.mark.parametrize(
    ("text", "field", "position"),
    [
        ("60 0 0 * * ?", "seconds", 0),
        ("0 60 * * * ?", "minutes", 2),
        ("0 0 24 * * ?", "hours", 4),
        ("0 0 0 32 * ?", "day of month", 6),
        ("0 0 0 1 13 ?", "month", 8),
        ("0 0 0 ? * 8", "day of week", 10),
        ("0 0 0 ? * 0", "day of week", 10),
        ("0 0 0 * * ? 1969", "year", 12),
        ("0 0 0 * * ? 2200", "year", 12),
        ("0 0 0 * * ? 2030-2020", "year", 12),
        ("0 1,2,61 * * * ?", "minutes", 6),
        ("0 1,,2 * * * ?", "minutes", 4),
        ("0 1, * * * ?", "minutes", 4),
        ("0 0/60 * * * ?", "minutes", 4),
        ("0 0/0 * * * ?", "minutes", 4),
        ("0 */ * * * ?", "minutes", 4),
        ("0 1- * * * ?", "minutes", 4),
        ("0 1-2-3 * * * ?", "minutes", 5),
        ("0 0 0 0W * ?", "day of month", 6),
        ("0 0 0 32W * ?", "day of month", 6),
        ("0 0 0 1-5W * ?", "day of month", 9),
        ("0 0 0 15L * ?", "day of month", 8),
        ("0 0 0 L-31 * ?", "day of month", 8),
        ("0 0 0 L- * ?", "day of month", 8),
        ("0 0 0 1,? * *", "day of month", 8),
        ("0 0 0 1-15? * ?", "day of month", 10),
        ("0 0 0 * MON ?", "month", 8),
        ("0 0 0 * JAN-MAR/2 ?", "month", 15),
        ("0 0 0 * 8-SEP ?", "month", 8),
        ("0 0 0 ? * MON-FRI/2", "day of week", 17),
        ("0 0 0 ? * MON/2", "day of week", 13),
        ("0 0 0 ? * 2#1,6", "day of week", 10),
        ("0 0 0 ? * 6,2#1", "day of week", 12),
        ("0 0 0 ? * 6,7,L", "day of week", 14),
        ("0 0 0 ? * 2-6L", "day of week", 13),
        ("0 0 0 ? * 6#6", "day of week", 12),
        ("0 0 0 ? * 6#", "day of week", 12),
        ("0 0 0 ? * L-3", "day of week", 10),
        ("0 0 0 ? * LW", "day of week", 10),
        ("L 0 0 * * ?", "seconds", 0),
        ("0 0 0 * * ?h", "day of week", 10),
        ("0 0 0 * ? *", "month", 8),
        ("0 0 0 * * *", "day of week", 10),
        ("0 0 0 ? * ?", "day of week", 10),
        ("0 0x 0 * * ?", "minutes", 3),
        ("0 ① 0 * * ?", "minutes", 2),
        ("0 0 0 ? * ẞUN", "day of week", 10),
        ("0 999999999999 0 * * ?", "minutes", 2),
        ("0 0 * * ?", "expression", 9),
        ("", "expression", 0),
        ("0 0 0 * * ? * *", "expression", 14),
        ("0 0 0 * * ?\n", "expression", 11),
        ("@daily", "expression", 0),
    ],
)
def test_a_refusal_names_the_field_the_position_and_a_remedy(text: str, field: str, position: int) -> None:
    error = refusal(text)
    assert (error.field, error.position) == (field, position)
    assert error.remedy
    assert str(error).startswith(f"{field}: ")
    assert str(error).endswith(error.remedy)


def test_a_remedy_says_what_to_write_instead() -> None:
    assert refusal("0 0 0 ? * MON-FRI/2").remedy == "Write numbers: 2-6/2"
    assert refusal("0 0 0 * SEPT ?").remedy == "Write SEP or SEPTEMBER"
    assert "0 30 2 ? * 2-6" in refusal("30 2 * * 1-5").remedy


def test_a_message_of_a_very_long_expression_stays_short() -> None:
    assert len(str(refusal(f"0 0 0 {'x' * 100_000} * ?"))) < 200


def test_an_error_survives_the_way_between_processes() -> None:
    error = refusal("0 60 * * * ?")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, CronError)
    assert (str(again), again.field, again.position, again.remedy) == (
        str(error),
        "minutes",
        2,
        error.remedy,
    )


@pytest.mark.parametrize(
    "text", ["0 * * * * ?", "0 0,30 * * * ?", "0 */15 * * * ?", "0/10 0 * * * ?", "0-5 0 1 * * ?"]
)
def test_salesforce_takes_plain_seconds_and_minutes_only(text: str) -> None:
    assert CronExpression(text).text == text
    assert refusal(text, strict_salesforce=True).field in ("seconds", "minutes")


def test_salesforces_years_end_with_2099() -> None:
    assert refusal("0 0 0 1 1 ? 2100", strict_salesforce=True).position == 12
    assert CronExpression("0 0 0 1 1 ? 2099/2", strict_salesforce=True).next_after(NEW_YEAR) is not None


def test_the_seeds_own_expression_is_daily_midnight_under_salesforces_limits_too() -> None:
    found = CronExpression("0 0 0 ? * * *", strict_salesforce=True).next_after(NEW_YEAR)
    assert found == datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "remedy"),
    [
        ("Europe/berlin", "Write Europe/Berlin"),
        ("Amerika/New_York", "Write America/New_York"),
        ("Nowhere/Nothing", "Write an IANA name such as Europe/Berlin, or UTC"),
        ("../etc/passwd", "Write an IANA name such as Europe/Berlin, or UTC"),
        ("", "Write an IANA name such as Europe/Berlin, or UTC"),
        ("utc", "Write UTC"),
        ("posixrules", "Write an IANA name such as Europe/Berlin, or UTC"),
        ("localtime", "Write an IANA name such as Europe/Berlin, or UTC"),
        ("Factory", "Write an IANA name such as Europe/Berlin, or UTC"),
        ("right/Europe/Berlin", "Write an IANA name such as Europe/Berlin, or UTC"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_one_that_was_meant(zone: str, remedy: str) -> None:
    with pytest.raises(CronError) as caught:
        CronExpression("0 0 0 * * ?", zone)
    assert (caught.value.field, caught.value.position, caught.value.remedy) == ("time zone", None, remedy)


@pytest.mark.parametrize("code", ["PST", "IST", "CEST", "BST", "AEST", "pst", "UTC+2", "GMT-05:00"])
def test_a_short_code_is_never_guessed(code: str) -> None:
    with pytest.raises(CronError) as caught:
        CronExpression("0 0 0 * * ?", code)
    assert "Write an IANA name such as Europe/Berlin" in caught.value.remedy
    assert "MST" not in caught.value.remedy


@pytest.mark.parametrize("zone", ["UTC", "GMT", "EST5EDT", "CET", "Etc/GMT+5"])
def test_a_name_of_the_zone_database_is_taken_though_it_is_short(zone: str) -> None:
    assert CronExpression("0 0 0 * * ?", zone).time_zone == zone


def test_the_next_fire_is_strictly_after() -> None:
    expression = CronExpression("0 0 12 * * ?")
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert expression.next_after(noon) == datetime(2026, 5, 2, 12, tzinfo=UTC)
    assert expression.next_after(datetime(2026, 5, 1, 11, 59, 59, 999_999, tzinfo=UTC)) == noon
    assert expression.next_after(datetime(2026, 5, 1, 12, 0, 0, 1, tzinfo=UTC)) == datetime(
        2026, 5, 2, 12, tzinfo=UTC
    )


def test_a_time_without_its_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        CronExpression("0 0 12 * * ?").next_after(NEW_YEAR.replace(tzinfo=None))


@pytest.mark.parametrize(
    "text", ["0 0 0 30 2 ?", "0 0 0 31 4,6,9,11 ?", "0 0 0 * * ? 2010", "0 0 0 1 1 ? 1970-2025"]
)
def test_there_is_no_next_time_where_none_can_be(text: str) -> None:
    assert CronExpression(text).next_after(NEW_YEAR) is None


def test_the_last_second_of_2199_is_the_last_fire() -> None:
    expression = CronExpression("* * * * * ?", "Pacific/Auckland")
    last = datetime(2199, 12, 31, 23, 59, 59, tzinfo=ZoneInfo("Pacific/Auckland"))
    assert expression.next_after(last.replace(second=58)) == last
    assert expression.next_after(last) is None


@pytest.mark.parametrize("after", [datetime.min, datetime(1900, 5, 1), datetime(1969, 12, 31, 23, 59, 59)])  # noqa: DTZ001, DTZ901
def test_who_asks_before_1970_is_told_the_first_fire_of_1970(after: datetime) -> None:
    assert CronExpression("0 0 12 * * ?").next_after(after.replace(tzinfo=UTC)) == datetime(
        1970, 1, 1, 12, tzinfo=UTC
    )


def test_who_asks_at_the_end_of_the_calendar_is_told_none() -> None:
    assert CronExpression("0 0 12 * * ?", "Asia/Tokyo").next_after(datetime.max.replace(tzinfo=UTC)) is None


def test_expressions_are_equal_by_text_zone_and_dialect() -> None:
    one = CronExpression("0 0 0 * * ?", "Asia/Tokyo")
    assert one == CronExpression("0 0 0 * * ?", "Asia/Tokyo")
    assert hash(one) == hash(CronExpression("0 0 0 * * ?", "Asia/Tokyo"))
    assert one != CronExpression("0 0 0 * * ?", "UTC")
    assert one != CronExpression("0 0 0 * * ?", "Asia/Tokyo", strict_salesforce=True)
    assert "0 0 0 * * ?" in repr(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0 0 0 * * ?", "  0\t0   0 ? * *"),
        ("0 0 0 ? * mon-Fri", "0 0 0 ? * 2-6"),
        ("0 0 0 ? * MON-FRI *", "0 0 0 ? * 2,3,4,5,6"),
        ("0 0 0 ? * MONDAY", "0 0 0 ? 1-12 2"),
        ("@daily", "0 0 0 * * ?"),
        ("@daily", "0 0 * * *"),
        ("0 0 * * 0", "0 0 * * 7"),
        ("0 0 0 1 jan,JUL ?", "0 0 0 1 7,1,7 ?"),
        ("0 */15 * * * ?", "0 0,15,30,45 * * * ?"),
        ("0 0 0 L 2 ?", "0 0 0 L-0 2 ?"),
        ("0 0 0 29-31 2 ?", "0 0 0 29 2 ?"),
        ("0 0 0 ? * L", "0 0 0 ? * SAT"),
        ("0 0 0 ? * * 1970-2199", "0 0 0 * * ?"),
    ],
)
def test_expressions_that_always_fire_at_the_same_times_are_equivalent(one: str, other: str) -> None:
    assert CronExpression.from_crontab(one).is_equivalent_to(CronExpression.from_crontab(other))
    assert CronExpression.from_crontab(other).is_equivalent_to(CronExpression.from_crontab(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0 0 0 * * ?", "0 0 1 * * ?"),
        ("0 0 2 * * ?", "0 0-0 2 * * ?"),
        ("0 0 0 ? * 1-5", "0 0 * * 1-5"),
        ("0 0 0 28 2 ?", "0 0 0 L 2 ?"),
        ("0 0 0 * * ? 2026", "0 0 0 * * ?"),
        ("0 0 0 15W * ?", "0 0 0 15 * ?"),
        ("0 0 13 * 5", "0 0 0 13 * ?"),
    ],
)
def test_expressions_that_fire_otherwise_or_are_intervals_are_not(one: str, other: str) -> None:
    assert not CronExpression.from_crontab(one).is_equivalent_to(CronExpression.from_crontab(other))


def test_the_same_text_in_another_zone_is_not_equivalent() -> None:
    assert not CronExpression("0 0 0 * * ?").is_equivalent_to(CronExpression("0 0 0 * * ?", "Asia/Tokyo"))


def test_what_an_expression_means_takes_little_however_it_is_written() -> None:
    chance = Random(7)
    parts = (
        "*",
        "?",
        "L",
        "W",
        "#",
        "/",
        "-",
        ",",
        "1",
        "59",
        "100000000",
        "SUN",
        "1970-2199",
        "0-59/1",
        "--",
        "\t",
    )
    tracemalloc.start()
    try:
        for _ in range(depth(60, 1_000)):
            fields = ["".join(chance.choices(parts, k=chance.randrange(1, 60))) for _ in range(7)]
            lists = [
                ",".join(chance.choices(("1", "1-7", "*/2", "2199"), k=chance.randrange(1, 60)))
                for _ in fields
            ]
            for text in (" ".join(fields), " ".join(lists), f"0 0 1--{10 ** chance.randrange(30)} * * ?"):
                with suppress(CronError):
                    CronExpression(text).describe()
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_an_expression_that_nobody_writes_is_not_read() -> None:
    CronExpression("0 0 0 1 1 ? " + ",".join(["1970-2199"] * 98))
    refused = refusal("0 0 0 1 1 ? " + ",".join(["1970-2199"] * 100))
    assert (refused.field, refused.position) == ("expression", 1_000)
