"""The composition root: settings in, the wired application out. Making it opens nothing and loads no job."""

from __future__ import annotations

import os
import reprlib
import sys
from collections.abc import Hashable
from datetime import datetime
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from batchwright.config.logging import log_to_stderr
from batchwright.config.settings import Settings, load_settings, operating_system_user
from batchwright.engine import processes
from batchwright.engine.clock import Clock, SystemClock
from batchwright.engine.dispatch import Dispatcher
from batchwright.engine.errors import Refused
from batchwright.engine.event_log import EventLog
from batchwright.engine.events import Events
from batchwright.engine.executors import Executor, Inline, Isolated, Local
from batchwright.engine.registry import Registry
from batchwright.engine.store.database import Database
from batchwright.engine.store.engines import Pool
from batchwright.engine.store.live_counts import LiveCounts
from batchwright.engine.subscribers import installed_subscribers
from batchwright.operations.actor import Actor, Door, Unauthenticated
from batchwright.operations.announce import Announcer
from batchwright.operations.outcomes import outcome_rows

if TYPE_CHECKING:
    from batchwright.engine.job import Preview
    from batchwright.engine.metrics import Metrics
    from batchwright.engine.pool import ProcessPool
    from batchwright.notifications.compose import Composer
    from batchwright.notifications.deliver import Mailer

__all__ = ["POOL", "Actor", "Application", "default_application", "make_application"]

# By name: what runs in another process makes its application there, from this module.
POOL = "batchwright.operations.pool"


class Application:
    """The parts of one application. What mail and metrics need is heavy, and loaded when first asked for."""

    def __init__(self, settings: Settings, clock: Clock, door: Door = Door.PYTHON) -> None:
        self.settings = settings
        self.clock = clock
        self.door = door
        self.token_uses: dict[int, datetime] = {}
        """By key of token the hour in which this process last noted that it was used."""
        self.preview_sums: dict[Hashable, list[Preview]] = {}
        """What previews that were paged through lately come to."""
        pool = Pool(settings.pool_size, settings.max_overflow, settings.pool_timeout)
        self.database = Database(settings.database_url, many_readers=door.is_web, pool=pool)
        self.registry = Registry(settings.jobs)
        self.live_counts = LiveCounts(clock)

    def default_actor(self) -> Actor:
        """Who acts where nobody is named: the operating system's user, under the name that the settings give them.

        Behind a web door that is nobody: it raises `Unauthenticated`.
        """
        if self.door.is_web:
            raise Unauthenticated(
                "nobody is named who acts", field="actor", remedy="Sign in, or give a token"
            )
        return Actor(self.settings.actor, operating_system_user(), self.door)

    @cached_property
    def events(self) -> Events:
        """Tells the log, and the subscribers of installed packages; `events.subscribe` adds others."""
        events = Events()
        events.subscribe(EventLog())
        for subscriber in installed_subscribers():
            events.subscribe(subscriber)
        return events

    @cached_property
    def metrics(self) -> Metrics:
        """The figures for Prometheus, counted from when they are first asked for."""
        from batchwright.engine.metrics import Metrics

        counted = Metrics()
        self.events.subscribe(counted)
        return counted

    @cached_property
    def zone(self) -> ZoneInfo:
        """In which the business day begins and ends."""
        return ZoneInfo(self.settings.time_zone)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """Drives runs in this process."""
        return Dispatcher(
            database=self.database,
            registry=self.registry,
            clock=self.clock,
            events=self.events,
            announce=Announcer(self.settings, self.database.display_url, self.registry, self.clock),
            lease_seconds=self.settings.lease_seconds,
            max_active_runs=self.settings.max_active_runs,
            executor=self.executor,
            isolated=Isolated(lambda: self._pool(1), self.events),
            zone=self.zone,
        )

    @cached_property
    def executor(self) -> Executor:
        """Executes scopes where the setting says; on SQLite in line, since only one process can write at a time."""
        if self.settings.executor == "inline" or self.database.is_sqlite:
            return Inline()
        patience = self.settings.lease_seconds
        local = Local(lambda: self._pool(processes.processors()), self.events)
        if self.settings.executor == "local":
            return local
        from batchwright.engine.cluster import Dask

        return Dask(self.settings.executor, f"{POOL}:execute_waiting_scope", local, self.events, patience)

    def _pool(self, size: int) -> ProcessPool:
        """Processes that make the same application."""
        from batchwright.engine.pool import ProcessPool

        return ProcessPool((sys.executable, "-P", "-m", POOL), size, self.settings.lease_seconds)

    @cached_property
    def composer(self) -> Composer:
        """Makes messages of recorded facts."""
        from batchwright.notifications.compose import Composer

        mail = self.settings.mail
        return Composer(sender=mail.sender, templates=mail.templates, attachment_limit=mail.attachment_limit)

    @cached_property
    def mailer(self) -> Mailer:
        """Sends what the outbox holds."""
        from batchwright.notifications.deliver import Mailer, transport_from
        from batchwright.operations.links import secrets_of_mail

        return Mailer(
            database=self.database,
            transport=transport_from(self.settings.mail),
            clock=self.clock,
            composer=self.composer,
            events=self.events,
            # Read when the mail is sent, maybe days later and by another process: an outbox row survives both, what the
            # end of the run had in memory would not.
            outcomes=lambda run_id, outcome: outcome_rows(
                self.database, self.registry, run_id, outcome, without_job=True, mark_edited=True
            ),
            jobs=self.registry.names,
            refusal=self.dispatcher.claims.capabilities.refusal,
            route=self.settings.mail.transport,
            secrets=partial(secrets_of_mail, self.database, self.clock, self.settings.base_url),
        )

    def close(self) -> None:
        """Close the connections to the database."""
        if "dispatcher" in self.__dict__:
            self.dispatcher.close()
        self.database.close()


def make_application(
    settings: Settings, *, clock: Clock | None = None, door: Door = Door.PYTHON
) -> Application:
    """The application that the settings describe; its clock is the machine's where none is given.

    `door` is the way in of those who act without being named. Where the program has not said how it logs, warnings go
    to stderr.
    """
    log_to_stderr()
    return Application(settings, clock or SystemClock(), door)


def check_application(app: object) -> None:
    """Refuse what is given for an application and is none; ``None`` is the one that the settings describe."""
    if app is not None and not isinstance(app, Application):
        raise Refused(
            f"{reprlib.repr(app)} is not an application",
            field="app",
            remedy="Leave it out, or give an Application of batchwright.operations.app",
        )


@cache
def default_application() -> Application:
    """The application that environment and working directory describe, made at the first call.

    Raises `batchwright.config.settings.SettingsError` with every problem of the settings.
    """
    return make_application(load_settings(os.environ, Path.cwd()))
