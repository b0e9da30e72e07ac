"""The run log in pages: every run once, whatever starts meanwhile, by every filter, as its detail has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import combinations
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from batchwright.engine.errors import Refused
from batchwright.engine.run import ENDED, State
from batchwright.engine.store import run_log
from batchwright.engine.store.tables import run as run_table
from batchwright.engine.store.tables import run_warning, scope
from batchwright.operations.app import Application
from batchwright.operations.runs.looking import list_runs, page_of_runs, show_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.views import View
from tests.support.application import ACTOR, NOW
from tests.support.runs import CREATED, a_run, insert_runs, start


def walk(app: Application, limit: int, **asked: Any) -> Iterator[list[str]]:
    after = None
    while True:
        found = page_of_runs(app, after, limit, **asked)
        yield [run["run_id"] for run in found.items]
        after = found.next
        if after is None:
            return


@pytest.mark.on_both
def test_a_thousand_runs_that_start_in_one_instant_while_pages_are_read_come_once_each(
    app: Application,
) -> None:
    insert_runs(app, 1_000)
    insert_runs(app, 50, first=1_001, state="Completed", started_at=NOW - timedelta(days=1), ended_at=NOW)
    order = list(range(1, 1_001))
    Random(7).shuffle(order)
    seen: list[str] = []
    for number, page in enumerate(walk(app, 110)):
        seen += page
        start(app, order[number * 100 : (number + 1) * 100])
        insert_runs(app, 5, first=2_000 + number * 5)  # new ones stand above the first page
    assert len(seen) == len(set(seen))
    assert set(seen) == {f"JR-{key:08}" for key in range(1, 1_051)}
    assert [run["run_id"] for run in list_runs(app, limit=3)] == ["JR-00001000", "JR-00000999", "JR-00000998"]


def test_a_run_stands_by_its_creation_until_it_starts_and_then_by_its_start(app: Application) -> None:
    insert_runs(app, 3)
    assert next(walk(app, 10)) == ["JR-00000003", "JR-00000002", "JR-00000001"]
    start(app, [1])
    assert next(walk(app, 10)) == ["JR-00000001", "JR-00000003", "JR-00000002"]


def test_a_run_that_starts_by_a_clock_that_lags_comes_once(app: Application) -> None:
    insert_runs(app, 3)
    pages = walk(app, 1)
    seen = next(pages)
    start(app, [2, 3], at=CREATED - timedelta(minutes=5))
    assert seen + [one for page in pages for one in page] == ["JR-00000003", "JR-00000002", "JR-00000001"]


@pytest.mark.on_both
def test_each_filter_gives_the_runs_it_names_and_no_other(app: Application) -> None:
    insert_runs(app, 2, first=1)
    insert_runs(
        app, 1, first=3, job="other", customer_id="C-1", periods='["2026-01", "2026-02"]', actor="eve"
    )
    insert_runs(app, 1, first=4, schedule="nightly", trigger="schedule", state="Completed", errored=2)
    insert_runs(app, 1, first=5, state="Processing", total=9, started_at=NOW)
    with app.database.write() as connection:
        done = {"run_id": 5, "number": 1, "first_record": 1, "state": "done", "records": 3, "keys": b"", "groups": b"",
                "ok": 1, "errored": 2, "skipped": 0, "totals": "{}"}  # fmt: skip
        connection.execute(insert(scope), [done])
    expected: dict[str, tuple[dict[str, Any], list[int]]] = {
        "state": ({"status": "holding"}, [3, 2, 1]),
        "states": ({"status": ["Running", "Completed"]}, [5, 4]),
        "states twice": ({"status": ["Complete", "completed"]}, [4]),
        "job": ({"job": "other"}, [3]),
        "customer": ({"customer_id": "C-1"}, [3]),
        "period": ({"period": "2026-02"}, [3]),
        "no such period": ({"period": "2026-03"}, []),
        "actor": ({"run_actor": "eve"}, [3]),
        "schedule": ({"schedule": "nightly"}, [4]),
        "trigger": ({"trigger": "schedule"}, [4]),
        "from": ({"since": NOW}, [5]),
        "before": ({"before": NOW}, [4, 3, 2, 1]),
        "from and before": ({"since": CREATED, "before": CREATED + timedelta(microseconds=1)}, [4, 3, 2, 1]),
        "half open": ({"since": CREATED - timedelta(days=1), "before": CREATED}, []),
        "errors": ({"errors": True}, [5, 4]),
        "errors and state": ({"errors": True, "status": "Completed"}, [4]),
        "all of it": ({"job": "usage-rating", "errors": True, "run_actor": "dana", "since": NOW}, [5]),
    }
    for name, (query, keys) in expected.items():
        ids = [f"JR-{key:08}" for key in keys]
        assert [run["run_id"] for run in list_runs(app, **query)] == ids, name
        assert [one for page in walk(app, 1, **query) for one in page] == ids, name


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"status": "Done"}, "status"), ({"status": ["Failed", ""]}, "status"), ({"period": "2026-13"}, "period"),
     ({"period": "2026-0\u0661"}, "period"), ({"job": "a\0"}, "job"), ({"run_actor": "\ud800"}, "actor"),
     ({"since": NOW.replace(tzinfo=None)}, "since"), ({"limit": 0}, "limit"), ({"limit": 1_001}, "limit")],
)  # fmt: skip
def test_what_no_run_could_have_is_refused_by_its_field(app: Application, asked: Any, field: str) -> None:
    with pytest.raises(Refused) as refusal:
        page_of_runs(app, **asked)
    assert (refusal.value.field, bool(refusal.value.remedy)) == (field, True)


def test_a_cursor_of_another_filter_is_refused(app: Application) -> None:
    insert_runs(app, 3)
    cursor = page_of_runs(app, limit=1, job="usage-rating").next
    for query in ({}, {"job": "other"}, {"job": "usage-rating", "errors": True}):
        with pytest.raises(Refused) as refusal:
            page_of_runs(app, cursor, **query)
        assert refusal.value.field == "after"


SOME = st.sampled_from
A_ROW = st.fixed_dictionaries({
    "state": SOME([str(state) for state in State]), "job": SOME(["a", "b"]), "actor": SOME(["dana", "eve"]),
    "trigger": SOME(["cli", "retry"]), "customer_id": SOME([None, "C-1"]), "schedule": SOME([None, "nightly"]),
    "periods": SOME([None, '["2026-01"]', '["2026-01", "2026-02"]']), "errored": SOME([None, 0, 3]),
    "total": SOME([None, 0, 12]), "totals": SOME([None, '{"rated_amount": {"USD": 120}}']),
    "started_at": SOME([None, NOW, NOW - timedelta(minutes=2)]), "ended_at": SOME([None, NOW]),
    "reason": SOME([None, "month end"]), "error": SOME([None, "gone"]), "parent_id": SOME([None, 1]),
})  # fmt: skip


@settings(
    max_examples=20, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(A_ROW, min_size=1, max_size=8), st.integers(1, 4))
def test_list_pages_and_detail_agree_in_every_column(app: Application, rows: list[Any], limit: int) -> None:
    with app.database.write() as connection:
        for table in (run_warning, scope, run_table):
            connection.execute(delete(table))
        for key, row in enumerate(rows, start=1):
            counted = {**row} if row["state"] in ENDED else {**row, "errored": None}
            if key == 1:  # a parent is an earlier run
                counted["parent_id"] = None
            connection.execute(insert(run_table).values({**a_run(key), **counted}))
            connection.execute(
                insert(scope).values(
                    run_id=key,
                    number=1,
                    first_record=1,
                    state="done",
                    records=3,
                    keys=b"",
                    groups=b"",
                    ok=1,
                    errored=key % 2,
                    skipped=1,
                    totals='{"rated_amount": {"USD": 7}}',
                )
            )
            connection.execute(insert(run_warning).values(run_id=key, code="late", message="late"))
    listed = {run["run_id"]: run for run in list_runs(app)}
    paged: dict[str, View] = {}
    after: str | None = None
    while True:
        found = page_of_runs(app, after, limit)
        paged |= {run["run_id"]: run for run in found.items}
        if (after := found.next) is None:
            break
    assert listed == paged
    assert list(listed) == list(paged)
    assert len(listed) == len(rows)
    for run_id, run in listed.items():
        assert run.items() <= show_run(app, run_id).items()
    for state in State:
        named = [run["run_id"] for run in list_runs(app, status=state)]
        assert named == [run_id for run_id, run in listed.items() if run["status"] == state]
    with_errors = [run["run_id"] for run in list_runs(app, errors=True)]
    assert with_errors == [run_id for run_id, run in listed.items() if run["errored"]]


FILTERS: dict[str, tuple[Any, Callable[[int], bool]]] = {
    "job": ("even", lambda key: key % 2 == 0),
    "run_actor": ("eve", lambda key: key % 3 == 0),
    "trigger": ("retry", lambda key: key % 5 < 3),
    "period": ("2026-01", lambda key: key % 7 < 5),
    "errors": (True, lambda key: key % 4 == 3),
    "status": (["Completed", "Failed"], lambda key: key % 4 > 1),
}


@pytest.mark.on_both
def test_filters_together_give_the_runs_that_all_of_them_name_also_those_that_start_meanwhile(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log, "KEYS_AT_A_TIME", 2)
    keys = range(1, 121)
    for key in keys:
        ended = {"state": "Completed" if key % 4 == 3 else "Failed", "started_at": NOW, "start_number": key}
        values = {
            "job": "even" if key % 2 == 0 else "odd", "actor": "eve" if key % 3 == 0 else "dana",
            "trigger": "retry" if key % 5 < 3 else "cli", "periods": '["2026-01"]' if key % 7 < 5 else None,
            **({**ended, "errored": key % 4 - 2} if key % 4 > 1 else {}),
        }  # fmt: skip
        insert_runs(app, 1, first=key, **values)
    for names in combinations(FILTERS, 2):
        query = {name: FILTERS[name][0] for name in names}
        wanted = {key for key in keys if all(FILTERS[name][1](key) for name in names)}
        shown = [one for page in walk(app, 50, **query) for one in page]
        assert sorted(shown) == [f"JR-{key:08}" for key in sorted(wanted)], names
    pages = walk(app, 1, job="even", run_actor="eve")
    shown = next(pages)
    start(app, [key for key in keys if key % 4 < 2])
    shown += [one for page in pages for one in page]
    assert shown == sorted(shown[:10], reverse=True) + sorted(shown[10:], reverse=True)
    assert sorted(shown) == [f"JR-{key:08}" for key in keys if key % 6 == 0]


def test_starts_are_numbered_in_their_order_whoever_drives_the_run(app: Application) -> None:
    started = [submit_run(app, "usage-rating", {}, actor=ACTOR, claim=True).claim.run for _ in range(2)]
    (waiting,) = [submit_run(app, "usage-rating", {}, actor=ACTOR).claim.run]
    in_caller = submit_run(app, "usage-rating", {}, actor=ACTOR, mode="sync").claim.run
    assert [run.start_number for run in (*started, in_caller)] == [1, 2, 3]
    assert waiting.start_number is None
    again = app.dispatcher.work(started[0], stop=lambda: True)
    assert (again.start_number, again.started_at) == (1, started[0].started_at)
