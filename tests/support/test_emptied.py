"""The PostgreSQL database that a process lends to one test after another."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy.engine import make_url

import tests.support.emptied
from tests.support.emptied import EmptiedDatabase, LeftBehindError
from tests.support.postgres import PostgresServer

ROWS = "SELECT (SELECT count(*) FROM schedule), (SELECT count(*) FROM audit_head WHERE count = 0)"
NUMBER = "SELECT nextval('run_id_seq')"


@pytest.fixture
def database(postgres: PostgresServer, migrated_postgres_template: str) -> Iterator[EmptiedDatabase]:
    made = EmptiedDatabase(postgres, migrated_postgres_template)
    yield made
    made.close()


def name_of(url: str) -> str:
    name = make_url(url).database
    assert name is not None
    return name


@pytest.mark.parametrize(
    "done",
    [
        "UPDATE audit_head SET count = 7",
        "DELETE FROM audit_head",
        NUMBER,
        "CREATE TABLE left_behind (number bigint)",
        "ALTER TABLE run ADD COLUMN left_behind bigint",
        "ALTER TABLE run DROP COLUMN id CASCADE",
        "UPDATE alembic_version SET version_num = 'older'",
        "DROP TABLE alembic_version",
        "CREATE FUNCTION left_behind() RETURNS bigint LANGUAGE sql AS 'SELECT 1'",
    ],
)
def test_the_next_test_finds_nothing_of_what_was_done(
    postgres: PostgresServer, database: EmptiedDatabase, done: str
) -> None:
    with database.lent() as url, postgres.connect(name_of(url)) as connection:
        connection.execute(done)
    with database.lent() as url, postgres.connect(name_of(url)) as connection:
        assert connection.execute(ROWS).fetchone() == (0, 1)
        assert connection.execute(NUMBER).fetchone() == (1,)
        assert connection.execute(
            "SELECT to_regclass('left_behind'), to_regproc('left_behind')"
        ).fetchone() == (
            None,
            None,
        )
        left = "SELECT count(*) FROM information_schema.columns WHERE column_name = 'left_behind'"
        assert connection.execute(left).fetchone() == (0,)


def test_what_knows_the_database_of_the_test_before_finds_it_gone(
    postgres: PostgresServer, database: EmptiedDatabase
) -> None:
    with database.lent() as before:
        pass
    with database.lent(), pytest.raises(psycopg.OperationalError, match="does not exist"):
        postgres.connect(name_of(before))


def test_a_session_that_outlasts_its_test_fails_it_and_is_ended(
    postgres: PostgresServer, database: EmptiedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tests.support.emptied, "SECONDS_TO_END_SESSIONS", 0.05)
    lent = database.lent()
    with postgres.connect(name_of(lent.__enter__())) as left:
        left.execute("SELECT 'who is this'")
        with pytest.raises(LeftBehindError, match="who is this"):
            lent.__exit__(None, None, None)
        with pytest.raises(psycopg.OperationalError):
            left.execute("SELECT 1")
    monkeypatch.undo()
    with database.lent() as url, postgres.connect(name_of(url)) as connection:
        assert connection.execute(ROWS).fetchone() == (0, 1)
