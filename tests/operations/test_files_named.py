"""Files that somebody names for bad lines and for backups, beside those of the application."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from batchwright.config.settings import load_settings
from batchwright.engine.errors import Refused
from batchwright.operations import database
from batchwright.operations.app import Application, make_application
from batchwright.operations.billing.imports import import_paths
from batchwright.operations.database import backup_database
from tests.support.application import ACTOR
from tests.support.records import Books

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])

BAD = "customer_id,name\nCU-1,One\nCU-2,=cmd()\n"
SIDE_FILES = ("", "-wal", "-shm", "-journal", "-next", "-turn", "-lease", "-lease-wal")


@pytest.fixture
def own(migrated_url: str, tmp_path: Path) -> Application:
    """An application with settings in a file, mail that was written and templates."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "frame.html").write_text("precious")
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "ML-00000001.eml").write_text("precious")
    settings = f'database_url = "{migrated_url}"\n[mail]\ntemplates = "templates"\n'
    (tmp_path / "named.toml").write_text(settings)
    (tmp_path / "customers.csv").write_text(BAD)
    return make_application(load_settings({"BATCHWRIGHT_CONFIG": "named.toml"}, tmp_path))


def customers(app: Application) -> list[Any]:
    with app.database.read() as connection:
        return list(connection.exec_driver_sql("SELECT customer_id FROM customer ORDER BY 1").scalars())


def state(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "name",
    [
        *(f"batchwright.db{ending}" for ending in SIDE_FILES),
        *("named.toml", "batchwright.toml", "mail/ML-00000001.eml", "templates/frame.html", "customers.csv"),
        *("hard", "link"),
    ],
)
def test_neither_bad_lines_nor_a_backup_take_the_place_of_a_file_of_ours(
    own: Application, tmp_path: Path, name: str
) -> None:
    (tmp_path / "hard").hardlink_to(tmp_path / "batchwright.db")
    (tmp_path / "link").symlink_to("batchwright.db")
    own.database.require()
    before = state(tmp_path)
    with pytest.raises(Refused) as refusal:
        import_paths(own, [tmp_path / "customers.csv"], skip_bad=tmp_path / name, actor=ACTOR)
    assert refusal.value.field == "skip_bad"
    if name != "customers.csv":
        with pytest.raises(Refused) as refusal:
            backup_database(own, tmp_path / name)
        assert (refusal.value.field, "to import" in str(refusal.value)) == ("file", False)
    assert customers(own) == []
    assert {path: content for path, content in state(tmp_path).items() if path in before} == before
    own.close()


@pytest.mark.parametrize("name", ["bad.csv.partial", "bad.csv"])
def test_a_link_that_somebody_planted_beside_leads_nowhere(
    own: Application, tmp_path: Path, name: str
) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / name).symlink_to("precious")
    for act in (
        lambda: import_paths(own, [tmp_path / "customers.csv"], skip_bad=tmp_path / "bad.csv", actor=ACTOR),
        lambda: (tmp_path / "bad.csv").unlink(),
        lambda: backup_database(own, tmp_path / "bad.csv"),
    ):
        try:
            act()
        except Refused:
            assert name == "bad.csv"
    assert (tmp_path / "precious").read_text() == "precious"
    own.close()


def test_bad_lines_are_on_the_disk_before_the_import_commits(own: Application, tmp_path: Path) -> None:
    there: list[bool] = []

    @event.listens_for(own.database.engine, "commit")
    def look(_: Connection) -> None:
        there.append((tmp_path / "bad.csv").exists())

    import_paths(own, [tmp_path / "customers.csv"], skip_bad=tmp_path / "bad.csv", actor=ACTOR)
    assert there[-1]
    own.close()


def test_bad_lines_that_cannot_be_written_leave_nothing_loaded(own: Application, tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    reading, reader = os.pipe()
    os.close(reading)
    for descriptor, said in ((full, "the disk is full"), (reader, "Broken pipe")):
        with pytest.raises(Refused, match=said):
            import_paths(
                own, [tmp_path / "customers.csv"], skip_bad=Path(f"/dev/fd/{descriptor}"), actor=ACTOR
            )
        os.close(descriptor)
    assert customers(own) == []
    own.close()


def test_bad_lines_go_straight_into_a_pipe(own: Application, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    import_paths(own, [tmp_path / "customers.csv"], skip_bad=Path(f"/dev/fd/{writing}"), actor=ACTOR)
    assert b"CU-2" in os.read(reading, 10_000)
    assert customers(own) == ["CU-1"]
    os.close(reading)
    os.close(writing)
    own.close()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_neither_is_open_to_more_people_than_what_it_was_made_of(
    own: Application, tmp_path: Path, mode: int
) -> None:
    for name in ("batchwright.db", "customers.csv"):
        (tmp_path / name).chmod(mode)
    import_paths(own, [tmp_path / "customers.csv"], skip_bad=tmp_path / "bad.csv", actor=ACTOR)
    backup_database(own, tmp_path / "copy.db")
    for name in ("bad.csv", "copy.db"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) & ~mode == 0
    own.close()


def test_a_backup_that_is_killed_half_way_leaves_nothing_under_its_name(
    app: Application,
    write: Callable[[Callable[[Books], Any]], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(lambda books: books.usage_input(books.asset()))
    seen: list[bool] = []
    copy = database._copy

    def looking(*given: Any) -> None:
        copy(*given)
        seen.append((tmp_path / "copy.db").exists())

    monkeypatch.setattr(database, "_copy", looking)
    backup_database(app, tmp_path / "copy.db")
    assert seen == [False]
    whole = sqlite3.connect(tmp_path / "copy.db")
    assert whole.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    whole.close()


def test_a_backup_to_a_disk_that_is_full_names_its_file(
    app: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(sqlite3.Connection):
        def backup(self, *_: Any, **__: Any) -> None:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorname = "SQLITE_FULL"
            raise error

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Full))
    with pytest.raises(Refused, match=r"copy\.db cannot be written: the disk is full"):
        backup_database(app, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    assert not list(tmp_path.glob(".batchwright-*"))
