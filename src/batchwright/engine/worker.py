"""A worker drives runs side by side, a thread for each: those whose turn it is, and those whose process is gone.

It waits for notifications instead of polling, and looks anyway four times a lease, since one can get lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from batchwright.engine.claim import Claims
from batchwright.engine.clock import Clock
from batchwright.engine.dispatch import Dispatcher
from batchwright.engine.errors import FenceLost, Refused
from batchwright.engine.faults import is_transient, reason_of
from batchwright.engine.lease import OwnerMonitor
from batchwright.engine.run import Run
from batchwright.engine.store.notify import Listener

SECONDS_PER_RUN_AT_HAND = 0.01
"""How long it leaves the next run to others, for each that it drives already: runs spread over idle workers."""
LONGEST_SECONDS_TO_OTHERS = 0.1
SECONDS_WITHOUT_THREADS = 5.0
"""How long it claims nothing after no thread could be started."""
SECONDS_OF_WAITING_FOR_LOCKS = 3
"""How long the scopes of a worker that was drained may go on waiting for locks of somebody else."""

log = structlog.get_logger()


class Worker:
    """Claims, drives and takes over runs until it is told to ``drain``.

    ``before_look`` is called before each look for runs, and may drain it. ``on_notification`` is called when
    the database may have changed, and a few times a lease.
    """

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        listener: Listener,
        clock: Clock,
        on_notification: Callable[[], None] = lambda: None,
        before_look: Callable[[], None] = lambda: None,
    ) -> None:
        self._dispatcher = dispatcher
        self._claims: Claims = dispatcher.claims
        self._listener = listener
        self._clock = clock
        self._on_notification = on_notification
        self._before_look = before_look
        self._draining = False
        self._resting_until = self._clock.monotonic()
        self._threads: dict[int, threading.Thread] = {}
        self._lock = threading.RLock()

    def drain(self) -> None:
        """Finish the running scopes, hand the runs back, and return from ``run``. Also from a signal handler."""
        self._draining = True
        self._listener.wake()

    @property
    def driving(self) -> frozenset[int]:
        """Keys of the runs that it drives now."""
        with self._lock:
            return frozenset(self._threads)

    def run(self) -> None:
        """Work until ``drain`` is called; then until the last run is handed back."""
        self._dispatcher.stand_by()
        monitor = self._claims.monitor()
        looked = -monitor.interval
        while self._may_look():
            since = self._clock.monotonic() - looked
            if since >= monitor.interval:
                looked, since = self._clock.monotonic(), 0.0
                self._safely("looking for runs without a process", lambda: self._take_over_dead(monitor))
            self._safely("looking for runs to do", self._claim_waiting)
            self._on_notification()
            if not self._draining:
                resting = max(self._resting_until - self._clock.monotonic(), 0)
                self._listener.wait(min(monitor.interval - since, resting or monitor.interval))
        self._await_handing_back()
        self._safely("closing its monitor of owners", monitor.close)

    def _await_handing_back(self) -> None:
        """Wait for the running scopes; after some seconds no longer for locks that they wait for themselves."""
        seconds = 0
        while threads := self._at_hand():
            threads[0].join(1.0)
            seconds += 1
            if seconds >= SECONDS_OF_WAITING_FOR_LOCKS:
                self._safely("ending the waits of running scopes", self._dispatcher.stop_waiting)

    def _may_look(self) -> bool:
        self._safely("looking whether it may go on", self._before_look)
        return not self._draining

    def _claim_waiting(self) -> None:
        more = self._claims.any_waiting()
        while more and not self._draining and self._clock.monotonic() >= self._resting_until:
            self._clock.sleep(min(LONGEST_SECONDS_TO_OTHERS, len(self._at_hand()) * SECONDS_PER_RUN_AT_HAND))
            run, more = self._claims.claim_next()
            if run is not None:
                self._start_or_hand_back(run)

    def _start_or_hand_back(self, run: Run) -> None:
        try:
            self._start(run, lambda run: run)
        except RuntimeError:
            self._claims.hand_back(run)

    def _take_over_dead(self, monitor: OwnerMonitor) -> None:
        mine = self.driving
        foreign = [run for run in self._claims.active() if run.id not in mine]
        for run in self._claims.leave_orphaned(monitor.look(foreign)):
            if not self._draining and monitor.claim(run):
                self._start(run, lambda run: self._claims.take_over(run, lambda: self._draining))

    def _start(self, run: Run, claim: Callable[[Run], Run]) -> None:
        thread = threading.Thread(target=self._drive, args=(run, claim), name=run.run_id)
        with self._lock:
            self._threads[run.id] = thread
        try:
            thread.start()
        except RuntimeError as error:  # the system gives no more threads
            with self._lock:
                del self._threads[run.id]
            self._resting_until = self._clock.monotonic() + SECONDS_WITHOUT_THREADS
            log.error(
                "no thread can be started for a run; it is left to others",
                run_id=run.run_id,
                reason=str(error),
            )
            raise

    def _drive(self, run: Run, claim: Callable[[Run], Run]) -> None:
        try:
            self._dispatcher.work(claim(run), lambda: self._draining)
        except FenceLost:
            pass  # somebody else took it over first
        except BaseException as error:
            # Whatever broke it, the other runs go on, and no thread ends silently. This one has no heartbeat
            # now: it is taken up after a lease.
            if is_transient(error):
                log.warning("run interrupted", run_id=run.run_id, reason=reason_of(error))
            else:
                log.exception("run interrupted", run_id=run.run_id)
        finally:
            # Once no run is driven, the caller of `drain` may close the listener: wake it first. Under the lock,
            # since the worker that it wakes may start the same run again.
            with self._lock:
                self._listener.wake()
                del self._threads[run.id]

    def _at_hand(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._threads.values())

    def _safely(self, what: str, step: Callable[[], None]) -> None:
        """A database that does not answer is asked again the next time; nothing else stops a worker either."""
        try:
            step()
        except Exception as error:
            if is_transient(error) or isinstance(error, Refused):
                log.warning("worker goes on", after=what, reason=reason_of(error))
            else:
                log.exception("worker goes on", after=what)
