"""One scope is one transaction: its records' changes, its ledger entries and its mark commit together, or not at all.

A transient fault of the database is tried again. Any other exception is traced to its record by bisection: halves are
executed and rolled back until the record that raises stands alone; then the scope runs once without it, and commits.

Any process may execute a scope under the fence of its run, and several may at once, as after a death that was only
presumed: one of them commits, the others find it done.
"""

from __future__ import annotations

import gc
import json
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from batchwright.config.logging import bind
from batchwright.engine import attribution, events, faults, preview_check, reports
from batchwright.engine.clock import Clock
from batchwright.engine.errors import FenceLost, PreviewOutdated, Raised, TransactionEnded, raised, storable
from batchwright.engine.events import Events, Point
from batchwright.engine.job import ENDED_PROCESS, UNFORESEEN, BatchJob, Outcome, Scope
from batchwright.engine.job_code import JOB_CODE, check_done
from batchwright.engine.run import Control, Run
from batchwright.engine.store import leases, runs, scopes
from batchwright.engine.store.database import Database
from batchwright.engine.store.leases import Session
from batchwright.engine.store.lending import lent


@dataclass(frozen=True, slots=True)
class Done:
    """What a scope came to, and what somebody asks of its run.

    ``seconds`` is from the first try to the commit.
    """

    number: int
    ok: int
    errored: int
    skipped: int
    requested: Control | None = None
    seconds: float = 0.0
    fault: str | None = None
    """What each of its records has raised, where that is one and the same."""
    groups: int = 0


class _RollBack(Exception):
    """Ends a trial: nothing of it may stay."""


class _DoneElsewhere(Exception):
    """Another process has committed this scope meanwhile."""


class RunSession:
    """The one connection on which a process works for a run.

    ``record`` notes its session with the lease before anything is written through it, so that a taker knows what to
    end. On SQLite that is the process, which its lease has recorded.
    """

    def __init__(self, database: Database, record: Callable[[Session], None]) -> None:
        self._database = database
        self._record = record
        self._connection: Connection | None = None
        self._recorded: object = None

    @contextmanager
    def transaction(self, *, patient: bool = False) -> Iterator[Connection]:
        """A write transaction on it; connects again after a connection was lost, or closed by the job.

        ``patient`` where the job works: it may wait for locks, and calculate, for as long as it takes.
        """
        connection = self._connected()
        with self._database.transaction(connection, patient=patient):
            if not self._database.is_sqlite:
                self._have_recorded(connection)
            yield connection

    def current_session(self) -> Session | None:
        """Its session, for a lease that records it with its first beat: one commit less.

        None on SQLite, and where the database does not answer now; then it is recorded later.
        """
        if self._database.is_sqlite:
            return None
        try:
            connection = self._connected()
        except DBAPIError:
            return None
        self._recorded = connection.connection.driver_connection
        return leases.backend_of(connection)

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self._database.engine.connect()
        return self._connection

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()

    def _have_recorded(self, connection: Connection) -> None:
        driver_connection = connection.connection.driver_connection
        if driver_connection is not self._recorded:
            self._record(leases.backend_of(connection))
            self._recorded = driver_connection


