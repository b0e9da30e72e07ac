"""For whom, which months and why a recalculation may be run; refusals say what is not so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from batchwright.billing.eligibility import active_on, linked, offered_months
from batchwright.billing.recalculation import EXPLANATION, Month
from batchwright.billing.records import catalog, charges
from batchwright.billing.records.catalog import ContractTerms
from batchwright.engine.errors import Conflict, KeyInUse, Refused
from batchwright.engine.store import runs

NAME = "data-recalculation"
_MONTH = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])")


def _printable(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("is empty or holds a line break or another control character")
    return text


def _months(months: list[str]) -> list[str]:
    bad = [month for month in months if not _MONTH.fullmatch(month) or month < "0001"]
    if bad:
        raise ValueError(
            f"{', '.join(map(repr, bad))} is not a valid month: write it as YYYY-MM, such as 2023-06"
        )
    return sorted(set(months))


class Parameters(BaseModel):
    """A customer, one or more months that are over, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    customer_id: Annotated[str, AfterValidator(_printable)] = Field(
        description="whose usage", examples=["C-1001"]
    )
    periods: Annotated[list[str], AfterValidator(_months)] = Field(
        min_length=1, description="past calendar months under the contract, YYYY-MM", examples=["2023-06"]
    )
    reason: Literal["Credit and adjustment issues", "Incorrect Charges", "Other"] = Field(
        description="why", examples=["Incorrect Charges"]
    )
    explanation: str | None = Field(None, description=EXPLANATION)


def check_offer(connection: Connection, customer_id: str, months: Sequence[Month], today: date) -> None:
    """Raise ``Refused`` unless the customer and the months are offered on that day, naming every month that is not.

    Raises ``KeyInUse`` while another run holds the customer and one of the months. The customer is locked until the
    transaction ends, so that of two submits at once one sees the other.
    """
    key = charges.lock_customer(connection, customer_id)
    accounts = charges.accounts_of(connection, [key])[key]
    active = active_on(catalog.contracts_of(connection, [key])[key], today)
    if not active:
        raise Conflict(
            f"{customer_id} has no contract that is active on {today}",
            field="customer_id",
            remedy="Choose another customer, or import the contract that is in force now (contracts.csv)",
        )
    if not linked(active, accounts):
        named = ", ".join(terms.contract_id for terms in active)
        raise Conflict(
            f"no account is linked to {customer_id} under its active contract {named}",
            field="customer_id",
            remedy="Import the customer's accounts (accounts.csv); or name some of them in account_ids of the contract"
            " (contracts.csv, with --update)",
        )
    active = linked(active, accounts)
    offered = offered_months(active, today)
    wrong = [_why_not(month, active, today) for month in months if month not in offered]
    if wrong:
        span = f"{offered[-1]} to {offered[0]}" if offered else "none"
        raise Refused("; ".join(wrong), field="periods", remedy=f"Months that can be recalculated: {span}")
    _refuse_beside_others(connection, customer_id, months)


def customer_key_of(connection: Connection, customer_id: str) -> int:
    """The key of the customer. Raises ``Refused`` when nobody has that id."""
    found = catalog.customers(connection, [customer_id])
    if customer_id not in found:
        raise Refused(
            f"unknown customer id: {customer_id}",
            field="customer_id",
            remedy="See `batchwright recalculation offer` for those that can be recalculated",
        )
    return found[customer_id]


def _why_not(month: Month, active: Sequence[ContractTerms], today: date) -> str:
    if month >= today.isoformat()[:7]:
        return f"{month} is not over: today is {today}"
    contracts = ", ".join(
        f"{terms.contract_id} ({terms.start_date} to {terms.end_date or 'open'})" for terms in active
    )
    return f"{month} is not under the active contract {contracts}"


def _refuse_beside_others(connection: Connection, customer_id: str, months: Sequence[Month]) -> None:
    for run in runs.live_of_customers(connection, NAME, customer_id):
        held = sorted(set(months).intersection(run.periods or ()))
        if held:
            said = f"{', '.join(held)} of {customer_id}: {run.run_id} is about that and has not ended ({run.state})"
            raise KeyInUse(run.run_id, said, field="periods")
