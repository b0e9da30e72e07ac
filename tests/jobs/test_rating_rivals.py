"""Honest runs at once over the same assets, each in an application of its own: every input is charged once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from threading import Barrier
from typing import Any

import pytest

from batchwright.engine.events import Event, RunPlanned, ScopeRetried
from batchwright.operations.app import Application
from batchwright.operations.billing.billing_schedules import set_billing_schedule_status
from batchwright.operations.billing.usage_inputs import reset_usage_inputs
from tests.jobs.company import INDEXED_TIERS, Company
from tests.jobs.conftest import Write
from tests.jobs.drafting import outcomes, statuses
from tests.jobs.rating import assert_books_balance, fees, rate, rated_results, unrate
from tests.support.application import ACTOR, rival
from tests.support.rungs import depth

pytestmark = pytest.mark.on_both

ASSETS, INPUTS = 12, 6


def fill(books: Company) -> None:
    books.priced("data", "tiered", tiers=INDEXED_TIERS, usage_indexing=True)
    for number in range(ASSETS):
        asset = books.metered(f"AL-{number}", months=6, months_per_schedule=6)
        for place in range(INPUTS):
            books.used(asset, f"IN-{number}-{place}", f"{place + 1:02}-05", "3.125")


def race(
    app: Application, folder: Path, ways: Sequence[Callable[[Application], Any]], seed: int = 0
) -> tuple[list[Any], list[str]]:
    """All of them at once, each begun when every run has its scopes; what they give, and why scopes were retried."""
    together, chance, retried = Barrier(len(ways), timeout=60), Random(seed), list[str]()

    def listen(event: Event) -> None:
        if isinstance(event, RunPlanned):
            together.wait()
        if isinstance(event, ScopeRetried):
            retried.append(event.reason)
        time.sleep(chance.uniform(0, 0.003))

    def act(way: Callable[[Application], Any]) -> Any:
        with rival(app, folder, listen) as other:
            return way(other)

    with ThreadPoolExecutor(len(ways)) as pool:
        return [future.result() for future in [pool.submit(act, way) for way in ways]], retried


@pytest.mark.parametrize("sizes", depth([(1, 1), (30, 42)], [(1, 1), (1, 1_000), (30, 42)]))
def test_two_ratings_of_the_same_inputs_at_once_charge_each_input_once(
    app: Application, write: Write, tmp_path: Path, sizes: tuple[int, int]
) -> None:
    write(fill)
    rate(app)
    alone, alone_fees = rated_results(app), fees(app)
    unrate(app)
    reset_usage_inputs(app, status="Error", actor=ACTOR)

    ways = [partial(rate, scope_size=size) for size in sizes]
    (first, second), retried = race(app, tmp_path, ways)

    assert (first["total"], second["total"]) == (ASSETS * INPUTS, ASSETS * INPUTS), (
        "both had planned them all"
    )
    assert rated_results(app) == alone
    assert fees(app) == alone_fees
    assert_books_balance(app)
    taken = [outcomes(app, run) for run in (first, second)]
    for name in taken[0]:
        assert sorted(found[name] for found in taken) == [("ok", None), ("skipped", "not_eligible")], name
    assert first["processed"] + second["processed"] == ASSETS * INPUTS
    assert not [reason for reason in retried if "deadlock" in reason]


def test_two_unratings_of_the_same_inputs_at_once_take_each_back_once(
    app: Application, write: Write, tmp_path: Path
) -> None:
    write(fill)
    rate(app)
    runs, _ = race(app, tmp_path, [partial(unrate, scope_size=12)] * 2)
    assert sum(run["processed"] for run in runs) == ASSETS * INPUTS
    assert fees(app) == {}
    assert_books_balance(app)


def test_two_ratings_of_late_usage_at_once_open_one_billing_schedule_for_each_period(
    app: Application, write: Write, tmp_path: Path
) -> None:
    write(fill)
    schedules = [f"BS-AL-{number}-01" for number in range(ASSETS)]
    set_billing_schedule_status(app, schedules, "invoiced", actor=ACTOR)
    halves = [
        {"usage_input_ids": [f"IN-{number}-{place}" for number in range(ASSETS) for place in half]}
        for half in ((0, 2, 4), (1, 3, 5))
    ]
    ways = [partial(rate, parameters=half, scope_size=3) for half in halves]
    runs, retried = race(app, tmp_path, ways)
    assert [run["processed"] for run in runs] == [ASSETS * INPUTS // 2] * 2
    assert len(fees(app)) == ASSETS
    assert {status for status, _ in statuses(app).values()} == {"Rated"}
    assert_books_balance(app)
    assert not [reason for reason in retried if "deadlock" in reason]


@pytest.mark.parametrize("seed", range(depth(1, 3)))
def test_rating_twice_unrating_and_invoicing_at_once_keep_the_books(
    app: Application, write: Write, tmp_path: Path, seed: int
) -> None:
    write(fill)
    rate(app, {"asset_line_item_ids": [f"AL-{number}" for number in range(0, ASSETS, 2)]})

    def invoiced(other: Application) -> list[str]:
        moved = []
        for number in range(0, ASSETS, 3):
            moved += set_billing_schedule_status(other, [f"BS-AL-{number}-01"], "invoiced", actor=ACTOR)[
                "moved"
            ]
        return moved

    ways = [partial(rate, scope_size=6), partial(rate, scope_size=12), partial(unrate, scope_size=6)]
    with ThreadPoolExecutor(1) as pool, rival(app, tmp_path, lambda event: None) as other:
        invoicing = pool.submit(invoiced, other)
        runs, retried = race(app, tmp_path, ways, seed)
        assert len(invoicing.result()) == ASSETS // 3
    assert all(run["status"] == "Completed" and not run["errored"] for run in runs)
    assert_books_balance(app)
    assert not [reason for reason in retried if "deadlock" in reason]
    reset_usage_inputs(app, status="Error", actor=ACTOR)
    rate(app)
    assert {status for status, _ in statuses(app).values()} == {"Rated"}
    assert_books_balance(app)
