"""Who reads a listing may take all day: between its pages nothing of the database is held, and no row is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from sqlalchemy import delete, insert, select, update

from batchwright.billing import tables
from batchwright.billing.records import assets, charges, inputs
from batchwright.engine import ledger
from batchwright.engine.store import pages
from batchwright.operations.access.audit_trail import list_audit
from batchwright.operations.app import Application
from batchwright.operations.billing.asset_line_items import list_asset_line_items
from batchwright.operations.billing.billing_schedules import list_billing_schedules
from batchwright.operations.billing.recalculation import list_account_charges, page_of_account_charges
from batchwright.operations.billing.usage_inputs import edit_usage_input, list_usage_inputs
from batchwright.operations.billing.usage_schedules import list_usage_schedules
from batchwright.operations.outcomes import outcome_rows
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.looking import run_outcomes
from batchwright.operations.runs.previews import page_of_preview, run_preview
from batchwright.operations.runs.submitting import submit_run
from tests.support.application import ACTOR, NOW
from tests.support.records import Books

ASSETS = 7
MONTHS = ("2023-05", "2023-06")
RUN = "JR-00000001"
Row = dict[str, Any]
LISTINGS: dict[str, Callable[[Application], Iterator[Any]]] = {
    "asset line items": list_asset_line_items,
    "billing schedules": list_billing_schedules,
    "usage schedules": list_usage_schedules,
    "usage inputs": list_usage_inputs,
    "loaded usage inputs": lambda app: list_usage_inputs(app, status="Loaded"),
    "account charges": list_account_charges,
    "audit": list_audit,
    "outcomes": lambda app: run_outcomes(app, RUN),
    "errors": lambda app: run_outcomes(app, RUN, "error"),
    "preview": lambda app: run_preview(app, RUN),
    "records of a mail": lambda app: outcome_rows(app.database, app.registry, RUN, "ok"),
}


@pytest.fixture
def rows(app: Application, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Iterator[Row]]:
    """The rows of a listing of two and more pages: seven assets, each with all that can be listed of it."""
    for module in (pages, ledger, charges):
        monkeypatch.setattr(module, "ROWS_AT_A_TIME", 2)
    monkeypatch.setattr(charges, "_ACCOUNTS_AT_A_TIME", 2)
    with app.database.write() as connection:
        books = Books(connection)
        for number in range(ASSETS):
            asset = books.asset(f"AL-{number}", customer_id=f"CU-{number % 3}")
            billing_schedule = books.billing_schedule(asset, f"BS-{number}")
            books.usage_schedule(asset, billing_schedule, f"US-{number}")
            books.usage_input(asset, f"IN-{number}", quantity=Decimal(number + 1))
            books.usage_input(asset, f"BAD-{number}", quantity=Decimal(-1))
            charge(books, connection, number)
    for number in range(ASSETS):
        edit_usage_input(app, f"IN-{number}", description="edited", actor=ACTOR)
    dry = submit_run(
        app, "draft-usage-rating", {}, mode="dry_run", scope_size=3, mail_actor=False, actor=ACTOR
    )
    assert drive_submitted(app, dry)["errored"] == ASSETS
    return lambda name: LISTINGS[name](app)


def charge(books: Books, connection: Any, number: int) -> None:
    """An account of the asset's customer that is charged a line item in two months."""
    customer = books.customer(f"CU-{number % 3}")
    made = {"account_id": f"AC-{number}", "customer_key": customer, "name": "an account"}
    account = connection.execute(insert(tables.account).values(made).returning(tables.account.c.id)).scalar()
    item = {
        "line_item_id": f"LI-{number}",
        "contract_id": "CO-1",
        "account_key": account,
        "description": "support",
        "kind": "fixed_charge",
        "amount": Decimal(5),
        "start_date": datetime(2023, 1, 1, tzinfo=UTC).date(),
    }
    line_item = connection.execute(
        insert(tables.custom_line_item).values(item).returning(tables.custom_line_item.c.id)
    ).scalar()
    made_of = [
        charges.AccountCharge(account, month, line_item, 1, Decimal(5), None, 500, "USD") for month in MONTHS
    ]
    charges.replace_charges(connection, 1, [account], MONTHS, made_of, NOW)


