"""What a schedule does with its times, as sentences."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from batchwright.console.pages.formats import in_words
from batchwright.operations.views import View

MISFIRES: Final = (
    ("latest", "Run the newest of the times that were missed"),
    ("all", "Run all times that were missed, oldest first"),
    ("skip", "Run none of the times that were missed"),
)
OVERLAPS: Final = (
    ("skip", "Leave a time out while an earlier run has not ended"),
    ("queue", "Let a run wait until all earlier ones have ended"),
    ("allow", "Let runs work beside each other"),
)


def policies_of(schedule: View) -> list[str]:
    """What becomes of times that were missed, and of a time while an earlier run works."""
    return [_missed(schedule), _overlapped(schedule["overlap"])]


def next_clock_change(time_zone: str, today: date) -> date | None:
    """The next day within a year on which the clock of a zone changes; `None` where it never does."""
    zone = ZoneInfo(time_zone)
    days = [datetime.combine(today + timedelta(days=ahead), time(), zone) for ahead in range(367)]
    return next((day.date() for day, after in pairwise(days) if day.utcoffset() != after.utcoffset()), None)


def _missed(schedule: View) -> str:
    grace, cap = schedule["grace_seconds"], schedule["cap"]
    within = "" if grace is None else f" if it is at most {in_words(grace)} late"
    if schedule["misfire"] == "skip":
        if grace is None:
            return "A time that was missed is not run."
        return f"Of times that were missed, the newest is run{within}."
    if schedule["misfire"] == "all":
        within = within.replace("it is", "they are")
        return f"Of times that were missed, the newest {cap:,} are run, oldest first{within}."
    return f"Of times that were missed, only the newest is run{within}."


def _overlapped(overlap: str) -> str:
    return {
        "skip": "While an earlier run has not ended, a time is left out.",
        "queue": "While an earlier run has not ended, the next one waits.",
        "allow": "Runs start although an earlier one has not ended.",
    }[overlap]
