"""Customers, contracts and prices as they were imported: lists to look at, and each of them on a day."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Path, Query
from starlette.responses import Response

from batchwright.console.api.bodies import check_text
from batchwright.console.pages.formats import segment
from batchwright.console.pages.visit import VISIT, Asked, ListAsked, Pages, Visit
from batchwright.operations.billing.loaded import Kind, loaded_page, price_id, show_loaded

pages = Pages()
KINDS: Final = {
    Kind.CUSTOMER: "customer_id",
    Kind.CONTRACT: "contract_id",
    Kind.PRICE: "price_id",
}
"""The kinds that have pages, each with the field that holds its id."""


class LoadedAsked(ListAsked):
    """Which page of a list; with an ``id`` the page of that record alone."""

    id: str | None = None


class OnDay(Asked):
    """The day of which the page tells what is in force; today without."""

    on: str | None = None


def _add_pages(kind: Kind, field: str) -> None:
    path = f"/{kind}s"

    @pages.page(path)
    def listing(asked: Annotated[LoadedAsked, Query()], visit: Visit = VISIT) -> Response:
        if asked.id is not None:
            check_text(asked.id, "id")
            return visit.go(f"{path}/{segment(asked.id.strip())}")
        page = loaded_page(visit.app, kind, limit=asked.limit, after=asked.after, actor=visit.actor)
        return visit.page(f"{kind}s.html", page=page, pager=visit.pager(page), price_id=price_id)

    # An id may hold slashes, that of a price does.
    @pages.page(f"{path}/{{{field}:path}}")
    def show(
        asked: Annotated[OnDay, Query()], record_id: str = Path(alias=field), visit: Visit = VISIT
    ) -> Response:
        shown = show_loaded(visit.app, kind, record_id, asked.on, actor=visit.actor)
        return visit.page(f"{kind}.html", shown=shown)


for _kind, _field in KINDS.items():
    _add_pages(_kind, _field)