def change_everything(app: Application) -> None:
    """Rewrite every row that a listing shows, the charges as new rows."""
    with app.database.write() as connection:
        for table in (
            tables.asset_line_item,
            tables.billing_schedule,
            tables.usage_schedule,
            tables.usage_input,
        ):
            connection.execute(update(table).values(id=table.c.id))
        standing = connection.execute(select(tables.account_charge)).mappings().all()
        connection.execute(delete(tables.account_charge))
        anew = [{name: value for name, value in row.items() if name != "id"} for row in standing]
        connection.execute(insert(tables.account_charge), anew)


def refuse_open_reads(app: Application) -> None:
    """No transaction of ours is open; on SQLite the whole of the ``-wal`` can be written back."""
    if app.database.is_sqlite:
        with closing(sqlite3.connect(app.database.url.database or "", timeout=0)) as connection:
            assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
        return
    url = app.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        states = connection.execute(
            "SELECT state, backend_xmin FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchall()
    assert set(states) == {("idle", None)}


def test_a_listing_that_is_being_read_holds_nothing_and_loses_nothing(
    app: Application, rows: Callable[[str], Iterator[Row]]
) -> None:
    for name in LISTINGS:
        before = list(rows(name))
        assert len(before) >= ASSETS, name
        read = []
        for number, row in enumerate(rows(name)):
            read.append(row)
            if number % 3 == 0:
                change_everything(app)
            refuse_open_reads(app)
        assert read == before, name


def test_a_row_that_changes_between_two_pages_shows_as_it_is_then(
    app: Application, rows: Callable[[str], Iterator[Row]]
) -> None:
    listing = rows("usage inputs")
    first = next(listing)
    edit_usage_input(app, "IN-6", description="later", actor=ACTOR)
    edit_usage_input(app, "IN-0", description="too late", actor=ACTOR)
    found = {row["usage_input_id"]: row["description"] for row in [first, *listing]}
    assert (found["IN-0"], found["IN-6"]) == ("edited", "later")


def test_a_page_is_no_longer_than_what_was_asked_for(app: Application, rows: Callable[[str], Any]) -> None:
    every = list(list_usage_inputs(app))
    for limit in (1, 2, 3, 4, 2 * ASSETS, 100):
        assert list(list_usage_inputs(app, limit=limit)) == every[:limit]
        assert list(list_account_charges(app, limit=limit)) == list(list_account_charges(app))[:limit]
        assert list(run_preview(app, RUN, limit=limit)) == list(run_preview(app, RUN))[:limit]


def test_a_transaction_reads_a_listing_as_one(app: Application, rows: Callable[[str], Any]) -> None:
    with app.database.read() as connection:
        asset = assets.key_of(connection, "AL-3")
        assert asset is not None
        read = [row["usage_input_id"] for row in pages.rows_within(connection, inputs.listing(asset))]
    assert read == [row["usage_input_id"] for row in list_usage_inputs(app, "AL-3")]


@pytest.mark.on_both
def test_account_charges_in_pages_are_the_whole_list(
    app: Application, rows: Callable[[str], Iterator[Row]]
) -> None:
    whole = list(rows("account charges"))
    assert len(whole) == ASSETS * len(MONTHS)
    for customer_id in (None, "CU-1"):
        for limit in (1, 3, 1_000):
            found, after = [], None
            while True:
                page = page_of_account_charges(app, customer_id, limit=limit, after=after)
                found += page.items
                after = page.next
                if after is None:
                    break
            assert found == [one for one in whole if customer_id in (None, one["customer_id"])]


@pytest.mark.on_both
def test_a_preview_in_pages_is_the_whole_of_it(
    app: Application, rows: Callable[[str], Iterator[Row]]
) -> None:
    whole = list(rows("preview"))
    for limit in (1, 3, 1_000):
        found, after = [], None
        while True:
            page = page_of_preview(app, RUN, after=after, limit=limit)
            found += page.items
            after = page.next
            if after is None:
                break
        assert found == whole
