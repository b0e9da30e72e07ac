"""Running forecasts in tests, and looking at what they left behind."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Table, select, text, update

from batchwright.billing import tables
from batchwright.engine.store.tables import metadata
from batchwright.notifications.tables import mail
from batchwright.operations.app import Application
from batchwright.operations.billing.usage_inputs import list_usage_inputs
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.looking import run_outcomes
from batchwright.operations.runs.retrying import retry_run
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.views import View
from tests.support.application import ACTOR

JOB = "draft-usage-rating"
# But for what is only added up from the others, and what was selected.
DERIVED = ("forecast_block", "forecast_change", "input_selection")
BILLING = [
    table for table in metadata.sorted_tables if table.name in vars(tables) and table.name not in DERIVED
]
BASIS = ("draft_price_key", "draft_contract_key", "draft_discount_percent", "draft_prior_quantity")


def empty(app: Application) -> None:
    """Take every row out of every table."""
    names = [table.name for table in reversed(metadata.sorted_tables)]
    with app.database.write() as connection:
        if app.database.is_sqlite:
            for name in names:
                connection.execute(text(f"DELETE FROM {name}"))
        else:
            connection.execute(text(f"TRUNCATE {', '.join(names)} RESTART IDENTITY"))


def submit(
    app: Application, parameters: dict[str, Any] | None = None, *, job: str = JOB, **values: Any
) -> View:
    return submit_run(app, job, parameters or {}, actor=ACTOR, **values).view


def draft(
    app: Application, parameters: dict[str, Any] | None = None, *, job: str = JOB, **values: Any
) -> View:
    """The JSON of a run that has ended; nobody gets mail unless `mail_actor` says so."""
    values = {"mail_actor": False, **values}
    return drive_submitted(app, submit_run(app, job, parameters or {}, actor=ACTOR, **values))


def retry(app: Application, run: View) -> View:
    """The JSON of the retry of a run, ended."""
    return drive_submitted(app, retry_run(app, run["run_id"], actor=ACTOR, mail_actor=False))


def outcomes(app: Application, run: View) -> dict[str | None, tuple[str | None, str | None]]:
    """(outcome, code) by record."""
    return {row["record_id"]: (row["outcome"], row["code"]) for row in run_outcomes(app, run["run_id"])}


def amounts(app: Application) -> dict[str, str | None]:
    """(Draft) Rated Amount of every input."""
    return {row["usage_input_id"]: row["draft_rated_amount"] for row in list_usage_inputs(app)}


def statuses(app: Application) -> dict[str, tuple[str, str | None]]:
    """(status, code) of every input."""
    return {row["usage_input_id"]: (row["status"], row["code"]) for row in list_usage_inputs(app)}


def drafts(app: Application) -> dict[str, tuple[str | None, str | None]]:
    """(Draft) Rated Quantity and (Draft) Fee Amount of the usage schedules that have them."""
    return {
        row["usage_schedule_id"]: (row["draft_rated_quantity"], row["draft_fee_amount"])
        for row in list_usage_schedules(app)
        if (row["draft_rated_quantity"], row["draft_fee_amount"]) != (None, None)
    }


def billing_rows(app: Application) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every billing table."""
    with app.database.read() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in BILLING
        }


def results(app: Application) -> dict[str, list[tuple[Any, ...]]]:
    """All that forecasts write, but for which run wrote it: amounts, statuses, what they rest on, schedules."""
    usage_input, schedule = tables.usage_input.c, tables.usage_schedule.c
    columns = (
        *(usage_input.usage_input_id, usage_input.status, usage_input.error_by, usage_input.code),
        *(usage_input.message, usage_input.rated_amount, usage_input.draft_rated_amount),
        *(usage_input[name] for name in BASIS),
    )
    with app.database.read() as connection:
        return {
            "inputs": [tuple(row) for row in connection.execute(select(*columns).order_by(usage_input.id))],
            "schedules": [
                tuple(row)
                for row in connection.execute(
                    select(
                        schedule.usage_schedule_id,
                        schedule.actual_quantity,
                        schedule.fee_amount,
                        schedule.draft_rated_quantity,
                        schedule.draft_fee_amount,
                    ).order_by(schedule.id)
                )
            ],
        }


def basis(app: Application, usage_input_id: str) -> dict[str, Any]:
    """What the draft amount of an input rests on."""
    columns = [tables.usage_input.c[name] for name in ("draft_run_key", *BASIS)]
    with app.database.read() as connection:
        row = connection.execute(
            select(*columns).where(tables.usage_input.c.usage_input_id == usage_input_id)
        ).one()
        return dict(row._mapping)


def change(app: Application, table: Table, an_id: str, **values: Any) -> None:
    """Update the row of that id directly."""
    with app.database.write() as connection:
        done = connection.execute(update(table).where(table.c[f"{table.name}_id"] == an_id).values(values))
        assert done.rowcount == 1


def mail_facts(app: Application) -> list[dict[str, Any]]:
    """The facts of every mail recorded, oldest first."""
    with app.database.read() as connection:
        return [json.loads(row.facts) for row in connection.execute(select(mail.c.facts).order_by(mail.c.id))]


def undrafted(app: Application) -> None:
    """As before the first forecast."""
    inputs, schedules = tables.usage_input, tables.usage_schedule
    blank = {column.name: None for column in inputs.c if column.name.startswith("draft_")}
    with app.database.write() as connection:
        loaded = inputs.update().where(inputs.c.error_by == "draft").values(status="Loaded")
        connection.execute(loaded.values(error_by=None, code=None, message=None))
        connection.execute(inputs.update().values(blank))
        connection.execute(schedules.update().values(draft_rated_quantity=None, draft_fee_amount=None))
