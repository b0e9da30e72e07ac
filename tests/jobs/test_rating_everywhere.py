"""A rating comes to what the forecast said, whatever way it is asked for, on every database; and in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from batchwright.billing import tables
from batchwright.billing.rating import MODELS
from batchwright.operations.app import Application
from batchwright.operations.billing.usage_inputs import reset_usage_inputs
from batchwright.operations.runs.looking import run_outcomes
from tests.jobs.company import Company
from tests.jobs.conftest import Open, Write
from tests.jobs.drafting import amounts, billing_rows, draft, drafts, empty, outcomes
from tests.jobs.mixture import Metered, to_rate, write_company
from tests.jobs.rating import (
    assert_books_balance,
    fees,
    figures,
    previewed,
    rate,
    rated,
    rated_results,
    stored,
    unrate,
)
from tests.support.application import ACTOR
from tests.support.rungs import depth

SEED = 20230605
Results = dict[str, list[tuple[Any, ...]]]


def filled(app: Application, company: list[Metered]) -> None:
    empty(app)
    with app.database.write() as connection:
        write_company(Company(connection), company, Random(SEED))


def unrated(app: Application) -> None:
    """As before the first rating: what unrating and a reset leave."""
    unrate(app)
    reset_usage_inputs(app, status="Error", actor=ACTOR)


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("seed", range(depth(1, 3)))
@pytest.mark.on_both
def test_a_rating_comes_to_the_forecast_to_the_cent_for_every_model(
    app: Application, seed: int, indexed: bool
) -> None:
    company = to_rate(seed, indexed)
    assert {asset.prices[0]["model"] for asset in company} == set(MODELS)
    filled(app, company)
    forecast = draft(app)
    drafted, drawn_up = amounts(app), drafts(app)
    bad = list(run_outcomes(app, forecast["run_id"], outcome="error"))
    reset_usage_inputs(app, status="Error", actor=ACTOR)
    run = rate(app, scope_size=7)
    assert rated(app) == drafted
    assert figures(app) == {
        name: pair for name, pair in drawn_up.items() if pair not in {("0.00", "0.00"), ("0.00", "0")}
    }
    assert run["totals"]["rated_amount"] == forecast["totals"]["draft_fee_amount"]
    assert [row["record_id"] for row in run_outcomes(app, run["run_id"], outcome="error")] == [
        row["record_id"] for row in bad
    ]
    assert_books_balance(app)


def everything(_company: list[Metered]) -> dict[str, Any]:
    return {}


def by_asset(company: list[Metered]) -> dict[str, Any]:
    return {"asset_line_item_ids": [asset.name for asset in company]}


def by_id(company: list[Metered]) -> dict[str, Any]:
    names = [used.name for asset in company for used in asset.inputs]
    Random(SEED).shuffle(names)
    return {"usage_input_ids": names}


@pytest.fixture(scope="module")
def on_sqlite(applications: Open) -> Results:
    """What one rating of everything leaves on SQLite."""
    app = applications("sqlite")
    filled(app, to_rate(SEED))
    rate(app)
    return rated_results(app)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_way_gives_the_same_rows_on_every_database_again_and_again(
    applications: Open, on_sqlite: Results, kind: str
) -> None:
    app = applications(kind)
    company = to_rate(SEED)
    filled(app, company)
    ways: Sequence[tuple[Callable[[list[Metered]], dict[str, Any]], dict[str, Any]]] = (
        (everything, {"scope_size": 1}),
        (everything, {"scope_size": 7}),
        (by_id, {"scope_size": 7}),
        (by_id, {"mode": "sync"}),
        (by_asset, {"scope_size": 2000}),
    )
    seen = []
    for way, values in ways:
        run = rate(app, way(company), **values)
        seen.append((run["totals"], outcomes(app, run)))
        assert rated_results(app) == on_sqlite, (way, values)
        assert_books_balance(app)
        unrated(app)
        assert (figures(app), fees(app)) == ({}, {})
    assert all(one == seen[0] for one in seen)


@pytest.mark.parametrize("sync", [True, False])
def test_a_dry_rating_leaves_every_billing_table_as_it_was_and_foretells_the_run(
    app: Application, sync: bool
) -> None:
    filled(app, to_rate(SEED))
    before = billing_rows(app)
    dry = rate(app, mode="dry_run", sync=sync, scope_size=7)
    assert billing_rows(app) == before
    real = rate(app, scope_size=30)
    counts = ("total", "processed", "errored", "skipped", "not_reached", "totals", "warnings")
    assert [dry[name] for name in counts] == [real[name] for name in counts]
    assert list(run_outcomes(app, dry["run_id"])) == list(run_outcomes(app, real["run_id"]))
    preview = previewed(app, dry, "usage_input")
    assert {name: line["amount"] for name, line in preview.items()} == {
        name: amount for name, amount in rated(app).items() if amount is not None
    }
    for line in preview.values():
        assert sum(Decimal(part["amount"]) for part in line["detail"]["lines"]) == Decimal(line["amount"])
    schedules = previewed(app, dry, "usage_schedule")
    assert {
        name: (line["detail"]["actual_quantity_after"], line["detail"]["fee_amount_after"])
        for name, line in schedules.items()
        if Decimal(line["detail"]["actual_quantity_after"]) or Decimal(line["amount"])
    } == figures(app)


# Rating in parts


TIERS = (("10", "3", "5"), ("20", "2", "7"), (None, "1", "11"))


def windowed(books: Company) -> None:
    """Three inputs in one window, with tiers, fees and an included quantity."""
    books.priced("data", "tiered", tiers=TIERS, usage_indexing=True, included_quantity="3")
    asset = books.metered(months=6, months_per_schedule=6)
    books.used(asset, "june", "06-05", "9")
    books.used(asset, "may", "05-05", "8")
    books.used(asset, "april", "04-05", "7.5")


def test_ratings_in_the_order_of_the_usage_dates_come_to_one_rating_of_everything(
    app: Application, write: Write
) -> None:
    write(windowed)
    rate(app)
    at_once = rated_results(app)
    unrated(app)
    for name in ("april", "may", "june"):
        rate(app, {"usage_input_ids": [name]})
    assert rated_results(app) == at_once


def test_what_is_rated_later_comes_later_in_its_window_whatever_its_usage_date(
    app: Application, write: Write
) -> None:
    write(windowed)
    for name in ("june", "april", "may"):
        rate(app, {"usage_input_ids": [name]})
    assert {name: stored(app, name)["rated_prior_quantity"] for name in ("june", "april", "may")} == {
        "june": None,
        "april": 9,
        "may": Decimal("16.5"),
    }
    in_parts = rated(app)
    # The same inputs, dated in the order in which they were rated, in one rating.
    unrated(app)
    with app.database.write() as connection:
        table = tables.usage_input
        for name, month in (("june", 4), ("april", 5), ("may", 6)):
            day = stored(app, name)["usage_date"].replace(month=month)
            connection.execute(table.update().where(table.c.usage_input_id == name).values(usage_date=day))
    rate(app)
    assert rated(app) == in_parts
    assert sum(Decimal(amount or 0) for amount in in_parts.values()) == Decimal("74.50")


@pytest.mark.parametrize("order", [("first", "second"), ("second", "first")])
def test_a_window_s_fee_is_charged_once_even_where_its_first_input_was_of_nothing(
    app: Application, write: Write, order: tuple[str, str]
) -> None:
    def fill(books: Company) -> None:
        books.priced("data", "flat", unit_price=None, flat_fee="95", usage_indexing=True)
        asset = books.metered()
        books.used(asset, "first", "06-05", "0")
        books.used(asset, "second", "06-06", "0")

    write(fill)
    for name in order:
        rate(app, {"usage_input_ids": [name]})
    assert rated(app) == {order[0]: "95.00", order[1]: "0.00"}
    unrate(app, {"usage_input_ids": [order[0]]})
    reset_usage_inputs(app, ids=[order[0]], actor=ACTOR)
    draft(app)
    assert amounts(app)[order[0]] == "0.00", "the other one is in the window still"
    unrated(app)
    rate(app)
    assert rated(app) == {"first": "95.00", "second": "0.00"}


def test_a_forecast_after_a_part_was_rated_goes_on_where_that_ended(app: Application, write: Write) -> None:
    write(windowed)
    rate(app, {"usage_input_ids": ["june"]})
    run = draft(app)
    again = rate(app)
    assert run["totals"]["draft_fee_amount"] == again["totals"]["rated_amount"]
    assert amounts(app) == {**rated(app), "june": None}


def test_a_forecast_with_rated_inputs_in_hand_begins_the_window_anew(app: Application, write: Write) -> None:
    write(windowed)
    draft(app)
    alone = amounts(app)
    rate(app)
    draft(app, {"include_rated": True})
    assert amounts(app) == alone
