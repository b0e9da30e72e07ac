"""Connections that ``execute_batch`` refuses, and how a run and the one it leads to are shown."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine

from batchwright.engine.errors import DatabaseMissing, NestedWrite, Refused
from batchwright.jobs.draft_usage_rating import DraftUsageRatingJob
from batchwright.operations import execute_batch
from batchwright.operations.app import Application
from batchwright.operations.runs.driving import drive_run
from batchwright.operations.runs.looking import list_runs, show_run
from batchwright.operations.schedules.schedules import schedule
from tests.engine.dedup_submitter import MonthEnd
from tests.engine.jobs import Parcels, fill


@pytest.fixture
def plain(app: Application, migrated_url: str) -> Iterator[Engine]:
    """The caller's engine, as it comes."""
    app.registry.add(Parcels)
    engine = create_engine(migrated_url)
    yield engine
    engine.dispose()


def test_a_connection_that_commits_each_statement_by_itself_is_refused(
    app: Application, plain: Engine
) -> None:
    connection = plain.connect().execution_options(isolation_level="AUTOCOMMIT")
    with connection, pytest.raises(Refused, match="commits each statement by itself") as refusal:
        execute_batch(Parcels(), app=app, connection=connection)
    assert (refusal.value.field, bool(refusal.value.remedy)) == ("connection", True)
    assert list_runs(app) == []


def test_another_driver_is_refused(app: Application, plain: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with plain.connect() as connection:
        monkeypatch.setattr(connection.dialect, "driver", "pg8000")
        with pytest.raises(Refused, match="cannot be enqueued through pg8000"):
            execute_batch(Parcels(), app=app, connection=connection)


def test_a_database_without_our_tables_is_refused(app: Application, database_url: str) -> None:
    app.registry.add(Parcels)
    url = database_url.replace("batchwright.db", "other.db")
    engine = create_engine(url)
    with engine.connect() as connection, pytest.raises(DatabaseMissing, match="no tables of Batchwright"):
        execute_batch(Parcels(), app=app, connection=connection)
    engine.dispose()


def test_a_job_that_is_not_registered_is_refused(app: Application, plain: Engine) -> None:
    with plain.begin() as connection, pytest.raises(Refused, match="MonthEnd is not registered"):
        execute_batch(MonthEnd(month=None), app=app, connection=connection)
    assert list_runs(app) == []


def test_parent_and_child_are_shown_both_ways(
    app: Application, plain: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.registry.add(MonthEnd)
    with app.database.write() as connection:
        fill(connection, 3)
    monkeypatch.setattr(Parcels, "finish", lambda self, finish: finish.submit(MonthEnd(month="2023-06")))
    first = execute_batch(Parcels(), app=app)
    drive_run(app, first)
    (child,) = show_run(app, first)["children"]
    shown = show_run(app, child)
    assert (shown["parent_run_id"], shown["trigger"], shown["children"]) == (first, "job", [])


@pytest.mark.on_both
def test_it_is_refused_within_ones_own_write_without_its_connection(app: Application) -> None:
    with app.database.write(), pytest.raises(NestedWrite, match="`connection=`"):
        execute_batch(DraftUsageRatingJob(), app=app)
    with app.database.write(), pytest.raises(NestedWrite, match="`connection=`"):
        schedule("N", "0 0 0 ? * *", DraftUsageRatingJob(), app=app)
