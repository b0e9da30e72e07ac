"""Importing as an act: the database it makes, its audit entry, the file of bad lines. Rules of lines: tests/billing."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from batchwright.billing.importing import ImportRefused
from batchwright.engine.errors import DatabaseMissing, Refused
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.app import Application, make_application
from batchwright.operations.billing.imports import import_paths
from batchwright.testing.clock import StandingClock
from tests.support.application import ACTOR, NOW, make_settings

Entries = Callable[[], list[dict[str, Any]]]

GOOD = "customer_id,name\nCU-1,One\nCU-2,Two\n"
BAD = "customer_id,name\nCU-1,One\nCU-2,=cmd()\n"


def write_file(folder: Path, content: str = GOOD, name: str = "customers.csv") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def test_an_import_says_what_it_did_and_leaves_one_entry_with_the_hash_of_its_file(
    app: Application, entries: Entries, tmp_path: Path
) -> None:
    path = write_file(tmp_path / "in")
    report = import_paths(app, [path], actor=ACTOR, reason="first load")
    (file,) = report["files"]
    assert file == {
        "file": "customers.csv",
        "rows": 2,
        "loaded": 2,
        "updated": 0,
        "skipped": 0,
        "sha256": sha256(path.read_bytes()).hexdigest(),
    }
    assert (report["skipped"], report["problems"], report["seconds"]) == (0, [], 0.0)
    (entry,) = entries()
    assert (entry["act"], entry["subject"], entry["reason"]) == ("import", "customers.csv", "first load")
    assert entry["after"]["files"] == [file]


def test_a_refused_import_changes_nothing_and_leaves_no_entry(
    app: Application, entries: Entries, tmp_path: Path
) -> None:
    with pytest.raises(ImportRefused, match=r"customers\.csv, line 3, column name"):
        import_paths(app, [write_file(tmp_path / "in", BAD)], actor=ACTOR)
    assert entries() == []
    import_paths(app, [write_file(tmp_path / "in")], actor=ACTOR)


def test_bad_lines_are_written_to_the_file_that_was_named_and_the_good_ones_loaded(
    app: Application, tmp_path: Path
) -> None:
    target = tmp_path / "bad.csv"
    report = import_paths(app, [write_file(tmp_path / "in", BAD)], skip_bad=target, actor=ACTOR)
    assert (report["files"][0]["loaded"], report["skipped"]) == (1, 1)
    with target.open(newline="", encoding="utf-8") as stream:
        (line,) = csv.DictReader(stream)
    assert (line["customer_id"], line["file"], line["line"]) == ("CU-2", "customers.csv", "3")
    assert not (tmp_path / "bad.csv.partial").exists()


def test_a_refused_import_leaves_the_file_for_bad_lines_as_it_was(app: Application, tmp_path: Path) -> None:
    target = tmp_path / "bad.csv"
    target.write_text("of yesterday")
    with pytest.raises(ImportRefused):
        import_paths(app, [write_file(tmp_path / "in", "nonsense\n1\n")], skip_bad=target, actor=ACTOR)
    assert target.read_text() == "of yesterday"
    assert not (tmp_path / "bad.csv.partial").exists()


def test_the_bad_lines_may_not_overwrite_what_is_imported(app: Application, tmp_path: Path) -> None:
    path = write_file(tmp_path / "in", BAD)
    with pytest.raises(Refused, match="is one of the files to import"):
        import_paths(app, [tmp_path / "in"], skip_bad=path, actor=ACTOR)
    assert path.read_text() == BAD
    with pytest.raises(Refused, match="cannot be written"):
        import_paths(app, [path], skip_bad=tmp_path / "nowhere" / "bad.csv", actor=ACTOR)


def test_an_import_makes_an_embedded_database_but_not_for_a_path_that_is_not_there(tmp_path: Path) -> None:
    app = make_application(make_settings(f"sqlite:///{tmp_path}/new.db", tmp_path), clock=StandingClock(NOW))
    with pytest.raises(ImportRefused, match="is not there"):
        import_paths(app, [tmp_path / "nothing.csv"], actor=ACTOR)
    assert list(tmp_path.iterdir()) == []
    import_paths(app, [write_file(tmp_path / "in")], actor=ACTOR)
    assert len(list(list_audit(app))) == 1
    app.close()


def test_an_import_puts_no_tables_into_the_database_of_something_else(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE theirs (id INTEGER)")
    app = make_application(make_settings(f"sqlite:///{tmp_path}/other.db", tmp_path))
    with pytest.raises(DatabaseMissing, match="no Batchwright database"):
        import_paths(app, [write_file(tmp_path / "in")], actor=ACTOR)
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    other.close()
    app.close()


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_an_import_makes_no_server_database(database_url: str, tmp_path: Path) -> None:
    app = make_application(make_settings(database_url, tmp_path))
    with pytest.raises(DatabaseMissing, match="db upgrade"):
        import_paths(app, [write_file(tmp_path / "in")], actor=ACTOR)
    app.close()


def test_progress_is_told_of_the_rows_as_they_are_loaded(app: Application, tmp_path: Path) -> None:
    said: list[tuple[str, int, float]] = []
    import_paths(
        app, [write_file(tmp_path / "in")], actor=ACTOR, progress=lambda *values: said.append(values)
    )
    assert said == [("customers.csv", 2, 1.0)]
