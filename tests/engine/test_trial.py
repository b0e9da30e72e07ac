"""A record that raises is found by trial; the rest of its scope commits once, without it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlalchemy import Connection

from batchwright.engine import events
from batchwright.engine.job import BatchJob, Record, Scope, StartContext
from batchwright.engine.run import Run, State
from batchwright.engine.store import scopes
from batchwright.engine.store.database import Database, upgrade
from batchwright.engine.store.tables import outcome
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig

RECORDS = 200
MOST_CALLS = 17


def poisoned(*keys: int) -> Callable[[Scope], None]:
    """Raises for the first of ``keys`` that is in the scope."""

    def raise_for(scope: Scope) -> None:
        for key in keys:
            if key in scope.keys:
                raise ZeroDivisionError(f"parcel {key} is bad")

    return raise_for


def in_one_group(rig: Rig, spy: type[Parcels], on_execute: Callable[[Scope], None]) -> Run:
    """The ended run of 200 records, one group and scope."""
    spy.on_execute = staticmethod(on_execute)
    rig.fill(RECORDS, groups=lambda key: 7)
    return rig.drive()


def errors(rig: Rig, run: Run) -> dict[str, tuple[str | None, str | None]]:
    return {
        entry.record_id: (entry.code, (entry.message or "").partition(" [tests/")[0])
        for entry in rig.outcomes(run)
        if entry.outcome == "error"
    }


def test_one_poisoned_record_of_200_is_named_and_the_other_199_commit(rig: Rig, spy: type[Parcels]) -> None:
    run = in_one_group(rig, spy, poisoned(2))
    assert (run.state, run.processed, run.errored) == (State.COMPLETED, 199, 1)
    assert errors(rig, run) == {"P-2": ("unforeseen", "ZeroDivisionError: parcel 2 is bad")}
    assert rig.handled() == {key: int(key != 2) for key in range(1, RECORDS + 1)}
    assert len(spy.calls) <= MOST_CALLS
    assert [event.record_key for event in rig.published if isinstance(event, events.RecordErrored)] == [2]


class EveryPosition(BatchJob):
    """As many scopes as a scope has records; in each another record is poisoned."""

    name = "every-position"
    type = "Every position"
    scope_size = RECORDS
    calls: ClassVar[Counter[int]]
    """How often each scope was executed; each test makes a class with a counter of its own."""

    def start(self, context: StartContext) -> Iterable[Record]:
        return (Record(key, group=key // RECORDS) for key in range(RECORDS * RECORDS))

    def execute(self, scope: Scope) -> None:
        self.calls[scope.number] += 1
        bad = (scope.number - 1) * (RECORDS + 1)
        if bad in scope.keys:
            raise ZeroDivisionError(bad)


def test_wherever_the_poisoned_record_stands_17_calls_find_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'batchwright.db'}"
    upgrade(url)
    calls = Counter[int]()
    rig = Rig(Database(url), [type("Counted", (EveryPosition,), {"calls": calls})])
    run = rig.drive(job="every-position")
    assert [row.record_key for row in rig.rows(outcome)] == [n * (RECORDS + 1) for n in range(RECORDS)]
    assert (run.processed, run.errored) == (RECORDS * RECORDS - RECORDS, RECORDS)
    assert max(calls.values()) == MOST_CALLS
    rig.database.close()


@pytest.mark.parametrize("bad", [(1, 200), (99, 100, 101), tuple(range(20, 30)), tuple(range(5, 200, 20))])
def test_several_poisoned_records_are_all_named(rig: Rig, spy: type[Parcels], bad: tuple[int, ...]) -> None:
    run = in_one_group(rig, spy, poisoned(*bad))
    assert errors(rig, run) == {
        f"P-{key}": ("unforeseen", f"ZeroDivisionError: parcel {key} is bad") for key in bad
    }
    assert rig.handled() == {key: int(key not in bad) for key in range(1, RECORDS + 1)}
    assert len(rig.rows(outcome)) == len(bad)


def test_a_scope_whose_records_are_all_poisoned_names_them_all(rig: Rig, spy: type[Parcels]) -> None:
    run = in_one_group(rig, spy, poisoned(*range(1, RECORDS + 1)))
    assert (run.state, run.processed, run.errored, run.not_reached) == (State.COMPLETED, 0, RECORDS, 0)
    assert len(errors(rig, run)) == RECORDS
    assert set(rig.handled().values()) == {0}


def test_a_fault_that_needs_two_records_costs_one_of_them(rig: Rig, spy: type[Parcels]) -> None:
    def both(scope: Scope) -> None:
        if {50, 150} <= set(scope.keys):
            raise ValueError("50 and 150 do not agree")

    run = in_one_group(rig, spy, both)
    assert errors(rig, run) == {
        "P-150": ("unforeseen", "ValueError: 50 and 150 do not agree (only together with other records)")
    }
    assert run.processed == RECORDS - 1


def test_a_fault_of_the_whole_scope_that_no_trial_shows_blames_nobody(
    rig: Rig, spy: type[Parcels], monkeypatch: pytest.MonkeyPatch
) -> None:
    mark_done = scopes.mark_done
    marks: list[int] = []

    def seldom(connection: Connection, scope_key: int, values: Mapping[str, Any]) -> bool:
        marks.append(scope_key)
        if len(marks) == 1:
            raise RuntimeError("once")
        return mark_done(connection, scope_key, values)

    monkeypatch.setattr(scopes, "mark_done", seldom)
    rig.fill(10)
    run = rig.drive()
    assert (run.state, run.processed, run.errored) == (State.COMPLETED, 10, 0)
    assert set(rig.handled().values()) == {1}


def test_a_job_that_raises_whatever_it_is_given_leaves_an_error_of_each_record(
    rig: Rig, spy: type[Parcels]
) -> None:
    def always(scope: Scope) -> None:
        raise RuntimeError("the tariff server is gone")

    run = in_one_group(rig, spy, always)
    assert (run.total, run.processed, run.errored, run.not_reached) == (RECORDS, 0, RECORDS, 0)
    assert rig.ledger(run) == {"error": RECORDS}
    assert set(rig.handled().values()) == {0}


def test_a_scope_that_raises_whatever_it_is_given_keeps_nobody_from_the_others(
    rig: Rig, spy: type[Parcels]
) -> None:
    def second(scope: Scope) -> None:
        if scope.number == 2:
            raise RuntimeError("stuck")

    spy.on_execute = staticmethod(second)
    rig.fill(30)
    run = rig.drive()
    assert (run.state, run.processed, run.errored) == (State.COMPLETED, 20, 10)


def test_a_scope_of_one_poisoned_record_is_tried_no_more_than_needed(rig: Rig, spy: type[Parcels]) -> None:
    spy.on_execute = staticmethod(poisoned(1))
    rig.fill(1)
    run = rig.drive()
    assert (run.errored, spy.calls) == (1, [(1,)])


def test_outcomes_that_the_job_reported_stand_beside_what_was_found_by_trial(
    rig: Rig, spy: type[Parcels]
) -> None:
    def report(scope: Scope) -> None:
        for key in {10, 11} & set(scope.keys):
            scope.error(key, "no_price", f"no price for {key}")
        for key in {20} & set(scope.keys):
            scope.skip(key, "wrong_status", "was rated")
        poisoned(150)(scope)

    run = in_one_group(rig, spy, report)
    assert (run.processed, run.errored, run.skipped) == (196, 3, 1)
    assert {entry.record_id: entry.code for entry in rig.outcomes(run) if entry.outcome != "ok"} == {
        "P-10": "no_price",
        "P-11": "no_price",
        "P-20": "wrong_status",
        "P-150": "unforeseen",
    }


@pytest.mark.parametrize("text", ["a\0b", "caf\udce9", "x" * 5000, ""])
def test_whatever_an_exception_says_its_record_is_in_the_ledger(
    rig: Rig, spy: type[Parcels], text: str
) -> None:
    def hostile(scope: Scope) -> None:
        if 3 in scope.keys:
            raise ValueError(text)

    spy.on_execute = staticmethod(hostile)
    rig.fill(10)
    run = rig.drive()
    assert (run.state, run.processed, list(errors(rig, run))) == (State.COMPLETED, 9, ["P-3"])


@pytest.mark.parametrize(
    ("code", "message"), [("no_price", "a\0b"), ("no_price", "caf\udce9"), ("x" * 65, "long")]
)
def test_an_outcome_that_the_database_refuses_costs_its_record_alone(
    rig: Rig, spy: type[Parcels], code: str, message: str
) -> None:
    def report(scope: Scope) -> None:
        if 3 in scope.keys:
            scope.error(3, code, message)

    spy.on_execute = staticmethod(report)
    rig.fill(10)
    run = rig.drive()
    assert (run.state, run.processed, list(errors(rig, run))) == (State.COMPLETED, 9, ["P-3"])


def test_a_job_that_reports_a_record_of_another_scope_is_told_so(rig: Rig, spy: type[Parcels]) -> None:
    spy.on_execute = staticmethod(lambda scope: scope.error(99, "no_price", "not ours"))
    rig.fill(10)
    run = rig.drive()
    message = "ValueError: the job reported records that are not in its scope: [99]"
    assert errors(rig, run) == {f"P-{key}": ("unforeseen", message) for key in range(1, 11)}
