"""The same amounts whatever way a forecast is asked for, on every database; and those of a slow meter."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from batchwright.billing import tables
from batchwright.operations.app import Application
from tests.jobs.conftest import WORDS, Open
from tests.jobs.drafting import draft, outcomes, results, undrafted
from tests.jobs.mixture import Metered, expected_of, filled
from tests.support.rungs import depth

SEED = 20230605
Results = dict[str, list[tuple[Any, ...]]]
Way = Callable[[list[Metered]], dict[str, Any]]


def everything(_company: list[Metered]) -> dict[str, Any]:
    return {}


def by_asset(company: list[Metered]) -> dict[str, Any]:
    return {"asset_line_item_ids": [asset.name for asset in company]}


def by_id(company: list[Metered]) -> dict[str, Any]:
    """Every eligible input, shuffled."""
    names = [used.name for asset in company for used in asset.inputs if used.status == "Loaded"]
    Random(SEED).shuffle(names)
    return {"usage_input_ids": names}


@pytest.fixture(scope="module")
def on_sqlite(applications: Open) -> Results:
    """What one forecast of everything leaves on SQLite."""
    app = applications("sqlite")
    filled(app, SEED)
    draft(app)
    return results(app)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", WORDS])
def test_every_way_gives_the_same_rows_on_every_database(
    applications: Open, on_sqlite: Results, kind: str
) -> None:
    app = applications(kind)
    company = filled(app, SEED)
    for way, scope_size in (
        (everything, 1),
        (everything, 7),
        (everything, 2000),
        (by_id, 7),
        (by_asset, 2000),
    ):
        undrafted(app)
        run = draft(app, way(company), scope_size=scope_size)
        assert run["status"] == "Completed"
        assert results(app) == on_sqlite, (way, scope_size)
        assert run["warnings"] == []
    draft(app, by_id(company), scope_size=2000)
    assert results(app) == on_sqlite, "run again on top of the last one"


@pytest.mark.parametrize("include_rated", [False, True])
@pytest.mark.parametrize("seed", range(depth(1, 4)))
def test_amounts_and_schedules_are_those_of_a_slow_meter(
    app: Application, seed: int, include_rated: bool
) -> None:
    company = filled(app, seed)
    expected = expected_of(company, include_rated=include_rated)
    run = draft(app, {"include_rated": include_rated}, scope_size=7)
    found = outcomes(app, run)
    assert {name for name, (outcome, _) in found.items() if outcome == "error"} == expected.bad
    assert {name for name, (outcome, _) in found.items() if outcome == "ok"} == expected.amounts.keys()
    table = tables.usage_input
    with app.database.read() as connection:
        inputs = connection.execute(table.select()).all()
        usage_schedules = connection.execute(tables.usage_schedule.select()).all()
    drafted = {
        row.usage_input_id: row.draft_rated_amount for row in inputs if row.draft_rated_amount is not None
    }
    assert drafted == expected.amounts
    assert {
        row.usage_schedule_id: (Fraction(row.draft_rated_quantity), row.draft_fee_amount)
        for row in usage_schedules
        if row.draft_rated_quantity is not None
    } == expected.schedules
    assert len(expected.amounts) > 50
