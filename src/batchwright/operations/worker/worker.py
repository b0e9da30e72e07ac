"""The worker: fires schedules, drives runs and sends mail, until it is told to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy import Connection

from batchwright.config.settings import operating_system_user
from batchwright.engine.errors import DatabaseReplaced, Refused
from batchwright.engine.run import Run
from batchwright.engine.schedule import Schedule
from batchwright.engine.schedules.firing import Firing
from batchwright.engine.schedules.policy import Start
from batchwright.engine.schedules.scheduler import Scheduler
from batchwright.engine.store.migrating import newest_revision
from batchwright.engine.store.notify import listener_for
from batchwright.engine.worker import Worker
from batchwright.notifications import outbox
from batchwright.operations.app import Application
from batchwright.operations.schedules.scheduled_runs import make_ready, submit_of_schedules
from batchwright.operations.worker.background_loop import BackgroundLoop
from batchwright.operations.worker.late_runs import ping_loop, watch_loop
from batchwright.operations.worker.maintenance import Maintenance

SECONDS_AFTER_CHANGE = 0.25
LOOKS_PER_LEASE = 4
SECONDS_TO_END = 8.0
"""So long after `drain` everything but running scopes is over; and so long after those:"""
SECONDS_FOR_DUTIES = 3.0
SECONDS_TO_IMPORT = 15.0
"""A job whose import takes longer is left to other workers, as one that cannot be imported."""

log = structlog.get_logger()


class WorkerProcess:
    """One worker on an application. Any number of them, in as many processes, share the work."""

    def __init__(self, app: Application) -> None:
        app.database.require()
        app.registry.load(seconds=SECONDS_TO_IMPORT)
        for reason in app.registry.broken():
            log.error("a job is left to other workers", reason=reason)
        self._database = app.database
        self._drained_at = time.monotonic()
        self._listener = listener_for(app.database)
        self._mail = _mail_loop(app, self._on_failure)
        self._watch = watch_loop(app, self._on_failure)
        self._pings = ping_loop(app, self._on_failure)
        self._maintenance = Maintenance(app, self._mail.look, self._on_failure)
        self._scheduler = Scheduler(
            database=app.database,
            clock=app.clock,
            firing=firing_of(app),
            seconds_between_looks=app.settings.lease_seconds / LOOKS_PER_LEASE,
            on_failure=self._on_failure,
        )
        self._worker = Worker(
            dispatcher=app.dispatcher,
            listener=self._listener,
            clock=app.clock,
            on_notification=self._on_notification,
            before_look=self._look_at_revision,
        )
        self.upgraded_to: str | None = None
        """The revision that the database was brought to meanwhile; this program needs another, and has drained."""
        self.failure: BaseException | None = None
        """What ended one of its threads, and the worker with it."""

    def run(self) -> bool:
        """Work until `drain` is called; returns when the running scopes and mails are done.

        Raises `DatabaseReplaced` at once when the file was deleted or replaced; the process should end then.
        False when something else took so long that it was left under way, in a thread that ends with the process: a
        mail to a slow server, say. Another worker does it again.
        """
        self._mail.start()
        self._watch.start()
        self._pings.start()
        self._maintenance.start()
        self._scheduler.start()
        try:
            self._worker.run()
        except DatabaseReplaced:
            raise  # whatever would be done at the end would be done to the other file
        except BaseException:
            self._stop_duties()
            self._listener.close()
            raise
        ended = self._stop_duties()
        self._listener.close()
        return ended

    def _stop_duties(self) -> bool:
        self._scheduler.drain()
        self._watch.drain()
        self._pings.drain()
        self._mail.drain()
        until = max(self._drained_at + SECONDS_TO_END, time.monotonic() + SECONDS_FOR_DUTIES)
        stops: dict[str, Callable[[float], bool]] = {
            "schedules": self._scheduler.stop,
            "watch": self._watch.stop,
            "pings": self._pings.stop,
            "mail": self._mail.stop,
            "maintenance": self._maintenance.stop,
        }
        left = [name for name, stop in stops.items() if not stop(max(until - time.monotonic(), 0.5))]
        if left:
            log.warning("left under way; another worker does it again", duties=left)
        return not left

    def drain(self) -> None:
        """Fire no more, finish what is running, hand runs back and return from `run`. Also from a signal handler."""
        self._drained_at = time.monotonic()
        self._database.shorten_waits()
        self._scheduler.drain()
        self._worker.drain()

    def _on_failure(self, error: BaseException) -> None:
        """A worker without one of its duties looks alive and is not: another one does better."""
        self.failure = error
        self.drain()

    def _look_at_revision(self) -> None:
        """Drain when the database is at another revision: what this program writes may not fit there any more."""
        there = self._database.revision_noted()
        if there is not None and there != newest_revision():
            log.warning("database upgraded meanwhile; stopping", there=there, needed=newest_revision())
            self.upgraded_to = there
            self.drain()

    def _on_notification(self) -> None:
        self._mail.look()
        self._watch.look()
        self._pings.look()
        self._scheduler.changed()


def firing_of(app: Application) -> Firing:
    """Fires the schedules of the application, on behalf of their owners."""
    os_user = operating_system_user()

    def submit(connection: Connection, starts: Sequence[tuple[Schedule, Start]]) -> list[Run | Refused]:
        wanted = [(schedule, start.after_earlier) for schedule, start in starts]
        ready = {schedule.id: start.ready for schedule, start in starts if start.ready is not None}
        return submit_of_schedules(app, connection, wanted, os_user=os_user, ready=ready)

    capabilities = app.dispatcher.claims.capabilities
    return Firing(
        database=app.database,
        clock=app.clock,
        events=app.events,
        submit=submit,
        has_job=capabilities.has,
        refusal=lambda schedule: capabilities.refusal(schedule.job, schedule.parameters),
        make_ready=lambda schedule: make_ready(app, schedule, os_user=os_user),
    )


def _mail_loop(app: Application, on_failure: Callable[[BaseException], None]) -> BackgroundLoop:
    """Sends due mail, also that of runs which ended elsewhere."""

    def send_due() -> None:
        with app.database.read() as connection:
            route = app.settings.mail.transport
            due = outbox.due(connection, app.clock.now(), None, app.registry.names(), route)
        if due:  # what sends is heavy, and not loaded before
            app.mailer.send_due(stop=lambda: loop.stopping)

    loop = BackgroundLoop(
        "mail",
        send_due,
        trouble="mail could not be sent; it waits",
        seconds_after_change=SECONDS_AFTER_CHANGE,
        on_failure=on_failure,
    )
    return loop
