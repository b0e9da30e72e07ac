"""Expressions in plain English."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given

from batchwright.engine.cron import CronError, CronExpression
from batchwright.engine.cron.days import Month
from batchwright.engine.cron.description import describe
from batchwright.engine.cron.fields import HOURS, MINUTES, MONTH, SECONDS, YEAR
from batchwright.engine.cron.parsing import Fields, parse
from tests.engine.cron.generate import expressions

VECTORS = Path(__file__).parents[2] / "vectors"

WORDS = [
    ("0 0 0 ? * * *", "At 00:00 every day"),
    ("0 0 13 * * ?", "At 13:00 every day"),
    ("0 5 * * * ?", "At minute 5 of every hour"),
    ("0 0 22 ? * 6L", "At 22:00 on the last Friday of the month"),
    ("0 0 10 ? * MON-FRI", "At 10:00 on Monday through Friday"),
    ("0 0 20 * * ? 2010", "At 20:00 every day in 2010"),
    ("20 30 8 10 2 ?", "At 08:30:20 on day 10 of the month in February"),
    ("0 * 14 * * ?", "Every minute of hour 14"),
    ("0 0/5 14,18 * * ?", "Every 5 minutes of hours 14 and 18"),
    ("0 0-5 14 * * ?", "At minutes 0 through 5 of hour 14"),
    ("0 10,44 14 ? 3 WED", "At 14:10 and 14:44 on Wednesday in March"),
    ("0 15 10 L * ?", "At 10:15 on the last day of the month"),
    ("0 15 10 ? * 6#3", "At 10:15 on the third Friday of the month"),
    ("0 0 12 1/5 * ?", "At 12:00 on every 5th day from 1 through 31 of the month"),
    ("* * * * * ?", "Every second"),
    ("0 * * * * ?", "Every minute"),
    ("30 * * * * ?", "At second 30 of every minute"),
    ("*/20 * * * * ?", "Every 20 seconds"),
    ("* 12 * * * ?", "Every second of minute 12 of every hour"),
    ("0 0/15 * * * ?", "Every 15 minutes"),
    ("0 */7 * * * ?", "At every 7th minute from 0 through 59 of every hour"),
    ("0 0 11/7,8,14 * * ?", "At minute 0 of hours 8, 14 and every 7th hour from 11 through 23"),
    ("0 0 0 15W,LW * ?", "At 00:00 on the weekday (Monday to Friday) nearest to day 15 "
     "and the last weekday (Monday to Friday) of the month"),
    ("0 0 0 L-1,L-3W * ?", "At 00:00 on the day 1 day before the last and the weekday (Monday to Friday) "
     "nearest to the day 3 days before the last of the month"),
    ("0 0 0 1,20-5 NOV-FEB ? 2026/2",
     "At 00:00 on day 1 and days 20 through 5 of the month in November through February "
     "in every 2nd year from 2026 through 2199"),
    ("0 0 0,1,2,3,4,5,6,7 * * ?", "At minute 0 of hours 0, 1, 2, 3, 4, 5, 6 and 7"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), WORDS)
def test_an_expression_in_words(text: str, words: str) -> None:
    assert CronExpression(text).describe() == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("30 2 * * 1-5", "At 02:30 on Monday through Friday"),
        ("0 0 13 * 5", "At 00:00 on day 13 of the month or on Friday"),
        ("0 0 */2 * 1", "At 00:00 on every 2nd day from 1 through 31 of the month where it is also Monday"),
        ("0 0 1-31 * 5", "At 00:00 every day"),
        ("@hourly", "At minute 0 of every hour"),
    ],
)
def test_a_unix_line_in_words(text: str, words: str) -> None:
    assert CronExpression.from_crontab(text).describe() == words


def test_all_vectors_with_the_same_words_mean_the_same() -> None:
    meanings: dict[str, object] = {}
    for name in ("cron_quartz.csv", "quartz_generated.csv"):
        with (VECTORS / name).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                try:
                    fields = parse(row["expression"])
                except CronError:
                    continue
                meant = meaning(fields)
                assert meanings.setdefault(describe(fields), meant) == meant
    assert len(meanings) > 2_000


def meaning(fields: Fields) -> object:
    """All that decides when it fires."""
    times = [(fields.seconds, SECONDS), (fields.minutes, MINUTES), (fields.hours, HOURS)]
    dates = [(fields.months, MONTH), (fields.years, YEAR)]
    values = [{value for span in spans for value in span.values(field)} for spans, field in times + dates]
    shapes = [Month(weekday, length) for weekday in range(1, 8) for length in range(28, 32)]
    return values, [fields.days.days(shape) for shape in shapes], fields.is_interval


@given(expressions())
def test_every_expression_has_words_without_a_gap(text: str) -> None:
    words = CronExpression(text).describe()
    assert words[0].isupper()
    assert words.isprintable()
    assert "  " not in words
    assert not words.endswith((" ", ",", "and", "on", "in", "of"))
