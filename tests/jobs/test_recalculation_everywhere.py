"""For every price model: a recalculation comes to what rating afresh comes to, and its preview foretells it."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from sqlalchemy import insert, select

from batchwright.billing import tables
from batchwright.billing.rating import MODELS
from batchwright.operations.app import Application
from batchwright.operations.billing.usage_inputs import reset_usage_inputs
from batchwright.operations.runs.driving import drive_run
from batchwright.operations.runs.previews import apply_run
from tests.jobs.company import Company
from tests.jobs.drafting import draft, empty, statuses
from tests.jobs.mixture import Metered, to_rate, write_company
from tests.jobs.rating import assert_books_balance, rate, rated, rated_results, unrate
from tests.jobs.recalculating import JOB, asked
from tests.support.application import ACTOR

SEED = 20230614
MONTHS = [f"2023-0{number}" for number in range(1, 7)]


def filled(app: Application, company: list[Metered], chance: Random) -> None:
    """A customer with an account for each asset; usage rated in two halves, as they come, at other discounts."""
    empty(app)
    with app.database.write() as connection:
        write_company(Company(connection), company, chance)
        for key in list(connection.execute(select(tables.customer.c.id)).scalars()):
            row = {"account_id": f"AC-{key}", "customer_key": key, "name": f"account {key}"}
            connection.execute(insert(tables.account).values(row))
    names = [used.name for asset in company for used in asset.inputs]
    chance.shuffle(names)
    for half in (names[::2], names[1::2]):
        rate(app, {"usage_input_ids": half})


def discounted(app: Application) -> None:
    """Every contract is revised: a discount of 12.5 percent."""
    table = tables.contract
    with app.database.write() as connection:
        for row in connection.execute(select(table)).mappings().all():
            newer = {name: value for name, value in row.items() if name != "id"}
            newer |= {"revision": row["revision"] + 1, "discount_percent": Decimal("12.5")}
            connection.execute(insert(table).values(newer))


def recalculated(app: Application, asset: Metered, **values: Any) -> dict[str, Any]:
    return draft(app, asked(MONTHS, customer_id=f"customer of {asset.name}"), job=JOB, **values)


@pytest.mark.long
def test_it_comes_to_what_rating_afresh_comes_to_and_the_preview_said_so(app: Application) -> None:
    company = to_rate(SEED)
    assert {asset.prices[0]["model"] for asset in company} == set(MODELS)
    filled(app, company, Random(SEED))
    discounted(app)
    kept: set[str] = set()
    for asset in company:
        dry = recalculated(app, asset, mode="dry_run")
        if asset is company[0]:
            applied = apply_run(app, dry["run_id"], actor=ACTOR, mail_actor=False)
            run = drive_run(app, applied.run_id)
        else:
            run = recalculated(app, asset, mode="sync")
            kept |= {row["record_id"] for row in run["outcomes"] if row["outcome"] != "ok"}
        assert run["status"] == "Completed"
        assert (run["totals"], run["total"], run["errored"]) == (dry["totals"], dry["total"], dry["errored"])
    assert_books_balance(app)
    after = rated(app)
    again = rated_results(app)
    for asset in company:
        difference = recalculated(app, asset)["totals"].get("difference", {})
        assert not any(Decimal(amount) for amount in difference.values())
    assert rated_results(app) == again

    unrate(app)
    reset_usage_inputs(app, status="Error", code="unrated", actor=ACTOR)
    rate(app)
    afresh = rated(app)
    compared = [
        used.name
        for asset in company
        if not kept.intersection(used.name for used in asset.inputs)
        for used in asset.inputs
    ]
    assert len(compared) > len(after) * 3 // 4
    assert {name: after[name] for name in compared} == {name: afresh[name] for name in compared}
    assert any(status == "Rated" for status, _ in statuses(app).values())
