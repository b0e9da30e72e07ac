"""A job cannot end the transaction that it works in; where it does all the same, that is found out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from sqlalchemy import Connection, text

from batchwright.engine.executors import Local, TaskResult
from batchwright.engine.job import Finish, Record, Scope, StartContext
from batchwright.engine.run import Run, State
from batchwright.engine.submit import Request, submit
from tests.engine.jobs import Parcels
from tests.engine.rig import NOW, Rig

pytestmark = pytest.mark.on_both


def driver_of(connection: Connection) -> Any:
    return connection.connection.driver_connection


WAYS: dict[str, Callable[[Connection], object]] = {
    "commit": lambda connection: connection.commit(),
    "rollback": lambda connection: connection.rollback(),
    "close": lambda connection: connection.close(),
    "the driver's commit": lambda connection: driver_of(connection).commit(),
    "the driver's rollback": lambda connection: connection.connection.dbapi_connection.rollback(),  # type: ignore[union-attr]
    "the pool's commit": lambda connection: connection.connection.commit(),
    "a driver's COMMIT": lambda connection: driver_of(connection).execute("COMMIT"),
    "a cursor's ROLLBACK": lambda connection: driver_of(connection).cursor().execute(" /* so */ rollback"),
    "exec_driver_sql": lambda connection: connection.exec_driver_sql("-- now\nEND"),
    "text": lambda connection: connection.execute(text("ROLLBACK")),
}


def test_the_connection_of_a_scope_refuses_to_end_its_transaction(rig: Rig, spy: type[Parcels]) -> None:
    def execute(scope: Scope) -> None:
        for key, way in enumerate(WAYS.values(), start=1):
            if key in scope.keys:
                way(scope.connection)

    spy.on_execute = staticmethod(execute)
    rig.fill(20)
    run = rig.drive(scope_size=20)
    assert (run.state, run.processed, run.errored) == (State.COMPLETED, 20 - len(WAYS), len(WAYS))
    assert rig.handled() == {key: int(key > len(WAYS)) for key in range(1, 21)}
    errors = {one.message for one in rig.outcomes(run) if one.outcome == "error"}
    assert all("begin_nested" in (error or "") for error in errors)
    assert all("test_ends_refused.py" in (error or "") for error in errors)


def in_start(way: Callable[[Connection], object]) -> Callable[[Parcels, StartContext], Iterable[Record]]:
    def start(self: Parcels, context: StartContext) -> Iterable[Record]:
        yield from (Record(key) for key in range(1, 6))
        way(context.connection)
        yield from (Record(key) for key in range(6, 11))

    return start


def in_finish(way: Callable[[Connection], object]) -> Callable[[Parcels, Finish], None]:
    def finish(self: Parcels, finish: Finish) -> None:
        way(finish.connection)

    return finish


@pytest.mark.parametrize("way", ["close", "the driver's commit", "text"])
@pytest.mark.parametrize(("where", "place"), [("start", in_start), ("finish", in_finish)])
def test_the_connections_of_start_and_finish_refuse_it_too(
    rig: Rig, spy: type[Parcels], where: str, place: Callable[..., Any], way: str
) -> None:
    setattr(spy, where, place(WAYS[way]))
    rig.fill(10)
    run = rig.drive()
    assert run.state is State.FAILED
    assert "begin_nested" in (run.error or "")
    assert "test_ends_refused.py" in (run.error or "")
    assert rig.handled() == {key: int(where == "finish") for key in range(1, 11)}


@pytest.mark.parametrize("way", ["commit", "close", "a driver's COMMIT"])
@pytest.mark.parametrize("where", ["select", "check"])
def test_the_transaction_of_who_submits_is_not_the_jobs_to_end(
    rig: Rig, spy: type[Parcels], where: str, way: str
) -> None:
    def ends(self: Parcels, connection: Connection, *_: object) -> list[int]:
        WAYS[way](connection)
        return []

    setattr(spy, where, ends)
    rig.fill(1)

    def submit_after_a_change() -> None:
        with rig.database.write() as connection:
            connection.exec_driver_sql("UPDATE parcel SET handled = 7")
            submit(connection, spy(), Request(actor="dana"), NOW)

    with pytest.raises(RuntimeError, match="begin_nested"):
        submit_after_a_change()
    assert rig.handled() == {1: 0}


@pytest.mark.parametrize("way", ["rollback", "a cursor's ROLLBACK"])
def test_what_a_job_says_of_its_records_ends_no_transaction(rig: Rig, spy: type[Parcels], way: str) -> None:
    def ends(self: Parcels, connection: Connection, keys: object) -> dict[int, str]:
        WAYS[way](connection)
        return {}

    rig.fill(2)
    run = rig.drive()
    spy.record_ids = ends  # type: ignore[method-assign]
    assert [one.record_id for one in rig.outcomes(run)] == ["1 (damaged)", "2 (damaged)"]


def slip_by(connection: Connection) -> None:
    """What no look at a statement sees: PostgreSQL takes several in one, SQLite ends it for a conflict."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT 1; COMMIT", execution_options={"no_parameters": True})
    else:
        try:
            connection.exec_driver_sql("INSERT OR ROLLBACK INTO parcel (id, handled) VALUES (1, 0)")
        except Exception:
            return


