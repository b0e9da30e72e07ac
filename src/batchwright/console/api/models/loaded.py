"""The shapes of customers, accounts, prices, contracts and custom line items."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from batchwright.console.api.models.shapes import Amount, Answer, Day, Instant, Quantity


class Customer(Answer):
    """A customer."""

    customer_id: Annotated[str, Field(examples=["C-1001"])]
    name: Annotated[str, Field(examples=["Harbour Light Internet Inc."])]


class WholeCustomer(Customer):
    """A customer, and their contracts that are in force on the day `on`."""

    account_count: int
    contract_count: int
    contracts_in_force: list[str]
    on: Day


class Account(Answer):
    """A linked management account."""

    account_id: Annotated[str, Field(examples=["HL-EAST"])]
    customer_id: str
    name: str


class WholeAccount(Account):
    """An account, and the contracts that cover it on the day `on`."""

    contracts_in_force: list[str]
    on: Day


class PriceBook(Answer):
    """A price book."""

    price_book_id: Annotated[str, Field(examples=["PB-US-2023"])]
    name: Annotated[str, Field(examples=["North America list 2023"])]
    currency: Annotated[str, Field(examples=["USD"])]


class WholePriceBook(PriceBook):
    """A price book, and how many of its products have a price on the day `on`."""

    price_count: int
    products_in_force: int
    on: Day


class PriceTerms(Answer):
    """What a price says."""

    model: str
    product_uom: str
    unit_price: Amount | None
    flat_fee: Amount | None
    percentage: Quantity | None
    package_size: Quantity | None
    included_quantity: Quantity | None
    minimum_amount: Amount | None
    maximum_amount: Amount | None
    usage_indexing: bool
    flat_fee_per: Literal["window", "input"]


class Price(PriceTerms):
    """A price of a product, from a day on, in its newest revision."""

    price_book_id: str
    product: str
    effective_from: Day


class PriceTier(Answer):
    """A tier of a price; `to_quantity` is inclusive, `null` is open."""

    from_quantity: Quantity
    to_quantity: Quantity | None
    unit_price: Amount | None
    flat_fee: Amount | None


class PriceRevision(PriceTerms):
    """What a price said from a moment on."""

    revision: int
    created_at: Instant
    tiers: list[PriceTier]


class WholePrice(Price):
    """A price with its tiers and revisions; `price_in_force` is the one of the product on the day `on`."""

    price_id: Annotated[str, Field(examples=["PB-US-2023/Compute Hours/2023-01-01"])]
    revision: int
    created_at: Instant
    currency: str
    tiers: list[PriceTier]
    in_force: bool
    price_in_force: str | None
    revisions: list[PriceRevision]
    on: Day


class ContractTerms(Answer):
    """What a contract says; no `account_ids` are all of the customer's."""

    price_book_id: str
    start_date: Day
    end_date: Day | None
    status: Literal["Active", "Archived"]
    discount_percent: Quantity | None
    account_ids: list[str]


class Contract(ContractTerms):
    """A contract in its newest revision."""

    contract_id: Annotated[str, Field(examples=["CT-HL-2023"])]
    customer_id: Annotated[str, Field(examples=["C-1001"])]


class ContractRevision(ContractTerms):
    """What a contract said from a moment on."""

    revision: int
    created_at: Instant


class WholeContract(Contract):
    """A contract with its revisions, and whether it is in force on the day `on`."""

    revision: int
    created_at: Instant
    currency: str
    in_force: bool
    revisions: list[ContractRevision]
    on: Day


class CustomLineItem(Answer):
    """A charge or discount of a contract, per account and month; its amount is a percentage by its kind."""

    line_item_id: Annotated[str, Field(examples=["CLI-001"])]
    contract_id: str
    account_id: str | None
    description: str
    kind: Literal["fixed_discount", "fixed_charge", "percentage_charge", "percentage_discount"]
    amount: Amount
    start_date: Day
    end_date: Day | None


class WholeCustomLineItem(CustomLineItem):
    """A custom line item, and whether it counts on the day `on`."""

    currency: str
    in_force: bool
    on: Day
