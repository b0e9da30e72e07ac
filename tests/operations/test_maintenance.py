"""Making, checking and copying the database; every act refuses one that is not there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
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
from batchwright.operations.mail import list_mail, preview_mail, retry_mail, show_mail
from batchwright.operations.maintenance import backup_database, check_database, upgrade_database
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