@dataclass(slots=True)
class ScopeRunner:
    """Executes the scopes of one run."""

    run: Run
    job: BatchJob
    session: RunSession
    clock: Clock
    events: Events
    chance: random.Random
    _traced: set[str] = field(default_factory=set)
    gives_up: Callable[[Exception], bool] = lambda error: False
    """Whether a fault that may pass is raised at once: somebody waits for us to end."""

    def execute(self, scope_key: int, number: int, deadly: Mapping[int, str] = MappingProxyType({})) -> Done:
        """Execute a scope, whatever it takes, and say what became of it. Its ``number`` is the one people see.

        ``deadly`` are its records that end each process which executes them, with how they do: they become errors.

        Raises ``FenceLost`` when the run was taken over, the database's error when a fault did not pass,
        ``TransactionEnded``, and the job's own exception when it raises without any record.
        """
        with bind(scope=number):
            return self._with_retries(scope_key, number, deadly)

    def try_records(self, scope_key: int, keys: Sequence[int]) -> None:
        """Execute these records of a scope and roll that back: to see whether this process survives it."""
        with suppress(_DoneElsewhere):
            self._trial(scope_key, keys)

    def _with_retries(self, scope_key: int, number: int, deadly: Mapping[int, str]) -> Done:
        attempt, began = 1, self.clock.monotonic()
        while True:
            try:
                done = self._attempt(scope_key, deadly)
            except _DoneElsewhere:
                continue  # the next attempt reads what it came to
            except Exception as error:
                if not faults.is_transient(error) or attempt == faults.MAX_ATTEMPTS or self.gives_up(error):
                    raise
                attempt += 1
                reason = faults.reason_of(error)
                self.events.publish(events.ScopeRetried(self.run.run_id, number, attempt, reason))
                self.clock.sleep(faults.pause_before(attempt, self.chance))
            else:
                self._reached("scope committed", number)
                return replace(done, seconds=self.clock.monotonic() - began)

    def _attempt(self, scope_key: int, deadly: Mapping[int, str]) -> Done:
        culprits = {key: Outcome("error", ENDED_PROCESS, message) for key, message in deadly.items()}
        stored: scopes.StoredScope | None = None
        faults_found: set[str] = set()
        unexplained = bare = False
        while True:
            try:
                with self.session.transaction(patient=True) as connection:
                    stored = scopes.read(connection, scope_key)
                    # By another process; or the connection was lost in a COMMIT that went through.
                    if stored.done:
                        return Done(stored.number, stored.ok, stored.errored, stored.skipped)
                    keys = [key for key in stored.keys if key not in culprits]
                    scope = self._execute(connection, stored, keys, culprits, bare=bare)
                    if self.run.preview_key is not None:
                        preview_check.check_scope(connection, self.run.preview_key, self.job, scope)
                    done = self._save(connection, stored, scope)
                    self._reached("scope saved", stored.number)
                    if len(faults_found) == 1 and not deadly and len(culprits) == len(stored.keys):
                        [fault] = faults_found
                        return replace(done, fault=fault, groups=len(stored.groups))
                    return done
            except (FenceLost, PreviewOutdated, TransactionEnded, _DoneElsewhere):
                raise
            except Exception as error:
                if faults.is_transient(error) or stored is None or bare or not stored.keys:
                    raise
                if not keys:
                    bare = True  # the groups cannot be visited either: what is left is what became of the records
                    continue
                found = self._culprits(scope_key, keys, raised(error))
                if not found and unexplained:
                    raise
                unexplained = not found
                for key, raised_by_it in found:
                    culprits[key] = Outcome("error", UNFORESEEN, raised_by_it.message)
                    faults_found.add(raised_by_it.fault)
                    self._tell(stored.number, key, raised_by_it)

    def _execute(
        self,
        connection: Connection,
        stored: scopes.StoredScope,
        keys: Sequence[int],
        set_aside: Mapping[int, Outcome] = MappingProxyType({}),
        *,
        bare: bool = False,
    ) -> Scope:
        scope = Scope(
            run=self.run,
            number=stored.number,
            connection=connection,
            now=self.clock.now(),
            keys=keys,
            planned_keys=stored.keys,
            groups=stored.groups,
            set_aside=set_aside,
        )
        self._reached("scope read", stored.number)
        if keys or (stored.groups and not bare):
            with _gc_paused(), lent(connection, f"scope {stored.number}", stored.began), JOB_CODE:
                check_done(self.job.execute(scope))
        reports.check_totals(scope.totals)
        reports.check_kinds(entry.outcome for entry in scope.outcomes.values())
        for currency in scope.amounts:
            reports.check_currency(currency)
        self._reached("scope executed", stored.number)
        ours = set(keys)
        reported_by: list[Collection[int]] = [scope.outcomes, *scope.amounts.values()]
        for reported in reported_by:
            if not ours.issuperset(reported):
                foreign = sorted(set(reported) - ours)[:5]
                raise ValueError(f"the job reported records that are not in its scope: {foreign}")
        scope.outcomes.update(set_aside)
        for of_key in scope.amounts.values():
            for key in scope.outcomes.keys() & of_key.keys():
                del of_key[key]  # what is not ok has come to nothing
        return scope

    def _culprits(self, scope_key: int, keys: Sequence[int], error: Raised) -> list[tuple[int, Raised]]:
        """Every record that raises by itself; else one that raises only together with others; else none.

        Each with the text of its error. ``error`` is what ``keys`` together have raised.
        """
        alone = list(self._bisect(scope_key, keys, error))
        if alone or self._trial(scope_key, keys) is None:
            return alone
        return [self._first_failing_prefix(scope_key, keys, error)]

    def _bisect(
        self, scope_key: int, keys: Sequence[int], error: Raised | None
    ) -> Iterator[tuple[int, Raised]]:
        """Those of ``keys`` that raise by themselves, each with the text of its error.

        ``error`` is what exactly these keys have raised; ``None`` when that was not tried.
        """
        if len(keys) == 1:
            error = error or self._trial(scope_key, keys)
            if error is not None:
                yield keys[0], error
            return
        half = len(keys) // 2
        first = self._trial(scope_key, keys[:half])
        if first is None:
            # Whatever is wrong with one record is then in the second half: no need to try it whole.
            yield from self._bisect(scope_key, keys[half:], None)
            return
        yield from self._bisect(scope_key, keys[:half], first)
        second = self._trial(scope_key, keys[half:])
        if second is not None:
            yield from self._bisect(scope_key, keys[half:], second)

    def _first_failing_prefix(self, scope_key: int, keys: Sequence[int], error: Raised) -> tuple[int, Raised]:
        """The last record of the shortest beginning of ``keys`` that raises: without it those before it do not."""
        passes, fails = 0, len(keys)
        while fails - passes > 1:
            middle = (passes + fails) // 2
            failure = self._trial(scope_key, keys[:middle])
            if failure is None:
                passes = middle
            else:
                fails, error = middle, failure
        return keys[passes], error._replace(text=f"{error.text} (only together with other records)")

    def _trial(self, scope_key: int, keys: Sequence[int]) -> Raised | None:
        """Execute and save these records, and roll all of it back: the text of what that raises, or ``None``."""
        try:
            with self.session.transaction(patient=True) as connection:
                stored = scopes.read(connection, scope_key)
                if stored.done:
                    raise _DoneElsewhere
                self._save(connection, stored, self._execute(connection, stored, keys))
                raise _RollBack
        except _RollBack:
            return None
        except (FenceLost, TransactionEnded, _DoneElsewhere):
            raise
        except Exception as error:
            if faults.is_transient(error):
                raise
            return raised(error)

    def _tell(self, number: int, key: int, error: Raised) -> None:
        traceback = None if error.fault in self._traced else error.traceback
        self._traced.add(error.fault)
        self.events.publish(
            events.RecordErrored(self.run.run_id, number, key, error.message, error.fault, traceback)
        )

    def _save(self, connection: Connection, stored: scopes.StoredScope, scope: Scope) -> Done:
        """Ledger, fence and mark: the last statements of every scope."""
        scopes.insert_outcomes(connection, list(self._ledger_rows(stored, scope.outcomes)))
        scopes.insert_previews(connection, list(self._preview_rows(stored, scope)))
        runs.add_warnings(connection, self.run.id, stored.id, scope.warnings)
        errored = sum(1 for entry in scope.outcomes.values() if entry.outcome == "error")
        done = Done(
            stored.number,
            ok=len(stored.keys) - len(scope.outcomes),
            errored=errored,
            skipped=len(scope.outcomes) - errored,
        )
        amounts, currencies = _packed(stored.keys, scope.amounts)
        values = {
            "ok": done.ok,
            "errored": done.errored,
            "skipped": done.skipped,
            "totals": json.dumps(scope.totals),
            "amounts": amounts,
            "currencies": currencies,
            "about": attribution.encode(scope.customers, scope.months),
            "done_at": self.clock.now(),
        }
        requested = runs.hold_fence(connection, self.run)
        if not scopes.mark_done(connection, stored.id, values):
            raise _DoneElsewhere
        return replace(done, requested=requested)

    def _reached(self, point: Point, number: int) -> None:
        self.events.publish(events.Reached(self.run.run_id, point, number))

    def _ledger_rows(
        self, stored: scopes.StoredScope, outcomes: dict[int, Outcome]
    ) -> Iterator[dict[str, object]]:
        of_scope = {"run_id": self.run.id, "scope_id": stored.id}
        for key, entry in outcomes.items():
            said = {
                "outcome": entry.outcome,
                "code": storable(entry.code),
                "message": storable(entry.message),
            }
            yield {**of_scope, "record_key": key, **said}

    def _preview_rows(self, stored: scopes.StoredScope, scope: Scope) -> Iterator[dict[str, object]]:
        if self.run.is_dry:
            for line in scope.previews:
                yield {"run_id": self.run.id, "scope_id": stored.id, **scopes.preview_values(line)}


@contextmanager
def _gc_paused() -> Iterator[None]:
    """A scope holds tens of thousands of rows at once; the collector would walk them over and over for nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _packed(keys: Sequence[int], amounts: dict[str, dict[int, int]]) -> tuple[bytes | None, str | None]:
    """Amounts in the order of keys, and their currencies: one for all where it is one."""
    if not amounts:
        return None, None
    if len(amounts) == 1:
        [(currency, of_key)] = amounts.items()
        return scopes.pack([of_key.get(key, scopes.NO_AMOUNT) for key in keys]), json.dumps(currency)
    currency_of = {key: currency for currency, of_key in amounts.items() for key in of_key}
    minors = [amounts[currency_of[key]][key] if key in currency_of else scopes.NO_AMOUNT for key in keys]
    return scopes.pack(minors), json.dumps([currency_of.get(key) for key in keys])
