"""Planning cuts what ``start`` gives into scopes, keeps groups whole and can be begun anew."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.engine.job import Group, Record, StartContext
from batchwright.engine.ledger import keys_to_retry
from batchwright.engine.plan import split_into_scopes
from batchwright.engine.run import State
from batchwright.engine.store import scopes
from batchwright.engine.store.scopes import PlannedScope
from batchwright.engine.store.tables import scope as scope_table
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig


def shape(records: Iterable[Record | Group], size: int) -> list[list[int]]:
    return [list(scope.keys) for scope in split_into_scopes(records, size)]


@st.composite
def plans(draw: st.DrawFn) -> list[Record | Group]:
    """Groups one after another: large, small, whole or record by record, without a record; and single records."""
    plan: list[Record | Group] = []
    for group, members in enumerate(draw(st.lists(st.integers(-1, 12), max_size=20))):
        keys = range(group * 100, group * 100 + members)
        if members == -1:
            plan.append(Record(group * 100))
        elif members == 0 or draw(st.booleans()):
            plan.append(Group(group, keys))
        else:
            plan += [Record(key, group) for key in keys]
    return plan


def keys_of(plan: Iterable[Record | Group]) -> list[int]:
    return [key for one in plan for key in (one.keys if isinstance(one, Group) else [one.key])]


def weight(scope: PlannedScope, plan: Iterable[Record | Group]) -> int:
    visits = {one.group for one in plan if isinstance(one, Group) and not one.keys}
    return len(scope.keys) + sum(1 for group in scope.groups if group in visits)


@given(plans(), st.integers(1, 9))
def test_every_record_is_in_one_scope_in_the_order_given(records: list[Record | Group], size: int) -> None:
    planned = [key for scope in split_into_scopes(records, size) for key in scope.keys]
    assert planned == keys_of(records)


@given(plans(), st.integers(1, 9))
def test_every_group_is_in_one_scope_with_all_its_records(records: list[Record | Group], size: int) -> None:
    planned = list(split_into_scopes(records, size))
    named = [group for scope in planned for group in scope.groups]
    assert named == list(dict.fromkeys(record.group for record in records if record.group is not None))
    for scope in planned:
        of_scope = set(scope.keys)
        for group in scope.groups:
            assert of_scope >= set(keys_of(one for one in records if one.group == group))


@given(plans(), st.integers(1, 9))
def test_only_a_group_alone_exceeds_the_size(records: list[Record | Group], size: int) -> None:
    for scope in split_into_scopes(records, size):
        assert weight(scope, records) <= size or len(scope.groups) == 1


@given(plans(), st.integers(1, 9))
def test_scopes_are_numbered_and_count_their_first_record_from_one(
    records: list[Record | Group], size: int
) -> None:
    planned = list(split_into_scopes(records, size))
    assert [scope.number for scope in planned] == list(range(1, len(planned) + 1))
    assert not planned or planned[0].first_record == 1
    for before, after in pairwise(planned):
        assert after.first_record == before.first_record + len(before.keys)


@pytest.mark.on_both
@pytest.mark.parametrize("late", [False, True])
def test_records_named_by_id_are_not_reached_where_start_fails(
    rig: Rig, spy: type[Parcels], late: bool
) -> None:
    def start(self: Parcels, context: StartContext) -> Iterable[Record]:
        if late:
            yield from (Record(key) for key in range(1, 600))
        raise ValueError("no more")

    spy.start = start  # type: ignore[method-assign]
    rig.fill(30)
    run = rig.drive(parameters={"ids": tuple(range(5, 25))}, scope_size=5)
    assert (run.state, run.total, run.not_reached, run.processed) == (State.FAILED, 20, 20, 0)
    assert rig.ledger(run) == {"not_reached": 20}
    with rig.database.read() as connection:
        assert list(keys_to_retry(connection, run)) == list(range(5, 25))


def test_groups_that_were_named_are_no_records_where_start_fails(rig: Rig, spy: type[Parcels]) -> None:
    def start(self: Parcels, context: StartContext) -> Iterable[Record]:
        raise ValueError("no more")

    spy.start, spy.selects_records = start, False  # type: ignore[method-assign, assignment]
    rig.fill(10)
    run = rig.drive(parameters={"ids": (1, 2)})
    assert (run.state, run.total, rig.ledger(run)) == (State.FAILED, 0, {})


def test_no_records_make_no_scope() -> None:
    assert shape([], 10) == []


def test_a_group_larger_than_a_scope_is_a_scope_by_itself() -> None:
    records = [Record(1, 1), *(Record(key, 2) for key in range(2, 8)), Record(8, 3)]
    assert shape(records, 3) == [[1], [2, 3, 4, 5, 6, 7], [8]]


def test_a_scope_is_filled_up_to_its_size() -> None:
    assert shape([Record(key) for key in range(7)], 3) == [[0, 1, 2], [3, 4, 5], [6]]


def test_groups_without_a_record_are_visited_and_fill_scopes() -> None:
    planned = list(split_into_scopes([Group(group) for group in range(5)], 2))
    assert [list(scope.groups) for scope in planned] == [[0, 1], [2, 3], [4]]
    assert [scope.first_record for scope in planned] == [1, 1, 1]


def stored(rig: Rig) -> list[tuple[int, list[int]]]:
    return sorted((row.number, list(scopes.unpack(row.keys))) for row in rig.rows(scope_table))


def test_planning_commits_in_portions(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    portions: list[int] = []
    insert_scopes = scopes.insert_scopes

    def counting(connection: object, run_key: int, planned: list[PlannedScope]) -> None:
        portions.append(len(planned))
        insert_scopes(connection, run_key, planned)  # type: ignore[arg-type]

    monkeypatch.setattr(scopes, "insert_scopes", counting)
    rig.fill(120)
    assert rig.drive(scope_size=1).processed == 120
    assert portions == [50, 50, 20]


@pytest.mark.usefixtures("at_the_keyboard")
def test_interrupted_planning_starts_over_and_leaves_nothing_double(
    rig: Rig, spy: type[Parcels], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(job: Parcels, context: StartContext) -> Iterable[Record]:
        yield from (Record(key) for key in range(1, 61))
        raise KeyboardInterrupt

    rig.fill(70)
    run = rig.submit(scope_size=1)
    with monkeypatch.context() as patch:
        patch.setattr(spy, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            rig.drive(run)
    assert len(stored(rig)) == 50
    assert rig.read(run).state is State.PREPARING

    assert rig.dispatcher().resume(run.id).state is State.COMPLETED
    assert stored(rig) == [(key, [key]) for key in range(1, 71)]
    assert set(rig.handled().values()) == {1}


def test_a_run_whose_start_raised_has_failed_without_a_half_made_plan(
    rig: Rig, spy: type[Parcels], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(job: Parcels, context: StartContext) -> Iterable[Record]:
        yield from (Record(key) for key in range(1, 61))
        raise RuntimeError("no more pages")

    monkeypatch.setattr(spy, "start", broken)
    rig.fill(70)
    run = rig.drive(scope_size=1)
    assert run.state is State.FAILED
    assert re.fullmatch(r"RuntimeError: no more pages \[tests/engine/test_plan\.py:[0-9]+\]", run.error or "")
    assert (run.total, run.not_reached, rig.outcomes(run)) == (0, 0, [])


def test_a_run_over_nothing_completes(rig: Rig) -> None:
    rig.fill(0)
    run = rig.drive()
    assert (run.state, run.total, rig.outcomes(run)) == (State.COMPLETED, 0, [])
