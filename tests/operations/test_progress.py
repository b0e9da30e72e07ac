"""How far a run is: outcomes in pages, counts that all share, pace and strip, who drives it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import insert, update

from batchwright.engine.errors import Refused
from batchwright.engine.ledger import OUTCOMES
from batchwright.engine.store import scopes, workers
from batchwright.engine.store.scopes import NO_AMOUNT, pack
from batchwright.engine.store.tables import outcome as outcome_table
from batchwright.engine.store.tables import run as run_table
from batchwright.engine.store.tables import scope
from batchwright.engine.store.workers import NewWorker
from batchwright.operations.app import Application
from batchwright.operations.runs.looking import (
    list_runs,
    outcome_summary,
    page_of_outcomes,
    run_outcomes,
    show_run,
)
from batchwright.operations.runs.progress import records_per_second, run_progress
from batchwright.testing.clock import StandingClock
from tests.support.application import NOW
from tests.support.runs import insert_runs, start

RUN = "JR-00000001"
SIZE = 5


def scope_of(
    number: int, *, state: str = "done", errored: int = 0, skipped: int = 0, **values: Any
) -> dict[str, Any]:
    keys = array("q", range((number - 1) * SIZE + 1, number * SIZE + 1))
    done = {"ok": SIZE - errored - skipped, "errored": errored, "skipped": skipped,
            "totals": '{"rated_amount": {"USD": 7}}', "done_at": NOW + timedelta(seconds=number)}  # fmt: skip
    return {
        "id": number, "run_id": 1, "number": number, "first_record": keys[0], "state": state, "records": SIZE,
        "keys": pack(keys), "groups": pack(keys), **(done if state == "done" else {}), **values,
    }  # fmt: skip


def insert_scopes(app: Application, *rows: dict[str, Any]) -> None:
    with app.database.write() as connection:
        for row in rows:
            connection.execute(insert(scope).values(row))


@pytest.fixture
def mixed(app: Application) -> Application:
    """A run at work: four scopes done, one with amounts, an error in each and two skips, and one to do."""
    insert_runs(app, 1, total=5 * SIZE)
    start(app, [1])
    amounts = pack([NO_AMOUNT if place == 2 else 100 + place for place in range(SIZE)])
    done = [scope_of(number, errored=1, skipped=number % 2) for number in range(1, 5)]
    done[0] |= {"amounts": amounts, "currencies": '"USD"'}
    insert_scopes(app, *done, scope_of(5, state="pending"))
    reported = [
        {"run_id": 1, "scope_id": number, "record_key": number * SIZE, "outcome": "error",
         "code": f"code_{number % 2}", "message": "bad"}
        for number in (3, 1, 4, 2)
    ] + [
        {"run_id": 1, "scope_id": number, "record_key": number * SIZE - 2, "outcome": "skipped", "code": "code_1",
         "message": "no"}
        for number in (1, 3)
    ]  # fmt: skip
    with app.database.write() as connection:
        connection.execute(insert(outcome_table), reported)
    return app


def walk(app: Application, limit: int, outcome: str | None, code: str | None) -> Iterator[Any]:
    after = None
    while True:
        found = page_of_outcomes(app, RUN, outcome, code, after, limit)
        assert len(found.items) == limit or found.next is None
        yield from found.items
        after = found.next
        if after is None:
            return


@pytest.mark.on_both
@pytest.mark.parametrize("code", [None, "code_0", "code_1", "code_2"])
def test_pages_of_outcomes_have_each_once_as_the_listing_has_it(mixed: Application, code: str | None) -> None:
    for outcome in (None, *OUTCOMES):
        by_id = {row["record_id"]: row for row in run_outcomes(mixed, RUN, outcome, code)}
        for limit in (1, 2, 3, 7, 100):
            paged = list(walk(mixed, limit, outcome, code))
            assert {row["record_id"]: row for row in paged} == by_id
            assert len(paged) == len(by_id)
        if code is None and outcome not in ("error", "skipped"):
            assert [row["record_id"] for row in paged] == list(by_id)


def test_errors_come_by_code_and_a_page_of_another_filter_is_refused(mixed: Application) -> None:
    found = page_of_outcomes(mixed, RUN, "error", limit=3)
    assert [row["code"] for row in found.items] == ["code_0", "code_0", "code_1"]
    for outcome, code in (("skipped", None), ("error", "code_1"), (None, None), ("ok", None)):
        with pytest.raises(Refused) as refusal:
            page_of_outcomes(mixed, RUN, outcome, code, found.next)
        assert refusal.value.field == "after"
    for query, field in (
        ({"code": "a\0"}, "code"),
        ({"limit": 1_001}, "limit"),
        ({"outcome": "bad"}, "outcome"),
    ):
        with pytest.raises(Refused) as refusal:
            page_of_outcomes(mixed, RUN, **query)
        assert refusal.value.field == field


@pytest.mark.on_both
def test_a_page_begins_at_any_record_of_the_run(mixed: Application) -> None:
    whole = list(run_outcomes(mixed, RUN))
    for number in range(1, 5 * SIZE + 1):
        found = page_of_outcomes(mixed, RUN, limit=4, first_record=number)
        assert found.items == whole[number - 1 : number + 3]
        assert list(run_outcomes(mixed, RUN, first_record=number)) == whole[number - 1 :]
        good = [row for row in whole[number - 1 :] if row["outcome"] == "ok"]
        assert page_of_outcomes(mixed, RUN, "ok", first_record=number).items == good
    following = page_of_outcomes(mixed, RUN, limit=4, first_record=9)
    assert page_of_outcomes(mixed, RUN, None, None, following.next, 4).items == whole[12:16]


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"first_record": 0}, "first_record"), ({"first_record": 5 * SIZE + 1}, "first_record"),
     ({"first_record": 1, "outcome": "error"}, "first_record"), ({"first_record": 1, "code": "code_1"}, "first_record"),
     ({"first_record": 1, "record_id": "1"}, "first_record"), ({"record_id": "a\0"}, "record_id")],
)  # fmt: skip
def test_a_record_that_cannot_be_there_is_refused_by_its_field(
    mixed: Application, asked: Any, field: str
) -> None:
    with pytest.raises(Refused) as refusal:
        page_of_outcomes(mixed, RUN, **asked)
    assert (refusal.value.field, bool(refusal.value.remedy)) == (field, True)


def test_a_run_that_is_being_planned_has_no_record_to_go_to(app: Application) -> None:
    insert_runs(app, 1)
    with pytest.raises(Refused, match="has 0 records"):
        page_of_outcomes(app, RUN, first_record=1)
    assert page_of_outcomes(app, RUN, record_id="1").items == []


@pytest.mark.on_both
def test_each_record_is_found_by_its_id(mixed: Application) -> None:
    for row in run_outcomes(mixed, RUN):
        an_id = row["record_id"]
        assert page_of_outcomes(mixed, RUN, record_id=an_id).items == [row]
        assert list(run_outcomes(mixed, RUN, record_id=an_id)) == [row]
        assert page_of_outcomes(mixed, RUN, row["outcome"], row["code"], record_id=an_id).items == [row]
        other = "ok" if row["outcome"] != "ok" else "error"
        assert page_of_outcomes(mixed, RUN, other, record_id=an_id).items == []
    for an_id in ("0", "26", "01", "-1", "IN-00000001", "9" * 5_000, "\u0661", "", "%"):
        assert page_of_outcomes(mixed, RUN, record_id=an_id).items == []


@pytest.mark.on_both
def test_a_key_that_lies_across_two_others_is_nobody(app: Application) -> None:
    insert_runs(app, 1, total=SIZE)
    insert_scopes(app, scope_of(1, keys=pack([0x500, 0x600, 5 << 32, 7, 1 << 40])))
    ids = [row["record_id"] for row in run_outcomes(app, RUN)]
    assert [page_of_outcomes(app, RUN, record_id=an_id).items != [] for an_id in ids] == [True] * SIZE
    assert [page_of_outcomes(app, RUN, record_id=an_id).items for an_id in ("5", "6", "1")] == [[]] * 3


@pytest.mark.on_both
def test_the_summary_counts_outcomes_by_code(mixed: Application) -> None:
    assert [tuple(one.values()) for one in outcome_summary(mixed, RUN)] == [
        ("ok", None, 14),
        ("error", "code_0", 2),
        ("error", "code_1", 2),
        ("skipped", "code_1", 2),
    ]


def test_counts_of_a_run_at_work_are_read_once_a_second_for_all_who_look(
    mixed: Application, clock: StandingClock
) -> None:
    assert show_run(mixed, RUN)["processed"] == 14
    with mixed.database.write() as connection:
        values = {
            "state": "done",
            "ok": 5,
            "errored": 0,
            "skipped": 0,
            "totals": '{"rated_amount": {"USD": 3}}',
        }
        connection.execute(update(scope).where(scope.c.number == 5).values(values))
    [listed] = list_runs(mixed)
    assert (listed["processed"], listed["totals"]) == (14, {"rated_amount": {"USD": "0.28"}})
    clock.sleep(1)
    [listed], shown = list_runs(mixed), show_run(mixed, RUN)
    for run in (listed, shown):
        assert (run["processed"], run["errored"], run["skipped"]) == (19, 4, 2)
        assert run["totals"] == {"rated_amount": {"USD": "0.31"}}
    clock.sleep(100)
    assert show_run(mixed, RUN)["processed"] == 19


@pytest.mark.on_both
def test_the_strip_has_two_hundred_cells_at_most_and_every_record_once(app: Application) -> None:
    insert_runs(app, 1, total=401 * SIZE)
    start(app, [1])
    insert_scopes(app, *(scope_of(number, errored=number % 2) for number in range(1, 302)))
    insert_scopes(app, *(scope_of(number, state="pending") for number in range(302, 402)))
    shown = run_progress(app, RUN)
    strip = shown["strip"]
    assert (len(strip), shown["scopes"]) == (134, 401)
    assert sum(cell["records"] for cell in strip) == 401 * SIZE
    assert (sum(cell["done"] for cell in strip), sum(cell["errored"] for cell in strip)) == (301, 151)
    assert [cell["first_record"] for cell in strip[:2]] == [1, 16]
    assert (strip[-1]["first_scope"], strip[-1]["last_scope"]) == (400, 401)
    assert (shown["records_per_second"], shown["seconds_left"]) == (5.0, 100.0)
    assert shown["last_done_at"] == "2023-07-01T08:35:01.000Z"


def test_a_run_without_a_scope_has_neither_pace_nor_strip(app: Application) -> None:
    insert_runs(app, 1)
    assert list(run_progress(app, RUN).values()) == [RUN, None, None, None, None, 0, []]


def done(*seconds: float) -> list[tuple[Any, int]]:
    return [(NOW + timedelta(seconds=one), 10) for one in reversed(seconds)]


@pytest.mark.parametrize(
    ("newest", "pace"),
    [([], None), (done(1), None), (done(1, 1), None), (done(0, 1, 2), 10.0), (done(0, 1, 2, 3602, 3603), 10.0),
     (done(0, 8, 16), 1.25), (done(*range(500)), 10.0), (done(*(float(n * n) for n in range(30))), 10 / 38),
     (done(0, 100), 0.1), (done(0, 0, 5), 4.0)],
)  # fmt: skip
def test_the_pace_is_that_of_the_newest_scopes_without_standstills(newest: Any, pace: float | None) -> None:
    assert records_per_second(newest) == (pace if pace is None else pytest.approx(pace))


def test_short_pauses_count_for_nothing_and_other_owners_as_long_as_there_is_little_else() -> None:
    newest = done(*range(10), *range(16, 26))
    assert records_per_second(newest) == pytest.approx(10 * 19 / 25)
    for since in (10.0, 13.0, 16.0):
        assert records_per_second(newest, NOW + timedelta(seconds=since)) == pytest.approx(10.0)
    slower = done(*range(10), 20, 25, 30, 35, 40, 45)
    assert records_per_second(slower, NOW + timedelta(seconds=12)) == pytest.approx(2.0)
    assert records_per_second(slower[2:], NOW + timedelta(seconds=12)) == pytest.approx(10 * 12 / 24)
    assert records_per_second(slower, NOW + timedelta(seconds=90)) == records_per_second(slower)


@pytest.mark.parametrize("seconds", [0.2, 2.0, 30.0])
def test_the_time_left_of_a_steady_run_is_within_a_fifth_from_its_first_tenth_on(seconds: float) -> None:
    chance, moment, newest = Random(16), NOW, list[tuple[Any, int]]()
    takes = [seconds * chance.uniform(0.85, 1.15) for _ in range(200)]
    pause, short_pause, takeover, resume = (25, 600.0), (60, 4 * seconds), (90, 61.0), (150, 7_200.0)
    still = dict([pause, short_pause, takeover, resume])
    claimed = moment
    for place, one in enumerate(takes):
        if place in still:
            moment += timedelta(seconds=still[place])
            claimed = moment
        moment += timedelta(seconds=one)
        newest.insert(0, (moment, SIZE))
        if 20 <= place < 195:
            pace = records_per_second(newest, claimed)
            assert pace is not None
            assert SIZE * (199 - place) / pace == pytest.approx(sum(takes[place + 1 :]), rel=0.2), place


def test_a_scope_that_is_done_says_when(app: Application) -> None:
    insert_runs(app, 1)
    insert_scopes(app, scope_of(1, state="pending"))
    values = {
        "ok": 5,
        "errored": 0,
        "skipped": 0,
        "totals": "{}",
        "amounts": None,
        "currencies": None,
        "about": None,
    }
    with app.database.write() as connection:
        assert scopes.mark_done(connection, 1, {**values, "done_at": NOW})
        assert scopes.newest_done(connection, [1, 2], 9) == {1: [(NOW, SIZE)], 2: []}


def test_a_run_at_work_shows_its_owner_and_the_age_of_its_beat(app: Application) -> None:
    insert_runs(app, 2)
    assert "owner" not in show_run(app, RUN)
    start(app, [1, 2])
    new = NewWorker(
        host="a/b", process=7, version="1", revision="1", jobs=[], started_at=NOW - timedelta(seconds=4.5)
    )
    with app.database.write() as connection:
        workers.insert_worker(connection, new)
        for key, owner in ((1, "a/b/7"), (2, "console")):
            connection.execute(update(run_table).where(run_table.c.id == key).values(owner=owner))
    shown = [show_run(app, f"JR-{key:08}") for key in (1, 2)]
    assert [(run["owner"], run["owner_beat_seconds"]) for run in shown] == [("a/b/7", 4.5), ("console", None)]
