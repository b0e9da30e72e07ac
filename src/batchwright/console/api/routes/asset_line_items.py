"""Asset line items, and amending them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from batchwright.console.api import door
from batchwright.console.api.door import CALL, Body, Call, Doors, PageQuery, answer, page_answer
from batchwright.console.api.models.asset_line_items import Amendment, AssetLineItem
from batchwright.console.api.models.shapes import Page
from batchwright.operations.access.permissions import Right
from batchwright.operations.billing.amendments import amend_asset_line_item, preview_amendment
from batchwright.operations.billing.asset_line_items import asset_line_items_page, show_asset_line_item

doors = Doors("asset-line-items")


class ChangesParams(door.Query):
    """What would be changed; if empty, its schedules are made again on the same terms."""

    end_date: str | None = Field(None, examples=["2024-06-30"])
    price_book_id: str | None = None
    billing_frequency: str | None = None
    usage_frequency: str | None = None


class Changes(Body):
    """What is to be changed; if empty, its schedules are made again on the same terms."""

    end_date: str | None = Field(None, examples=["2024-06-30"])
    price_book_id: str | None = None
    billing_frequency: str | None = None
    usage_frequency: str | None = None
    reason: str | None = None


@doors.door("GET", "/asset-line-items", asset_line_items_page, Right.LOOK, answers={200: Page[AssetLineItem]})
def asset_line_items(params: Annotated[PageQuery, Query()], call: Call = CALL) -> Response:
    """The asset line items."""
    page = asset_line_items_page(call.app, limit=params.limit, after=params.after, actor=call.actor)
    return page_answer(call, page)


@doors.door(
    "GET",
    "/asset-line-items/{asset_line_item_id:path}/amendment",
    preview_amendment,
    Right.OPERATE,
    answers={200: Amendment},
    others=(HTTPStatus.CONFLICT,),
)
def foresee(
    asset_line_item_id: str, params: Annotated[ChangesParams, Query()], call: Call = CALL
) -> Response:
    """What an amendment would do."""
    plan = preview_amendment(call.app, asset_line_item_id, actor=call.actor, **params.model_dump())
    return answer(plan, request=call.request)


@doors.door(
    "POST",
    "/asset-line-items/{asset_line_item_id:path}/amendment",
    amend_asset_line_item,
    Right.OPERATE,
    answers={200: Amendment},
    others=(HTTPStatus.PRECONDITION_FAILED, HTTPStatus.PRECONDITION_REQUIRED),
)
def amend(asset_line_item_id: str, changes: Changes, call: Call = CALL) -> Response:
    """Amend an asset line item as it was foreseen (`If-Match`)."""
    seen = door.versions_seen(call)
    amended = amend_asset_line_item(
        call.app, asset_line_item_id, seen=seen, actor=call.actor, **changes.model_dump()
    )
    return answer(amended)


@doors.door(
    "GET",
    "/asset-line-items/{asset_line_item_id:path}",
    show_asset_line_item,
    Right.LOOK,
    answers={200: AssetLineItem},
)
def show(asset_line_item_id: str, call: Call = CALL) -> Response:
    """One asset line item."""
    shown = show_asset_line_item(call.app, asset_line_item_id, actor=call.actor)
    return answer(shown, request=call.request)
