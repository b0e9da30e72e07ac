"""Submit checks what can be checked, and writes nothing when it refuses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy import insert

from batchwright.engine.errors import Refused
from batchwright.engine.job import BatchJob, Record, Scope, StartContext, Warn
from batchwright.engine.run import State
from batchwright.engine.store import runs
from batchwright.engine.store.run_log import RunQuery, page
from batchwright.engine.store.tables import run as run_table
from batchwright.engine.store.tables import run_selection
from batchwright.engine.submit import SYNC_LIMIT, Request, stored_selection, submit
from tests.engine.jobs import Parcels, parcel
from tests.engine.rig import NOW, Rig
from tests.support.run_log import every_run

pytestmark = pytest.mark.on_both


class WetOnly(BatchJob):
    """Cannot run dry."""

    name = "wet-only"
    type = "Wet"

    def start(self, context: StartContext) -> Iterable[Record]:
        return []

    def execute(self, scope: Scope) -> None:
        """Nothing to do."""


@pytest.fixture(autouse=True)
def _parcels(rig: Rig) -> None:
    rig.fill(3)
    rig.registry.add(WetOnly)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"scope_size": 0}, "scope_size"),
        ({"scope_size": -1}, "scope_size"),
        *(
            ({"error_ceiling": text}, "error_ceiling")
            for text in ("", "-1", "101%", "5 %", "many", "5%%", "1.5", "\uff11")
        ),
        ({"job": "wet-only", "mode": "dry_run"}, "mode"),
        ({"parameters": {"ids": [2, 77, 78]}}, "ids"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_field_and_a_remedy_and_leaves_nothing(
    rig: Rig, request_: dict[str, Any], field: str
) -> None:
    with pytest.raises(Refused) as refusal:
        rig.submit(**request_)
    assert refusal.value.field == field
    assert refusal.value.remedy
    assert rig.rows(run_table) == []
    assert rig.rows(run_selection) == []


def test_all_unknown_ids_are_named(rig: Rig) -> None:
    with pytest.raises(Refused, match=r"77.*78"):
        rig.submit(parameters={"ids": [2, 77, 78]})


@pytest.mark.parametrize("ceiling", ["0", "100", "5%", "100%", "2.5%", "0%"])
def test_a_ceiling_is_a_count_or_a_percentage(rig: Rig, ceiling: str) -> None:
    assert rig.submit(error_ceiling=ceiling).error_ceiling == ceiling


def test_a_run_keeps_what_was_asked_for(rig: Rig) -> None:
    run = rig.submit(
        parameters={"ids": [3, 1]}, actor="eve", reason="Other", explanation="why", scope_size=7, error_ceiling="5%",
        notify=["a@example.com"], mail_actor=False, trigger="cli", mode="dry_run",
    )  # fmt: skip
    assert (run.run_id, run.job, run.type, run.mode, run.state) == (
        "JR-00000001", "parcels", "Parcel handling", "dry_run", State.HOLDING,
    )  # fmt: skip
    assert (run.actor, run.queue_key, run.reason, run.explanation) == ("eve", "eve", "Other", "why")
    assert (run.scope_size, run.error_ceiling, run.notify, run.mail_actor) == (
        7,
        "5%",
        ["a@example.com"],
        False,
    )
    assert (run.parameters, run.trigger, run.created_at) == ({"ids": [3, 1], "customer": None}, "cli", NOW)
    assert rig.read(run) == run


def test_a_job_says_how_large_its_scopes_are_where_nobody_does(rig: Rig) -> None:
    assert rig.submit().scope_size == Parcels.scope_size
    assert rig.submit("wet-only").scope_size == 200


def test_what_was_selected_is_stored_once_and_sorted(rig: Rig) -> None:
    run = rig.submit(parameters={"ids": [3, 1, 3, 1]})
    with rig.database.read() as connection:
        assert [list(page) for page in stored_selection(connection, run.id)] == [[1, 3]]
    assert rig.drive(run).total == 2
    assert rig.handled() == {1: 1, 2: 0, 3: 1}


def test_a_large_selection_is_paged_through_completely(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [-(2**63) + 1, *range(1, 12), 2**63 - 1]
    monkeypatch.setattr(Parcels, "select", lambda self, connection: keys)
    monkeypatch.setattr("batchwright.engine.submit.SELECTION_PAGE", 5)
    run = rig.submit()
    with rig.database.read() as connection:
        pages = [list(page) for page in stored_selection(connection, run.id)]
    assert [len(page) for page in pages] == [5, 5, 3]
    assert [key for page in pages for key in page] == keys


@pytest.mark.parametrize("named", [True, False], ids=["named", "everything"])
def test_a_synchronous_run_takes_a_thousand_records_and_refuses_one_more(rig: Rig, named: bool) -> None:
    with rig.database.write() as connection:
        rows = [{"id": key, "handled": 0} for key in range(4, SYNC_LIMIT + 1)]
        connection.execute(insert(parcel), rows)

    def parameters(count: int) -> dict[str, Any]:
        return {"ids": [*range(1, count + 1), 1]} if named else {}

    run = rig.submit(parameters=parameters(SYNC_LIMIT), mode="sync", in_caller=True)
    assert rig.drive(run).processed == SYNC_LIMIT
    with rig.database.write() as connection:
        connection.execute(insert(parcel).values(id=SYNC_LIMIT + 1, handled=0))
    with pytest.raises(Refused, match="at most 1,000 parcels") as refusal:
        rig.submit(parameters=parameters(SYNC_LIMIT + 1), mode="sync", in_caller=True)
    assert refusal.value.field == "process_synchronously"
    assert len(rig.rows(run_table)) == 1


def test_a_run_is_submitted_on_the_callers_connection_and_gone_with_its_transaction(rig: Rig) -> None:
    class GaveUp(Exception):
        """The caller changed its mind."""

    def submit_and_give_up() -> None:
        with rig.database.write() as connection:
            submit(connection, rig.registry.get("parcels")(), Request(actor="dana"), NOW)
            raise GaveUp

    with pytest.raises(GaveUp):
        submit_and_give_up()
    assert rig.rows(run_table) == []


def test_warnings_and_parent_are_kept(rig: Rig) -> None:
    parent = rig.submit()
    child = rig.submit(parent=parent, warnings=[Warn("no_recipient", "nobody to write to", None)])
    with rig.database.read() as connection:
        assert runs.children(connection, parent.id) == [child.run_id]
        assert runs.warnings(connection, child.id) == [("no_recipient", "nobody to write to", None)]


def test_an_unknown_run_is_refused(rig: Rig) -> None:
    with rig.database.read() as connection, pytest.raises(Refused, match="there is no run 'JR-9'"):
        runs.by_id(connection, "JR-9")


def test_runs_are_listed_newest_first_by_state_and_job(rig: Rig) -> None:
    first, second, third = rig.submit(), rig.submit("wet-only"), rig.submit()
    rig.drive(first)
    with rig.database.read() as connection:
        assert {run.id for run in every_run(connection)} == {first.id, second.id, third.id}
        assert [run.id for run in every_run(connection, RunQuery(equal={"job": "parcels"}))] == [
            third.id,
            first.id,
        ]
        assert [run.id for run in every_run(connection, RunQuery(states=(State.COMPLETED,)))] == [first.id]
        assert [run.id for run in page(connection, RunQuery(), 1)[0]] == [third.id]
