"""Which customers and months a recalculation is offered for. Pure.

DoiT: «only customers with an active contract and a linked management account affected by that contract»; «past
billing periods», «based on the customer's contract coverage».
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, timedelta

from batchwright.billing.recalculation import Month, months_between
from batchwright.billing.records.catalog import ContractTerms


def active_on(contracts: Iterable[ContractTerms], today: date) -> list[ContractTerms]:
    """The contracts that are Active, and within their dates on that day."""
    return [
        terms
        for terms in contracts
        if terms.status == "Active"
        and terms.start_date <= today
        and (terms.end_date is None or today <= terms.end_date)
    ]


def linked(contracts: Iterable[ContractTerms], accounts: Collection[int]) -> list[ContractTerms]:
    """Those with an account under them; ``accounts`` are the keys of the customer's."""
    return [terms for terms in contracts if any(terms.covers(key) for key in accounts)]


def offered_months(contracts: Iterable[ContractTerms], today: date) -> list[Month]:
    """The calendar months that are over and that one of these active contracts covers at least a day of.

    Newest first. A month is over when its last day is: the month of ``today`` is not.
    """
    last = today.replace(day=1) - timedelta(days=1)
    return sorted({month for terms in contracts for month in months_between(terms.start_date, last)})[::-1]
