"""Synchronous, batch and dry runs of one forecast."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from batchwright.billing import tables
from batchwright.engine.errors import Refused
from batchwright.operations.app import Application
from batchwright.operations.runs.looking import list_runs, run_outcomes
from batchwright.operations.runs.previews import run_preview
from tests.jobs.company import Company
from tests.jobs.conftest import Write
from tests.jobs.drafting import billing_rows, change, draft, results, submit, undrafted
from tests.jobs.mixture import drawn, filled, write_company

SEED = 11


@pytest.mark.parametrize("by_id", [True, False])
def test_a_synchronous_run_gives_the_rows_and_outcomes_of_a_batch(app: Application, by_id: bool) -> None:
    company = filled(app, SEED)
    names = [used.name for asset in company for used in asset.inputs]
    parameters = {"usage_input_ids": names} if by_id else {}
    seen = []
    for mode in ("sync", "batch"):
        undrafted(app)
        run = draft(app, parameters, mode=mode, scope_size=7)
        seen.append((results(app), list(run_outcomes(app, run["run_id"])), run["totals"], run["warnings"]))
        assert run["mode"] == mode
        assert run.get("outcomes", seen[-1][1]) == seen[-1][1]
    assert seen[0] == seen[1]


def many(books: Company) -> None:
    asset = books.metered(months=6)
    for number in range(1_001):
        books.used(asset, f"IN-{number}", "06-05", "1")


def test_more_than_a_thousand_inputs_are_refused_in_a_synchronous_run_however_they_are_named(
    app: Application, write: Write
) -> None:
    write(many)
    before = billing_rows(app)
    names = [f"IN-{number}" for number in range(1_001)]
    for parameters in ({}, {"usage_input_ids": names}, {"asset_line_item_ids": ["AL-1"]}):
        for values in ({"mode": "sync"}, {"mode": "dry_run", "sync": True}):
            with pytest.raises(Refused, match="at most 1,000 usage inputs") as refusal:
                submit(app, parameters, **values)
            assert "batch" in (refusal.value.remedy or "")
    assert (list_runs(app), billing_rows(app)) == ([], before)


def test_doubles_do_not_count_towards_the_thousand(app: Application, write: Write) -> None:
    write(many)
    names = [f"IN-{number}" for number in range(1_000)]
    run = draft(app, {"usage_input_ids": names + names[:10]}, mode="sync")
    assert (run["total"], run["processed"], len(run["outcomes"])) == (1_000, 1_000, 1_000)


def test_inputs_that_are_not_eligible_do_not_count_where_they_are_not_named(
    app: Application, write: Write
) -> None:
    def fill(books: Company) -> None:
        many(books)
        books.used(books.metered("AL-2"), "loaded", "06-05")

    write(fill)
    with app.database.write() as connection:
        table = tables.usage_input
        connection.execute(table.update().where(table.c.usage_input_id != "loaded").values(status="Rated"))
    assert draft(app, mode="sync")["total"] == 1
    assert draft(app, {"asset_line_item_ids": ["AL-1", "AL-2"]}, mode="sync")["total"] == 1
    with pytest.raises(Refused, match="at most 1,000"):
        submit(app, {"include_rated": True}, mode="sync")


# Dry runs


def lines(app: Application, run: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    return (line for line in run_preview(app, run["run_id"]) if line["kind"] == kind)


def sums(found: Iterator[dict[str, Any]]) -> dict[str, Decimal]:
    by_currency: dict[str, Decimal] = {}
    for line in found:
        if line["amount"] is not None:
            currency = line["currency"]
            by_currency[currency] = by_currency.get(currency, Decimal(0)) + Decimal(line["amount"])
    return by_currency


@pytest.mark.parametrize("parameters", [{}, {"include_rated": True}])
@pytest.mark.parametrize("sync", [True, False])
def test_a_dry_run_leaves_every_billing_table_as_it_was_and_foretells_the_run(
    app: Application, parameters: dict[str, Any], sync: bool
) -> None:
    filled(app, SEED)
    before = billing_rows(app)
    dry = draft(app, parameters, mode="dry_run", sync=sync, scope_size=7)
    assert billing_rows(app) == before
    real = draft(app, parameters, scope_size=30)
    assert billing_rows(app) != before
    counts = ("total", "processed", "errored", "skipped", "not_reached", "totals", "warnings")
    assert [dry[name] for name in counts] == [real[name] for name in counts]
    dry_outcomes, real_outcomes = (list(run_outcomes(app, run["run_id"])) for run in (dry, real))
    assert dry_outcomes == real_outcomes


def test_a_preview_has_a_line_for_each_amount_whose_parts_sum_to_it(app: Application) -> None:
    filled(app, SEED)
    dry = draft(app, mode="dry_run")
    real = draft(app)
    preview = {line["record_id"]: line for line in lines(app, dry, "usage_input")}
    done = {row["record_id"]: row for row in run_outcomes(app, real["run_id"], outcome="ok")}
    assert preview.keys() == done.keys()
    for name, line in preview.items():
        assert (line["amount"], line["currency"]) == (done[name]["amount"], done[name]["currency"])
        parts = line["detail"]["lines"]
        assert sum(Decimal(part["amount"]) for part in parts) == Decimal(line["amount"]), line
        assert len({part["key"] for part in parts}) == len(parts)
    rows = {row[0]: row for row in results(app)["inputs"]}
    for name, line in preview.items():
        price, contract, discount, prior = rows[name][-4:]
        detail = line["detail"]
        assert (detail["price_revision"], detail["contract_revision"]) == (price, contract)
        assert (Decimal(detail["discount_percent"]), Decimal(detail["prior_quantity"])) == (
            discount,
            prior or 0,
        )


def test_a_preview_sums_to_the_totals_by_input_and_by_schedule(app: Application) -> None:
    filled(app, SEED)
    dry = draft(app, mode="dry_run", scope_size=7)
    totals = {currency: Decimal(text) for currency, text in dry["totals"]["draft_fee_amount"].items()}
    assert sums(lines(app, dry, "usage_input")) == totals
    assert sums(lines(app, dry, "usage_schedule")) == totals
    draft(app)
    written = {row[0]: row for row in results(app)["schedules"] if row[3] is not None}
    preview = {line["record_id"]: line["detail"] for line in lines(app, dry, "usage_schedule")}
    assert {
        name: Decimal(detail["draft_rated_quantity"])
        for name, detail in preview.items()
        if detail["draft_rated_quantity"] is not None
    } == {name: row[3] for name, row in written.items()}


def test_a_preview_shows_the_schedules_that_would_be_cleared(app: Application, write: Write) -> None:
    def fill(books: Company) -> None:
        asset = books.metered()
        books.used(asset, "june", "06-05", deleted=True)
        books.used(asset, "july", "07-05")

    write(fill)
    change(app, tables.usage_schedule, "US-AL-1-06", draft_rated_quantity=1, draft_fee_amount=200)
    dry = draft(app, mode="dry_run")
    assert {line["record_id"]: line["amount"] for line in lines(app, dry, "usage_schedule")} == {
        "US-AL-1-06": None,
        "US-AL-1-07": "20.00",
    }


def test_a_dry_run_is_no_forecast_and_the_next_one_starts_where_it_did(app: Application) -> None:
    company = drawn(SEED)
    with app.database.write() as connection:
        write_company(Company(connection), company, Random(SEED))
    first = draft(app, mode="dry_run")
    second = draft(app, mode="dry_run")
    previews = [list(run_preview(app, run["run_id"])) for run in (first, second)]
    assert previews[0] == previews[1]
    assert first["totals"] == second["totals"]
