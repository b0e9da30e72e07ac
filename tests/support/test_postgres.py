import shutil
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from tests.support.postgres import OwnServer, PostgresError, PostgresServer, find_binaries, postgres_server

SORTED = "SELECT string_agg(x, '' ORDER BY x) FROM (VALUES ('b'), ('A'), ('a'), ('B'), ('1')) AS given (x)"


def test_a_new_database_sorts_by_code_point(postgres: PostgresServer) -> None:
    postgres.create_database("by_code_point")
    with postgres.connect("by_code_point") as connection:
        assert connection.execute(SORTED).fetchone() == ("1ABab",)
    postgres.drop_database("by_code_point")


def test_a_linguistic_database_sorts_as_words_are_sorted(postgres: PostgresServer) -> None:
    postgres.create_database("by_letter", linguistic=True)
    with postgres.connect("by_letter") as connection:
        assert connection.execute(SORTED).fetchone() == ("1aAbB",)
    postgres.drop_database("by_letter")


def test_a_database_made_from_a_template_has_its_rows(postgres: PostgresServer) -> None:
    postgres.create_database("original")
    with postgres.connect("original") as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    postgres.create_database("copy", template="original")
    with postgres.connect("copy") as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    postgres.drop_database("copy")
    postgres.drop_database("original")


def test_dropping_a_database_ends_the_sessions_on_it(postgres: PostgresServer) -> None:
    postgres.create_database("in_use")
    with postgres.connect("in_use") as connection:
        postgres.drop_database("in_use")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_a_server_of_our_own_keeps_commits_over_a_crash_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    with postgres_server(fsync=True, settings={"work_mem": "7MB"}) as server:
        assert isinstance(server, OwnServer)
        server.create_database("books")
        with server.connect("books") as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
            assert connection.execute("SHOW work_mem").fetchone() == ("7MB",)
        server.restart()
        with server.connect("books") as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    assert not server.folder.exists()
    with pytest.raises(psycopg.OperationalError):
        server.connect()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_server_ends_with_a_process_that_was_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    program = (
        "import sys\nfrom tests.support.postgres import postgres_server\n"
        "with postgres_server() as server:\n"
        "    print(server.url('postgres'), flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, text=True) as killed:
        assert killed.stdout is not None
        url = killed.stdout.readline().strip().replace("+psycopg", "")
        with psycopg.connect(url) as session:
            folder = session.execute("SHOW data_directory").fetchone()
            killed.kill()
            # The end of the server ends the session that waits on it: nothing has to be polled.
            with pytest.raises(psycopg.OperationalError):
                session.execute("SELECT pg_sleep(60)")
    assert folder is not None
    while Path(folder[0], "postmaster.pid").exists():  # its last act is to remove this
        time.sleep(0.01)
    shutil.rmtree(Path(folder[0]).parent)


def test_without_binaries_it_fails_and_says_where_it_looked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TEST_PG_BIN", str(tmp_path))
    with pytest.raises(PostgresError, match=f"No PostgreSQL found in {tmp_path}"):
        find_binaries()


def test_a_server_that_cannot_start_shows_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    with (
        pytest.raises(PostgresError, match="max_connections"),
        postgres_server(settings={"max_connections": "x"}),
    ):
        pass
