"""Time comes in by the door: the only place that asks the machine what time it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time and sleeps; tests bring one of their own."""

    def now(self) -> datetime:
        """The instant, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds that never run backwards, of this process only."""

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` of the monotonic clock go by."""

    def ahead_of(self, other: Callable[[], datetime]) -> timedelta:
        """How much it is ahead of the clock that ``other`` reads; less than 0 where it is behind."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """By the wall clock, which somebody may set."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """By the clock that nobody sets."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block this thread."""
        time.sleep(seconds)

    def ahead_of(self, other: Callable[[], datetime]) -> timedelta:
        """Asks in between two looks of its own, as far as they are apart in doubt for it."""
        before, there, after = self.now(), other(), self.now()
        return before - there if there < before else min(after - there, timedelta())
