"""What a thread reads can be of one state of the database, by one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DatabaseError

from batchwright.engine.errors import DatabaseMissing
from batchwright.engine.faults import ReadTooLong
from batchwright.engine.store.database import Database
from batchwright.engine.store.engines import Pool
from batchwright.engine.store.migrating import newest_revision
from batchwright.engine.store.read_limit import READ_SECONDS

ENDLESS = text(
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 1000000000) SELECT count(*) FROM t"
)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with a table of notes."""
    opened = Database(database_url)
    with opened.write() as connection:
        connection.exec_driver_sql("CREATE TABLE note (text VARCHAR(20) NOT NULL)")
    yield opened
    opened.close()


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    """Another thread."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def note(database: Database, text: str) -> None:
    with database.write() as connection:
        connection.exec_driver_sql(f"INSERT INTO note VALUES ('{text}')")


def notes(database: Database) -> int:
    with database.read_autocommit() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM note").scalar_one())


@pytest.mark.on_both
def test_all_reads_are_of_one_state_by_one_transaction_and_of_a_new_one_after_it(
    database: Database, elsewhere: ThreadPoolExecutor
) -> None:
    begun: list[Connection] = []
    event.listen(database.engine, "begin", begun.append)
    with database.snapshot():
        assert notes(database) == 0
        elsewhere.submit(note, database, "one").result(30)
        begun.clear()
        with database.snapshot(), database.read():
            assert notes(database) == 0
        assert (notes(database), begun) == (0, [])
        assert elsewhere.submit(notes, database).result(30) == 1
    assert notes(database) == 1


@pytest.mark.on_both
@pytest.mark.parametrize("way", ["write", "joined"])
def test_who_writes_sees_it_and_all_that_was_committed_meanwhile(
    database: Database, elsewhere: ThreadPoolExecutor, way: str
) -> None:
    with database.snapshot():
        assert notes(database) == 0
        elsewhere.submit(note, database, "one").result(30)
        if way == "write":
            note(database, "two")
        else:
            with database.joined():
                note(database, "two")
                assert notes(database) == 2
        assert notes(database) == 2


@pytest.mark.on_both
def test_after_a_read_that_raised_the_next_one_is_read_anew(
    database: Database, elsewhere: ThreadPoolExecutor
) -> None:
    with database.snapshot():
        assert notes(database) == 0
        elsewhere.submit(note, database, "one").result(30)
        with pytest.raises(DatabaseError), database.read() as connection:
            connection.exec_driver_sql("SELECT nothing FROM note")
        assert notes(database) == 1


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
@pytest.mark.parametrize("way", ["write", "joined", "raised"])
def test_who_goes_on_after_it_needs_no_second_connection(database: Database, way: str) -> None:
    scarce = Database(database.url.render_as_string(hide_password=False), pool=Pool(1, 0, 0.2))
    with closing(scarce), scarce.snapshot():
        assert notes(scarce) == 0
        if way == "write":
            note(scarce, "one")
        elif way == "joined":
            with scarce.joined():
                note(scarce, "one")
        else:
            with pytest.raises(DatabaseError), scarce.read() as connection:
                connection.exec_driver_sql("SELECT nothing FROM note")
        assert notes(scarce) == int(way != "raised")


@pytest.mark.on_both
def test_who_reads_on_around_a_write_keeps_its_state(database: Database) -> None:
    count = "SELECT count(*) FROM note"
    with database.snapshot():
        with database.read() as connection:
            assert connection.exec_driver_sql(count).scalar_one() == 0
            note(database, "one")
            assert connection.exec_driver_sql(count).scalar_one() == 0
            assert notes(database) == 1
        assert notes(database) == 1


@pytest.mark.on_both
def test_its_reads_take_no_longer_than_is_set(database: Database) -> None:
    token = READ_SECONDS.set(0.02)
    with database.snapshot():
        with pytest.raises(ReadTooLong), database.read() as connection:
            connection.execute(ENDLESS).scalar_one()
        READ_SECONDS.set(30)
        assert notes(database) == 0
    READ_SECONDS.reset(token)


@pytest.mark.on_both
def test_what_is_asked_for_by_a_key_is_read_once_and_anew_after_a_write(database: Database) -> None:
    def number() -> int:
        return database.once("notes", lambda: notes(database))

    with database.snapshot():
        assert number() == 0
        with database.read() as connection:
            statements: list[str] = []
            event.listen(connection, "before_cursor_execute", lambda *given: statements.append(given[2]))
            assert (number(), statements) == (0, [])
        note(database, "one")
        assert number() == 1
    note(database, "two")
    assert [number(), number()] == [2, 2]


def test_the_revision_is_read_once_and_no_file_is_made_by_looking(
    migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, missing = Database(migrated_url), Database(f"sqlite:///{tmp_path}/missing.db")
    looks: list[str | None] = []

    def noted() -> str | None:
        looks.append(Database.revision_noted(there))
        return looks[-1]

    monkeypatch.setattr(there, "revision_noted", noted)
    with there.snapshot():
        there.require()
        there.require()
    assert looks == [newest_revision()]
    with missing.snapshot(), pytest.raises(DatabaseMissing):
        missing.require()
    assert not (tmp_path / "missing.db").exists()
    there.close()
