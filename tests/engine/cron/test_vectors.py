"""What other engines are known to do: every row is asked for, or set aside here with its reason.

`cron_quartz.csv` holds cases from Quartz, Cronos and others, `quartz_generated.csv` what Quartz 2.3.2 computes.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from batchwright.engine.cron import CronError, CronExpression
from tests.engine.cron.stepping import fires
from tests.support.vectors import Row, assert_every_row

VECTORS = Path(__file__).parents[2] / "vectors"
Fires = list[datetime | None]

# Our own choices. Rows of `cron_quartz.csv` by dialect and expression, and by its time where others agree.
SET_ASIDE: dict[str, set[tuple[str, ...]]] = {
    "names are three letters or the full word": {
        ("quartz7", "0 20 * * january,FeB,Mar,april,May,JuNE,July,Augu,SEPT-October,Nov,DECEM ?"),
    },
    "a day-of-week list with # is refused: Quartz drops the rest of it": {
        ("quartz7", "0 * * ? * 2#2,3"),
        ("quartz7", "0 0 0 ? * 2#2,3"),
        ("fugit5", "* * * * mon#2,tue"),
        ("croniter5", "0 0 * * *,sat#3"),
    },
    "a day-of-month list is the union of its terms: Quartz 2.3.2 moves them all to weekdays": {
        ("quartz7", "0 15 10 2W,16 * ? 2010", "2010-10-02T10:14:59+00:00"),
    },
    "a day-of-month list is the union of its terms: Quartz 2.3.2 refuses it": {
        ("quartz7", "0 15 10 L-1W,L-1 * ? 2010"),
        ("quartz7", "0 1 1 7,14,21,L * ?"),
    },
    "English words are names": {
        ("quartz7-lenient", "0 * * ? * SUNDAY"),
        ("quartz7-lenient", "* * * ? * SUNDAY"),
    },
    "a W stands in a list of days": {("quartz7-lenient", "* * * 1,2w * ?")},
    "a fixed time in a gap fires when the gap ends; Quartz skips it": {
        ("quartz7", "0 30 0 L * ?", "2017-03-30T23:59:59+02:00"),
        ("quartz7", "0 30 2 11 Mar ?"),
        ("quartz7", "0 10 2 * * ?", "2013-03-31T01:09:00+01:00"),
    },
    "an interval has no extra fire at the end of a gap; Cronos adds one": {
        ("cronos6", "0 1-58 */2 * * *", "2016-03-13T01:58:59-05:00"),
        ("cronos6", "0 1-58 */2 * * *", "2016-03-13T01:58:00-05:00"),
        ("cronos6", "0 0 */2 * * *"),
        ("cronos6", "0 30 0-23/2 * * *"),
    },
    "years begin with 1970": {("cronos6", "* * * * * *", "1900-02-20T16:45:59-05:00")},
    "cronsim takes a range of hours for fixed times": {("cronsim5", "0 1-5 * * *")},
    "croniter counts a wrapped range on from Sunday": {("croniter5", "0 0 * * Thu-Tue/2")},
    "croniter takes a range from a day to itself for the whole week": {
        ("croniter5", "0 0 * * Sun-Sun"),
        ("croniter5", "0 0 * * 7-7"),
    },
    "go-quartz reads 31W as the month's end, and L in day of week as its last Saturday": {
        ("go-quartz7", "0 15 10 31W * ?"),
        ("go-quartz7", "0 15 10 ? * L"),
    },
    "not for acceptance": {
        ("quartz7-disputed", "0 15 10 2W,16 * ? 2010"),
        ("quartz7-disputed", "0 0 12 31W * ?"),
        ("quartz7-disputed", "0 0 12 ? * FRI/2"),
        ("expected-by-reporter", "29 5 2 23 2 ? 2025"),
    },
}

COUNTS = {
    ("quartz7", "agrees"): 722,
    ("quartz7", "refused"): 275,
    ("quartz7", "set aside"): 9,
    ("quartz7-lenient", "refused"): 66,
    ("quartz7-lenient", "set aside"): 3,
    ("quartz7-newer", "agrees"): 11,
    ("quartz7-disputed", "set aside"): 4,
    ("expected-by-reporter", "set aside"): 1,
    ("salesforce7", "refused"): 4,
    ("cronos6", "agrees"): 61,
    ("cronos6", "set aside"): 7,
    ("cronos5", "agrees"): 5,
    ("cronsim5", "agrees"): 10,
    ("cronsim5", "set aside"): 1,
    ("croniter5", "agrees"): 2,
    ("croniter5", "set aside"): 4,
    ("quartznet7", "agrees"): 3,
    ("go-quartz7", "agrees"): 1,
    ("go-quartz7", "set aside"): 2,
    ("fugit5", "set aside"): 1,
}


def rows(name: str) -> list[Row]:
    with (VECTORS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def reason_of(row: Row) -> str | None:
    key = (row["dialect"], row["expression"])
    return next(
        (why for why, keys in SET_ASIDE.items() if key in keys or (*key, row["from_local"]) in keys), None
    )


def use_of(row: Row) -> str:
    """What the row is for: agrees, refused or set aside."""
    if reason_of(row) is not None:
        return "set aside"
    return "refused" if row["valid"] == "false" or row["dialect"] == "quartz7-lenient" else "agrees"


def expression_of(row: Row) -> CronExpression:
    """The row's expression as its dialect is written here: Cronos' six fields have no `?`, five are a Unix line."""
    text, zone = row["expression"], row["tz"] or "UTC"
    if row["dialect"] == "cronos6" or (row["dialect"] == "cronos5" and "L" in text):
        text = re.search(r"Quartz form: (.*?);", row["note"])[1]  # type: ignore[index]  # every such row has one
    elif row["dialect"].endswith("5"):
        return CronExpression.from_crontab(text, zone)
    return CronExpression(text, zone, strict_salesforce=row["dialect"] == "salesforce7")


def expected_of(row: Row) -> Fires:
    times = row["expected_next"].split(";") if row["expected_next"] else []
    return [None if time == "NONE" else datetime.fromisoformat(time) for time in times]


FOREIGN = rows("cron_quartz.csv")
GENERATED = rows("quartz_generated.csv")


def numbered(use: str) -> list[tuple[int, Row]]:
    """The rows of one use, with their lines in the file."""
    return [(line, row) for line, row in enumerate(FOREIGN, start=2) if use_of(row) == use]


def test_the_next_fires_are_those_that_are_known() -> None:
    def check(row: Row) -> None:
        expression, expected = expression_of(row), expected_of(row)
        assert expected
        assert expression.describe()
        assert fires(expression, datetime.fromisoformat(row["from_local"]), len(expected)) == expected

    rows = numbered("agrees")
    assert len(rows) == 815
    assert_every_row(rows, check)


def test_what_quartz_or_salesforce_refuse_and_what_quartz_swallows_is_refused() -> None:
    def check(row: Row) -> None:
        with pytest.raises(CronError) as caught:
            expression_of(row)
        assert caught.value.remedy
        assert caught.value.position is not None
        assert 0 <= caught.value.position <= len(row["expression"])

    rows = numbered("refused")
    assert len(rows) == 345
    assert_every_row(rows, check)


def test_salesforces_limits_hold_only_where_they_are_asked_for() -> None:
    refused_there = [row["expression"] for row in FOREIGN if row["dialect"] == "salesforce7"]
    assert [CronExpression(expression).describe() for expression in refused_there] == [
        "At minutes 0 and 30 of every hour",
        "Every 15 minutes",
        "Every 10 seconds of minute 0 of every hour",
        "At seconds 0 through 5 of minute 0 of hour 1",
    ]


def test_every_row_has_one_use_and_every_row_set_aside_a_reason() -> None:
    assert Counter((row["dialect"], use_of(row)) for row in FOREIGN) == COUNTS
    assert sum(COUNTS.values()) == len(FOREIGN) == 1192
    reasons = Counter(reason_of(row) for row in FOREIGN)
    assert all(reasons[why] for why in SET_ASIDE)
    assert all(
        any(key[:2] == (row["dialect"], row["expression"]) for row in FOREIGN)
        for keys in SET_ASIDE.values()
        for key in keys
    )


def is_left_out(fire: datetime, expression: CronExpression) -> bool:
    """Whether Quartz skips this fire of ours: it stands at the end of a gap, for a time within."""
    before = (fire - timedelta(seconds=1)).astimezone(ZoneInfo(expression.time_zone))
    after = fire.astimezone(ZoneInfo(expression.time_zone))
    gap = after.replace(tzinfo=None) - before.replace(tzinfo=None) > timedelta(seconds=1)
    return gap and (not expression.is_interval or not is_match(after, expression))


def is_match(wall: datetime, expression: CronExpression) -> bool:
    """Whether the expression means that wall time, or it only stands for others that were left out."""
    bare = wall.replace(tzinfo=UTC)
    return CronExpression(expression.text).next_after(bare - timedelta(seconds=1)) == bare


def is_second_pass(fire: datetime, expression: CronExpression) -> bool:
    """Whether Quartz' clock shows this fire for the second time, and ours has fired the first time."""
    return fire.astimezone(ZoneInfo(expression.time_zone)).fold == 1 and not expression.is_interval