def slip_by_and_err(connection: Connection) -> None:
    """The same, and another one begun, in which something goes wrong: nothing can be asked in that."""
    if connection.dialect.name == "postgresql":
        several = "UPDATE parcel SET handled = 7 WHERE id = 15; COMMIT; BEGIN; SELECT 1 / 0"
        connection.exec_driver_sql(several, execution_options={"no_parameters": True})
    else:
        slip_by(connection)


def the_transactions_own(connection: Connection) -> None:
    transaction = connection.get_transaction()
    assert transaction is not None
    try:
        transaction.rollback()
    except Exception:
        return


@pytest.mark.parametrize(
    ("way", "raises"),
    [(slip_by, False), (slip_by, True), (slip_by_and_err, True), (the_transactions_own, True)],
)
def test_a_transaction_that_was_ended_all_the_same_fails_the_run_and_nothing_is_done_twice(
    rig: Rig, spy: type[Parcels], way: Callable[[Connection], None], raises: bool
) -> None:
    def execute(scope: Scope) -> None:
        if 15 in scope.keys:
            way(scope.connection)
            if raises:
                raise ValueError("after that")

    spy.on_execute = staticmethod(execute)
    rig.fill(30)
    run = rig.drive()
    assert (run.state, run.processed, run.not_reached) == (State.FAILED, 10, 20)
    assert (run.error or "").startswith("the job ended the transaction of scope 2 by itself")
    assert spy.calls == [tuple(range(1, 11)), tuple(range(11, 21))]
    assert all(rig.handled()[key] == 1 for key in range(1, 11))
    assert all(rig.handled()[key] == 0 for key in range(21, 31))


@pytest.mark.parametrize(("where", "place"), [("start", in_start), ("finish", in_finish)])
def test_start_and_finish_that_ended_theirs_all_the_same_fail_the_run(
    rig: Rig, spy: type[Parcels], where: str, place: Callable[..., Any]
) -> None:
    setattr(spy, where, place(the_transactions_own))
    rig.fill(10)
    run = rig.drive()
    assert run.state is State.FAILED
    assert f"transaction of {where} by itself" in (run.error or "")


def test_a_process_of_the_pool_that_found_it_out_is_believed(rig: Rig, spy: type[Parcels]) -> None:
    from concurrent.futures import Future

    class Pool:
        name, window, starting = "pool", 1, False

        def send(self, task: object) -> Future[TaskResult]:
            answer: Future[TaskResult] = Future()
            answer.set_result(TaskResult(ended_in="scope 2"))
            return answer

        def check(self) -> None: ...

        def end_stopped(self) -> None: ...

        def close(self) -> None: ...

    rig.executor = Local(Pool, rig.events, worth=0)
    rig.fill(20)
    run = rig.drive()
    assert (run.state, spy.calls) == (State.FAILED, [tuple(range(1, 11))])
    assert "transaction of scope 2" in (run.error or "")


def test_a_savepoint_is_the_jobs_own(rig: Rig, spy: type[Parcels]) -> None:
    def nested(scope: Scope) -> None:
        with scope.connection.begin_nested() as savepoint:
            scope.connection.execute(text("UPDATE parcel SET handled = 7"))
            savepoint.rollback()
        scope.connection.exec_driver_sql("SAVEPOINT mine")
        scope.connection.exec_driver_sql("ROLLBACK TO SAVEPOINT mine")
        scope.connection.exec_driver_sql("RELEASE SAVEPOINT mine")

    spy.on_execute = staticmethod(nested)
    rig.fill(10)
    run: Run = rig.drive()
    assert (run.state, run.processed) == (State.COMPLETED, 10)
    assert set(rig.handled().values()) == {1}


@pytest.mark.parametrize("database_kind", ["postgresql"])
@pytest.mark.parametrize("divisor", [1, 0])
def test_the_end_of_a_block_in_a_statement_ends_no_transaction(
    rig: Rig, spy: type[Parcels], divisor: int
) -> None:
    def execute(scope: Scope) -> None:
        if 15 in scope.keys:
            scope.connection.exec_driver_sql(f"DO $$ BEGIN PERFORM 1 / {divisor}; END $$")

    spy.on_execute = staticmethod(execute)
    rig.fill(30)
    run = rig.drive()
    errors = int(not divisor)
    assert (run.state, run.processed, run.errored) == (State.COMPLETED, 30 - errors, errors)
