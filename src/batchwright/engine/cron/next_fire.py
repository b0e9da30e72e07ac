"""The next fire in a time zone, also where its clock is changed. Nothing is lost there, and nothing doubled.

The rule is that of Cronos and Debian cron. Of a fixed time (seconds, minutes and hours are values or lists): one
that the clock leaves out fires when the gap ends, one that comes twice fires the first time. An interval (one of
them is written with `*`, a range or a step) keeps its cadence: it fires at each wall time that really comes, as
often as it comes. Only where all its times of a day are left out it fires once when the gap ends, or the day were lost.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from batchwright.engine.cron.fields import FIRST_YEAR, LAST_YEAR
from batchwright.engine.cron.timetable import Timetable, Wall

_ZERO, _SECOND = timedelta(0), timedelta(seconds=1)
_BEFORE_ALL = datetime(FIRST_YEAR - 1, 12, 30, tzinfo=UTC)


def next_fire(timetable: Timetable, zone: ZoneInfo, is_interval: bool, after: datetime) -> datetime | None:
    """The first fire strictly after an aware time, in ``zone``; ``None`` when there is none up to 2199.

    Times are rebuilt from their numbers here: `datetime.replace` costs more than all the rest.
    """
    if after.year > LAST_YEAR + 1:
        return None
    here = (after if after.year >= FIRST_YEAR - 1 else _BEFORE_ALL).astimezone(zone)
    numbers = here.year, here.month, here.day, here.hour, here.minute, here.second
    wall = datetime(*numbers)
    if zone.utcoffset(wall) == zone.utcoffset(datetime(*numbers, fold=1)):
        return _in_order(timetable, zone, is_interval, wall + _SECOND)
    if _comes_twice(wall, zone) < _ZERO:
        # Given in this zone, but its clock never shows it: go by the instant that is meant.
        return next_fire(timetable, zone, is_interval, after.astimezone(UTC))
    return _in_repeated(timetable, zone, is_interval, wall, here.fold)


def instant_of(wall: datetime, zone: ZoneInfo, *, last: bool = False) -> datetime:
    """The instant, in UTC, at which the zone's clock shows a wall time (naive).

    Of a time that comes twice the first, or the ``last``; of one that the clock leaves out the end of the gap, at which
    what is fixed within it fires, too.
    """
    at = wall.replace(fold=0)
    if _comes_twice(at, zone) < _ZERO:
        at = _end_of_change(at.replace(microsecond=0), zone)
    return at.replace(tzinfo=zone, fold=int(last)).astimezone(UTC)


def _in_order(timetable: Timetable, zone: ZoneInfo, is_interval: bool, begin: datetime) -> datetime | None:
    """The first fire from a wall time on that is in no repeated time, or before one."""
    while (numbers := timetable.first_from(begin)) is not None:
        fire = datetime(*numbers, 0, zone)
        if zone.utcoffset(fire) == zone.utcoffset(datetime(*numbers, fold=1)):
            return fire
        wall = datetime(*numbers)
        if _comes_twice(wall, zone) > _ZERO:
            return fire
        begin = _end_of_change(wall, zone)
        if not is_interval or _is_all_left_out(timetable, wall, begin + _comes_twice(wall, zone), begin):
            return begin.replace(tzinfo=zone)
    return None


def _is_all_left_out(timetable: Timetable, wall: datetime, begin: datetime, end: datetime) -> bool:
    """Whether all times of that day lie in the gap from ``begin`` to ``end``."""
    midnight = wall.replace(hour=0, minute=0, second=0)
    first, following = timetable.first_from(midnight), timetable.first_from(end)
    is_first_within = first is not None and datetime(*first) >= begin
    return is_first_within and (following is None or datetime(*following).date() != wall.date())


def _in_repeated(
    timetable: Timetable, zone: ZoneInfo, is_interval: bool, wall: datetime, fold: int
) -> datetime | None:
    """The first fire after a wall time that comes twice, and now is the first time (``fold`` 0) or the second."""
    begin, end = wall + _SECOND, _end_of_change(wall, zone)
    if fold == 0:
        found = _before(end, timetable.first_from(begin))
        if found is not None:
            return found.replace(tzinfo=zone)
        begin = end - _comes_twice(wall, zone)
    if is_interval:
        found = _before(end, timetable.first_from(begin))
        if found is not None:
            return found.replace(tzinfo=zone, fold=1)
    return _in_order(timetable, zone, is_interval, end)


def _before(end: datetime, numbers: Wall | None) -> datetime | None:
    wall = None if numbers is None else datetime(*numbers)
    return wall if wall is not None and wall < end else None


def _comes_twice(wall: datetime, zone: ZoneInfo) -> timedelta:
    """How much time comes twice about this wall time; less than 0 where it is left out (PEP 495)."""
    return _offset(wall, zone) - _offset(wall.replace(fold=1), zone)


def _end_of_change(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first wall time after the gap or the repeated time that ``wall`` is of."""
    before, after = _offset(wall, zone), _offset(wall.replace(fold=1), zone)
    # One of these two instants is before the change and the other is not; halve what is between.
    low, high = sorted((wall - before, wall - after))
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        is_before = middle.replace(tzinfo=UTC).astimezone(zone).utcoffset() == before
        low, high = (middle, high) if is_before else (low, middle)
    return high + max(before, after)


def _offset(wall: datetime, zone: ZoneInfo) -> timedelta:
    offset = zone.utcoffset(wall)
    assert offset is not None  # a zone of the database has one at any time
    return offset
