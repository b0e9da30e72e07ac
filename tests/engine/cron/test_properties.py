"""What holds for every expression."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from batchwright.engine.cron import CronError, CronExpression
from tests.engine.cron.generate import expressions, frequent_expressions
from tests.engine.cron.oracle import DAY, ZONES, instant
from tests.support.effort import at_most_calls

SECOND = timedelta(seconds=1)
CHANGES = (
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 2, 18, 2, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2026, 5, 1, tzinfo=UTC)),
)

moments = st.integers(-DAY, 230 * 366 * DAY).map(instant)


@given(expressions(), moments, st.sampled_from(ZONES))
def test_fires_are_strictly_increasing_whole_seconds_of_the_zone(
    text: str, after: datetime, zone: str
) -> None:
    expression = CronExpression(text, zone)
    for _ in range(5):
        fire = expression.next_after(after)
        assume(fire is not None)
        assert fire is not None
        assert fire.astimezone(UTC) > after
        assert fire.microsecond == 0
        assert fire.tzinfo is ZoneInfo(zone)
        # A time that the clock really shows: the way to UTC and back changes nothing.
        again = fire.astimezone(UTC).astimezone(ZoneInfo(zone))
        assert (again.replace(tzinfo=None), again.fold) == (fire.replace(tzinfo=None), fire.fold)
        after = fire.astimezone(UTC)


@given(expressions(), moments, st.sampled_from(ZONES), st.integers(0, 1_000))
def test_nothing_fires_between_a_time_and_its_next_fire(
    text: str, after: datetime, zone: str, share: int
) -> None:
    expression = CronExpression(text, zone)
    fire = expression.next_after(after)
    assume(fire is not None)
    assert fire is not None
    gap = fire.astimezone(UTC) - after
    between = after + gap // 1_000 * share
    assume(between < fire.astimezone(UTC))
    assert expression.next_after(between) == fire


@settings(max_examples=20)
@given(frequent_expressions(), st.sampled_from(CHANGES), st.integers(-5_400, 1_800))
def test_it_agrees_with_stepping_second_by_second(
    text: str, change: tuple[str, datetime], offset: int
) -> None:
    zone, at = ZoneInfo(change[0]), change[1]
    expression = CronExpression(text, change[0])
    begin = at + timedelta(seconds=offset)
    found, fire = [], expression.next_after(begin)
    while fire is not None and fire.astimezone(UTC) <= begin + timedelta(hours=1):
        found.append(fire.astimezone(UTC))
        fire = expression.next_after(fire)
    assert found == stepped(text, zone, begin, expression.is_interval)


def stepped(text: str, zone: ZoneInfo, begin: datetime, is_interval: bool) -> list[datetime]:
    """One hour, second by second; whether a wall time is meant is asked in UTC, whose clock is never changed."""
    in_utc = CronExpression(text, "UTC")
    found, shown = [], (begin - timedelta(days=1)).astimezone(zone).replace(tzinfo=None)
    last = begin - timedelta(days=1)
    if not is_interval:  # the latest wall time that was ever shown before the window
        while last < begin:
            last += timedelta(minutes=1)
            shown = max(shown, min(last, begin).astimezone(zone).replace(tzinfo=None))
    else:
        shown = begin.astimezone(zone).replace(tzinfo=None)
    for number in range(1, 3_601):
        now = begin + number * SECOND
        wall = now.astimezone(zone).replace(tzinfo=None)
        # An interval fires if this second is meant; a fixed time if one is that was never shown until now.
        since = wall - SECOND if is_interval else shown
        due = in_utc.next_after(since.replace(tzinfo=UTC)) if since < wall else None
        is_meant = due is not None and due.replace(tzinfo=None) <= wall
        before = (now - SECOND).astimezone(zone).replace(tzinfo=None)
        if is_meant or (is_interval and is_a_day_left_out(in_utc, before + SECOND, wall)):
            found.append(now)
        shown = max(shown, wall)
    return found


def is_a_day_left_out(in_utc: CronExpression, begin: datetime, end: datetime) -> bool:
    """Whether all times of a day lie between two wall times, if the clock jumps from the one to the other."""
    following = in_utc.next_after(end.replace(tzinfo=UTC) - SECOND)
    for day in {begin.date(), (end - SECOND).date()} if begin < end else ():
        first = in_utc.next_after(datetime.combine(day, datetime.min.time(), UTC) - SECOND)
        if first is None or first.date() != day or first.replace(tzinfo=None) < begin:
            continue
        if following is None or following.date() != day:
            return True
    return False


@pytest.mark.parametrize(
    "text",
    [
        "0 0 0 30 2 ?",
        "0 0 0 31 2,4,6,9,11 ?",
        "* * * * * ? 1970",
        "0 0 0 1 1 ? 1970-2000",
        "0/30 0/20 2 30 2 ?",
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Apia"])
def test_an_expression_that_never_fires_answers_at_once(text: str, zone: str) -> None:
    expression = CronExpression(text, zone)
    with at_most_calls(20_000):  # fewer than one for each day to the last year, 2199
        assert expression.next_after(datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_an_interval_that_lies_in_gaps_alone_answers_at_once_and_fires_at_their_ends() -> None:
    # The second Sunday of March at two is always left out in New York.
    expression = CronExpression("0 0/20 2 ? 3 SUN#2", "America/New_York")
    with at_most_calls(30_000):
        assert expression.next_after(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2026, 3, 8, 7, tzinfo=UTC)


def test_the_weekday_nearest_to_day_0_is_refused_at_once() -> None:
    with pytest.raises(CronError):
        CronExpression("0 0 0 0W * ?")


@given(st.text(alphabet="0123456789 *?,-/#LWlw@\tJANMONFRI", max_size=30))
def test_any_text_is_an_expression_or_refused_with_its_field_and_remedy(text: str) -> None:
    for read in (CronExpression, CronExpression.from_crontab):
        error = refusal_of(read, text)
        if error is not None:
            assert error.field
            assert error.remedy
            assert error.position is not None
            assert 0 <= error.position <= len(text)


def refusal_of(read: Callable[[str], CronExpression], text: str) -> CronError | None:
    try:
        assert read(text).describe()
    except CronError as error:
        return error
    return None
