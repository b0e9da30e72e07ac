"""The customer of a job as a choice with names, and after it the months that the job may be about."""

from __future__ import annotations

from typing import Final

from batchwright.console.pages.launching import PREFIX, Launch
from batchwright.console.pages.visit import Visit, address
from batchwright.jobs.recalculation_terms import NAME as RECALCULATION
from batchwright.operations.access.permissions import Right
from batchwright.operations.billing.loaded import Kind, loaded_page
from batchwright.operations.billing.recalculation import (
    CUSTOMERS_FOUND,
    find_recalculation_customers,
    recalculation_offer,
)
from batchwright.operations.views import View

FIELD: Final = "customer_id"
MONTHS: Final = "periods"


def customer_choice(visit: Visit, launch: Launch) -> View | None:
    """What the form shows in place of the fields for the customer and its months; None for a job that has no customer,
    and where the visitor may not know whom it could be.

    `field`; `typed`; `all`, of few customers each by `customer_id` and `name`, else None; `found` by what was typed,
    each with its `link`; `customer`, the one that is chosen; its `months`, the runs that hold some (`held`), and those
    in which nothing is rated (`empty`); None of a job that is about none.
    """
    field = next((one for one in launch.fields if one.name == FIELD and one.kind == "text"), None)
    with_months = launch.job["name"] == RECALCULATION
    if field is None or (with_months and not visit.may(Right.BILLING)):
        return None
    typed = next(iter(launch.given.get(FIELD, ())), "")
    every = _found(visit, "", with_months)
    found = _found(visit, typed, with_months) if typed else every
    customer = next((one for one in found if one[FIELD] == typed), None)
    choice: View = {
        "field": field,
        "typed": typed,
        "all": every if len(every) < CUSTOMERS_FOUND else None,
        "found": [{**one, "link": _link(launch, one[FIELD])} for one in found],
        "customer": customer,
        "months": None,
        "held": {},
        "empty": (),
        "fields": (FIELD, MONTHS) if with_months else (FIELD,),
        "chosen": list(launch.given.get(MONTHS, ())) if with_months else [],
    }
    return choice | (_months(visit, customer) if with_months and customer is not None else {})


def held_months(customer: View) -> dict[str, str]:
    """The months of an offered customer that a run holds, with that run."""
    return {month: run["run_id"] for run in customer["live"] for month in run["periods"]}


def _months(visit: Visit, customer: View) -> View:
    offered = recalculation_offer(visit.app, customer[FIELD], actor=visit.actor)["customers"]
    one = next(iter(offered), None)
    if one is None:
        return {}
    empty = one["periods_without_rating"] or ()
    return {"months": one["periods"], "held": held_months(one), "empty": empty}


def _found(visit: Visit, words: str, with_months: bool) -> list[View]:
    if with_months:
        found = find_recalculation_customers(visit.app, words, actor=visit.actor)
        return [one for one in found if one["missing"] is None]
    by: dict[str, str] = {"words": words} if words else {}
    return loaded_page(visit.app, Kind.CUSTOMER, limit=CUSTOMERS_FOUND, actor=visit.actor, **by).items


def _link(launch: Launch, customer_id: str) -> str:
    query = {name: value for name, value in launch.query().items() if name != PREFIX + MONTHS}
    return address(f"/jobs/{launch.job['name']}/launch", **{**query, PREFIX + FIELD: customer_id})
