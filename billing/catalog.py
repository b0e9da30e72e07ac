"""Which contract and which price is in force: the revision of the day, of the asset's book or the contract's."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from billing.rating import Price


@dataclass(frozen=True, slots=True)
class ContractRevision:
    """The newest revision of a contract. ``account_keys`` empty = all accounts; ``end`` inclusive, None = open."""

    key: int
    customer_key: int
    price_book_key: int
    currency: str
    start: date
    end: date | None
    active: bool
    discount_percent: Decimal
    account_keys: frozenset[int]

    def covers(self, day: date, account_key: int | None) -> bool:
        """In force: Active, and covering the day and the account."""
        return (
            self.active
            and self.start <= day
            and (self.end is None or day <= self.end)
            and (not self.account_keys or account_key in self.account_keys)
        )


@dataclass(frozen=True, slots=True)
class PriceRevision:
    """The newest revision of a price from one day on, in the currency of its book."""

    key: int
    effective_from: date
    product_uom: str
    usage_indexing: bool
    currency: str
    price: Price


class Catalog:
    """Contracts by customer, and prices by book and product, as they stand for one scope."""

    def __init__(
        self,
        contracts: Iterable[ContractRevision],
        prices: Mapping[tuple[int, str], Sequence[PriceRevision]],
    ) -> None:
        self._contracts: dict[int, list[ContractRevision]] = {}
        for contract in contracts:
            self._contracts.setdefault(contract.customer_key, []).append(contract)
        self._prices = {
            name: ([revision.effective_from for revision in revisions], revisions)
            for name, revisions in prices.items()
        }

    def contract(self, customer_key: int, account_key: int | None, day: date) -> ContractRevision | None:
        """The contract in force; there is at most one, the import sees to it."""
        for contract in self._contracts.get(customer_key, ()):
            if contract.covers(day, account_key):
                return contract
        return None

    def price(self, price_book_key: int, product: str, day: date) -> PriceRevision | None:
        """The price revision in force on that day; None where none is yet."""
        found = self._prices.get((price_book_key, product))
        if found is None:
            return None
        days, revisions = found
        position = bisect_right(days, day)
        return revisions[position - 1] if position else None
