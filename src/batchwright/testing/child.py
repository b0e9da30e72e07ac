"""What a child does in a test: drives a run as a worker would, sends its mail, and dies where it is told to."""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from batchwright.config.settings import Settings, load_settings
from batchwright.engine.events import Event, Point, Reached
from batchwright.engine.job import BatchJob, Scope, StartContext
from batchwright.engine.job_code import JOB_CODE
from batchwright.engine.registry import Registry
from batchwright.engine.store import runs
from batchwright.engine.submit import stored_selection
from batchwright.notifications.compose import Composer
from batchwright.notifications.deliver import Mailer
from batchwright.operations.app import Application, make_application
from batchwright.operations.outcomes import outcome_rows
from batchwright.testing.clock import StandingClock
from batchwright.testing.mailbox import Mailbox

Purpose = Literal["drive", "plan"]


class Place(NamedTuple):
    """A point, the number of the scope where it has one, and the how-manieth time (from 1) one process is there."""

    point: Point
    scope: int | None
    time: int = 1

    def __str__(self) -> str:
        scope = "" if self.scope is None else f" of scope {self.scope}"
        return f"{self.point!r}{scope}" + ("" if self.time == 1 else f", time {self.time}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a child is to do.

    ``now`` is the time for the job, ``mail_at`` for its mail. ``kill`` is where it is to die. ``watched`` looks after
    each ``execute`` whether its transaction is still open; ``rehearsed`` also calls each ``execute`` once for nothing,
    and rolls that back. ``fault_at`` is the number (from 1) of the statement inside ``execute`` that meets a passing
    fault.
    """

    module: str
    file: str
    qualname: str
    path: tuple[str, ...]
    url: str
    run_key: int
    now: datetime
    mail_at: datetime
    mailbox: Path
    purpose: Purpose = "drive"
    kill: Place | None = None
    watched: bool = False
    rehearsed: bool = False
    fault_at: int | None = None


@dataclass(slots=True)
class Report:
    """What a child tells of its life.

    ``statements`` counts those inside ``execute`` by scope; ``plans`` are what ``start`` gave, for the purpose
    ``plan``; ``error`` is a traceback.
    """

    reached: list[tuple[Point, int | None]] = field(default_factory=list)
    statements: dict[int, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    plans: list[list[tuple[Any, ...]]] = field(default_factory=list)
    error: str | None = None


class OneJob(Registry):
    """Knows a job by its class; others as everybody knows them."""

    def __init__(self, job: type[BatchJob]) -> None:
        super().__init__(load_settings(os.environ, Path.cwd()).jobs)
        self._job = job

    def get(self, name: str) -> type[BatchJob]:
        return self._job if name == self._job.name else super().get(name)

    def names(self) -> list[str]:
        return sorted({self._job.name, *super().names()})

    def check(self, job: BatchJob) -> None:
        if job.name != self._job.name:
            super().check(job)


def carry_out(task: Task, composer: Composer) -> Report:
    """Do what the task says, with a composer that knows its templates already.

    Does not come back when the task says to die, and the place is reached.
    """
    report = Report()
    job = load_job(task)
    if task.watched or task.rehearsed:
        job = _watched(job, report, task.rehearsed)
    settings = Settings.model_validate({"database_url": task.url, "executor": "inline"})
    app = make_application(settings, clock=StandingClock(task.now))
    app.registry = OneJob(job)
    app.events.subscribe(_Listener(task, report, app))
    try:
        if task.purpose == "plan":
            report.plans = [_plan(app, task.run_key, job) for _ in range(2)]
        else:
            _drive(app, task, composer)
    finally:
        app.close()
    return report


def load_job(task: Task) -> type[BatchJob]:
    """The job's class: from its module by name, or from the module's file where the name leads elsewhere."""
    sys.path[:] = task.path
    found: Any = _module(task)
    for name in task.qualname.split("."):
        found = getattr(found, name)
    job: type[BatchJob] = found
    return job


def _module(task: Task) -> Any:
    known = sys.modules.get(task.module)
    if known is not None and getattr(known, "__file__", None) == task.file:
        return known
    try:
        module = importlib.import_module(task.module)
    except ImportError:
        module = None
    if module is not None and module.__file__ == task.file:
        return module
    specification = importlib.util.spec_from_file_location(task.module, task.file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[task.module] = module
    specification.loader.exec_module(module)
    return module


def _plan(app: Application, run_key: int, job: type[BatchJob]) -> list[tuple[Any, ...]]:
    """What ``start`` gives: the kind of each, and its parts."""
    with app.database.read() as reading:
        run = runs.by_key(reading, run_key)
        context = StartContext(reading, lambda: stored_selection(reading, run_key))
        given = job(**run.parameters).start(context)
        return [(type(one).__name__, *map(_plain, one)) for one in given]


def _plain(part: Any) -> Any:
    return part if part is None or isinstance(part, int) else tuple(part)


def _drive(app: Application, task: Task, composer: Composer) -> None:
    with app.database.read() as connection:
        ended = runs.by_key(connection, task.run_key).ended
    if not ended:
        app.dispatcher.resume(task.run_key)
    mailer(app, Mailbox(task.mailbox), composer, task.mail_at).send_due()


def mailer(app: Application, mailbox: Mailbox, composer: Composer, now: datetime) -> Mailer:
    """The application's mailer, but for where mail goes and what time it is."""
    return Mailer(
        database=app.database,
        transport=mailbox,
        clock=StandingClock(now),
        composer=composer,
        outcomes=lambda run_id, outcome: outcome_rows(app.database, app.registry, run_id, outcome),
        events=app.events,
    )


class _Listener:
    """Notes the points reached, and does at them what the task says."""

    def __init__(self, task: Task, report: Report, app: Application) -> None:
        self._task = task
        self._report = report
        self._scope: int | None = None
        self._statements = 0
        self._times = 0
        self._sqlite = app.database.is_sqlite
        event.listen(app.database.engine, "before_cursor_execute", self._statement)

    def __call__(self, moment: Event) -> None:
        if not isinstance(moment, Reached):
            return
        self._report.reached.append((moment.point, moment.scope))
        if self._task.kill is not None:
            point, scope, time = self._task.kill
            if (moment.point, moment.scope) == (point, scope):
                self._times += 1
                if self._times == time:
                    os.kill(os.getpid(), signal.SIGKILL)
        self._scope = moment.scope if moment.point == "scope read" else None

    def _statement(
        self, connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        if self._scope is None:
            return
        self._statements += 1
        self._report.statements[self._scope] = self._report.statements.get(self._scope, 0) + 1
        if self._statements == self._task.fault_at:
            raise OperationalError(statement, parameters, passing_fault(self._sqlite))


def passing_fault(sqlite: bool) -> Exception:
    """A fault as the driver raises it when another session is in the way."""
    if sqlite:
        busy = sqlite3.OperationalError("database is locked")
        busy.sqlite_errorname = "SQLITE_BUSY"
        return busy
    from psycopg.errors import SerializationFailure

    return SerializationFailure("could not serialize access due to concurrent update")


def _watched(job: type[BatchJob], report: Report, rehearsed: bool) -> type[BatchJob]:
    """The job, looked at after each ``execute``."""

    def execute(self: BatchJob, scope: Scope) -> None:
        if rehearsed:
            _rehearse(lambda: job.execute(self, _copy(scope)), scope)
        job.execute(self, scope)
        if not _is_open(scope.connection):
            report.notes.append(f"execute of scope {scope.number} has ended its own transaction")

    return type(job.__name__, (job,), {"execute": execute, "__module__": job.__module__})


def _rehearse(call: Callable[[], None], scope: Scope) -> None:
    savepoint = scope.connection.begin_nested()
    try:
        with JOB_CODE:
            call()
    except Exception:
        pass  # a record that raises is found by trial when it counts
    finally:
        if savepoint.is_active:
            savepoint.rollback()


def _copy(scope: Scope) -> Scope:
    """The same scope, with nothing reported yet."""
    return Scope(
        run=scope.run,
        number=scope.number,
        connection=scope.connection,
        now=scope.now,
        keys=scope.keys,
        planned_keys=scope.planned_keys,
        groups=scope.groups,
        set_aside=scope.set_aside,
    )


def _is_open(connection: Connection) -> bool:
    """Whether the transaction is open, for SQLAlchemy and for the driver."""
    if not connection.in_transaction():
        return False
    raw: Any = connection.connection.driver_connection
    if hasattr(raw, "in_transaction"):
        return bool(raw.in_transaction)
    return int(raw.info.transaction_status) != 0  # 0 is IDLE in libpq
