"""contracts.csv and custom_line_items.csv."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

from batchwright.billing.exact import canonical
from batchwright.billing.importing.cells import Day, Id, NotNegative, Text, ids, one_of, percentage
from batchwright.billing.importing.loader import Loader, TableLoader, unknown
from batchwright.billing.importing.schema import CsvLine, Fault, file_kind
from batchwright.billing.importing.session import ImportSession
from batchwright.billing.money import AmountOutOfRange, MoneyError, parse_money
from batchwright.billing.records import catalog
from batchwright.billing.records.catalog import Account, Book, ContractTerms, CustomItem
from batchwright.billing.records.loading import Stored, insert_rows, new_keys, stored
from batchwright.billing.tables import contract, contract_account, custom_line_item


class ContractCells(NamedTuple):
    contract_id: Id
    customer_id: Id
    price_book_id: Id
    start_date: Day
    end_date: Day | None
    status: Annotated[str, one_of("Active", "Archived")]
    discount_percent: Annotated[Decimal, percentage] | None
    account_ids: Annotated[tuple[str, ...], ids] | None


_KIND = one_of("fixed_discount", "fixed_charge", "percentage_charge", "percentage_discount")


class CustomItemCells(NamedTuple):
    line_item_id: Id
    contract_id: Id
    account_id: Id | None
    description: Text
    kind: Annotated[str, _KIND]
    amount: NotNegative
    start_date: Day
    end_date: Day | None


CONTRACTS = file_kind("contracts.csv", ContractCells)
CUSTOM_ITEMS = file_kind("custom_line_items.csv", CustomItemCells)


class ContractLoader(Loader[ContractCells]):
    """Contracts. They are kept until the last line, so that an update which moves two of them is judged as a whole."""

    kind = CONTRACTS

    def __init__(self, session: ImportSession) -> None:
        super().__init__(session)
        self._lines: dict[str, CsvLine[ContractCells]] = {}

    def take(self, lines: Sequence[CsvLine[ContractCells]]) -> None:
        for line in lines:
            earlier = self._lines.get(line.values.contract_id)
            if earlier is None:
                self._lines[line.values.contract_id] = line
            else:
                problem = f"appears twice, first on line {earlier.number}"
                self.session.refuse(line, [Fault("contract_id", problem, "keep one of the lines")])

    def finish(self) -> None:
        lines = list(self._lines.values())
        if not lines:
            return
        connection = self.session.connection
        customers = catalog.customers(connection, {line.values.customer_id for line in lines})
        books = catalog.price_books(connection, {line.values.price_book_id for line in lines})
        accounts = catalog.accounts(
            connection, {an_id for line in lines for an_id in line.values.account_ids or ()}
        )
        known = catalog.contracts(connection, self._lines)
        valid = []
        for line in lines:
            there = known.get(line.values.contract_id)
            cells = line.over(_current(there)) if there is not None and self.session.update else line.values
            faults = [
                *_end_faults(cells.start_date, cells.end_date),
                *_party_faults(cells, customers, books, accounts, there),
                *self._identity_faults(there),
            ]
            if not self.session.refuse(line, faults):
                terms = _terms(cells, customers, books, accounts, there)
                if there is not None and "account_ids" not in line.file.places:
                    terms = terms._replace(accounts=there.accounts)
                valid.append((line, terms))
        self._write(self._without_overlap(valid))

    def _identity_faults(self, there: ContractTerms | None) -> Iterator[Fault]:
        if there is not None and not self.session.update:
            remedy = "leave the line out, or import with --update for a new revision"
            yield Fault("contract_id", "is already in the database", remedy)

    def _without_overlap(
        self, valid: list[tuple[CsvLine[ContractCells], ContractTerms]]
    ) -> list[tuple[CsvLine[ContractCells], ContractTerms]]:
        """Those that no other active contract of the customer overlaps in days and accounts."""
        replaced = {terms.contract_id for _, terms in valid}
        current = catalog.contracts_of(self.session.connection, {terms.customer_key for _, terms in valid})
        active = defaultdict(list)
        for customer_key, listed in current.items():
            active[customer_key] = [
                terms for terms in listed if terms.status == "Active" and terms.contract_id not in replaced
            ]
        accepted = []
        for line, terms in valid:
            others = active[terms.customer_key] if terms.status == "Active" else []
            other = next((other for other in others if other.overlaps(terms)), None)
            if other is not None:
                until = "open" if other.end_date is None else other.end_date.isoformat()
                problem = (
                    f"overlaps the active contract {other.contract_id} of the customer"
                    f" ({other.start_date.isoformat()} to {until})"
                )
                remedy = "change the days or the accounts, or archive one of the two"
                self.session.refuse(line, [Fault("start_date", problem, remedy)])
                continue
            if terms.status == "Active":
                others.append(terms)
            accepted.append((line, terms))
        return accepted

    def _write(self, accepted: list[tuple[CsvLine[ContractCells], ContractTerms]]) -> None:
        keys = new_keys(self.session.connection, contract, len(accepted))
        rows: list[list[Stored]] = []
        covered: list[tuple[Stored, ...]] = []
        created = stored(self.session.now)
        for key, (line, terms) in zip(keys, accepted, strict=True):
            rows.append(
                [
                    key,
                    terms.contract_id,
                    terms.revision,
                    terms.customer_key,
                    terms.book_key,
                    stored(terms.start_date),
                    stored(terms.end_date),
                    terms.status,
                    stored(terms.discount_percent),
                    created,
                ]
            )
            covered += [(key, account_key) for account_key in sorted(terms.accounts)]
            self.session.count_in([line], int(terms.revision == 1), int(terms.revision > 1))
        columns = (
            "id contract_id revision customer_key price_book_key start_date end_date status"
            " discount_percent created_at"
        ).split()
        insert_rows(self.session.connection, contract, columns, rows)
        insert_rows(self.session.connection, contract_account, ("contract_key", "account_key"), covered)


class CustomItemLoader(TableLoader[CustomItemCells, CustomItem]):
    """Custom line items. An update replaces all that a line says."""

    kind = CUSTOM_ITEMS
    table = custom_line_item
    columns = tuple("account_key" if name == "account_id" else name for name in CustomItemCells._fields)
    _contracts: dict[str, ContractTerms]
    _accounts: dict[str, Account]
    _currencies: dict[int, str]

    def existing(self, chunk: Collection[CustomItemCells]) -> Mapping[str, CustomItem]:
        connection = self.connection
        there = catalog.custom_line_items(connection, {cells.line_item_id for cells in chunk})
        self._contracts = catalog.contracts(connection, {cells.contract_id for cells in chunk})
        named: list[CustomItemCells | CustomItem] = [*chunk, *there.values()]
        self._accounts = catalog.accounts(connection, {one.account_id for one in named if one.account_id})
        books = {terms.book_key for terms in self._contracts.values()}
        self._currencies = catalog.currencies_of_books(connection, books)
        return there

    def current(self, found: CustomItem) -> Mapping[str, Any]:
        return {"account_id": found.account_id, "end_date": found.end_date}

    def faults(self, cells: CustomItemCells, found: CustomItem | None) -> Iterator[Fault]:
        yield from _end_faults(cells.start_date, cells.end_date)
        yield from _item_faults(
            cells, self._contracts.get(cells.contract_id), self._accounts, self._currencies
        )

    def new(self, cells: CustomItemCells) -> list[Stored]:
        return [
            cells.line_item_id,
            cells.contract_id,
            self._account_key(cells),
            cells.description,
            cells.kind,
            stored(cells.amount),
            stored(cells.start_date),
            stored(cells.end_date),
        ]

    def change(self, cells: CustomItemCells) -> dict[str, Any]:
        values = {**cells._asdict(), "account_key": self._account_key(cells)}
        del values["line_item_id"], values["account_id"]
        return values

    def _account_key(self, cells: CustomItemCells) -> int | None:
        return self._accounts[cells.account_id].key if cells.account_id else None


def _current(there: ContractTerms) -> dict[str, Any]:
    """What a contract has in the optional columns of its file, but for its accounts, which are keys."""
    return {"end_date": there.end_date, "discount_percent": there.discount_percent}


def _end_faults(start: date, end: date | None) -> Iterator[Fault]:
    if end is not None and end < start:
        yield Fault("end_date", f"is before start_date {start.isoformat()}", "give a day on or after it")


def _party_faults(
    cells: ContractCells,
    customers: dict[str, int],
    books: dict[str, Book],
    accounts: dict[str, Account],
    there: ContractTerms | None,
) -> Iterator[Fault]:
    customer_key = customers.get(cells.customer_id)
    if customer_key is None:
        yield unknown("customer_id", "customer")
    elif there is not None and there.customer_key != customer_key:
        problem = f"is not the customer of contract {cells.contract_id}"
        yield Fault("customer_id", problem, "a contract stays with its customer: make another one")
    if cells.price_book_id not in books:
        yield unknown("price_book_id", "price book")
    for account_id in cells.account_ids or ():
        found = accounts.get(account_id)
        if found is None:
            problem = f"names account {account_id}, which is not known"
            yield Fault(
                "account_ids", problem, "correct it, or import the account before or in the same import"
            )
        elif customer_key is not None and found.customer_key != customer_key:
            problem = f"names account {account_id} of another customer"
            yield Fault("account_ids", problem, f"name accounts of {cells.customer_id}")


def _terms(
    cells: ContractCells,
    customers: dict[str, int],
    books: dict[str, Book],
    accounts: dict[str, Account],
    there: ContractTerms | None,
) -> ContractTerms:
    return ContractTerms(
        cells.contract_id,
        there.revision + 1 if there else 1,
        customers[cells.customer_id],
        books[cells.price_book_id].key,
        cells.start_date,
        cells.end_date,
        cells.status,
        cells.discount_percent,
        frozenset(accounts[account_id].key for account_id in cells.account_ids or ()),
    )


def _item_faults(
    cells: CustomItemCells,
    terms: ContractTerms | None,
    accounts: dict[str, Account],
    currencies: dict[int, str],
) -> Iterator[Fault]:
    if terms is None:
        yield unknown("contract_id", "contract")
        return
    if cells.account_id is not None:
        found = accounts.get(cells.account_id)
        if found is None:
            yield unknown("account_id", "account")
        elif found.customer_key != terms.customer_key:
            yield Fault(
                "account_id", "is an account of another customer", "name one of the contract's customer"
            )
        elif not terms.covers(found.key):
            yield Fault(
                "account_id", "is not covered by the contract", "name one of its accounts, or leave it blank"
            )
    if cells.kind == "percentage_discount" and cells.amount > 100:
        yield Fault("amount", "is more than 100 %", "give a percentage from 0 to 100")
    if cells.kind.startswith("fixed_"):
        try:
            parse_money(canonical(cells.amount), currencies[terms.book_key])
        except MoneyError:
            currency = currencies[terms.book_key]
            yield Fault("amount", f"has more decimals than the contract's currency {currency}", "round it")
        except AmountOutOfRange as error:
            yield Fault("amount", "is out of range", str(error))
