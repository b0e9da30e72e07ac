"""How many fires lie in a stretch of time, without stepping from one to the next: a second's cadence has millions.

Between two changes of the zone's clock they are as many as the wall times that match; at a change some are left out, or
are put off to the end of the gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from batchwright.engine.cron.fields import FIRST_YEAR, LAST_YEAR
from batchwright.engine.cron.timetable import Timetable

_DAY = 24 * 3600
_REACH = 25 * 3600
"""A change of the clock affects fires for less than this many seconds after it."""
_SAMPLE = 3 * 3600
_EPOCH = date(1970, 1, 1).toordinal()
_FIRST = int(datetime(FIRST_YEAR - 1, 12, 30, tzinfo=UTC).timestamp())
_LAST = int(datetime(LAST_YEAR + 1, 1, 3, tzinfo=UTC).timestamp())


class _Change(NamedTuple):
    """From an instant on, in seconds since 1970, the clock is so many seconds ahead of UTC, and no more as before."""

    at: int
    before: int
    after: int


def count_fires(
    timetable: Timetable, zone: ZoneInfo, is_interval: bool, after: datetime, until: datetime
) -> int:
    """How many fires lie after ``after``, up to ``until`` (aware)."""
    begin = max(int(after.timestamp() // 1) + 1, _FIRST)
    end = min(int(until.timestamp() // 1), _LAST) + 1
    if begin >= end:
        return 0
    counted, offset = 0, _offset(begin - _REACH, zone)
    wall = begin + offset
    for change in _changes(begin - _REACH, end, zone):
        counted += _between(timetable, wall, change.at + offset)
        if change.at >= begin:
            counted += _at_gap(timetable, is_interval, change)
        offset = change.after
        # A fixed time does not fire when the clock shows it a second time.
        first = change.at + (offset if is_interval else max(change.before, offset))
        wall = max(begin + offset, first)
    return counted + _between(timetable, wall, end + offset)


def _changes(begin: int, end: int, zone: ZoneInfo) -> Iterator[_Change]:
    """The changes of a zone's clock after one instant and before another."""
    low, before = begin, _offset(begin, zone)
    for high in (*range(begin + _SAMPLE, end - 1, _SAMPLE), end - 1):
        after = _offset(high, zone)
        if after != before:
            first, changed = low, high
            while changed - first > 1:
                middle = (first + changed) // 2
                first, changed = (middle, changed) if _offset(middle, zone) == before else (first, middle)
            yield _Change(changed, before, after)
        low, before = high, after


def _offset(instant: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(instant, zone).utcoffset()
    assert offset is not None  # a zone of the database has one at any time
    return int(offset.total_seconds())


def _at_gap(timetable: Timetable, is_interval: bool, change: _Change) -> int:
    """How many fires the end of a gap has on top of the wall time there, if that matches: one or none."""
    begin, end = change.at + change.before, change.at + change.after
    if begin >= end or _between(timetable, end, end + 1) or not _between(timetable, begin, end):
        return 0
    if not is_interval:
        return 1
    first = begin
    while not _between(timetable, first, following := min(end, (first // _DAY + 1) * _DAY)):
        first = following
    midnight = first // _DAY * _DAY
    is_some_left = _between(timetable, midnight, begin) or _between(timetable, end, midnight + _DAY)
    return int(not is_some_left)


def _between(timetable: Timetable, begin: int, end: int) -> int:
    """How many wall times match from one on and before another, in seconds since the clock showed 1970."""
    counted = 0
    if begin >= end:
        return counted
    for day in range(begin // _DAY, -(-end // _DAY)):
        on = date.fromordinal(_EPOCH + day)
        midnight = day * _DAY
        until, since = min(end - midnight, _DAY), max(begin - midnight, 0)
        counted += timetable.count_on(on.year, on.month, on.day, _time_of(until))
        if since:
            counted -= timetable.count_on(on.year, on.month, on.day, _time_of(since))
    return counted


def _time_of(seconds: int) -> tuple[int, int, int]:
    minutes, second = divmod(seconds, 60)
    return *divmod(minutes, 60), second
