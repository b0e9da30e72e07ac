"""The one class that others use."""

from __future__ import annotations

import re
from datetime import datetime
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

from batchwright.engine.cron import description
from batchwright.engine.cron.counting import count_fires
from batchwright.engine.cron.errors import CronError
from batchwright.engine.cron.next_fire import next_fire
from batchwright.engine.cron.parsing import Fields, parse, parse_crontab
from batchwright.engine.cron.timetable import Timetable


class CronExpression:
    """When to fire: a Salesforce or Quartz expression in a time zone. Unchangeable; equal by text, zone and dialect.

    Six fields or seven: second, minute, hour, day of month, month, day of week (1 = Sunday), year (1970-2199);
    exactly one of the day fields is `?`. What Quartz would silently ignore is refused.

    Args:
        text: the expression.
        time_zone: an IANA name; wall times are those of its clock.
        strict_salesforce: refuse what Salesforce does: lists, ranges, steps and `*` in seconds and minutes, and
            years after 2099.

    Raises:
        CronError: the expression or the zone cannot be used; it names the field, the position and the remedy.
    """

    __slots__ = ("_dialect", "_fields", "_is_interval", "_timetable", "_zone", "text", "time_zone")

    def __init__(self, text: str, time_zone: str = "UTC", strict_salesforce: bool = False) -> None:
        dialect = "salesforce" if strict_salesforce else "quartz"
        self._take(text, time_zone, dialect, parse(text, strict_salesforce=strict_salesforce))

    @classmethod
    def from_crontab(cls, text: str, time_zone: str = "UTC") -> CronExpression:
        """The time of a crontab line: five Unix fields, `@daily` and the like, or a Salesforce expression.

        Unix weekdays are 0-7 (0 and 7: Sunday). Where both day fields are restricted a day of either will do.

        Raises:
            CronError: as for the class.
        """
        expression = cls.__new__(cls)
        expression._take(text, time_zone, "crontab", parse_crontab(text))
        return expression

    def _take(self, text: str, time_zone: str, dialect: str, fields: Fields) -> None:
        self.text = text
        self.time_zone = time_zone
        self._dialect = dialect
        self._fields = fields
        self._is_interval = fields.is_interval
        self._zone = _zone(time_zone)
        self._timetable = Timetable(fields)

    @property
    def is_interval(self) -> bool:
        """Whether it keeps a cadence through clock changes (`*`, ranges, steps in the time), or is a fixed time."""
        return self._is_interval

    def next_after(self, after: datetime) -> datetime | None:
        """The first fire strictly after ``after``, in the expression's zone; ``None`` when there is none up to 2199.

        A fixed time that the clock leaves out fires at the end of the gap; one that comes twice fires the first
        time. An interval fires at every wall time that really comes, as often as it comes; where all of a day are left
        out, once at the end of the gap.

        Raises:
            ValueError: ``after`` has no time zone.
        """
        if after.tzinfo is not self._zone and after.utcoffset() is None:
            raise ValueError(f"next_after needs a time with its time zone, not {after.isoformat()}")
        return next_fire(self._timetable, self._zone, self._is_interval, after)

    def count(self, after: datetime, until: datetime) -> int:
        """How many fires lie after ``after``, up to ``until`` (aware): as many as stepping by ``next_after`` finds.

        Years of a cadence of one second are counted in a moment.
        """
        return count_fires(self._timetable, self._zone, self._is_interval, after, until)

    def is_equivalent_to(self, other: CronExpression) -> bool:
        """Whether both fire at the same times, always, whatever the dialect, spelling and spacing of their texts."""
        return self.time_zone == other.time_zone and self._fields.meaning == other._fields.meaning

    def describe(self) -> str:
        """What it means in plain English: `At 00:00 every day`."""
        return description.describe(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CronExpression) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"<CronExpression {self.text!r} in {self.time_zone}>"

    @property
    def _key(self) -> tuple[str, str, str]:
        return self.text, self.time_zone, self._dialect


def _zone(name: str) -> ZoneInfo:
    if name in _NO_ZONES or name.startswith(_OTHER_CLOCKS):
        problem = f"{name!r} is a file of the zone database and no time zone of its own"
        raise CronError(problem, field="time zone", position=None, remedy=_ANY_ZONE)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, no such name possible, a folder of the zone database
        raise CronError(
            f"{name!r} is not a time zone", field="time zone", position=None, remedy=_zone_remedy(name)
        ) from None


_ANY_ZONE = "Write an IANA name such as Europe/Berlin, or UTC"
_NO_ZONES = ("localtime", "posixrules", "Factory")
"""What the machine or its packager chose, or nobody: another one on the next machine."""
_OTHER_CLOCKS = ("posix/", "right/")
_CODE = re.compile("[A-Za-z]{1,5}([+-].*)?")
"""Such as PST, CEST and UTC+2."""


def _zone_remedy(name: str) -> str:
    zones = {zone.casefold(): zone for zone in available_timezones() if zone not in _NO_ZONES}
    if name.casefold() in zones:
        return f"Write {zones[name.casefold()]}"
    if _CODE.fullmatch(name):
        return f"{_ANY_ZONE}: short codes mean several zones, and none of them has summer time"
    alike = get_close_matches(name.casefold(), zones, n=1)
    return f"Write {zones[alike[0]]}" if alike else _ANY_ZONE
