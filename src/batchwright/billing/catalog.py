"""Which contract and which price is in force: the revision of the day, of the asset's book or the contract's."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from batchwright.billing.exact import EXACT, ZERO, canonical
from batchwright.billing.money import minor_digits
from batchwright.billing.periods import LAST_DAY, Day, day_before
from batchwright.billing.rating import Charging, Price, charging, kept_share

NO_DISCOUNT = kept_share(ZERO)


@dataclass(frozen=True, slots=True)
class ContractRevision:
    """The newest revision of a contract. ``account_keys`` empty = all accounts; ``end`` inclusive, None = open."""

    key: int
    customer_key: int
    price_book_key: int
    currency: str
    start: Day
    end: Day | None
    active: bool
    discount_percent: Decimal
    account_keys: frozenset[int]
    kept: Decimal = field(init=False)
    discount_text: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kept", kept_share(self.discount_percent))
        object.__setattr__(self, "discount_text", canonical(self.discount_percent))

    def covers(self, day: Day, account_key: int | None) -> bool:
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
    effective_from: Day
    product_uom: str
    usage_indexing: bool
    currency: str
    price: Price
    counts_as: int
    """The key of the price that windows count it for, whatever its revision (``records.counts``)."""
    charging: Charging = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "charging", charging(self.price, self.usage_indexing))

    def rating_inputs(self, kept: Decimal) -> tuple[Charging, str, str, Decimal]:
        """What rating needs of it where a discount leaves the share ``kept`` of an amount."""
        in_minor_units = kept.scaleb(minor_digits(self.currency), EXACT)
        return self.charging, self.product_uom, self.currency, in_minor_units


class PriceTerms(NamedTuple):
    """What an asset's usage is priced by, and the days (both inclusive) on which that holds.

    ``discount_percent`` is the contract's, whichever book the price comes from.
    """

    price: PriceRevision
    contract: ContractRevision | None
    discount_percent: Decimal
    basis: tuple[int, int | None, str]
    """Price key, contract key and canonical discount: what is written beside every amount."""
    rating_inputs: tuple[Charging, str, str, Decimal]
    """What rating needs: how to charge, unit of measure, currency, and how many minor units the discount leaves of
    one major unit.
    """
    since: Day
    until: Day


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

    def contract(self, customer_key: int, account_key: int | None, day: Day) -> ContractRevision | None:
        """The contract in force; there is at most one, the import sees to it."""
        for contract in self._contracts.get(customer_key, ()):
            if contract.covers(day, account_key):
                return contract
        return None

    def terms(
        self, price_book_key: int, product: str, contract: ContractRevision | None, day: Day
    ) -> PriceTerms | None:
        """The price revision in force on that day beside the contract; None where there is no price yet."""
        days, revisions = self._prices.get((price_book_key, product), ((), ()))
        position = bisect_right(days, day)
        if not position:
            return None
        price = revisions[position - 1]
        if contract is None:  # one may come into force on any other day
            return PriceTerms(
                price, None, ZERO, (price.key, None, "0"), price.rating_inputs(NO_DISCOUNT), day, day
            )
        until = min(
            day_before(days[position]) if position < len(days) else LAST_DAY, contract.end or LAST_DAY
        )
        return PriceTerms(
            price,
            contract,
            contract.discount_percent,
            (price.key, contract.key, contract.discount_text),
            price.rating_inputs(contract.kept),
            max(price.effective_from, contract.start),
            until,
        )
