"""What custom line items come to for an account and a month. Pure.

DoiT: custom line items are applied once per management account, once or every month of their days. A fixed one is an
amount of the contract's currency; a percentage is one of what the account's usage of the month is rated at, in each
currency by itself, whatever other items there are. Discounts are negative.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import product
from typing import NamedTuple

from batchwright.billing.exact import EXACT, canonical
from batchwright.billing.money import AmountOutOfRange, money_text, round_half_up, whole_minor
from batchwright.billing.recalculation import Month, span_of
from batchwright.billing.records.catalog import ContractTerms
from batchwright.billing.records.charges import AccountCharge, CurrentCharge, CustomItem


class Unchargeable(NamedTuple):
    """A custom line item that comes to more than can be kept, and for which account and month."""

    line_item_id: str
    account_id: str
    month: Month
    why: str


class ChargeChange(NamedTuple):
    """What a line item comes to for an account and a month, old and new: minor units, ``None`` for none.

    ``detail`` are JSON values: `account_id, period, line_item_id`, and what a new charge is computed with.
    """

    currency: str
    before: int | None
    after: int | None
    detail: dict[str, str | int | None]


def account_charges(
    months: Iterable[Month],
    accounts: Mapping[int, str],
    contracts: Sequence[ContractTerms],
    currencies: Mapping[int, str],
    items: Sequence[CustomItem],
    rated: Mapping[tuple[int, Month], Mapping[str, int]],
) -> Iterator[AccountCharge | Unchargeable]:
    """The charges of a customer's accounts in these months, by the contracts in force at the end of each.

    ``accounts`` are ids by key, ``contracts`` the newest revisions, ``currencies`` those of price books by key,
    ``rated`` what usage is rated at in minor units by account and month, then by currency.
    """
    for month, account_key, contract, item in _applied(list(months), list(accounts), contracts, items):
        bases: Mapping[str, int | None] = {currencies[contract.book_key]: None}
        if not item.kind.startswith("fixed_"):
            bases = rated.get((account_key, month), {})
        for currency, base in sorted(bases.items()):
            try:
                amount = _amount(item, base, currency)
            except AmountOutOfRange as error:
                yield Unchargeable(item.line_item_id, accounts[account_key], month, str(error))
            else:
                basis = (account_key, month, item.key, contract.revision, item.rate)
                yield AccountCharge(*basis, base, amount, currency)


def charge_changes(
    accounts: Mapping[int, str],
    items: Iterable[CustomItem],
    current: Iterable[CurrentCharge],
    charges: Iterable[AccountCharge],
) -> Iterator[ChargeChange]:
    """Old beside new, for each account, month, line item and currency that is charged or would be."""
    had = {(one.account_key, one.month, one.line_item_key, one.currency): one for one in current}
    comes = {(one.account_key, one.month, one.line_item_key, one.currency): one for one in charges}
    of_key = {item.key: item for item in items}
    for of in sorted(had.keys() | comes.keys()):
        account_key, month, item_key, currency = of
        old, new = had.get(of), comes.get(of)
        line_item_id = of_key[item_key].line_item_id if old is None else old.line_item_id
        detail: dict[str, str | int | None] = {
            "account_id": accounts[account_key],
            "period": month,
            "line_item_id": line_item_id,
        }
        if new is not None:
            detail |= _computed_with(of_key[item_key], new)
        yield ChargeChange(currency, old and old.amount, new and new.amount, detail)


def _computed_with(item: CustomItem, charge: AccountCharge) -> dict[str, str | int | None]:
    return {
        "contract_id": item.contract_id,
        "contract_revision": charge.contract_revision,
        "kind": item.kind,
        "rate": canonical(charge.rate),
        "base_amount": None if charge.base is None else money_text(charge.base, charge.currency),
    }


def _applied(
    months: Sequence[Month],
    accounts: Sequence[int],
    contracts: Sequence[ContractTerms],
    items: Sequence[CustomItem],
) -> Iterator[tuple[Month, int, ContractTerms, CustomItem]]:
    """Which item of which contract is applied to which account in which month."""
    for month, account_key, contract in product(months, accounts, contracts):
        if contract.covers(account_key) and _in_force(contract, date.fromisoformat(span_of(month)[1])):
            for item in items:
                if item.contract_id == contract.contract_id and _applies(item, account_key, month):
                    yield month, account_key, contract, item


def _in_force(contract: ContractTerms, day: date) -> bool:
    covers = contract.start_date <= day and (contract.end_date is None or day <= contract.end_date)
    return contract.status == "Active" and covers


def _applies(item: CustomItem, account_key: int, month: Month) -> bool:
    first, last = span_of(month)
    days = item.start <= last and (item.end is None or first <= item.end)
    return days and item.account_key in (None, account_key)


def _amount(item: CustomItem, base: int | None, currency: str) -> int:
    """Minor units, rounded half up once."""
    if base is None:
        minor = round_half_up(item.rate, currency)
    else:
        minor = whole_minor(EXACT.multiply(Decimal(base), item.rate.scaleb(-2, EXACT)), currency)
    return -minor if item.kind.endswith("_discount") else minor
