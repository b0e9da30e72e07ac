"""Every clock change, looked at minute by minute: `compare` returns what was not as the rule says.

The zones of the suite over all years the database of zones knows by name (1970-2037), every other zone over ten years,
and a whole year in three of them; with more expressions than the suite has time for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from zoneinfo import available_timezones

from batchwright.engine.cron import CronExpression
from tests.engine.cron.oracle import MORE_RULES, RULES, ZONES, Rule, Window, random_rule, windows, year
from tests.engine.cron.stepping import instants

FIRST_YEAR, LAST_YEAR = 1970, 2037
YEARS_OF_OTHERS = 10
WHOLE_YEAR = 2026
WHOLE_YEAR_ZONES = ("America/New_York", "Australia/Lord_Howe", "Africa/Casablanca")
RANDOM_RULES = 10


def compare(*, seed: int, zones: int, say: Callable[[str], None]) -> list[str]:
    """Compare fires with the oracle. ``zones``: how many other zones, chosen by ``seed``; 0 for all there are."""
    chance = random.Random(seed)
    rules = (*RULES, *MORE_RULES, *(random_rule(chance) for _ in range(RANDOM_RULES)))
    others = sorted(available_timezones() - set(ZONES))
    chosen = sorted(chance.sample(others, zones)) if zones else others
    faults: list[str] = []
    for zone in ZONES:
        faults += _faults_of(windows(zone, FIRST_YEAR, LAST_YEAR), rules)
        say(f"{zone}, {FIRST_YEAR}-{LAST_YEAR}: {len(faults)} faults so far")
    for number, zone in enumerate(chosen, start=1):
        begin = chance.randrange(FIRST_YEAR, LAST_YEAR - YEARS_OF_OTHERS)
        faults += _faults_of(windows(zone, begin, begin + YEARS_OF_OTHERS - 1), rules)
        if number % 50 == 0 or number == len(chosen):
            say(
                f"{number} of {len(chosen)} other zones over {YEARS_OF_OTHERS} years: {len(faults)} faults so far"
            )
    for zone in WHOLE_YEAR_ZONES:
        faults += _faults_of([year(zone, WHOLE_YEAR)], rules)
        say(f"{zone}, all of {WHOLE_YEAR}: {len(faults)} faults so far")
    return faults


def _faults_of(windows: Iterable[Window], rules: Iterable[Rule]) -> list[str]:
    faults = []
    for window in windows:
        for each in rules:
            found = instants(CronExpression(each.expression, window.zone), window.begin, window.end)
            expected = window.fires(each)
            if found != expected:
                strange = sorted(set(found) ^ set(expected))[:3]
                faults.append(f"{each.expression} in {window.zone} about {window.begin}: {strange}")
    return faults
