"""The account charges of a recalculation: what custom line items come to, beside the current and the billed charges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from sqlalchemy import Connection

from batchwright.billing.account_charges import ChargeChange, Unchargeable, account_charges, charge_changes
from batchwright.billing.recalculation import Month, difference_text, span_of
from batchwright.billing.records import catalog, charges, recalculation
from batchwright.billing.records.charges import AccountCharge
from batchwright.engine.job import Finish
from batchwright.engine.run import Run

BEFORE, AFTER, DIFFERENCE = "account_charges_before", "account_charges_after", "account_charges_difference"


class Charging(NamedTuple):
    """What a customer's accounts are charged in the months of a run.

    ``changes`` are the charges old and new; ``left`` the same of the accounts and months that are ``billed``, which
    stay as they stand. ``charges`` are those to be written.
    """

    charges: Sequence[AccountCharge]
    changes: Sequence[ChargeChange]
    left: Sequence[ChargeChange]
    billed: Set[tuple[int, Month]]
    unchargeable: Sequence[Unchargeable]


def charging(connection: Connection, run: Run, customer_key: int, months: Sequence[Month]) -> Charging:
    """What the custom line items come to: in a dry run by what its inputs would be rated at.

    Else the customer's assets are locked, so that nobody bills a month meanwhile.
    """
    accounts = charges.accounts_of(connection, [customer_key])[customer_key]
    contracts = catalog.contracts_of(connection, [customer_key])[customer_key]
    items = charges.items_of(connection, [terms.contract_id for terms in contracts])
    current = charges.current(connection, list(accounts), months)
    if not items and not current:
        return Charging((), (), (), frozenset(), ())
    if not run.is_dry:
        charges.lock_assets_of(connection, customer_key)
    spans = [span_of(month) for month in months]
    found = list(
        account_charges(
            months,
            accounts,
            contracts,
            catalog.currencies_of_books(connection, {terms.book_key for terms in contracts}),
            items,
            recalculation.rated_by_month(
                connection, customer_key, spans, previewed_by=run.id if run.is_dry else None
            ),
        )
    )
    billed = {
        (account_key, month)
        for month, span in zip(months, spans, strict=True)
        for account_key in charges.billed_accounts(connection, customer_key, span)
    }
    comes = [one for one in found if isinstance(one, AccountCharge)]
    due, left = (
        [come for come in comes if ((come.account_key, come.month) in billed) is of_billed]
        for of_billed in (False, True)
    )
    stays, goes = (
        [one for one in current if ((one.account_key, one.month) in billed) is of_billed]
        for of_billed in (True, False)
    )
    return Charging(
        due,
        list(charge_changes(accounts, items, goes, due)),
        list(charge_changes(accounts, items, stays, left)),
        billed,
        [one for one in found if isinstance(one, Unchargeable)],
    )


def report(finish: Finish, found: Charging) -> None:
    """Put into totals and warnings what became of the charges."""
    for one in found.unchargeable:
        finish.warn("amount_out_of_range", f"{one.account_id}, {one.month}: {one.why}", one.line_item_id)
    sums: dict[str, tuple[int, int]] = {}
    for change in found.changes:
        before, after = sums.get(change.currency, (0, 0))
        sums[change.currency] = (before + (change.before or 0), after + (change.after or 0))
    for currency, (before, after) in sorted(sums.items()):
        for name, minor in ((BEFORE, before), (AFTER, after), (DIFFERENCE, after - before)):
            finish.totals.setdefault(name, {})[currency] = minor
    for (account_id, month, currency), (before, after) in _summed(found.left).items():
        if before != after:
            difference = difference_text(before, after, currency)
            finish.warn(
                "invoiced", f"{month} of {account_id} is billed: what it is charged {difference}", account_id
            )


def _summed(changes: Iterable[ChargeChange]) -> Mapping[tuple[str, Month, str], tuple[int, int]]:
    """Minor units before and after, by account, month and currency."""
    sums: dict[tuple[str, Month, str], tuple[int, int]] = {}
    for change in changes:
        of = (str(change.detail["account_id"]), str(change.detail["period"]), change.currency)
        before, after = sums.get(of, (0, 0))
        sums[of] = (before + (change.before or 0), after + (change.after or 0))
    return sums
