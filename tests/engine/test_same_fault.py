"""Exceptions of a job: told once with their traceback and place, without what the database was told; all the same one
is a bug.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from batchwright.config.tracebacks import traceback_text
from batchwright.engine.event_log import EventLog
from batchwright.engine.job import Scope
from batchwright.engine.run import State
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig

SECRET = "4711-geheim"


def always(scope: Scope) -> None:
    if scope.keys:
        raise KeyError("price")


@pytest.mark.parametrize("groups", [lambda key: None, lambda key: key // 30])
def test_a_run_whose_first_records_all_raise_the_same_fails_and_keeps_their_errors(
    rig: Rig, spy: type[Parcels], groups: Callable[[int], int | None]
) -> None:
    spy.on_execute = staticmethod(always)
    rig.fill(100, groups=groups)
    run = rig.drive()
    assert run.state is State.FAILED
    assert (run.error or "").startswith(
        f"all of the first {run.errored} records raised KeyError [tests/engine/"
    )
    assert 50 <= run.errored < 100
    assert rig.ledger(run) == {"error": run.errored, "not_reached": 100 - run.errored}


@pytest.mark.parametrize(
    ("records", "groups", "bad"),
    [
        (40, lambda key: None, always),  # too few
        (60, lambda key: 7, always),  # a single group
        (60, lambda key: None, lambda scope: always(scope) if set(scope.keys) - {33} else None),
    ],
)
def test_a_run_goes_on_while_it_may_be_the_records_fault(
    rig: Rig,
    spy: type[Parcels],
    records: int,
    groups: Callable[[int], int | None],
    bad: Callable[[Scope], None],
) -> None:
    spy.on_execute = staticmethod(bad)
    rig.fill(records, groups=groups)
    run = rig.drive()
    assert (run.state, run.not_reached) == (State.COMPLETED, 0)
    assert run.errored >= records - 1


@pytest.mark.on_both
def test_the_count_goes_on_where_another_process_goes_on_with_the_run(rig: Rig, spy: type[Parcels]) -> None:
    spy.on_execute = staticmethod(always)
    rig.fill(100)
    run = rig.submit()
    left = rig.dispatcher().drive(
        run.id, stop=lambda: sum(one.point == "scope committed" for one in rig.reached) >= 3
    )
    assert (left.state, left.errored) == (State.QUEUED, 30)
    ended = rig.drive(run)
    assert (ended.state, ended.errored, ended.not_reached) == (State.FAILED, 50, 50)
    assert (ended.error or "").startswith("all of the first 50 records raised KeyError [tests/engine/")


def test_different_places_are_different_faults(rig: Rig, spy: type[Parcels]) -> None:
    def either(scope: Scope) -> None:
        if scope.number % 2:
            raise KeyError("here")
        raise KeyError("there")

    spy.on_execute = staticmethod(either)
    rig.fill(60)
    assert rig.drive().state is State.COMPLETED


def test_equal_errors_make_one_line_with_their_traceback_and_number(rig: Rig, spy: type[Parcels]) -> None:
    def bad(scope: Scope) -> None:
        if set(scope.keys) & {2, 4, 6}:
            raise KeyError("price")

    spy.on_execute = staticmethod(bad)
    rig.subscribers.append(EventLog())
    rig.fill(10)
    with capture_logs() as lines:
        run = rig.drive()
    (line,) = [line for line in lines if line["event"] == "record raised an exception"]
    assert (line["records"], line["record_key"]) == (3, 2)
    assert "test_same_fault.py" in line["traceback"]
    assert line["traceback"].endswith("KeyError: 'price'")
    messages = {one.message for one in rig.outcomes(run) if one.outcome == "error"}
    assert messages == {line["message"]}


def test_an_error_that_comes_again_in_later_scopes_is_only_counted(rig: Rig, spy: type[Parcels]) -> None:
    def bad(scope: Scope) -> None:
        if {key % 10 for key in scope.keys} & {3}:
            raise KeyError("price")

    spy.on_execute = staticmethod(bad)
    rig.subscribers.append(EventLog())
    rig.fill(40)
    with capture_logs() as lines:
        rig.drive()
    logged = [line for line in lines if line["event"] == "record raised an exception"]
    assert [(line["records"], line["traceback"] is None) for line in logged] == [(1, False), (3, True)]


@pytest.mark.parametrize("where", ["execute", "finish"])
def test_what_the_database_was_told_stands_neither_in_the_ledger_nor_in_the_log(
    rig: Rig, spy: type[Parcels], where: str
) -> None:
    def bad(self: object, given: Scope) -> None:
        parameters = {"key": 1, "secret": SECRET}
        given.connection.execute(text("INSERT INTO parcel (id, handled) VALUES (:key, :secret)"), parameters)

    if where == "finish":
        spy.finish = bad  # type: ignore[method-assign, assignment]
    else:
        spy.on_execute = staticmethod(lambda scope: bad(spy, scope))
    rig.subscribers.append(EventLog())
    rig.fill(1)
    with capture_logs() as lines:
        run = rig.drive()
    message = str(lines) + str(run.error) + str([one.message for one in rig.outcomes(run)])
    assert "tests/engine/test_same_fault.py:" in message
    for kept_back in ("INSERT", "parameters", "sqlalche.me"):
        assert kept_back not in message


def test_a_traceback_of_ours_keeps_back_what_the_database_was_told(rig: Rig) -> None:
    with pytest.raises(DBAPIError) as caught, rig.database.write() as connection:
        connection.execute(text("SELECT nonsense FROM nowhere WHERE id = :id"), {"id": SECRET})
    message = traceback_text(caught.value)
    assert SECRET not in message
    assert "WHERE" not in message
    assert "nowhere" in message
