"""One scope is one transaction: its records' changes, its ledger entries and its mark commit together, or not at all.

A passing fault of the database is tried again. Any other exception is found by trial: halves are executed and rolled
back until the guilty record stands alone; then the scope runs once without it, and commits once.
"""

from __future__ import annotations

import gc
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection

from engine import events, faults
from engine.clock import Clock
from engine.errors import FenceLost
from engine.events import Events
from engine.job import BatchJob, Outcome, Scope
from engine.lease import Lease, record_sessions
from engine.run import Run
from engine.store import runs, scopes
from engine.store.database import Database

UNFORESEEN = "unforeseen"


@dataclass(frozen=True, slots=True)
class Done:
    """What a scope came to."""

    number: int
    ok: int
    errored: int
    skipped: int


class _Undo(Exception):
    """Ends a trial: nothing of it may stay."""


class RunSession:
    """The one connection that a run's scopes are executed on, recorded with the lease before it writes."""

    def __init__(self, database: Database, lease: Lease) -> None:
        self._database = database
        self._lease = lease
        self._connection = database.engine.connect()
        self._recorded: object = None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A write transaction on it; reconnects after a connection was lost."""
        with self._database.transaction(self._connection):
            if self._connection.connection.driver_connection is not self._recorded:
                record_sessions(self._lease, self._database, self._connection)
                self._recorded = self._connection.connection.driver_connection
            yield self._connection

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()


@dataclass(slots=True)
class ScopeRunner:
    """Executes the scopes of one run."""

    run: Run
    job: BatchJob
    session: RunSession
    clock: Clock
    events: Events
    chance: random.Random

    def execute(self, scope_key: int) -> Done:
        """Execute a scope, whatever it takes, and say what became of it.

        Raises ``FenceLost`` when the run was taken over, the database's error when a fault did not pass, and the
        job's own exception when it raises without any record.
        """
        attempt = 1
        while True:
            try:
                return self._attempt(scope_key)
            except Exception as error:
                if not faults.is_transient(error) or attempt == faults.MAX_ATTEMPTS:
                    raise
                attempt += 1
                reason = str(getattr(error, "orig", error)).strip()
                self.events.publish(events.ScopeRetried(self.run.run_id, scope_key, attempt, reason))
                self.clock.sleep(faults.pause_before(attempt, self.chance))

    def _attempt(self, scope_key: int) -> Done:
        guilty: dict[int, Outcome] = {}
        while True:
            try:
                with self.session.transaction() as connection:
                    stored = scopes.read(connection, scope_key)
                    if stored.done:  # the connection was lost in COMMIT, after the database had committed
                        return Done(stored.number, stored.ok, stored.errored, stored.skipped)
                    keys = [key for key in stored.keys if key not in guilty]
                    scope = self._execute(connection, stored, keys)
                    scope.outcomes.update(guilty)
                    return self._save(connection, stored, scope)
            except FenceLost:
                raise
            except Exception as error:
                if faults.is_transient(error) or len(guilty) == len(stored.keys):
                    raise
                for key, message in self._trial(scope_key, keys, words(error)):
                    guilty[key] = Outcome("error", UNFORESEEN, message)
                    self.events.publish(events.RecordErrored(self.run.run_id, stored.number, key, message))

    def _execute(self, connection: Connection, stored: scopes.StoredScope, keys: Sequence[int]) -> Scope:
        scope = Scope(
            run=self.run,
            number=stored.number,
            connection=connection,
            now=self.clock.now(),
            keys=keys,
            planned_keys=stored.keys,
            groups=stored.groups,
        )
        with _collector_at_rest():
            self.job.execute(scope)
        strangers = scope.outcomes.keys() | {key for of_key in scope.amounts.values() for key in of_key}
        strangers -= set(keys)
        if strangers:
            raise ValueError(f"the job reported records that are not in its scope: {sorted(strangers)[:5]}")
        return scope

    def _trial(self, scope_key: int, keys: Sequence[int], raised: str) -> Iterator[tuple[int, str]]:
        """The guilty among ``keys``, with which ``execute`` has raised; each with the words of its exception."""
        if len(keys) == 1:
            alone = self._raises(scope_key, keys)
            yield keys[0], alone or f"{raised} (only together with other records)"
            return
        half = len(keys) // 2
        first = self._raises(scope_key, keys[:half])
        if first is None:
            # Whatever was wrong with both halves together is then in the second: no need to try it whole.
            yield from self._trial(scope_key, keys[half:], raised)
            return
        yield from self._trial(scope_key, keys[:half], first)
        second = self._raises(scope_key, keys[half:])
        if second is not None:
            yield from self._trial(scope_key, keys[half:], second)

    def _raises(self, scope_key: int, keys: Sequence[int]) -> str | None:
        """The words of what ``execute`` raises on these records; whatever it did is rolled back."""
        try:
            with self.session.transaction() as connection:
                self._execute(connection, scopes.read(connection, scope_key), keys)
                raise _Undo
        except _Undo:
            return None
        except Exception as error:
            if faults.is_transient(error):
                raise
            return words(error)

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
        }
        runs.hold_fence(connection, self.run)
        if not scopes.mark_done(connection, stored.id, values):
            raise FenceLost(self.run.run_id)
        return done

    def _ledger_rows(
        self, stored: scopes.StoredScope, outcomes: dict[int, Outcome]
    ) -> Iterator[dict[str, object]]:
        of_scope = {"run_id": self.run.id, "scope_id": stored.id}
        for key, entry in outcomes.items():
            yield {**of_scope, "record_key": key, **entry._asdict()}

    def _preview_rows(self, stored: scopes.StoredScope, scope: Scope) -> Iterable[dict[str, object]]:
        for line in scope.previews:
            minor, currency = line.amount or (None, None)
            yield {
                "run_id": self.run.id,
                "scope_id": stored.id,
                "kind": line.kind,
                "record_id": line.record_id,
                "amount": minor,
                "currency": currency,
                "detail": json.dumps(line.detail),
            }


@contextmanager
def _collector_at_rest() -> Iterator[None]:
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


def words(error: Exception) -> str:
    """The kind of an exception and its text, as a message of the ledger."""
    return f"{type(error).__name__}: {error}"[:1000]