def generated_use(row: Row, expression: CronExpression, ours: Fires, expected: Fires) -> str:
    """Why the row, compared whole, must agree or cannot."""
    if row["class"] == "dst_overlap":
        return "dst_overlap: Quartz fires in the second pass only"
    if any(is_second_pass(at, expression) for at in expected if at):
        return "plain: a fixed time in the second pass, for who asks in the repeated hour"
    if any(is_left_out(at, expression) and at not in expected for at in ours[: len(expected)] if at):
        return "plain: a fixed time, or a day of an interval, within a gap"
    return "plain: agrees"


def test_what_quartz_computes_for_random_expressions_agrees_outside_clock_changes() -> None:
    uses: Counter[str] = Counter()

    def check(row: Row) -> None:
        expression, expected = CronExpression(row["expression"], row["tz"]), expected_of(row)
        ours = fires(expression, datetime.fromisoformat(row["from_local"]), len(expected) + 5)
        use = generated_use(row, expression, ours, expected)
        uses[use] += 1
        if use == "plain: agrees":
            assert ours[: len(expected)] == expected
        elif use.startswith("plain"):
            # Where a clock change decides, all but its own fires must still be the same.
            kept = [at for at in ours if at and (at in expected or not is_left_out(at, expression))]
            theirs = [at for at in expected if at and not is_second_pass(at, expression)]
            assert (kept if None in expected else kept[: len(theirs)]) == theirs

    assert_every_row(enumerate(GENERATED, start=2), check)
    assert uses == {
        "plain: agrees": 2377,
        "plain: a fixed time, or a day of an interval, within a gap": 39,
        "plain: a fixed time in the second pass, for who asks in the repeated hour": 19,
        "dst_overlap: Quartz fires in the second pass only": 130,
    }


def test_rows_that_hang_on_the_second_pass_agree_once_the_repeated_hour_is_over() -> None:
    def check(row: Row) -> None:
        zone = ZoneInfo(row["tz"])
        expected = [fire for fire in expected_of(row) if fire is not None]
        over = max([at for at in expected if at.astimezone(zone).fold == 1], default=expected[0])
        later = [fire for fire in expected if fire > over]
        expression = CronExpression(row["expression"], row["tz"])
        ours = [fire for fire in fires(expression, over, len(later) + 5) if fire is not None]
        kept = [fire for fire in ours if fire in later or not is_left_out(fire, expression)]
        assert kept[: len(later)] == later

    rows = [(line, row) for line, row in enumerate(GENERATED, start=2) if row["class"] == "dst_overlap"]
    assert len(rows) == 130
    assert_every_row(rows, check)
