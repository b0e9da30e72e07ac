"""A record that ``start`` gives twice, or a group in pieces, is named at planning; nothing is done twice."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import pytest

from batchwright.engine import plan
from batchwright.engine.job import Group, Record
from batchwright.engine.run import State
from tests.engine.jobs import Parcels
from tests.engine.rig import Rig

TWICE = "start gave record 3 twice"
APART = "start gave the records of group 1 apart"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([Record(1), Record(3), Record(3)], TWICE),
        ([Record(3), *(Record(key) for key in range(4, 15)), Record(3)], TWICE),
        ([Record(3, 1), Record(2, 2), Record(3, 2)], TWICE),
        ([Group(1, [3, 2]), Group(2, [3])], TWICE),
        ([Record(1, 1), Record(2, 2), Record(3, 1)], APART),
        ([Group(1, [1]), Group(2), Group(1, [2])], APART),
    ],
)
def test_what_is_given_twice_fails_the_run_by_name(
    rig: Rig, spy: type[Parcels], given: Sequence[Record | Group], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spy, "start", lambda self, context: iter(given))
    rig.fill(20)
    run = rig.drive()
    assert run.state is State.FAILED
    assert (run.error or "").startswith(said)
    assert set(rig.handled().values()) == {0}
    assert spy.calls == []


def test_records_in_any_order_are_planned_as_they_come(
    rig: Rig, spy: type[Parcels], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [Record(key, -(key % 4)) for key in sorted(range(1, 21), key=lambda key: key % 4)]
    monkeypatch.setattr(spy, "start", lambda self, context: iter(given))
    rig.fill(20)
    assert rig.drive().processed == 20


def test_one_that_comes_twice_is_found_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "MOST_AT_ONCE", 3)
    numbers = [array("q", [5, 1, 9]), array("q", [4, 8]), array("q", [7, 1])]
    assert plan.first_twice(lambda: numbers, 7) == 1
    assert plan.first_twice(lambda: numbers[:2], 5) is None
