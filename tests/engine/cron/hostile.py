"""Expressions that somebody writes to keep a server busy: long, dense, seldom or never firing, and none at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

ZONES = (
    *("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia"),
    "Asia/Gaza",
)
GARBAGE = (
    "0 0 1--100000000 * *",
    "*" * 1_000,
    "0 0 0 ? * 1#" + "9" * 900,
    "1," * 490 + " 0 0 * * ?",
    f"0 0 0 {'L' * 900} * ?",
    f"0/{'9' * 500} * * * * ?",
    "@" + "a" * 900,
    " " * 900,
    "0 0 0 1 1 ? 9999999999",
)
_NEAREST = ",".join(f"{day}W" for day in range(1, 32))
_BEFORE_LAST = ",".join(f"L-{day}W" for day in range(31))
_MONTH_DAYS = ("31", "30", "29", "L-30", "L-30W", _NEAREST, _BEFORE_LAST)
_YEARS = ("", "", " 2199", " 1970-2199/229", " 2026-2199", " 2096-2104/4", " 1970")


def hostile(number: int, chance: Random) -> Iterator[tuple[str, str]]:
    """So many of both dialects, each with a zone; one in twenty cannot be read."""
    for turn in range(number):
        makers: list[Callable[[Random], str]] = [_quartz, _unix]
        yield makers[turn % 2](chance) if turn % 20 else chance.choice(GARBAGE), chance.choice(ZONES)


def _quartz(chance: Random) -> str:
    time = " ".join(_field(chance, 0, highest) for highest in (59, 59, 23))
    month = chance.choice(["2", "*", "2,4,6,9,11", _field(chance, 1, 12)])
    month_day = chance.choice([*_MONTH_DAYS, _field(chance, 1, 31)])
    weekday = chance.choice(["1#5", "7L", "2#5", _field(chance, 1, 7)])
    days = chance.choice([f"{month_day} {month} ?", f"? {month} {weekday}"])
    years = " " + ",".join(str(chance.randint(1970, 2199)) for _ in range(40))
    return f"{time} {days}{chance.choice([*_YEARS, years])}"


def _unix(chance: Random) -> str:
    month_day = chance.choice(["31", "30", _field(chance, 1, 31)])
    month = chance.choice(["2", _field(chance, 1, 12)])
    weekday = chance.choice(["*", "1", _field(chance, 0, 7)])
    return f"{_field(chance, 0, 59)} {_field(chance, 0, 23)} {month_day} {month} {weekday}"


def _field(chance: Random, lowest: int, highest: int) -> str:
    def value() -> int:
        return chance.randint(lowest, highest)

    spans = ",".join(
        f"{value()}-{value()}/{chance.randint(1, highest)}" for _ in range(chance.randint(1, 15))
    )
    each = ",".join(map(str, range(lowest, highest + 1)))
    return chance.choice(["*", each, spans, str(value()), f"{highest}-{lowest}", f"*/{max(1, value())}"])
