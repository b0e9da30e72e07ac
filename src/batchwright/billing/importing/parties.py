"""customers.csv and accounts.csv."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from batchwright.billing.importing.cells import line_of_text, public_id
from batchwright.billing.importing.intake import Intake, Loader, Register, unknown
from batchwright.billing.importing.shape import Column, Fault, FileKind, Line
from batchwright.billing.records import catalog
from batchwright.billing.records.loading import highest_key, insert_rows, update_rows
from batchwright.billing.tables import account, customer


class CustomerCells(NamedTuple):
    customer_id: str
    name: str


class AccountCells(NamedTuple):
    account_id: str
    customer_id: str
    name: str


CUSTOMERS = FileKind(
    "customers.csv", (Column("customer_id", public_id), Column("name", line_of_text)), CustomerCells
)
ACCOUNTS = FileKind(
    "accounts.csv",
    (Column("account_id", public_id), Column("customer_id", public_id), Column("name", line_of_text)),
    AccountCells,
)


class CustomerLoader(Loader[CustomerCells]):
    """Customers. An update changes the name."""

    kind = CUSTOMERS

    def __init__(self, intake: Intake) -> None:
        super().__init__(intake)
        ceiling = highest_key(intake.connection, customer)
        self._register: Register[CustomerCells] = Register(
            "customer_id", update=intake.update, ceiling=ceiling, name=lambda cells: cells.customer_id
        )

    def take(self, lines: Sequence[Line[CustomerCells]]) -> None:
        connection = self.intake.connection
        there = catalog.customers(connection, {line.values.customer_id for line in lines})
        self._register.next_chunk()
        added, changed = [], []
        for line in lines:
            key = there.get(line.values.customer_id)
            if self.intake.refuse(line, self._register.faults(line, key)):
                continue
            self._register.accept(line, key)
            if key is None:
                added.append(line.values)
            else:
                changed.append({"key": key, "name": line.values.name})
        insert_rows(connection, customer, CustomerCells._fields, added)
        update_rows(connection, customer, changed)
        self.intake.count_in(lines, len(added), len(changed))


class AccountLoader(Loader[AccountCells]):
    """Linked management accounts. An update changes the name; an account stays with its customer."""

    kind = ACCOUNTS

    def __init__(self, intake: Intake) -> None:
        super().__init__(intake)
        ceiling = highest_key(intake.connection, account)
        self._register: Register[AccountCells] = Register(
            "account_id", update=intake.update, ceiling=ceiling, name=lambda cells: cells.account_id
        )

    def take(self, lines: Sequence[Line[AccountCells]]) -> None:
        connection = self.intake.connection
        customers = catalog.customers(connection, {line.values.customer_id for line in lines})
        there = catalog.accounts(connection, {line.values.account_id for line in lines})
        self._register.next_chunk()
        added, changed = [], []
        for line in lines:
            row = there.get(line.values.account_id)
            key = row.key if row else None
            faults = self._register.faults(line, key)
            customer_key = customers.get(line.values.customer_id)
            if customer_key is None:
                faults.append(unknown("customer_id", "customer"))
            elif row and row.customer_key != customer_key and not faults:
                problem = f"is not the customer of account {line.values.account_id}"
                faults.append(
                    Fault("customer_id", problem, "an account stays with its customer: make another one")
                )
            if self.intake.refuse(line, faults):
                continue
            self._register.accept(line, key)
            if key is None:
                added.append((line.values.account_id, customer_key, line.values.name))
            else:
                changed.append({"key": key, "name": line.values.name})
        insert_rows(connection, account, ("account_id", "customer_key", "name"), added)
        update_rows(connection, account, changed)
        self.intake.count_in(lines, len(added), len(changed))
