"""Data recalculation as a person meets it: what the dialog offers, and the account charges it left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import islice
from statistics import median

from sqlalchemy import Connection, RowMapping

from batchwright.billing.eligibility import active_on, linked, offered_months
from batchwright.billing.exact import canonical
from batchwright.billing.recalculation import REASONS, Month, span_of
from batchwright.billing.records import catalog, charges
from batchwright.billing.records.catalog import ContractTerms
from batchwright.billing.records.charges import Customer
from batchwright.billing.records.pages import chunks
from batchwright.billing.records.recalculation import rated_windows
from batchwright.engine.errors import Refused
from batchwright.engine.store import runs
from batchwright.engine.store.run_log import seconds_taken
from batchwright.jobs.recalculation_terms import NAME
from batchwright.operations import views
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import Unknown, check_limit
from batchwright.operations.paging import PAGE, Page, check_page, cursor, place_after
from batchwright.operations.views import View, picked

SCHEDULES_LOOKED_AT = 2_000
"""Usage schedules of a customer, at most, that are looked at for months in which nothing is rated."""

RUNS_FOR_ESTIMATE = 200
"""How many of the newest runs an estimate rests on, at most."""

LISTING = "account_charges"

CUSTOMERS_FOUND = 20
"""How many customers are found for words that a person types."""


def recalculation_offer(
    app: Application, customer_id: str | None = None, *, actor: Actor | None = None
) -> View:
    """What the dialog *Data recalculation* offers today (DoiT): `today, reasons, customers`.

    Each customer that has an active contract with a linked account: `customer_id, name, contract_ids, account_ids,
    periods, periods_without_rating, estimated_seconds_per_period, live`. `periods` are the past months under the
    contract, newest first; those without a rating have nothing that would be rated again: told with `customer_id`
    alone, of a customer with at most 2,000 usage schedules, else `None`. The estimate is the median of earlier runs,
    the customer's own where there are any, for one month; `None` where nobody ran one yet. `live` are the runs that
    hold some of the months, as `run_id, periods`.

    With `customer_id` only that one; refuses an unknown id. A customer that cannot be recalculated is left out.
    """
    permit(app, actor, Right.BILLING, "recalculation.offer")
    today = app.clock.now().astimezone(app.zone).date()
    with app.database.read() as connection:
        customers = charges.customers(connection, customer_id)
        if customer_id is not None and not customers:
            raise Refused(
                f"unknown customer id: {customer_id}",
                field="customer_id",
                remedy="See `batchwright recalculation offer` for those that can be recalculated",
            )
        earlier = _seconds_per_month(connection)
        live = _live(connection, customer_id)
        offered: list[View] = []
        for one, active, accounts in _under_contract(connection, customers, today):
            contracts = linked(active, accounts)
            if contracts:
                months = offered_months(contracts, today)
                offered.append(
                    {
                        **_parties(one, contracts, accounts),
                        "periods": months,
                        "periods_without_rating": None
                        if customer_id is None
                        else _without_rating(connection, one, months),
                        "estimated_seconds_per_period": _estimate(earlier, one.customer_id),
                        "live": live.get(one.customer_id, []),
                    }
                )
    return {"today": views.day(today), "reasons": list(REASONS), "customers": offered}


def _without_rating(
    connection: Connection, customer: Customer, months: Sequence[Month]
) -> list[Month] | None:
    windows = rated_windows(connection, customer.key, SCHEDULES_LOOKED_AT)

    def is_rated(first: str, last: str) -> bool:
        return any(starts <= last and first <= ends for starts, ends in windows or ())

    return None if windows is None else [month for month in months if not is_rated(*span_of(month))]


def find_recalculation_customers(app: Application, words: str, *, actor: Actor | None = None) -> list[View]:
    """The first 20 customers with these words in their id or name, whatever the case, as a person types them.

    Each `customer_id, name, contract_ids, account_ids, missing`: the active contracts with the accounts under them, and
    why the customer cannot be recalculated today, `None` where it can. `recalculation_offer` tells the months of one.
    """
    permit(app, actor, Right.BILLING, "recalculation.offer")
    today = app.clock.now().astimezone(app.zone).date()
    with app.database.read() as connection:
        customers = charges.customers_found(connection, words.strip(), CUSTOMERS_FOUND)
        return [
            {**_parties(one, linked(active, accounts), accounts), "missing": _missing(active, accounts)}
            for one, active, accounts in _under_contract(connection, customers, today)
        ]


def list_account_charges(
    app: Application, customer_id: str | None = None, limit: int | None = None, *, actor: Actor | None = None
) -> Iterator[View]:
    """What custom line items come to, as the last recalculation of each month left them; streamed.

    By customer, account, month and line item: `customer_id, account_id, period, line_item_id, contract_id,
    contract_revision, description, kind, rate, base_amount, amount, currency, run_id, computed_at`. Discounts are
    below zero; `base_amount` is what a percentage was taken of, `None` for a fixed amount.
    """
    permit(app, actor, Right.LOOK, "account_charge.list")
    check_limit(limit)
    return map(_charge, islice(charges.listing(app.database, customer_id), limit))


def page_of_account_charges(
    app: Application,
    customer_id: str | None = None,
    *,
    limit: int = PAGE,
    after: str | None = None,
    actor: Actor | None = None,
) -> Page[View]:
    """A page of the same list. Refuses an unknown customer."""
    permit(app, actor, Right.LOOK, "account_charge.list")
    check_page(limit)
    asked = {"customer_id": customer_id}
    place = None
    if after is not None:
        place = charges.Place(*place_after(after, LISTING, asked, (str,) * len(charges.Place._fields)))
    with app.database.read() as connection:
        if customer_id is not None and not charges.customers(connection, customer_id):
            raise Unknown("customer", [customer_id], field="customer_id")
        found = charges.page(connection, customer_id, limit + 1, place)
    following = cursor(LISTING, asked, found[limit - 1][0]) if len(found) > limit else None
    return Page([_charge(row) for _, row in found[:limit]], following)


def _under_contract(
    connection: Connection, customers: Sequence[Customer], today: date
) -> Iterator[tuple[Customer, list[ContractTerms], Mapping[int, str]]]:
    """Each customer with the contracts that are active today and the accounts there are, ids by key."""
    for some in chunks(customers):
        contracts = catalog.contracts_of(connection, [one.key for one in some])
        accounts = charges.accounts_of(connection, [one.key for one in some])
        for one in some:
            yield one, active_on(contracts.get(one.key, ()), today), accounts[one.key]


def _parties(customer: Customer, contracts: Sequence[ContractTerms], accounts: Mapping[int, str]) -> View:
    covered = [accounts[key] for key in accounts if any(terms.covers(key) for terms in contracts)]
    return {
        "customer_id": customer.customer_id,
        "name": customer.name,
        "contract_ids": [terms.contract_id for terms in contracts],
        "account_ids": covered,
    }


def _missing(active: Sequence[ContractTerms], accounts: Mapping[int, str]) -> str | None:
    if not active:
        return "no contract is active today"
    return None if linked(active, accounts) else "no account is under its active contracts"


def _charge(row: RowMapping) -> View:
    return {
        "customer_id": row["customer_id"],
        "account_id": row["account_id"],
        "period": row["month"],
        **picked(row, "line_item_id contract_id contract_revision description kind"),
        "rate": canonical(row["rate"]),
        "base_amount": views.money(row["base"], row["currency"]),
        "amount": views.money(row["amount"], row["currency"]),
        "currency": row["currency"],
        "run_id": row["run_id"],
        "computed_at": views.instant(row["created_at"]),
    }


def _seconds_per_month(connection: Connection) -> Mapping[str, list[float]]:
    """How long a month took in each of the newest runs, by customer."""
    seconds: dict[str, list[float]] = {}
    for customer_id, months, took in seconds_taken(connection, NAME, RUNS_FOR_ESTIMATE):
        seconds.setdefault(customer_id, []).append(took / months)
    return seconds


def _estimate(seconds: Mapping[str, list[float]], customer_id: str) -> float | None:
    known = seconds.get(customer_id) or [one for of_customer in seconds.values() for one in of_customer]
    return round(median(known), 3) if known else None


def _live(connection: Connection, customer_id: str | None) -> Mapping[str | None, list[View]]:
    """The runs that have not ended, of each customer or one."""
    live: dict[str | None, list[View]] = {}
    for run in runs.live_of_customers(connection, NAME, customer_id):
        live.setdefault(run.customer_id, []).append({"run_id": run.run_id, "periods": run.periods})
    return live
