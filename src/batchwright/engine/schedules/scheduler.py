"""The scheduler of a worker: knows the schedules, looks when one is due, and when they may have changed.

Any number of them look at one database; the firing sees to it that one fires. A look is made when the alarm rings, a
moment after a change, and every so many seconds anyway: notifications and alarms can get lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from enum import Flag, auto
from pathlib import Path

import structlog

from batchwright.engine.clock import Clock
from batchwright.engine.cron import CronError
from batchwright.engine.duty import DutyThread, unheard
from batchwright.engine.faults import is_transient, reason_of
from batchwright.engine.schedule import MOST_AHEAD, Hold, Schedule
from batchwright.engine.schedules import due
from batchwright.engine.schedules.alarm import Alarm
from batchwright.engine.schedules.firing import Firing
from batchwright.engine.store import schedules as store
from batchwright.engine.store.database import Database
from batchwright.engine.store.lock_holders import stopped_writer_ended

SECONDS_AFTER_CHANGE = 0.25
"""Every commit notifies, and few are about schedules: one look serves all that came meanwhile."""
SECONDS_BEFORE_AGAIN = 1.0
"""When to look again at a schedule that is due and somebody else keeps: its process may die."""

log = structlog.get_logger()


class _Signal(Flag):
    """What a look is made for."""

    DUE = auto()
    CHANGED = auto()


class Scheduler:
    """Fires what is due until it is stopped."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        firing: Firing,
        seconds_between_looks: float,
        on_failure: Callable[[BaseException], None] = unheard,
    ) -> None:
        self._database = database
        self._clock = clock
        self._firing = firing
        self._seconds_between_looks = seconds_between_looks
        self._version: int | None = None
        self._clock_is_wrong = False
        self._hold = Hold()
        self._known: dict[int, Schedule] = {}
        self._next: dict[int, datetime] = {}
        self._logged: set[tuple[int, datetime]] = set()
        self._woken = threading.Condition()
        self._signals = _Signal(0)
        self._stopping = False
        self._thread = DutyThread("schedules", self.run, on_failure)

    def start(self) -> None:
        """Begin, with the first look, in a thread of its own."""
        self._thread.start()

    def run(self) -> None:
        """Look until it is stopped."""
        with Alarm(self.ring) as alarm:
            while not self._stopping:
                is_left = self._look_safely(alarm)
                self._wait(SECONDS_BEFORE_AGAIN if is_left else self._seconds_between_looks)

    def ring(self) -> None:
        """A schedule is due."""
        self._signal(_Signal.DUE)

    def changed(self) -> None:
        """Something in the database may have changed."""
        self._signal(_Signal.CHANGED)

    def drain(self) -> None:
        """Fire nothing more; also from a signal handler, which may wait for no lock."""
        self._stopping = True

    def stop(self, seconds: float | None = None) -> bool:
        """End after the current set, and wait for that at most ``seconds``; whether it has ended."""
        self.drain()
        self.ring()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def look(self) -> bool:
        """Fire what is due. Says whether something due was left to somebody else."""
        self._read_changes()
        self._log_clocks_ahead()
        waiting = self._waiting()
        if waiting and not self._clock_is_right():
            return True
        if waiting:
            with self._stopped_writer_ended():
                fired = self._firing.fire(waiting)
            for schedule in fired:
                self._note(schedule)
        return bool(waiting) and bool(self._waiting())

    def _look_safely(self, alarm: Alarm) -> bool:
        """A database that does not answer is asked again; nothing else stops the scheduler either."""
        try:
            is_left = self.look()
            alarm.set(
                (one for one in self._known.values() if one.id in self._next and not one.paused),
                self._version,
            )
            return is_left
        except BaseException as error:  # a thread that ends is missed by nobody
            if is_transient(error):
                log.warning("scheduler goes on", reason=reason_of(error))
            else:
                log.exception("scheduler goes on")
            return True

    def _signal(self, signal: _Signal) -> None:
        with self._woken:
            self._signals |= signal
            self._woken.notify_all()

    def _wait(self, seconds: float) -> None:
        with self._woken:
            self._woken.wait_for(lambda: self._signals, seconds)
            if _Signal.CHANGED in self._signals:
                self._woken.wait_for(lambda: _Signal.DUE in self._signals, SECONDS_AFTER_CHANGE)
            self._signals = _Signal(0)

    def _stopped_writer_ended(self) -> AbstractContextManager[None]:
        """On PostgreSQL the server ends the session of one that is stopped while it keeps schedules."""
        if not self._database.is_sqlite:
            return nullcontext()
        file = Path(self._database.url.database or "")
        return stopped_writer_ended(file, self._seconds_between_looks)

    def _clock_is_right(self) -> bool:
        """Whether this machine's clock is near the server's: one that is not would record times to come, or none.

        SQLite has no clock of its own.
        """
        if self._database.is_sqlite:
            return True
        ahead = self._clock.ahead_of(self._server_time)
        if abs(ahead) <= MOST_AHEAD:
            self._clock_is_wrong = False
            return True
        if not self._clock_is_wrong:
            log.error(
                "the clock of this machine is wrong; it fires no schedule",
                seconds_ahead_of_server=round(ahead.total_seconds()),
            )
        self._clock_is_wrong = True
        return False

    def _server_time(self) -> datetime:
        with self._database.read_autocommit() as connection:
            time = store.server_time(connection)
        assert time is not None
        return time

    def _read_changes(self) -> None:
        with self._database.read() as connection:
            version = store.version(connection)
            if version == self._version:
                return
            found = store.all_schedules(connection)
            self._hold = store.read_hold(connection)
        self._known, self._next = {}, {}
        for schedule in filter(self._firing.is_ours, found):
            try:
                self._note(schedule)
            except CronError as error:  # its zone is gone from this machine's time zone database
                log.error("a schedule cannot be read", schedule=schedule.name, reason=str(error))
        self._version = version

    def _log_clocks_ahead(self) -> None:
        """Once for each mark: it may last for years, and nobody else would say why nothing is fired."""
        now = self._clock.now()
        for schedule in self._known.values():
            until = schedule.ahead_of(now)
            if until is not None and (schedule.id, until) not in self._logged:
                self._logged.add((schedule.id, until))
                log.error(
                    "a clock was ahead when a schedule was last written to; nothing of it is fired until then",
                    schedule=schedule.name,
                    until=until.isoformat(),
                    remedy="batchwright schedules rewind",
                )

    def _note(self, schedule: Schedule) -> None:
        self._known[schedule.id] = schedule
        self._next.pop(schedule.id, None)
        following = due.next_due(schedule)
        if following is not None:
            self._next[schedule.id] = following

    def _waiting(self) -> list[int]:
        if self._hold.lasts:
            return []
        now = self._clock.now()
        return [key for key, at in self._next.items() if at <= now and not self._known[key].paused]
