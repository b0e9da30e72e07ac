"""A clock for tests: time goes by only when somebody sleeps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta


class FakeClock:
    """Stands at ``now`` (aware) until it is slept on; a sleep takes no time, and moves both of its readings."""

    def __init__(self, now: datetime) -> None:
        if now.tzinfo is None:
            raise ValueError(f"naive time {now!r}: give a time with a zone, for example datetime.now(UTC)")
        self.ahead = timedelta()
        self._now = now
        self._monotonic = 0.0

    def now(self) -> datetime:
        """The instant it shows."""
        return self._now

    def monotonic(self) -> float:
        """Seconds slept so far."""
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        """Move on by ``seconds``."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def ahead_of(self, other: Callable[[], datetime]) -> timedelta:
        """``ahead``: every other clock shows the same, but for that."""
        return self.ahead


class StandingClock:
    """Stands at ``now`` for good: a sleep takes no time and moves only the monotonic reading.

    What is computed from the time comes out the same before and after a restart, while a lease still runs out.
    ``meanwhile`` is called in every sleep: what others do in that time.
    """

    def __init__(self, now: datetime) -> None:
        self.meanwhile: Callable[[], object] = lambda: None
        self._now = now
        self._monotonic = 0.0

    def now(self) -> datetime:
        """Always the same instant."""
        return self._now

    def monotonic(self) -> float:
        """Seconds slept so far."""
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` of the monotonic clock go by."""
        self._monotonic += seconds
        self.meanwhile()

    def ahead_of(self, other: Callable[[], datetime]) -> timedelta:
        """Not at all."""
        return timedelta()
