"""An author's folder whose modules have the names of ours: their job is listed, run, tested and pooled all the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, text

from tests.support.author import coin
from tests.support.rungs import depth

BINARIES = Path(sys.executable).parent
SECONDS = 90.0

JOB = (Path(__file__).parents[1] / "support" / "author.py").read_text(encoding="utf-8")
TEST = """
from jobs import TheirJob, coin
from sqlalchemy import insert

def three(connection):
    coin.create(connection)
    connection.execute(insert(coin), [{"id": 1}, {"id": 2}, {"id": 3}])

def test_it_runs(job_runner):
    job_runner.fill(three)
    assert job_runner.run(TheirJob()).processed == 3
    assert [row.done for row in job_runner.rows(coin)] == [True, True, True]
"""
RESTARTED = """
def test_it_can_be_killed_anywhere(assert_restart_safe):
    assert_restart_safe(TheirJob(), three, ignore={"coin": ["process"]})
"""
MODULES = ("config.py", "engine.py", "operations.py", "cli/__init__.py", "testing/__init__.py")
DJANGO = ("config/__init__.py", "config/settings.py", *MODULES[1:])


def make_folder(place: Path, modules: Sequence[str]) -> Path:
    """The author's folder: their job in `jobs.py`, and modules that say so when they are imported by mistake."""
    folder = place / "theirs"
    folder.mkdir()
    (folder / "jobs.py").write_text(JOB, encoding="utf-8")
    for name in modules:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"raise AssertionError('{name} is not ours')\n", encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a `config.py`."""
    return make_folder(tmp_path, MODULES)


@pytest.fixture
def django_folder(tmp_path: Path) -> Path:
    """A folder with the package `config` of a Django project."""
    return make_folder(tmp_path, DJANGO)


def environment(**settings: str) -> dict[str, str]:
    """As the author has it: the environment that Batchwright is installed in is activated, and no more."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("BATCHWRIGHT_", "PYTHON"))
    }
    path = f"{BINARIES}{os.pathsep}{inherited['PATH']}"
    return inherited | {"PATH": path, "BATCHWRIGHT_JOBS": "jobs:TheirJob"} | settings


def output_of(command: Sequence[str], folder: Path, **settings: str) -> str:
    """What a command prints that ends well."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def mint(url: str, number: int) -> None:
    """The author's table with so many coins in it."""
    engine = create_engine(url)
    with engine.begin() as connection:
        coin.create(connection)
        connection.execute(insert(coin), [{"id": number} for number in range(1, number + 1)])
    engine.dispose()


def test_their_job_is_listed_and_runs_by_its_name(folder: Path) -> None:
    list_and_run(folder, "batchwright")


@pytest.mark.long
def test_their_job_is_listed_and_runs_where_python_looks_in_the_folder_first(django_folder: Path) -> None:
    list_and_run(django_folder, "python", "-m", "batchwright")


def list_and_run(folder: Path, *batchwright: str) -> None:
    output_of([*batchwright, "db", "upgrade"], folder)
    mint(f"sqlite:///{folder / 'batchwright.db'}", 3)
    listed = json.loads(output_of([*batchwright, "jobs", "list", "--json"], folder))
    assert "their-job" in {job["name"] for job in listed}
    run = json.loads(output_of([*batchwright, "run", "their-job", "--json"], folder))
    assert (run["status"], run["processed"]) == ("Completed", 3)


def test_their_job_is_tested_with_the_fixtures_of_the_pytest_plugin(folder: Path) -> None:
    # Each point of a run is a kill, and those of the short rung are few; the page's own example has them there.
    (folder / "test_theirs.py").write_text(TEST + depth("", RESTARTED), encoding="utf-8")
    assert f"{depth(1, 2)} passed" in output_of(
        ["pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."], folder
    )


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_their_job_is_executed_by_processes_of_the_pool(django_folder: Path, migrated_url: str) -> None:
    mint(migrated_url, 10_000)  # in scopes of one: more than enough for a pool to pay
    settings = {"BATCHWRIGHT_DATABASE_URL": migrated_url, "BATCHWRIGHT_EXECUTOR": "local"}
    with subprocess.Popen(
        ["batchwright", "run", "their-job"],
        cwd=django_folder,
        env=environment(**settings),
        stderr=subprocess.PIPE,
        text=True,
    ) as driver:
        try:
            wait_for_another_process_than(driver, migrated_url)
            driver.send_signal(signal.SIGINT)
            _, said = driver.communicate(timeout=SECONDS)
        finally:
            driver.kill()
    assert driver.returncode == 130, said


def wait_for_another_process_than(driver: subprocess.Popen[str], url: str) -> None:
    """Wait until a coin was done by a process of the pool."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    found = text("SELECT count(*) FROM coin WHERE process <> :driver")
    until = time.monotonic() + SECONDS
    with engine.connect() as connection:
        while not connection.execute(found, {"driver": driver.pid}).scalar():
            assert driver.poll() is None, "the run ended in the process that drives it"
            assert time.monotonic() < until, "no process of the pool did anything"
            time.sleep(0.05)
    engine.dispose()
