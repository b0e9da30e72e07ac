"""The JSON of runs: how long they have been running, and what is read for many of them at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, update

from batchwright.engine.errors import Refused
from batchwright.engine.job import Warn
from batchwright.engine.store import runs
from batchwright.engine.store.tables import run as run_table
from batchwright.operations.app import Application
from batchwright.operations.run_view import PAGE
from batchwright.operations.runs.looking import list_runs, show_run
from batchwright.operations.runs.submitting import submit_run
from tests.support.application import ACTOR, NOW

JOB = "draft-usage-rating"


def submitted(app: Application, **values: Any) -> str:
    return submit_run(app, JOB, {}, actor=ACTOR, **values).run_id


def set_run(app: Application, run_id: str, **values: Any) -> None:
    with app.database.write() as connection:
        connection.execute(update(run_table).where(run_table.c.run_id == run_id).values(values))


@contextmanager
def counted_statements(app: Application) -> Iterator[list[str]]:
    """The statements that the block has executed."""
    said: list[str] = []

    def note(connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    event.listen(app.database.engine, "before_cursor_execute", note)
    yield said
    event.remove(app.database.engine, "before_cursor_execute", note)


def test_a_run_that_works_shows_how_long_it_has_been_running(app: Application) -> None:
    run_id = submitted(app)
    set_run(app, run_id, state="Processing", started_at=NOW - timedelta(seconds=90.5))
    assert show_run(app, run_id)["duration_seconds"] == list_runs(app)[0]["duration_seconds"] == 90.5


def test_a_run_that_has_ended_shows_how_long_it_ran(app: Application) -> None:
    run_id = submitted(app)
    started = NOW - timedelta(hours=2)
    set_run(app, run_id, state="Completed", started_at=started, ended_at=started + timedelta(seconds=7))
    assert show_run(app, run_id)["duration_seconds"] == 7.0


def test_a_run_that_waits_has_no_duration(app: Application) -> None:
    assert show_run(app, submitted(app))["duration_seconds"] is None


def test_a_clock_that_lags_behind_that_of_the_worker_gives_no_negative_duration(app: Application) -> None:
    run_id = submitted(app)
    set_run(app, run_id, state="Processing", started_at=NOW + timedelta(seconds=3))
    assert show_run(app, run_id)["duration_seconds"] == 0.0


def test_a_listing_reads_warnings_and_parents_of_all_its_runs_at_once(app: Application) -> None:
    first = submitted(app)
    with counted_statements(app) as few:
        list_runs(app)
    for _ in range(20):
        submitted(app)
    with app.database.write() as connection:
        parent = runs.by_id(connection, first)
        connection.execute(update(run_table).where(run_table.c.id != parent.id).values(parent_id=parent.id))
        for key in (parent.id + 1, parent.id + 2):
            runs.add_warnings(connection, key, None, [Warn("late", f"{key} is late", None)])
    with counted_statements(app) as many:
        listed = {run["run_id"]: run for run in list_runs(app)}
    assert len(listed) == 21
    assert len(many) == len(few) + 1  # that for parents, of which there were none
    assert listed["JR-00000002"]["warnings"][-1]["message"] == f"{parent.id + 1} is late"
    assert listed["JR-00000003"]["warnings"][-1]["message"] == f"{parent.id + 2} is late"
    assert listed["JR-00000004"]["parent_run_id"] == first
    assert listed[first]["parent_run_id"] is None


def test_more_runs_than_one_page_are_listed_whole(app: Application) -> None:
    submitted(app)
    with app.database.write() as connection:
        row = dict(connection.execute(run_table.select()).mappings().one())
        del row["begun_at"]  # computed
        copies = [{**row, "id": key, "run_id": f"JR-{key:08d}"} for key in range(1000, 1000 + PAGE + 1)]
        connection.execute(insert(run_table), copies)
    assert len({run["run_id"] for run in list_runs(app)}) == PAGE + 2


def test_a_bad_address_is_refused_under_the_name_of_the_parameter(app: Application) -> None:
    with pytest.raises(Refused, match="'nobody' is not a mail address") as refused:
        submitted(app, notify=["ops@example.com", "nobody"])
    assert refused.value.field == "notify"
    assert refused.value.remedy
