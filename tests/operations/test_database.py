"""Making, checking and copying the database; every act refuses one that is not there."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from batchwright.engine.errors import DatabaseMissing, Refused
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.app import Application, make_application
from batchwright.operations.billing.asset_line_items import list_asset_line_items, show_asset_line_item
from batchwright.operations.billing.billing_schedules import (
    list_billing_schedules,
    set_billing_schedule_status,
    show_billing_schedule,
)
from batchwright.operations.billing.forecast import forecast
from batchwright.operations.billing.usage_inputs import (
    add_usage_input,
    delete_usage_inputs,
    edit_usage_input,
    list_usage_inputs,
    reset_usage_inputs,
    show_usage_input,
)
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from batchwright.operations.database import backup_database, check_database, upgrade_database
from batchwright.operations.mail import list_mail, preview_mail, retry_mail, show_mail
from batchwright.operations.runs.driving import drive_run, resume_run
from batchwright.operations.runs.jobs import list_jobs, show_job
from batchwright.operations.runs.looking import list_runs, run_outcomes, show_run
from batchwright.operations.runs.previews import run_preview
from batchwright.operations.runs.retrying import retry_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.testing.clock import StandingClock
from tests.support.application import ACTOR, NOW, make_settings
from tests.support.records import Books

Write = Callable[[Callable[[Books], Any]], Any]

ACTS: dict[str, Callable[[Application], Any]] = {
    "list_asset_line_items": list_asset_line_items,
    "show_asset_line_item": lambda app: show_asset_line_item(app, "AL-1"),
    "list_audit": list_audit,
    "list_billing_schedules": list_billing_schedules,
    "show_billing_schedule": lambda app: show_billing_schedule(app, "BS-1"),
    "set_billing_schedule_status": lambda app: set_billing_schedule_status(
        app, ["BS-1"], "invoiced", actor=ACTOR
    ),
    "list_usage_schedules": list_usage_schedules,
    "forecast": forecast,
    "list_jobs": list_jobs,
    "show_job": lambda app: show_job(app, "draft-usage-rating"),
    "list_mail": list_mail,
    "show_mail": lambda app: show_mail(app, "ML-1"),
    "retry_mail": lambda app: retry_mail(app, "ML-1", actor=ACTOR),
    "preview_mail": lambda app: preview_mail(app, "draft-usage-rating"),
    "submit_run": lambda app: submit_run(app, "draft-usage-rating", {}, actor=ACTOR),
    "drive_run": lambda app: drive_run(app, "JR-1"),
    "resume_run": lambda app: resume_run(app, "JR-1", actor=ACTOR),
    "retry_run": lambda app: retry_run(app, "JR-1", actor=ACTOR),
    "list_runs": list_runs,
    "show_run": lambda app: show_run(app, "JR-1"),
    "run_outcomes": lambda app: run_outcomes(app, "JR-1"),
    "run_preview": lambda app: run_preview(app, "JR-1"),
    "list_usage_inputs": list_usage_inputs,
    "show_usage_input": lambda app: show_usage_input(app, "IN-1"),
    "add_usage_input": lambda app: add_usage_input(
        app, asset_line_item_id="AL-1", usage_date="2023-06-05", quantity="1", product_uom="Each", actor=ACTOR
    ),
    "edit_usage_input": lambda app: edit_usage_input(app, "IN-1", quantity="1", actor=ACTOR),
    "delete_usage_inputs": lambda app: delete_usage_inputs(app, ["IN-1"], actor=ACTOR),
    "reset_usage_inputs": lambda app: reset_usage_inputs(app, status="Error", actor=ACTOR),
    "check_database": check_database,
    "backup_database": lambda app: backup_database(app, Path("backup.db")),
}


@pytest.mark.parametrize("name", ACTS)
def test_an_act_refuses_a_database_that_is_not_there_names_its_place_and_makes_no_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = make_application(make_settings(f"sqlite:///{tmp_path}/missing.db", tmp_path))
    with pytest.raises(DatabaseMissing, match=r"no Batchwright database at sqlite:///.*missing\.db"):
        ACTS[name](app)
    assert list(tmp_path.iterdir()) == []


def test_an_upgrade_makes_the_database_and_says_from_where_to_where(
    database_url: str, tmp_path: Path
) -> None:
    app = make_application(make_settings(database_url, tmp_path), clock=StandingClock(NOW))
    made = upgrade_database(app, actor=ACTOR)
    again = upgrade_database(app, actor=ACTOR)
    assert made == {"place": app.database.display_url, "before": None, "after": app.database.revision()}
    assert again["before"] == again["after"] == made["after"]
    assert [entry["act"] for entry in list_audit(app)] == ["database.upgrade"] * 2
    app.close()


def test_a_sound_database_has_no_problems(app: Application, write: Write) -> None:
    write(lambda books: books.usage_input(books.asset()))
    assert check_database(app) == []


def test_a_check_reports_another_revision(app: Application) -> None:
    with app.database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    (problem,) = check_database(app)
    assert "at revision older" in problem
    assert "db upgrade" in problem


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_check_reports_rows_that_point_nowhere(app: Application, write: Write) -> None:
    write(lambda books: books.usage_input(books.asset()))
    connection = sqlite3.connect(app.database.url.database or "")
    connection.execute("UPDATE usage_input SET asset_key = 99")
    connection.commit()
    connection.close()
    (problem,) = check_database(app)
    assert problem == "row 1 of table usage_input points at a row of asset_line_item that is not there"


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_backup_is_a_whole_database_of_its_own(app: Application, write: Write, tmp_path: Path) -> None:
    write(lambda books: books.usage_input(books.asset()))
    assert backup_database(app, tmp_path / "copy.db") == tmp_path / "copy.db"
    copy = make_application(make_settings(f"sqlite:///{tmp_path}/copy.db", tmp_path))
    assert list(list_usage_inputs(copy)) == list(list_usage_inputs(app))
    assert check_database(copy) == []
    copy.close()
    assert not (tmp_path / "copy.db.partial").exists()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_backup_is_taken_while_somebody_writes(app: Application, write: Write, tmp_path: Path) -> None:
    write(lambda books: books.usage_input(books.asset()))
    with app.database.write() as connection:
        Books(connection).customer("CU-uncommitted")
        backup_database(app, tmp_path / "copy.db")
    copy = sqlite3.connect(tmp_path / "copy.db")
    assert copy.execute("SELECT customer_id FROM customer").fetchall() == [("CU-1",)]
    copy.close()


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_backup_overwrites_nothing_and_needs_a_folder(app: Application, tmp_path: Path) -> None:
    taken = tmp_path / "taken.db"
    taken.write_text("precious")
    with pytest.raises(Refused, match="exists already"):
        backup_database(app, taken)
    assert taken.read_text() == "precious"
    with pytest.raises(Refused, match="cannot be written"):
        backup_database(app, tmp_path / "nowhere" / "copy.db")


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_backup_of_postgresql_is_refused_with_the_command_to_use(app: Application, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refusal:
        backup_database(app, tmp_path / "copy.dump")
    assert "pg_dump --format=custom --file=" in (refusal.value.remedy or "")
    assert not (tmp_path / "copy.dump").exists()


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("9999", "a newer program has made"),
        ("older", "does not know"),
        ("0003", "run `batchwright db upgrade`"),
    ],
)
def test_a_check_advises_an_upgrade_only_where_one_leads_there(
    app: Application, revision: str, said: str
) -> None:
    with app.database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :there"), {"there": revision})
    (problem,) = check_database(app)
    assert said in problem
    with pytest.raises(DatabaseMissing) as refusal:
        app.database.require()
    assert ("db upgrade" in (refusal.value.remedy or "")) is (revision == "0003")
    if revision != "0003":
        with pytest.raises(Refused, match=rf"at revision {revision}, which"):
            app.database.upgrade()


def _overwrite(file: Path, place: int, content: bytes) -> None:
    with file.open("r+b") as stream:
        stream.seek(place)
        stream.write(content)


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("damage", ["page", "header", "cut off", "text"])
def test_a_check_of_a_damaged_file_says_so_as_its_finding(
    app: Application, tmp_path: Path, damage: str
) -> None:
    file = tmp_path / "batchwright.db"
    app.close()
    if damage == "page":
        _overwrite(file, 3 * 4096, b"\xff" * 12_288)
    elif damage == "header":
        _overwrite(file, 0, b"\0" * 200)
    elif damage == "cut off":
        os.truncate(file, 10_000)
    else:
        file.write_text("no database at all, but long enough to be taken for the header of one " * 4)
    problems = check_database(app)
    assert problems
    assert all("damaged" in problem for problem in problems)


@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("tables", [["theirs"], ["theirs", "alembic_version"], ["theirs", "run"]])
def test_an_upgrade_refuses_the_database_of_something_else_and_changes_nothing_in_it(
    tmp_path: Path, tables: list[str], journal: str
) -> None:
    file = tmp_path / "theirs.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as theirs:
        theirs.execute(f"PRAGMA journal_mode={journal}")
        for table in tables:
            theirs.execute(f"CREATE TABLE {table} (id INTEGER)")
    before = file.read_bytes()
    app = make_application(make_settings(f"sqlite:///{file}", tmp_path))
    with pytest.raises(Refused, match="is a database of something else"):
        upgrade_database(app, actor=ACTOR)
    with pytest.raises(DatabaseMissing, match="no Batchwright database") as refusal:
        app.database.require()
    assert "something else" in (refusal.value.remedy or "")
    app.close()
    assert file.read_bytes() == before


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    app = make_application(make_settings(f"sqlite:///{tmp_path}/empty.db", tmp_path))
    assert upgrade_database(app, actor=ACTOR)["before"] is None
    assert check_database(app) == []
    app.close()


def test_without_the_driver_of_postgresql_its_extra_is_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    app = make_application(make_settings("postgresql+psycopg://u@127.0.0.1:1/x", tmp_path))
    with pytest.raises(Refused) as refusal:
        app.database.require()
    assert "pip install 'batchwright[postgres]'" in (refusal.value.remedy or "")
