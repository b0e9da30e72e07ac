"""Faults of the database that pass are tried again; nothing is lost or done twice by it."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import errors as postgres_errors
from sqlalchemy import Connection, insert
from sqlalchemy.exc import DBAPIError, OperationalError

from batchwright.engine import events
from batchwright.engine.faults import (
    LONGEST_PAUSE_SECONDS,
    MAX_ATTEMPTS,
    ReadOnlyDatabase,
    is_transient,
    pause_before,
    reason_of,
)
from batchwright.engine.job import Finish, Scope
from batchwright.engine.run import Run, State
from batchwright.engine.scope import RunSession
from batchwright.engine.store import engines, scopes
from batchwright.engine.store.leases import LeaseStore
from batchwright.engine.store.tables import outcome
from tests.engine.jobs import Parcels, parcel
from tests.engine.rig import NOW, Rig
from tests.support.faults import sqlite_busy, sqlite_fault

pytestmark = pytest.mark.on_both

PASSING = [
    sqlite_busy(),
    sqlite_fault("SQLITE_FULL", "database or disk is full"),
    sqlite_fault("SQLITE_IOERR_WRITE", "disk I/O error"),
    sqlite_fault("SQLITE_CANTOPEN", "unable to open database file"),
    sqlite_fault("SQLITE_CORRUPT_INDEX", "database disk image is malformed"),
    postgres_errors.QueryCanceled("canceling statement due to statement timeout"),
    postgres_errors.IoError("could not read block"),
    postgres_errors.DiskFull("could not extend file"),
    postgres_errors.IndexCorrupted("index is damaged"),
    postgres_errors.DeadlockDetected("deadlock detected"),
    postgres_errors.SerializationFailure("could not serialize"),
    postgres_errors.LockNotAvailable("lock timeout"),
    postgres_errors.AdminShutdown("terminating connection"),
    postgres_errors.TooManyConnections("too many clients"),
    psycopg.OperationalError("server closed the connection unexpectedly"),
]
LASTING = [
    sqlite3.IntegrityError("UNIQUE constraint failed"),
    sqlite3.OperationalError("no such table: parcel"),
    postgres_errors.UniqueViolation("duplicate key"),
    postgres_errors.UndefinedTable("no such table"),
    sqlite_fault("SQLITE_READONLY", "attempt to write a readonly database"),
    postgres_errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction"),
    ValueError("not the database"),
    ConnectionResetError("somebody else's line"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_a_passing_fault_is_known_as_the_driver_and_as_sqlalchemy_raise_it(error: Exception) -> None:
    assert is_transient(error)
    assert is_transient(OperationalError("SELECT 1", {}, error))


@pytest.mark.parametrize("error", LASTING, ids=lambda error: type(error).__name__)
def test_anything_else_is_not_taken_for_a_passing_fault(error: Exception) -> None:
    assert not is_transient(error)


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_disk_that_is_full_for_a_while_is_no_records_fault_and_fails_no_run(
    rig: Rig, spy: type[Parcels]
) -> None:
    full = [sqlite_fault("SQLITE_FULL", "database or disk is full")] * 5

    def meet(scope: Scope) -> None:
        if full:
            raise full.pop()

    spy.on_execute = staticmethod(meet)
    rig.fill(20)
    run = rig.drive(scope_size=10)
    assert (run.state, run.processed, run.errored, full) == (State.COMPLETED, 20, 0, [])


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_file_that_only_reads_is_a_passing_fault_for_who_may_write_alone(rig: Rig) -> None:
    with pytest.raises(ReadOnlyDatabase) as met, rig.database.write():
        raise sqlite_fault("SQLITE_READONLY_DBMOVED", "attempt to write a readonly database")
    assert is_transient(met.value)
    with rig.database.read() as connection, pytest.raises(OperationalError) as wrong:
        connection.exec_driver_sql("DELETE FROM run")
    assert not is_transient(wrong.value)


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_limits_that_a_server_sets_for_its_sessions_are_not_ours(rig: Rig) -> None:
    theirs = {
        "statement_timeout": ("0", "1s"),
        "lock_timeout": ("0", "1s"),
        "idle_in_transaction_session_timeout": ("0", "1s"),
        "idle_session_timeout": ("0", "1s"),
        "transaction_timeout": ("0", "1s"),
        "transaction_isolation": ("read committed", "serializable"),
    }
    with rig.database.write() as connection:
        name = connection.exec_driver_sql("SELECT current_database()").scalar_one()
        for setting, (_, value) in theirs.items():
            setting = setting.replace("transaction_isolation", "default_transaction_isolation")
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET {setting} = '{value}'")
    rig.database.close()
    with rig.database.write(patient=True) as connection:
        shown = {name: connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in theirs}
    assert shown == {name: ours for name, (ours, _) in theirs.items()}


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_a_heartbeat_leaves_a_server_that_has_become_read_only(rig: Rig) -> None:
    store = LeaseStore(rig.database)
    store.begin("run/1", 1)
    with rig.database.lease_engine.connect() as pooled:
        # As of a primary that a failover has made a standby: its old connections stay with it.
        pooled.exec_driver_sql("SET default_transaction_read_only = on")
    with pytest.raises(DBAPIError) as met:
        store.beat("run/1", 1)
    assert is_transient(met.value)
    assert store.beat("run/1", 1)
    store.close()


def test_the_reason_of_a_fault_is_what_the_driver_said_without_the_statement() -> None:
    error = sqlite3.OperationalError("database is locked\n")
    assert reason_of(OperationalError("SELECT 1", {}, error)) == reason_of(error) == "database is locked"


def test_pauses_double_up_to_a_quarter_of_a_minute_and_vary_by_half() -> None:
    class Longest(random.Random):
        def random(self) -> float:
            return 1.0

    longest = [pause_before(attempt, Longest()) for attempt in range(2, MAX_ATTEMPTS + 1)]
    assert longest[:4] == [0.05, 0.1, 0.2, 0.4]
    assert longest[-1] == LONGEST_PAUSE_SECONDS
    chance = random.Random(1)
    for attempt, most in enumerate(longest, start=2):
        assert most / 2 <= pause_before(attempt, chance) <= most


def failing(times: int, error: Exception) -> Callable[[Scope], None]:
    left = [error] * times

    def fail(scope: Scope) -> None:
        if scope.number == 2 and left:
            raise left.pop()

    return fail


@pytest.mark.parametrize("error", [PASSING[0], PASSING[1], OperationalError("SELECT 1", {}, PASSING[2])])
@pytest.mark.parametrize("times", [1, 5, MAX_ATTEMPTS - 1])
def test_a_scope_is_tried_again_until_the_fault_has_passed(
    rig: Rig, spy: type[Parcels], times: int, error: Exception
) -> None:
    spy.on_execute = staticmethod(failing(times, error))
    rig.fill(30)
    run = rig.drive()
    assert (run.state, run.processed, run.errored) == (State.COMPLETED, 30, 0)
    assert set(rig.handled().values()) == {1}
    assert [one.attempt for one in rig.published if isinstance(one, events.ScopeRetried)] == [
        *range(2, times + 2)
    ]
    most = sum(min(LONGEST_PAUSE_SECONDS, 0.05 * 2**n) for n in range(times))
    assert most / 2 <= (rig.clock.now() - NOW).total_seconds() <= most


def test_a_fault_that_does_not_pass_leaves_the_run_to_be_resumed(rig: Rig, spy: type[Parcels]) -> None:
    spy.on_execute = staticmethod(failing(MAX_ATTEMPTS, sqlite_busy()))
    rig.fill(30)
    run = rig.submit()
    with pytest.raises(sqlite3.OperationalError):
        rig.drive(run)
    assert (rig.read(run).state, rig.read(run).processed) == (State.PROCESSING, 10)
    assert rig.announced == []
    assert rig.dispatcher().resume(run.id).processed == 30
    assert set(rig.handled().values()) == {1}


def test_a_passing_fault_in_a_trial_blames_no_record(rig: Rig, spy: type[Parcels]) -> None:
    left = [sqlite_busy(), sqlite_busy()]

    def fail(scope: Scope) -> None:
        if 3 in scope.keys:
            raise ValueError("bad")
        if len(scope.keys) < 4 and left:
            raise left.pop()

    spy.on_execute = staticmethod(fail)
    rig.fill(10)
    assert rig.drive().errored == 1
    assert [row.record_key for row in rig.rows(outcome)] == [3]
    assert left == []


@contextmanager
def lost_around_commit(which: int, *, after: bool) -> Iterator[list[int]]:
    """The connection is lost before, or right after, the ``which``-th COMMIT of the run's own session.

    Gives the numbers of all transactions.
    """
    transaction = RunSession.transaction
    begun: list[int] = []

    @contextmanager
    def losing(session: RunSession, *, patient: bool = False) -> Iterator[Connection]:
        begun.append(len(begun) + 1)
        lost = begun[-1] == which
        with transaction(session, patient=patient) as connection:
            yield connection
            if lost and not after:
                raise OperationalError("COMMIT", {}, sqlite_busy())
        if lost:
            raise OperationalError("COMMIT", {}, sqlite_busy())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunSession, "transaction", losing)
        yield begun


TRANSACTIONS = 6
"""Of a run of three scopes: two to plan it, three scopes, one to end it."""


def record_end(connection: Connection, run: Run) -> None:
    connection.execute(insert(parcel).values(id=1000 + run.id, handled=1))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("which", range(1, TRANSACTIONS + 1))
def test_a_connection_lost_around_any_commit_loses_and_doubles_nothing(
    rig: Rig, spy: type[Parcels], which: int, after: bool
) -> None:
    finished: list[Finish] = []
    spy.finish = lambda self, finish: finished.append(finish)  # type: ignore[method-assign]
    rig.fill(30)
    rig.on_announce = record_end
    run = rig.submit()
    with lost_around_commit(which, after=after) as begun:
        ended = rig.drive(run)
    assert len(begun) > TRANSACTIONS
    assert (ended.state, ended.total, ended.processed) == (State.COMPLETED, 30, 30)
    assert rig.handled() == {**dict.fromkeys(range(1, 31), 1), 1000 + run.id: 1}
    assert rig.ledger(ended) == {"ok": 30}
    assert len(finished) == (2 if which == TRANSACTIONS and not after else 1)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_connection_lost_when_a_run_fails_or_is_handed_back_changes_nothing(
    rig: Rig, spy: type[Parcels], after: bool
) -> None:
    def broken(self: Parcels, finish: Finish) -> None:
        raise RuntimeError("always")

    rig.fill(1)
    with lost_around_commit(4, after=after):
        handed_back = rig.dispatcher().drive(rig.submit().id, stop=lambda: True)
    assert (handed_back.state, handed_back.owner) == (State.QUEUED, None)
    spy.finish = broken  # type: ignore[method-assign]
    with lost_around_commit(5, after=after):
        failed = rig.drive(handed_back)
    assert failed.state is State.FAILED
    assert (failed.error or "").startswith("RuntimeError: always [tests/engine/")


def terminate(rig: Rig, connection: Connection) -> None:
    """End the PostgreSQL session behind a connection, as an administrator would."""
    pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    with rig.database.write() as other:
        other.exec_driver_sql("SELECT pg_terminate_backend(%s, 10000)", (pid,))


on_postgresql = pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)


@on_postgresql
@pytest.mark.parametrize("raw", [False, True], ids=["sqlalchemy", "raw driver"])
def test_a_session_that_is_ended_in_the_middle_of_a_scope_is_replaced(
    rig: Rig, spy: type[Parcels], raw: bool
) -> None:
    ended: list[int] = []

    def end(scope: Scope) -> None:
        if scope.number in {1, 3} and scope.number not in ended:
            ended.append(scope.number)
            terminate(rig, scope.connection)
            if raw:
                driver_connection: Any = scope.connection.connection.driver_connection
                driver_connection.cursor().execute("SELECT 1")

    spy.on_execute = staticmethod(end)
    rig.fill(30)
    run = rig.drive()
    assert ended == [1, 3]
    assert (run.state, run.processed) == (State.COMPLETED, 30)
    assert set(rig.handled().values()) == {1}


@on_postgresql
def test_a_session_that_is_ended_right_before_a_commit_commits_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_done = scopes.mark_done
    marked: list[int] = []

    def end_after(connection: Connection, scope_key: int, values: Mapping[str, Any]) -> bool:
        marked.append(scope_key)
        answer = mark_done(connection, scope_key, values)
        if len(marked) == 2:
            terminate(rig, connection)
        return answer

    monkeypatch.setattr(scopes, "mark_done", end_after)
    rig.fill(30)
    run = rig.drive()
    assert (run.state, run.processed, len(marked)) == (State.COMPLETED, 30, 4)
    assert set(rig.handled().values()) == {1}


@on_postgresql
def test_a_session_that_is_ended_in_finish_is_replaced(rig: Rig, spy: type[Parcels]) -> None:
    finished: list[Run] = []

    def finish(job: Parcels, finish: Finish) -> None:
        finished.append(finish.run)
        if len(finished) == 1:
            terminate(rig, finish.connection)

    spy.finish = finish  # type: ignore[method-assign, assignment]
    rig.fill(3)
    run = rig.drive()
    assert (run.state, len(finished), [one.state for one in rig.announced]) == (
        State.COMPLETED,
        2,
        [run.state],
    )


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_write_lock_that_somebody_else_holds_delays_a_scope_only(rig: Rig, spy: type[Parcels]) -> None:
    """Held past the turnstile, as a shell on the file does."""
    rig.fill(3)
    run = rig.submit()
    other = sqlite3.connect(rig.database.url.database or "", isolation_level=None, check_same_thread=False)
    pause = rig.clock.sleep

    def let_go(seconds: float) -> None:
        pause(seconds)
        if other.in_transaction:
            other.execute("ROLLBACK")

    def pending(connection: Connection, run_key: int) -> Any:
        other.execute("BEGIN IMMEDIATE")
        return all_pending(connection, run_key)

    all_pending = scopes.pending
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "SQLITE_BUSY_MILLISECONDS", 1)
        rig.database.close()
        patch.setattr(scopes, "pending", pending)
        patch.setattr(rig.clock, "sleep", let_go)
        ended = rig.drive(run)
    other.close()
    assert (ended.state, ended.processed) == (State.COMPLETED, 3)
    assert [one.reason for one in rig.published if isinstance(one, events.ScopeRetried)] == [
        "database is locked"
    ]
