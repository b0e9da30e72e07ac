"""While a run of a job with some dedup key has not ended, a second one is refused and names it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from batchwright.engine.errors import KeyInUse, Refused
from batchwright.engine.job import BatchJob, Record, Scope, StartContext
from batchwright.engine.run import ENDED, Run, State
from batchwright.engine.store import runs
from batchwright.engine.store.database import Database
from batchwright.engine.store.tables import run as run_table
from batchwright.engine.submit import DEDUP_KEY_LIMIT, Request, submit, submit_set
from tests.engine.dedup_submitter import SUBMITS, MonthEnd
from tests.engine.rig import NOW, Rig
from tests.support.concurrency import wait_until_blocked

pytestmark = pytest.mark.on_both

ROOT = Path(__file__).parents[2]
PROCESSES = 4


class YearEnd(MonthEnd):
    """Another job, with the same keys."""

    name = "year-end"


@pytest.fixture(autouse=True)
def _jobs(rig: Rig) -> None:
    rig.registry.add(MonthEnd)
    rig.registry.add(YearEnd)


def submit_month(rig: Rig, month: str | None = "2023-06", job: str = "month-end", **request: Any) -> Run:
    return rig.submit(job, {"month": month}, **request)


def put(connection: Connection, run: Run, state: State) -> None:
    connection.execute(update(run_table).where(run_table.c.id == run.id).values(state=state))


def test_a_second_submit_is_refused_and_names_the_first_while_that_is_live(rig: Rig) -> None:
    first = submit_month(rig)
    for state in [state for state in State if state not in ENDED]:
        with rig.database.write() as connection:
            put(connection, first, state)
        with pytest.raises(KeyInUse, match=f"{first.run_id} of month-end has the key '2023-06'") as refusal:
            submit_month(rig)
        assert refusal.value.run_id == first.run_id
        assert (refusal.value.field, first.run_id in (refusal.value.remedy or "")) == ("dedup_key", True)
    assert len(rig.rows(run_table)) == 1


@pytest.mark.parametrize("state", ENDED)
def test_an_ended_run_keeps_nobody_out(rig: Rig, state: State) -> None:
    first = submit_month(rig)
    with rig.database.write() as connection:
        put(connection, first, state)
    assert submit_month(rig).dedup_key == "2023-06"


def test_other_keys_other_jobs_and_no_key_are_free(rig: Rig) -> None:
    taken = [submit_month(rig), submit_month(rig, "2023-07"), submit_month(rig, job="year-end")]
    free = [submit_month(rig, None), submit_month(rig, None)]
    assert [run.dedup_key for run in taken + free] == ["2023-06", "2023-07", "2023-06", None, None]


def test_a_run_in_its_callers_thread_keeps_others_out_too(rig: Rig) -> None:
    first = submit_month(rig, mode="sync", in_caller=True)
    with pytest.raises(KeyInUse, match=first.run_id):
        submit_month(rig)


@pytest.mark.parametrize("key", ["", "a\nb", "x" * (DEDUP_KEY_LIMIT + 1)])
def test_a_key_that_cannot_be_shown_is_refused(rig: Rig, key: str) -> None:
    with pytest.raises(Refused, match="is not a valid dedup key") as refusal:
        submit_month(rig, key)
    assert (refusal.value.field, bool(refusal.value.remedy)) == ("dedup_key", True)
    assert rig.rows(run_table) == []


def test_a_refusal_leaves_the_transaction_as_it_was(rig: Rig) -> None:
    first = submit_month(rig)
    with rig.database.write() as connection:
        stored = submit(connection, MonthEnd(month="2023-07"), Request(actor="dana"), NOW)
        with pytest.raises(KeyInUse):
            submit(connection, MonthEnd(month="2023-06"), Request(actor="dana"), NOW)
        with pytest.raises(KeyInUse, match=stored.run_id):
            submit(connection, MonthEnd(month="2023-07"), Request(actor="dana"), NOW)
    assert [row.run_id for row in rig.rows(run_table)] == [first.run_id, stored.run_id]


def test_of_a_set_each_that_finds_its_key_in_use_is_refused_alone(rig: Rig) -> None:
    first = submit_month(rig)
    months = ["2023-07", "2023-06", None, "2023-07", "2023-08"]
    with rig.database.write() as connection:
        wanted = [(MonthEnd(month=month), Request(actor="dana")) for month in months]
        july, taken, free, again, august = submit_set(connection, wanted, NOW)
    made = [run for run in (july, free, august) if isinstance(run, Run)]
    assert [run.dedup_key for run in made] == ["2023-07", None, "2023-08"]
    assert [isinstance(one, KeyInUse) and one.run_id for one in (taken, again)] == [
        first.run_id,
        made[0].run_id,
    ]
    assert [row.run_id for row in rig.rows(run_table)] == [run.run_id for run in (first, *made)]
    assert all(rig.read(run) == run for run in made)


def test_a_first_run_that_ends_before_it_can_be_named_keeps_nobody_out(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = submit_month(rig)
    look = runs.live_with_key

    def ended_meanwhile(connection: Connection, job: str, key: str) -> str | None:
        put(connection, first, State.COMPLETED)
        return look(connection, job, key)

    monkeypatch.setattr(runs, "live_with_key", ended_meanwhile)
    assert submit_month(rig).run_id != first.run_id


@pytest.mark.parametrize("commit", [True, False], ids=["committed", "rolled back"])
def test_a_submit_waits_for_what_becomes_of_one_that_is_under_way(rig: Rig, commit: bool) -> None:
    results: list[Run | KeyInUse] = []

    def second() -> None:
        try:
            results.append(submit_month(rig))
        except KeyInUse as refusal:
            results.append(refusal)

    other = threading.Thread(target=second)
    with rig.database.write() as connection:
        first = submit(connection, MonthEnd(month="2023-06"), Request(actor="dana"), NOW)
        other.start()
        wait_until_blocked(other, rig.database)
        if not commit:
            connection.rollback()
    other.join(30)
    (result,) = results
    if commit:
        assert isinstance(result, KeyInUse)
        assert result.run_id == first.run_id
    else:
        assert isinstance(result, Run)


def test_of_twenty_submits_in_threads_at_one_instant_one_makes_a_run_and_all_others_name_it(
    migrated_url: str, rig: Rig
) -> None:
    start = threading.Barrier(20)

    def submit_at_once(_: int) -> str:
        database = Database(migrated_url)
        try:
            with database.engine.connect():
                pass  # connected before the instant
            start.wait(30)
            with database.write() as connection:
                return submit(connection, MonthEnd(month="2023-06"), Request(actor="dana"), NOW).run_id
        except KeyInUse as refusal:
            return f"refused: {refusal.run_id}"
        finally:
            database.close()

    with ThreadPoolExecutor(20) as threads:
        answers = sorted(threads.map(submit_at_once, range(20)))
    (row,) = rig.rows(run_table)
    assert answers == sorted([row.run_id, *[f"refused: {row.run_id}"] * 19])


def test_of_twenty_submits_in_processes_at_one_instant_one_makes_a_run_and_all_others_name_it(
    migrated_url: str, rig: Rig
) -> None:
    submitters = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.engine.dedup_submitter", migrated_url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for submitter in submitters:
        assert submitter.stdout is not None
        assert submitter.stdout.readline() == "ready\n"
    for submitter in submitters:
        assert submitter.stdin is not None
        submitter.stdin.write("go\n")
        submitter.stdin.flush()
    answers = [line for one in submitters for line in one.communicate(timeout=60)[0].splitlines()]
    (row,) = rig.rows(run_table)
    assert PROCESSES * SUBMITS == 20
    assert sorted(answers) == sorted([row.run_id, *[f"refused: {row.run_id}"] * 19])


def test_a_job_has_no_key_unless_it_says_so(rig: Rig) -> None:
    class Plain(BatchJob):
        name = "plain"
        type = "Plain"

        def start(self, context: StartContext) -> Iterable[Record]:
            return []

        def execute(self, scope: Scope) -> None:
            """Nothing to do."""

    assert Plain().dedup_key is None
