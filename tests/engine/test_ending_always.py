"""A run ends, whatever its job has said of it and done to its connection."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from sqlalchemy import Connection, text, update

from batchwright.engine.attribution import combine
from batchwright.engine.errors import Refused, error_text
from batchwright.engine.job import Finish, Record, Scope, StartContext
from batchwright.engine.run import Control, State
from batchwright.engine.store import controls, runs
from batchwright.engine.store.tables import scope as scope_table
from tests.engine.jobs import Parcels
from tests.engine.rig import NOW, Rig

pytestmark = pytest.mark.on_both

SAID: list[dict[str, Any]] = [
    {"about": {"customers": [], "months": ["2026-13", "2026-13"]}},
    {"about": {"customers": [7, None], "months": [202601, None]}},
    {"about": {"customers": ["a\0b\udce9"], "months": ["January", "2026-1"]}},
    {"totals": []},
    {"totals": {"worth": 5, "more": {"USD": "a", "EUR": None}}},
]
UNSTORABLE = ["a\0b", "caf\udce9"]


def first_says(said: dict[str, Any]) -> Callable[[Scope], None]:
    """The second scope has the first one say this: the job of an older version may have done so."""

    def execute(scope: Scope) -> None:
        if scope.number == 2:
            columns = {name: json.dumps(value) for name, value in said.items()}
            first = (scope_table.c.run_id == scope.run.id, scope_table.c.number == 1)
            scope.connection.execute(update(scope_table).where(*first).values(**columns))

    return execute


@pytest.mark.parametrize("said", SAID)
def test_a_run_ends_whatever_its_scopes_have_said(rig: Rig, spy: type[Parcels], said: dict[str, Any]) -> None:
    spy.on_execute = staticmethod(first_says(said))
    rig.fill(20)
    run = rig.drive()
    assert (run.state, run.processed, run.periods) == (State.COMPLETED, 20, None)


@pytest.mark.parametrize("said", SAID)
def test_a_run_is_aborted_whatever_its_scopes_have_said(
    rig: Rig, spy: type[Parcels], said: dict[str, Any]
) -> None:
    def execute(scope: Scope) -> None:
        first_says(said)(scope)
        if scope.number == 2:
            controls.request(scope.connection, scope.run, controls.ControlRequest(Control.ABORT, "erin", NOW))

    spy.on_execute = staticmethod(execute)
    rig.fill(30)
    run = rig.drive()
    assert (run.state, run.processed, run.not_reached) == (State.ABORTED, 20, 10)


def test_months_that_are_none_are_left_out_beside_those_that_are() -> None:
    said = [{"customers": ["C-1"], "months": ["2026-01", month]} for month in ("2026-02", "2026-13")]
    assert combine(map(json.dumps, said)) == ("C-1", ["2026-01", "2026-02"])


def test_an_abort_comes_before_anything_of_a_job_that_is_taken_over(rig: Rig, spy: type[Parcels]) -> None:
    def start(self: Parcels, context: StartContext) -> Iterable[Record]:
        raise AssertionError("the process would die of it")

    spy.start = start  # type: ignore[method-assign]
    rig.fill(10)
    run = rig.claimed()
    with rig.database.write() as connection:
        controls.request(connection, run, controls.ControlRequest(Control.ABORT, "erin", NOW))
        runs.raise_fence(connection, run, "taker/2")
    ended = rig.dispatcher().work(rig.read(run))
    assert (ended.state, ended.error) == (State.ABORTED, "aborted by erin")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize("error", [Refused("a\0b"), Refused("caf\udce9"), Refused(7), Unspeakable()])  # type: ignore[arg-type]
@pytest.mark.parametrize("where", ["start", "execute", "finish"])
def test_a_run_ends_whatever_the_exception_of_its_job_says(
    rig: Rig, spy: type[Parcels], where: str, error: Exception
) -> None:
    def raises(self: Parcels, given: object) -> Any:
        raise error

    setattr(spy, where, raises)
    rig.fill(10)
    run = rig.drive()
    assert run.state is (State.COMPLETED if where == "execute" else State.FAILED)
    assert (run.error is not None, run.errored) == (where != "execute", 10 if where == "execute" else 0)


@pytest.mark.parametrize("words", UNSTORABLE)
def test_what_a_job_reports_is_kept_in_words_that_the_database_takes(
    rig: Rig, spy: type[Parcels], words: str
) -> None:
    def report(scope: Scope) -> None:
        scope.error(3, "no_price", words)
        scope.warn("odd", words, words)
        scope.attribute([words], [])

    def finish(self: Parcels, finish: Finish) -> None:
        finish.warn("odd", words)

    spy.on_execute, spy.finish = staticmethod(report), finish  # type: ignore[method-assign]
    rig.fill(10)
    run = rig.drive()
    assert (run.state, run.processed, run.errored) == (State.COMPLETED, 9, 1)
    kept = error_text(Exception(words)).removeprefix("Exception: ")
    errors = [(entry.code, entry.message) for entry in rig.outcomes(run) if entry.outcome == "error"]
    assert (errors, run.customer_id) == ([("no_price", kept)], kept)
    with rig.database.read() as connection:
        assert [warning.message for warning in runs.warnings(connection, run.id)] == [kept, kept]


def close(connection: Connection) -> None:
    connection.close()


def invalidate(connection: Connection) -> None:
    connection.invalidate()


def close_the_drivers(connection: Connection) -> None:
    connection.connection.driver_connection.close()  # type: ignore[union-attr]


@pytest.mark.parametrize("how", [close, invalidate, close_the_drivers])
def test_a_job_that_closes_its_connection_costs_its_scope_alone(
    rig: Rig, spy: type[Parcels], how: Callable[[Connection], None]
) -> None:
    spy.on_execute = staticmethod(lambda scope: how(scope.connection) if 3 in scope.keys else None)
    rig.fill(30)
    run = rig.drive()
    assert (run.state, run.processed, run.errored) == (State.COMPLETED, 29, 1)
    assert rig.handled() == {key: int(key != 3) for key in range(1, 31)}


@pytest.mark.parametrize("where", ["start", "finish"])
def test_a_job_that_closes_its_connection_outside_its_scopes_fails_its_run(
    rig: Rig, spy: type[Parcels], where: str
) -> None:
    def closes(self: Parcels, given: Any) -> Any:
        given.connection.close()
        return [Record(1)]

    setattr(spy, where, closes)
    rig.fill(10)
    run = rig.drive()
    assert run.state is State.FAILED


SETTINGS = [
    "SET statement_timeout = '7min'",
    "\n set session statement_timeout = '7min'",
    "SELECT set_config('statement_timeout', '7min', false)",
]


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
@pytest.mark.parametrize("setting", SETTINGS)
def test_what_a_job_sets_for_its_session_lasts_no_longer_than_its_scope(
    rig: Rig, spy: type[Parcels], setting: str
) -> None:
    seen: list[str] = []

    def execute(scope: Scope) -> None:
        seen.append(scope.connection.execute(text("SHOW statement_timeout")).scalar_one())
        scope.connection.execute(text(setting))

    def finish(self: Parcels, finish: Finish) -> None:
        seen.append(finish.connection.execute(text("SHOW statement_timeout")).scalar_one())
        finish.connection.execute(text(setting))

    spy.on_execute, spy.finish = staticmethod(execute), finish  # type: ignore[method-assign]
    rig.fill(20)
    assert rig.drive().state is State.COMPLETED
    with rig.database.read() as connection:
        seen.append(connection.execute(text("SHOW statement_timeout")).scalar_one())
    assert seen == ["0"] * 4
