"""SQLite as it is set up: durable, and fair between processes."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from batchwright.engine.faults import is_transient
from batchwright.engine.run import State
from batchwright.engine.store import turnstile
from batchwright.engine.store.database import Database
from batchwright.engine.store.leases import Heartbeat, LeaseStore
from batchwright.engine.store.side_files import open_side_file
from batchwright.engine.store.turnstile import Turnstile
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig
from tests.support.concurrency import is_next_held

PROCESSES = 4
TURNS = 50


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'batchwright.db'}"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE turn (number INTEGER PRIMARY KEY, process INTEGER)")
    yield database
    database.close()


def pragma(connection: Connection, name: str) -> object:
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()


@pytest.mark.parametrize(
    ("name", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 60_000)],
)
def test_every_connection_is_durable_and_checks_references(
    database: Database, name: str, value: object
) -> None:
    with database.read() as reading, database.write() as writing:
        assert pragma(reading, name) == pragma(writing, name) == value


def test_making_a_database_object_opens_nothing(url: str, tmp_path: Path) -> None:
    Database(url)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_sees_one_state_while_somebody_writes(database: Database) -> None:
    count = "SELECT count(*) FROM turn"
    with database.read() as reading:
        assert reading.exec_driver_sql(count).scalar_one() == 0
        with database.write() as writing:
            writing.exec_driver_sql("INSERT INTO turn (process) VALUES (1)")
        assert reading.exec_driver_sql(count).scalar_one() == 0
    with database.read() as reading:
        assert reading.exec_driver_sql(count).scalar_one() == 1


def test_a_read_given_up_among_its_rows_leaves_no_old_state_to_the_next(database: Database, url: str) -> None:
    with database.write() as writing:
        writing.exec_driver_sql("INSERT INTO turn (process) VALUES (1), (2), (3)")
    with pytest.raises(LookupError) as given_up, database.read() as reading:  # its traceback keeps the rows
        read_in_part(reading)
    with closing(Database(url)) as other, other.write() as elsewhere:
        elsewhere.exec_driver_sql("INSERT INTO turn (process) VALUES (4)")
    with database.read() as reading:
        assert reading.exec_driver_sql("SELECT max(process) FROM turn").scalar_one() == 4
    with database.write() as writing:
        writing.exec_driver_sql("INSERT INTO turn (process) VALUES (5)")
    assert given_up.value.args == ((1,),)


def read_in_part(connection: Connection) -> None:
    rows = connection.exec_driver_sql("SELECT process FROM turn ORDER BY number")
    for row in rows:
        raise LookupError(tuple(row))


def test_a_reader_changes_nothing(database: Database) -> None:
    with database.read() as reading, pytest.raises(OperationalError, match="readonly"):
        reading.exec_driver_sql("INSERT INTO turn (process) VALUES (1)")
    with database.read() as reading:
        assert reading.exec_driver_sql("SELECT count(*) FROM turn").scalar_one() == 0


def take_turns(url: str, process: int, together: Barrier) -> None:
    database = Database(url)
    together.wait(60)
    for _ in range(TURNS):
        with database.write() as connection:
            # Read, then write: what two that did not wait for each other would get wrong.
            number = connection.exec_driver_sql("SELECT coalesce(max(number), 0) + 1 FROM turn").scalar_one()
            connection.exec_driver_sql("INSERT INTO turn VALUES (?, ?)", (number, process))
    database.close()


def test_four_busy_processes_all_get_their_turns(database: Database, url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(PROCESSES)
    processes = [spawn.Process(target=take_turns, args=(url, n, together)) for n in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT number, process FROM turn ORDER BY number").all()
    assert [row.number for row in rows] == list(range(1, PROCESSES * TURNS + 1))
    assert Counter(row.process for row in rows) == dict.fromkeys(range(PROCESSES), TURNS)


def test_who_has_written_does_not_write_again_before_the_one_who_waits(url: str, tmp_path: Path) -> None:
    turnstile = Turnstile(tmp_path / "batchwright.db")
    order: list[str] = []

    def wait_for_turn() -> None:
        with Turnstile(tmp_path / "batchwright.db").turn():
            order.append("waiter")

    waiter = threading.Thread(target=wait_for_turn, daemon=True)
    with turnstile.turn():
        waiter.start()
        while not is_next_held(tmp_path / "batchwright.db-next"):
            assert waiter.is_alive()
    with turnstile.turn():
        order.append("greedy")
    waiter.join(30)
    assert order == ["waiter", "greedy"]


def begin_and_beat(url: str, process: int, together: Barrier) -> None:
    store = LeaseStore(Database(url))
    together.wait(60)
    store.begin(f"run/{process}", 1)
    for _ in range(TURNS):
        if not store.beat(f"run/{process}", 1):
            raise SystemExit(1)
    store.close()


def test_processes_make_the_file_of_heartbeats_together(database: Database, url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(PROCESSES)
    processes = [spawn.Process(target=begin_and_beat, args=(url, n, together)) for n in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    store = LeaseStore(database)
    assert [store.look(f"run/{n}") for n in range(PROCESSES)] == [Heartbeat(1, TURNS)] * PROCESSES
    store.close()


def hold_the_write_lock(url: str, held: Barrier, release: Barrier) -> None:
    database = Database(url)
    with database.write():
        held.wait(60)
        release.wait(60)
    database.close()


def test_heartbeats_work_while_another_process_holds_the_write_lock(database: Database, url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    held, release = spawn.Barrier(2), spawn.Barrier(2)
    holder = spawn.Process(target=hold_the_write_lock, args=(url, held, release))
    holder.start()
    held.wait(60)
    shell = sqlite3.connect(database.url.database or "", timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        shell.execute("BEGIN IMMEDIATE")
    store = LeaseStore(database)
    assert store.begin("run/1", 1)
    assert store.beat("run/1", 1)
    assert store.look("run/1") == Heartbeat(1, 1)
    release.wait(60)
    holder.join(60)
    shell.close()
    store.close()


def test_descriptors_that_have_run_out_are_a_fault_that_passes_and_fail_no_run(
    rig: Rig, spy: type[Parcels], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    faults = iter([OSError(number, "no more") for number in turnstile.OF_THE_SURROUNDINGS])

    def opened(file: Path, database: Path) -> int:
        if begun and (fault := next(faults, None)):
            raise fault
        return open_side_file(file, database)

    spy.on_execute = staticmethod(lambda scope: begun.append(scope.number))
    monkeypatch.setattr(turnstile, "open_side_file", opened)
    rig.fill(30)
    ended = rig.drive()
    assert (ended.state, ended.processed, list(faults)) == (State.COMPLETED, 30, [])


def test_threads_that_have_run_out_are_a_fault_that_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    database = tmp_path / "batchwright.db"
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with Turnstile(database).turn(), pytest.raises(OperationalError) as raised, Turnstile(database).turn():
        pass
    assert is_transient(raised.value)
    with Turnstile(database).turn():
        pass
