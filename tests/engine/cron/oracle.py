"""What must fire, found by looking at every minute of the wall clock. Slow, and written from the rule alone.

A fixed time fires when the clock first shows it, or, if it never does, when the clock first shows a later time. An
interval fires whenever the clock shows one of its times, and of a day none of whose times it ever shows as a fixed time
does. Nothing here is shared with the engine.
"""

from __future__ import annotations

import itertools
import random
from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from zoneinfo import ZoneInfo

DAY = 86_400
MINUTE = 60
MARGIN = 6 * 3_600

Minute = tuple[int, int, int]
"""Day (its ordinal), hour and minute as the clock shows them."""


@dataclass(frozen=True)
class Rule:
    """An expression of whole minutes, every day, and what it means."""

    expression: str
    hours: frozenset[int]
    minutes: frozenset[int]
    is_interval: bool


def rule(expression: str, hours: Iterable[int], minutes: Iterable[int], *, is_interval: bool) -> Rule:
    """A rule from its hours and minutes."""
    return Rule(expression, frozenset(hours), frozenset(minutes), is_interval)


RULES = (
    rule("0 0 0 * * ?", [0], [0], is_interval=False),
    rule("0 30 1 * * ?", [1], [30], is_interval=False),
    rule("0 30 2 * * ?", [2], [30], is_interval=False),
    rule("0 0 3 * * ?", [3], [0], is_interval=False),
    rule("0 0/15 * * * ?", range(24), [0, 15, 30, 45], is_interval=True),
    rule("0 0 * * * ?", range(24), [0], is_interval=True),
)
MORE_RULES = (
    rule("0 0,30 0,1,2,3 * * ?", [0, 1, 2, 3], [0, 30], is_interval=False),
    rule("0 1,59 23,0,12 * * ?", [23, 0, 12], [1, 59], is_interval=False),
    rule("0 45 1,2 * * ?", [1, 2], [45], is_interval=False),
    rule("0 10 1-3 * * ?", [1, 2, 3], [10], is_interval=True),
    rule("0 0/20 2 * * ?", [2], [0, 20, 40], is_interval=True),
    rule("0 5-9 22-3 * * ?", [22, 23, 0, 1, 2, 3], [5, 6, 7, 8, 9], is_interval=True),
    rule("0 * * * * ?", range(24), range(60), is_interval=True),
)

ZONES = (
    "America/New_York",
    "Europe/Berlin",
    "Europe/London",
    "America/Sao_Paulo",
    "America/Santiago",
    "America/Asuncion",
    "America/Havana",
    "America/St_Johns",
    "America/Caracas",
    "Atlantic/Azores",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Amman",
    "Asia/Tehran",
    "Asia/Kathmandu",
    "Asia/Pyongyang",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Apia",
)
"""Changes at midnight, by half an hour, at 00:01, twice around Ramadan, a skipped day, and none at all."""


@dataclass
class Window:
    """Every minute of the wall clock of a zone from one instant to another (seconds since 1970)."""

    zone: str
    begin: int
    end: int
    shown: dict[Minute, list[int]] = field(init=False)
    dates: list[int] = field(init=False)
    _order: list[Minute] = field(init=False)
    _earliest: list[int] = field(init=False)

    def __post_init__(self) -> None:
        # Some hours more at both ends: what the clock shows just after the beginning may have fired before.
        zone = ZoneInfo(self.zone)
        self.shown = {}
        for instant in range(self.begin - MARGIN, self.end + MARGIN, MINUTE):
            wall = datetime.fromtimestamp(instant, zone)
            self.shown.setdefault((wall.toordinal(), wall.hour, wall.minute), []).append(instant)
        self._order = sorted(self.shown)
        self.dates = list(range(self._order[0][0], self._order[-1][0] + 1))
        # For each minute in order: when the clock first showed it or a later one.
        backwards = accumulate((self.shown[minute][0] for minute in reversed(self._order)), min)
        self._earliest = list(backwards)[::-1]

    def fires(self, rule: Rule) -> list[int]:
        """When the rule fires after the beginning and up to the end, in order."""
        found: set[int] = set()
        for minute in _minutes(rule, self.dates):
            instants = self.shown.get(minute, [])
            day = _minutes(rule, [minute[0]])
            if rule.is_interval and (instants or any(one in self.shown for one in day)):
                found.update(instants)
            elif instants:
                found.add(instants[0])
            elif (later := self._first_later(minute)) is not None:
                found.add(later)
        return sorted(instant for instant in found if self.begin < instant <= self.end)

    def _first_later(self, minute: Minute) -> int | None:
        """The first instant at which the clock shows more than a time that it never shows."""
        place = bisect(self._order, minute)
        return self._earliest[place] if 0 < place < len(self._order) else None


def _minutes(rule: Rule, dates: Iterable[int]) -> Iterator[Minute]:
    for day in dates:
        for hour in sorted(rule.hours):
            for minute in sorted(rule.minutes):
                yield day, hour, minute


def transitions(zone_name: str, first_year: int, last_year: int) -> list[int]:
    """Instants, within six hours, at which the zone's clock was changed in those years."""
    zone = ZoneInfo(zone_name)
    begin, end = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (first_year, last_year + 1))
    step = DAY // 4
    offsets = [(at, datetime.fromtimestamp(at, zone).utcoffset()) for at in range(begin, end, step)]
    return [at for (_, before), (at, after) in itertools.pairwise(offsets) if before != after]


def windows(zone: str, first_year: int, last_year: int, days: int = 3) -> Iterator[Window]:
    """So many days round every change of the zone's clock in those years."""
    for at in transitions(zone, first_year, last_year):
        yield Window(zone, at - days * DAY, at + days * DAY)


def year(zone: str, number: int) -> Window:
    """A whole year of the zone."""
    begin = datetime(number, 1, 1, tzinfo=ZoneInfo(zone))
    return Window(
        zone, int(begin.timestamp()), int(datetime(number + 1, 1, 1, tzinfo=ZoneInfo(zone)).timestamp())
    )


def instant(seconds: int) -> datetime:
    """Seconds since 1970 as a time in UTC."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def days_between(begin: date, end: date) -> list[date]:
    """The days from the first to the last."""
    return [begin + timedelta(days=number) for number in range((end - begin).days + 1)]


def random_rule(chance: random.Random) -> Rule:
    """Hours about midnight and the small hours, where clocks are changed; a list, a range, a step or all of them."""
    hours, hours_text, is_hours_interval = _random_field(chance, 24, chance.choice((0, 1, 2, 3, 22, 23)))
    minutes, minutes_text, is_minutes_interval = _random_field(chance, 60, chance.randrange(60))
    expression = f"0 {minutes_text} {hours_text} * * ?"
    return rule(expression, hours, minutes, is_interval=is_hours_interval or is_minutes_interval)


def _random_field(chance: random.Random, size: int, first: int) -> tuple[list[int], str, bool]:
    kind = chance.choice(("list", "list", "range", "step", "all"))
    if kind == "list":
        values = [first, *(chance.randrange(size) for _ in range(chance.randrange(3)))]
        return values, ",".join(map(str, values)), False
    if kind == "range":
        reach = chance.randrange(1, 6)
        return [(first + more) % size for more in range(reach + 1)], f"{first}-{(first + reach) % size}", True
    if kind == "step":
        step = chance.randrange(1, size)
        return list(range(first, size, step)), f"{first}/{step}", True
    return list(range(size)), "*", True
