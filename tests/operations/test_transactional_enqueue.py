"""``execute_batch(job, connection=…)``: a run in the caller's transaction, on an engine of the caller's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    create_engine,
    event,
    insert,
    select,
)

from batchwright.engine.errors import KeyInUse, Refused
from batchwright.engine.store.notify import listener_for
from batchwright.operations import execute_batch
from batchwright.operations.app import Application
from batchwright.operations.runs.driving import drive_run
from batchwright.operations.runs.looking import list_runs
from tests.engine.dedup_submitter import MonthEnd
from tests.engine.jobs import Parcels, fill

Entries = Callable[[], list[dict[str, Any]]]

ORDERS = Table("orders", MetaData(), Column("id", Integer, primary_key=True))


def as_it_comes(url: str) -> Engine:
    """Python's sqlite3 begins at the first change; psycopg at the first statement."""
    return create_engine(url)


def serializable(url: str) -> Engine:
    """The strictest isolation there is."""
    return create_engine(url, isolation_level="SERIALIZABLE")


def beginning_with(words: str) -> Callable[[str], Engine]:
    """SQLAlchemy's recipe for SQLite: the engine itself says how a transaction begins."""

    def make(url: str) -> Engine:
        engine = create_engine(url)
        event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(words))
        return engine

    return make


CALLERS = {
    "sqlite as it comes": as_it_comes,
    "sqlite serializable": serializable,
    "sqlite BEGIN": beginning_with("BEGIN"),
    "sqlite BEGIN IMMEDIATE": beginning_with("BEGIN IMMEDIATE"),
    "postgresql as it comes": as_it_comes,
    "postgresql serializable": serializable,
}


@pytest.fixture(params=CALLERS)
def caller(request: pytest.FixtureRequest) -> str:
    """How the caller's engine is made."""
    name: str = request.param
    return name


@pytest.fixture
def database_kind(caller: str) -> str:
    """The database of the caller."""
    return caller.partition(" ")[0]


@pytest.fixture
def engine(caller: str, app: Application, migrated_url: str) -> Iterator[Engine]:
    """The caller's engine, on our database, with a table of theirs."""
    app.registry.add(Parcels)
    app.registry.add(MonthEnd)
    with app.database.write() as connection:
        fill(connection, 3)
        ORDERS.create(connection)
    engine = CALLERS[caller](migrated_url)
    yield engine
    engine.dispose()


def orders(app: Application) -> list[int]:
    with app.database.read() as connection:
        return list(connection.execute(select(ORDERS.c.id)).scalars())


def order_and_enqueue(app: Application, connection: Connection, key: int = 1) -> str:
    connection.execute(insert(ORDERS).values(id=key))
    return execute_batch(Parcels(ids=(1, 2)), app=app, connection=connection)


def test_a_commit_makes_the_run_with_what_else_was_written(
    app: Application, entries: Entries, engine: Engine
) -> None:
    with engine.begin() as connection:
        run_id = order_and_enqueue(app, connection)
        assert list_runs(app) == []
    assert orders(app) == [1]
    assert [run["run_id"] for run in list_runs(app)] == [run_id]
    assert [entry["subject"] for entry in entries()] == [run_id]
    driven = drive_run(app, run_id)
    assert (driven["status"], driven["processed"]) == ("Completed", 2)


@pytest.mark.parametrize("run_first", [False, True], ids=["write first", "run first"])
def test_a_rollback_leaves_neither_a_run_nor_its_entry(
    app: Application, entries: Entries, engine: Engine, run_first: bool
) -> None:
    with engine.connect() as connection:
        connection.execute(select(ORDERS)).all()
        if run_first:
            execute_batch(Parcels(ids=(3,)), app=app, connection=connection)
        order_and_enqueue(app, connection)
        connection.rollback()
    assert (orders(app), list_runs(app), entries()) == ([], [], [])


def test_an_exception_in_the_callers_block_leaves_no_run(app: Application, engine: Engine) -> None:
    def order_and_fail() -> None:
        with engine.begin() as connection:
            order_and_enqueue(app, connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        order_and_fail()
    assert (orders(app), list_runs(app)) == ([], [])


def test_a_savepoint_of_the_caller_takes_its_run_back_alone(app: Application, engine: Engine) -> None:
    with engine.begin() as connection:
        stored = order_and_enqueue(app, connection)
        savepoint = connection.begin_nested()
        order_and_enqueue(app, connection, 2)
        savepoint.rollback()
    assert orders(app) == [1]
    assert [run["run_id"] for run in list_runs(app)] == [stored]


def test_one_transaction_may_enqueue_several_runs(app: Application, engine: Engine) -> None:
    with engine.begin() as connection:
        enqueued = [order_and_enqueue(app, connection, key) for key in (1, 2, 3)]
    assert sorted(run["run_id"] for run in list_runs(app)) == enqueued


def test_a_refusal_leaves_the_callers_transaction_usable(app: Application, engine: Engine) -> None:
    first = execute_batch(MonthEnd(month="2023-06"), app=app)
    with engine.begin() as connection:
        with pytest.raises(KeyInUse, match=first):
            execute_batch(MonthEnd(month="2023-06"), app=app, connection=connection)
        with pytest.raises(Refused, match="no such parcels"):
            execute_batch(Parcels(ids=(99,)), app=app, connection=connection)
        stored = order_and_enqueue(app, connection)
    assert orders(app) == [1]
    assert {run["run_id"] for run in list_runs(app)} == {first, stored}


def test_who_waits_for_runs_is_woken_by_the_commit_and_not_before(app: Application, engine: Engine) -> None:
    listener = listener_for(app.database)
    listener.wait(0)  # listens from now on
    listener.wait(0.2)
    with engine.begin() as connection:
        order_and_enqueue(app, connection)
        assert waited(lambda: listener.wait(0.4)) >= 0.4
    assert waited(lambda: listener.wait(30)) < 15
    listener.close()


def test_nobody_is_woken_by_a_rollback(app: Application, engine: Engine) -> None:
    listener = listener_for(app.database)
    listener.wait(0)
    listener.wait(0.2)
    with engine.connect() as connection:
        order_and_enqueue(app, connection)
        connection.rollback()
    assert waited(lambda: listener.wait(0.4)) >= 0.4
    listener.close()


def waited(wait: Callable[[], object]) -> float:
    began = time.monotonic()
    wait()
    return time.monotonic() - began
