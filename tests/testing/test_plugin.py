"""The plugin as an author has it: in a folder of their own, with nothing set up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer

AUTHORS_TEST = """
from sqlalchemy import BigInteger, Column, MetaData, Table, insert, update
from batchwright.engine import BatchJob, Record

thing = Table("thing", MetaData(), Column("id", BigInteger, primary_key=True), Column("done", BigInteger))

class Things(BatchJob):
    name, type = "things", "Things"

    def start(self, context):
        yield from map(Record, range(1, 4))

    def execute(self, scope):
        scope.connection.execute(update(thing).where(thing.c.id.in_(scope.keys)).values(done=1))

def three(connection):
    thing.create(connection)
    connection.execute(insert(thing), [{"id": 1}, {"id": 2}, {"id": 3}])

def test_it_runs(job_runner):
    job_runner.fill(three)
    job_runner.run(Things())
    assert [row.done for row in job_runner.rows(thing)] == [1, 1, 1]
    print("database", job_runner.url.partition(":")[0])

def test_it_can_be_killed_where_the_test_says(job_runner):
    job_runner.fill(three)
    run = job_runner.submit(Things())
    assert job_runner.kill_at(run, "scope saved", scope=1).processed == 0
    assert job_runner.drive(run).processed == 3
"""


def authors_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What an author gets who types `pytest` in a folder with that one file."""
    (folder / "test_things.py").write_text(AUTHORS_TEST, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BATCHWRIGHT_")}
    command = [sys.executable, "-m", "pytest", "-s", "-q", "--rootdir", str(folder), *options]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100
    )


def test_an_author_gets_the_fixtures_by_installing_batchwright(tmp_path: Path) -> None:
    done = authors_pytest(tmp_path)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert "database sqlite" in done.stdout


@pytest.mark.long
def test_an_option_has_jobs_tried_on_postgresql_and_leaves_nothing_there(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    done = authors_pytest(tmp_path, "--batchwright-postgres", postgres.url("postgres"))
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert "database postgresql" in done.stdout
    with postgres.connect() as connection:
        names = [name for (name,) in connection.execute("SELECT datname FROM pg_database")]
    assert [
        name for name in names if name.startswith("batchwright_test_") and str(os.getpid()) not in name
    ] == []


def test_the_plugin_itself_imports_nothing_heavy() -> None:
    heavy = "{'sqlalchemy', 'pydantic', 'engine', 'jinja2'}"
    program = f"import sys, batchwright.testing.plugin; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
