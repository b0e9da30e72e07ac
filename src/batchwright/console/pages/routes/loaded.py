"""What was imported: lists of customers, accounts, contracts, prices and the like, and each of them on a day."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Path, Query
from starlette.responses import Response

from batchwright.console.api.bodies import check_text
from batchwright.console.pages.formats import segment
from batchwright.console.pages.visit import VISIT, ListParams, Pages, Params, Visit
from batchwright.engine.errors import Refused
from batchwright.operations.billing.loaded import (
    Kind,
    filters_of_kind,
    loaded_page,
    price_id,
    show_loaded,
)
from batchwright.operations.billing.narrowing import STATUSES

pages = Pages()
FIELDS: Final = {
    Kind.CUSTOMER: "customer_id",
    Kind.ACCOUNT: "account_id",
    Kind.PRICE_BOOK: "price_book_id",
    Kind.PRICE: "price_id",
    Kind.CONTRACT: "contract_id",
    Kind.CUSTOM_LINE_ITEM: "line_item_id",
}
"""Each kind with the field that holds its id."""


class LoadedParams(ListParams):
    """Which page of a list, and what it is narrowed down by; with an ``id`` the page of that record alone."""

    id: str | None = None
    words: str | None = None
    customer_id: str | None = None
    price_book_id: str | None = None
    contract_id: str | None = None
    status: str | None = None
    on: str | None = None

    def narrowing(self) -> dict[str, Any]:
        """What is asked of the operation."""
        return self.model_dump(exclude={"after", "limit", "done", "id"}, exclude_none=True)


class OnDay(Params):
    """The day of which the page tells what is in force (default: today)."""

    on: str | None = None


def _add_pages(kind: Kind, field: str) -> None:
    path = f"/{kind.noun.replace(' ', '-')}s"

    @pages.page(path)
    def listing(params: Annotated[LoadedParams, Query()], visit: Visit = VISIT) -> Response:
        if params.id is not None:
            check_text(params.id, "id")
            return visit.go(f"{path}/{segment(params.id.strip())}")
        refused, page, by = None, None, params.narrowing()
        try:
            page = loaded_page(
                visit.app, kind, limit=params.limit, after=params.after, actor=visit.actor, **by
            )
        except Refused as refusal:
            refused = refusal
        return visit.page(
            f"{kind}s.html",
            status=200 if refused is None else 422,
            params=params,
            filters=filters_of_kind(kind),
            statuses=STATUSES,
            is_set=bool(by),
            page=page,
            pager=None if page is None else visit.pager(page),
            price_id=price_id,
            refused=refused,
        )

    # An id may hold slashes, that of a price does.
    @pages.page(f"{path}/{{{field}:path}}")
    def show(
        params: Annotated[OnDay, Query()], record_id: str = Path(alias=field), visit: Visit = VISIT
    ) -> Response:
        shown = show_loaded(visit.app, kind, record_id, params.on, actor=visit.actor)
        return visit.page(f"{kind}.html", shown=shown)


for _kind, _field in FIELDS.items():
    _add_pages(_kind, _field)
