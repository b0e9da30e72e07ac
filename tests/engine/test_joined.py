"""What a thread reads and writes can be one transaction, which commits whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection

from batchwright.engine.errors import NestedWrite
from batchwright.engine.store.database import Database

pytestmark = pytest.mark.on_both


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with a table of notes."""
    opened = Database(database_url)
    with opened.write() as connection:
        connection.exec_driver_sql("CREATE TABLE note (text VARCHAR(20) NOT NULL)")
    yield opened
    opened.close()


def note(connection: Connection, text: str) -> None:
    connection.exec_driver_sql(f"INSERT INTO note VALUES ('{text}')")


def notes(database: Database) -> list[str]:
    with database.read() as connection:
        return sorted(connection.exec_driver_sql("SELECT text FROM note").scalars())


def test_reads_see_what_is_not_committed_and_others_see_it_at_the_end(database: Database) -> None:
    other = Database(database.url.render_as_string(hide_password=False))
    with ThreadPoolExecutor(1) as elsewhere:
        with database.joined():
            with database.write() as connection:
                note(connection, "one")
            with other.write(patient=True) as connection:
                note(connection, "two")
            with database.read_autocommit() as connection:
                assert connection.exec_driver_sql("SELECT count(*) FROM note").scalar() == 2
            assert notes(other) == ["one", "two"]
            assert elsewhere.submit(notes, database).result(30) == []
        assert elsewhere.submit(notes, database).result(30) == ["one", "two"]
    other.close()


def test_an_exception_takes_back_all_of_it_and_one_that_is_caught_its_own_write_alone(
    database: Database,
) -> None:
    def fail_to_write() -> None:
        with database.write() as connection:
            note(connection, "two")
            raise KeyError

    def fail() -> None:
        with database.joined():
            with database.write() as connection:
                note(connection, "one")
            with pytest.raises(KeyError):
                fail_to_write()
            assert notes(database) == ["one"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert notes(database) == []


def test_what_is_done_at_the_end_stays_whatever_becomes_of_the_rest(database: Database) -> None:
    def write(text: str) -> None:
        with database.write() as connection:
            note(connection, text)

    def fail() -> None:
        with database.joined():
            write("taken back")
            database.when_ended(lambda: write("at the end"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    database.when_ended(lambda: write("at once"))
    assert notes(database) == ["at once", "at the end"]


def test_what_follows_a_commit_is_done_after_one_alone_and_cannot_undo_it(database: Database) -> None:
    followed: list[list[str]] = []

    def write(text: str, *, fails: bool) -> None:
        with database.joined():
            with database.write() as connection:
                note(connection, text)
            database.when_committed(lambda: 1 / 0)
            database.when_committed(lambda: followed.append(elsewhere.submit(notes, database).result(30)))
            if fails:
                raise KeyError

    with ThreadPoolExecutor(1) as elsewhere:
        with pytest.raises(KeyError):
            write("one", fails=True)
        write("two", fails=False)
    database.when_committed(lambda: followed.append([]))
    assert followed == [["two"], []]


def test_after_its_commit_each_write_stands_for_itself(database: Database) -> None:
    def fail() -> None:
        with database.joined() as joined:
            for text in ("one", "two"):
                with database.write() as connection:
                    note(connection, text)
                joined.commit()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert notes(database) == ["one", "two"]


def test_what_would_wait_for_it_is_refused(database: Database) -> None:
    with database.joined():
        with pytest.raises(NestedWrite), database.joined():
            pass
        with (
            database.engine.connect() as connection,
            pytest.raises(NestedWrite),
            database.transaction(connection),
        ):
            pass
    with database.write(), pytest.raises(NestedWrite), database.joined():
        pass
    with database.joined():  # and nothing is left behind
        pass
