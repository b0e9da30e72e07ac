"""An SQLite database in the hands of several users of the machine."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from batchwright.engine.errors import Refused
from batchwright.engine.store.database import Database, upgrade
from tests.support.users import OTHER, needs_root, run_as_other, shared_folder

MODULES = [
    "batchwright.engine.store.database",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "alembic.script.revision",
]
REQUIRE = """
from batchwright.engine.errors import Refused
from batchwright.engine.store.database import Database
try:
    Database(f"sqlite:///{os.getcwd()}/batchwright.db").require()
    print("good")
except Refused as refusal:
    print(refusal)
"""


def require_as_other(folder: Path) -> str:
    done = run_as_other(folder, REQUIRE, modules=MODULES)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_root
def test_who_may_not_write_to_the_database_is_told_so(migrated_sqlite_folder: Path) -> None:
    with shared_folder() as folder:
        folder.chmod(0o755)
        shutil.copy(migrated_sqlite_folder / "batchwright.db", folder)
        (folder / "batchwright.db").chmod(0o644)
        said = require_as_other(folder)
        assert "you may not write to the file of the database" in said
        assert "Ask root, its owner" in said
        assert [path.name for path in folder.iterdir()] == ["batchwright.db"]


@needs_root
def test_who_may_write_by_their_group_works_with_it(migrated_sqlite_folder: Path) -> None:
    with shared_folder() as folder:
        shutil.copy(migrated_sqlite_folder / "batchwright.db", folder)
        os.chown(folder / "batchwright.db", 0, OTHER)
        (folder / "batchwright.db").chmod(0o660)
        assert require_as_other(folder) == "good\n"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    before = os.umask(0)
    yield f"sqlite:///{tmp_path}/batchwright.db"
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@contextmanager
def used(url: str) -> Iterator[None]:
    """For the block a database is open, and every file beside it made."""
    database = Database(url)
    try:
        with database.write(), database.lease_engine.begin():
            pass
        yield
    finally:
        database.close()


def test_a_new_database_and_what_is_beside_it_are_not_open_to_others(tmp_path: Path, url: str) -> None:
    upgrade(url)
    with used(url):
        found = modes(tmp_path)
    assert {"batchwright.db", "batchwright.db-turn", "batchwright.db-next", "batchwright.db-lease"} <= set(
        found
    )
    assert {name: oct(mode) for name, mode in found.items() if mode != 0o660} == {}


@pytest.mark.parametrize(
    ("mode", "beside"),
    [(0o600, 0o600), (0o640, 0o600), (0o644, 0o600), (0o660, 0o660), (0o664, 0o660), (0o666, 0o666)],
)
def test_who_may_only_read_the_database_may_not_even_read_what_is_beside_it(
    tmp_path: Path, url: str, mode: int, beside: int
) -> None:
    upgrade(url)
    (tmp_path / "batchwright.db").chmod(mode)
    for name in ("-turn", "-next"):  # as an earlier version made them
        (tmp_path / f"batchwright.db{name}").chmod(0o644)
    with used(url):
        found = modes(tmp_path)
    assert {found[f"batchwright.db{name}"] for name in ("-turn", "-next", "-lease", "-shm")} == {beside}


@needs_root
def test_what_root_makes_beside_it_is_of_the_owner_and_group_of_the_database(
    tmp_path: Path, url: str
) -> None:
    upgrade(url)
    os.chown(tmp_path / "batchwright.db", OTHER, 4242)
    with used(url):
        owners = {(path.stat().st_uid, path.stat().st_gid) for path in tmp_path.iterdir()}
    assert owners == {(OTHER, 4242)}


@needs_root
def test_a_file_of_somebody_under_another_name_is_not_given_away(tmp_path: Path, url: str) -> None:
    upgrade(url)
    (tmp_path / "precious").touch(0o600)
    for name in ("batchwright.db-turn", "batchwright.db-lease"):
        (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / name).hardlink_to(tmp_path / "precious")
        os.chown(tmp_path / "batchwright.db", OTHER, OTHER)
        with suppress(Refused), used(url):
            pass
        there = (tmp_path / "precious").stat()
        assert (there.st_uid, stat.S_IMODE(there.st_mode)) == (0, 0o600)
        (tmp_path / name).unlink()


@pytest.mark.parametrize("name", ["-turn", "-next", "-lease"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_planted_beside_it_is_refused_by_name(tmp_path: Path, url: str, name: str, kind: str) -> None:
    upgrade(url)
    place = tmp_path / f"batchwright.db{name}"
    place.unlink(missing_ok=True)
    if kind == "link":
        place.symlink_to("elsewhere")
    else:
        os.mkfifo(place)
    with pytest.raises((OSError, Refused), match=f"batchwright.db{name}"), used(url):
        pass
    assert not (tmp_path / "elsewhere").exists()
