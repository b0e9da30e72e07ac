"""Time comes in by the door: the only place that asks the machine what time it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What tells the time, and lets it go by; tests bring one of their own."""

    def now(self) -> datetime:
        """The instant, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds that never run backwards, of this process only."""

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` of the monotonic clock go by."""


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
