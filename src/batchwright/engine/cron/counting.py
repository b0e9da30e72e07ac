"""How many fires lie in a stretch of time, without stepping from one to the next: a second's cadence has millions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from batchwright.engine.cron.next_fire import next_fire
from batchwright.engine.cron.timetable import Timetable

_DAY = 24 * 3600
_REACH = 25 * 3600
"""A change of the clock has its effect on fires for less than so many seconds after it."""
_SAMPLE = 3 * 3600


def count_fires(
    timetable: Timetable, zone: ZoneInfo, is_interval: bool, after: datetime, until: datetime
) -> int:
    """How many fires lie after ``after``, up to ``until`` (aware).

    A day on whose clock nothing changes has as many as its wall times; only days about a change are stepped through.
    """
    begin, last = int(after.timestamp() // 1) + 1, int(until.timestamp() // 1)
    counted = 0
    while begin <= last:
        day = datetime.fromtimestamp(begin, zone).date()
        end = min(last, _begin_of(day + timedelta(days=1), zone) - 1)
        if _is_even(day, zone):
            since, midnight = begin - _begin_of(day, zone), _begin_of(day, zone)
            numbers = day.year, day.month, day.day
            counted += timetable.count_on(*numbers, _time_of(end + 1 - midnight))
            counted -= timetable.count_on(*numbers, _time_of(since))
        else:
            counted += _stepped(timetable, zone, is_interval, begin, end)
        begin = end + 1
    return counted


def _begin_of(day: date, zone: ZoneInfo) -> int:
    """The instant from which on it is that day for good, in seconds since 1970."""
    midnights = (datetime(day.year, day.month, day.day, tzinfo=zone, fold=fold) for fold in (0, 1))
    return max(int(midnight.timestamp()) for midnight in midnights)


def _is_even(day: date, zone: ZoneInfo) -> bool:
    """Whether the zone's clock runs on through that day, and did so before."""
    begin = _begin_of(day, zone)
    if _begin_of(day + timedelta(days=1), zone) != begin + _DAY:
        return False
    instants = range(begin - _REACH, begin + _DAY + 1, _SAMPLE)
    ends = (begin - 1, begin, begin + _DAY)
    offsets = {datetime.fromtimestamp(instant, zone).utcoffset() for instant in (*instants, *ends)}
    return len(offsets) == 1


def _time_of(seconds: int) -> tuple[int, int, int]:
    minutes, second = divmod(seconds, 60)
    return *divmod(minutes, 60), second


def _stepped(timetable: Timetable, zone: ZoneInfo, is_interval: bool, begin: int, end: int) -> int:
    counted, at = 0, datetime.fromtimestamp(begin - 1, UTC)
    while (fire := next_fire(timetable, zone, is_interval, at)) is not None:
        at = fire.astimezone(UTC)
        if at.timestamp() > end:
            break
        counted += 1
    return counted
