"""What a job reports is checked in the call that reports it; what got in before keeps nobody from the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, update

from batchwright.config.settings import Settings
from batchwright.engine.job import Amount, Change, Finish, Outcome, Preview, Scope
from batchwright.engine.run import State
from batchwright.engine.store.tables import run as run_table
from batchwright.engine.store.tables import scope as scope_table
from batchwright.notifications.tables import mail
from batchwright.operations.announce import Announcer
from batchwright.operations.run_view import view_of
from batchwright.operations.views import outcome as outcome_view
from tests.engine.jobs import Parcels
from tests.engine.rig import NOW, Rig

BAD: list[Callable[[Scope], None]] = [
    lambda scope: scope.add_total("points", "POINTS", 5),
    lambda scope: scope.add_total("fee", "USD", 0.1),  # type: ignore[arg-type]
    lambda scope: scope.add_total("fee", "USD", float("nan")),  # type: ignore[arg-type]
    lambda scope: scope.add_total("fee", "USD", True),
    lambda scope: scope.add_total("fee", "USD", "5"),  # type: ignore[arg-type]
    lambda scope: scope.add_total("fee", "XAU", 5),
    lambda scope: scope.add_total("", "USD", 5),
    lambda scope: scope.totals.update(fee={"USD": 1.5}),  # type: ignore[dict-item]
    lambda scope: scope.pay("POINTS", {3: 1}),
    lambda scope: scope.pay("USD", {3: 1.5}),  # type: ignore[arg-type]
    lambda scope: scope.pay("USD", [(3, False)]),
    lambda scope: scope.pay("USD", {3: -(2**63) - 1}),
    lambda scope: scope.attribute([17], []),  # type: ignore[list-item]
    lambda scope: scope.attribute("C-1", []),
    lambda scope: scope.attribute([], ["2026-13"]),
    lambda scope: scope.attribute([], [202601]),  # type: ignore[list-item]
    lambda scope: scope.amounts.update(POINTS={3: 1}),
    lambda scope: scope.outcomes.update({3: Outcome("odd", "", "")}),
    lambda scope: scope.error(3, "", "no code"),
    lambda scope: scope.error(3, "x" * 65, "long code"),
    lambda scope: scope.error(3, 404, "a number"),  # type: ignore[arg-type]
    lambda scope: scope.error(3, "no_price", None),  # type: ignore[arg-type]
    lambda scope: scope.skip("3", "code", "a key as text"),  # type: ignore[arg-type]
    lambda scope: scope.warn("code", "text", 17),  # type: ignore[arg-type]
    lambda scope: scope.warn("x" * 65, "text"),
]


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_report_is_the_exception_of_the_record_that_it_is_about(
    rig: Rig, spy: type[Parcels], bad: Callable[[Scope], None]
) -> None:
    spy.on_execute = staticmethod(lambda scope: bad(scope) if 3 in scope.keys else None)
    rig.fill(10)
    run = rig.drive()
    assert (run.state, run.processed, run.errored) == (State.COMPLETED, 9, 1)
    (error,) = [one for one in rig.outcomes(run) if one.outcome == "error"]
    assert (error.record_key, error.code) == (3, "unforeseen")


@pytest.mark.parametrize(
    "totals", [{"points": {"POINTS": 5}}, {"fee": {"USD": 1.5}}, {"fee": 7}, {1: {"USD": 7}}, [7]]
)
def test_bad_totals_of_finish_fail_the_run(rig: Rig, spy: type[Parcels], totals: Any) -> None:
    def finish(self: Parcels, finish: Finish) -> None:
        finish.totals = totals

    spy.finish = finish  # type: ignore[method-assign]
    rig.fill(1)
    run = rig.drive()
    assert (run.state, run.totals) == (State.FAILED, {"worth": {"USD": 1}})
    assert rig.announced == [run]


@pytest.mark.parametrize(
    "line",
    [
        Preview("fee", "P-1", Amount(5, "POINTS"), {}),
        Preview("fee", "P-1", Amount(1.5, "USD"), {}),  # type: ignore[arg-type]
        Preview("fee", "P-1", None, {}, Change(None, True, "USD")),
        Preview("fee", 1, None, {}),  # type: ignore[arg-type]
        Preview("fee", "P-1", None, {}, None, 17),  # type: ignore[arg-type]
    ],
)
def test_a_bad_line_of_a_preview_is_the_exception_of_its_record(
    rig: Rig, spy: type[Parcels], line: Preview
) -> None:
    spy.preview = lambda self, scope, computed: [line] if 1 in scope.keys else []  # type: ignore[method-assign]
    rig.fill(2)
    run = rig.drive(mode="dry_run")
    assert (run.state, run.processed, run.errored) == (State.COMPLETED, 1, 1)


def test_runs_that_were_damaged_before_are_shown_as_damaged(rig: Rig) -> None:
    rig.fill(2)
    run = rig.drive()
    with rig.database.write() as connection:
        bad = {"points": {"POINTS": 5, "USD": 0.1}, "fee": 7}
        connection.execute(update(run_table).values(totals=json.dumps(bad)))
        connection.execute(update(scope_table).values(currencies=json.dumps("POINTS")))
    with rig.database.read() as connection:
        assert view_of(connection, rig.read(run), NOW)["totals"] == {
            "points": {"POINTS": "damaged: 5", "USD": "damaged: 0.1"},
            "fee": {"damaged": "damaged: 7"},
        }
    assert [outcome_view(one)["amount"] for one in rig.outcomes(run)] == ["damaged: 1", "damaged: 2"]


def test_a_record_over_which_the_job_raises_is_shown_as_damaged_beside_the_others(
    rig: Rig, spy: type[Parcels]
) -> None:
    def ids(self: Parcels, connection: Connection, keys: Sequence[int]) -> Mapping[int, str]:
        if 2 in keys:
            connection.exec_driver_sql("SELECT nonsense FROM nowhere")
        return {key: f"P-{key}" for key in keys}

    rig.fill(3)
    run = rig.drive()
    spy.record_ids = ids  # type: ignore[method-assign]
    assert [one.record_id for one in rig.outcomes(run)] == ["P-1", "2 (damaged)", "P-3"]


def test_a_mail_whose_facts_cannot_be_made_is_recorded_with_the_bare_ones(
    rig: Rig, spy: type[Parcels], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(connection: Connection, *_: object) -> None:
        connection.exec_driver_sql("SELECT nonsense FROM nowhere")

    settings = Settings.model_validate({"database_url": "sqlite:///unused.db"})
    announcer = Announcer(settings, "here", rig.registry, rig.clock)
    rig.on_announce = announcer
    monkeypatch.setattr("batchwright.operations.announce.view_of", fails)
    rig.fill(1)
    run = rig.drive(notify=["dana@example.com"])
    row = rig.rows(mail)[-1]
    facts = json.loads(row.facts)
    assert (facts["run_id"], facts["badge"], facts["database"]) == (run.run_id, "Complete", "here")
