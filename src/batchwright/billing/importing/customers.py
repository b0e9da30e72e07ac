"""customers.csv and accounts.csv."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from batchwright.billing.importing.cells import Id, Text
from batchwright.billing.importing.loader import Key, TableLoader, unknown
from batchwright.billing.importing.schema import Fault, file_kind
from batchwright.billing.records import catalog
from batchwright.billing.records.catalog import Account
from batchwright.billing.records.loading import Stored
from batchwright.billing.tables import account, customer


class CustomerCells(NamedTuple):
    customer_id: Id
    name: Text


class AccountCells(NamedTuple):
    account_id: Id
    customer_id: Id
    name: Text


CUSTOMERS = file_kind("customers.csv", CustomerCells)
ACCOUNTS = file_kind("accounts.csv", AccountCells)


class CustomerLoader(TableLoader[CustomerCells, Key]):
    """Customers. An update changes the name."""

    kind = CUSTOMERS
    table = customer
    columns = CustomerCells._fields

    def existing(self, chunk: Collection[CustomerCells]) -> Mapping[str, Key]:
        keys = catalog.customers(self.connection, {cells.customer_id for cells in chunk})
        return {an_id: Key(key) for an_id, key in keys.items()}

    def new(self, cells: CustomerCells) -> CustomerCells:
        return cells

    def change(self, cells: CustomerCells) -> dict[str, Any]:
        return {"name": cells.name}


class AccountLoader(TableLoader[AccountCells, Account]):
    """Linked management accounts. An update changes the name; an account stays with its customer."""

    kind = ACCOUNTS
    table = account
    columns = ("account_id", "customer_key", "name")
    _customers: dict[str, int]

    def existing(self, chunk: Collection[AccountCells]) -> Mapping[str, Account]:
        self._customers = catalog.customers(self.connection, {cells.customer_id for cells in chunk})
        return catalog.accounts(self.connection, {cells.account_id for cells in chunk})

    def faults(self, cells: AccountCells, found: Account | None) -> Iterator[Fault]:
        customer_key = self._customers.get(cells.customer_id)
        if customer_key is None:
            yield unknown("customer_id", "customer")
        elif found is not None and found.customer_key != customer_key:
            problem = f"is not the customer of account {cells.account_id}"
            yield Fault("customer_id", problem, "an account stays with its customer: make another one")

    def new(self, cells: AccountCells) -> tuple[Stored, ...]:
        return cells.account_id, self._customers[cells.customer_id], cells.name

    def change(self, cells: AccountCells) -> dict[str, Any]:
        return {"name": cells.name}
