"""What was imported: customers, accounts, price books, prices, contracts and custom line items."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Path
from fastapi import Query as InQuery
from pydantic import BaseModel, Field
from starlette.responses import Response

from batchwright.console.api.door import CALL, Call, Doors, PageQuery, Query, answer, page_answer
from batchwright.console.api.models.loaded import (
    Account,
    Contract,
    Customer,
    CustomLineItem,
    Price,
    PriceBook,
    WholeAccount,
    WholeContract,
    WholeCustomer,
    WholeCustomLineItem,
    WholePrice,
    WholePriceBook,
)
from batchwright.console.api.models.shapes import Page
from batchwright.operations.access.permissions import Right
from batchwright.operations.billing.loaded import Kind, loaded_page, show_loaded

doors = Doors("loaded")

KINDS: Final[dict[Kind, tuple[str, type[BaseModel], type[BaseModel]]]] = {
    Kind.CUSTOMER: ("customer_id", Customer, WholeCustomer),
    Kind.ACCOUNT: ("account_id", Account, WholeAccount),
    Kind.PRICE_BOOK: ("price_book_id", PriceBook, WholePriceBook),
    Kind.PRICE: ("price_id", Price, WholePrice),
    Kind.CONTRACT: ("contract_id", Contract, WholeContract),
    Kind.CUSTOM_LINE_ITEM: ("line_item_id", CustomLineItem, WholeCustomLineItem),
}
"""Of each kind the field that holds its id, and the models of a line of its list and of one that is shown."""


class OnDay(Query):
    """The day of which the answer tells what is in force (default: today)."""

    on: str | None = Field(None, examples=["2023-06-05"])


def _add_doors(kind: Kind) -> None:
    field, line, whole = KINDS[kind]
    path = f"/{kind.noun.replace(' ', '-')}s"
    listed: Any = Page[line]  # type: ignore[valid-type]

    @doors.door("GET", path, loaded_page, Right.LOOK, answers={200: listed}, name=f"{kind}s_page")
    def listing(query: Annotated[PageQuery, InQuery()], call: Call = CALL) -> Response:
        return page_answer(
            call, loaded_page(call.app, kind, limit=query.limit, after=query.after, actor=call.actor)
        )

    # An id of a price holds slashes.
    @doors.door(
        "GET",
        f"{path}/{{{field}:path}}",
        show_loaded,
        Right.LOOK,
        answers={200: whole},
        name=f"show_{kind}",
    )
    def show(
        query: Annotated[OnDay, InQuery()], record_id: str = Path(alias=field), call: Call = CALL
    ) -> Response:
        return answer(
            show_loaded(call.app, kind, record_id, query.on, actor=call.actor), request=call.request
        )


for _kind in KINDS:
    _add_doors(_kind)
