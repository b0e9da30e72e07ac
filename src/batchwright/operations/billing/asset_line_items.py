"""Asset line items: what a person may see of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Unpack

from sqlalchemy import Connection, RowMapping

from batchwright.billing.records import assets
from batchwright.billing.records.loaded import ASSETS
from batchwright.engine.store import pages
from batchwright.operations import views
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.billing.narrowing import Narrowing, filters_of, narrowed
from batchwright.operations.checks import Unknown, check_limit
from batchwright.operations.paging import PAGE, Page, page_of
from batchwright.operations.views import View

NOUN = "asset line item"
FILTERS = filters_of(ASSETS)
"""What `asset_line_items_page` can be narrowed down by."""


def list_asset_line_items(
    app: Application, limit: int | None = None, *, actor: Actor | None = None
) -> Iterator[View]:
    """The asset line items in the order they came; streamed."""
    permit(app, actor, Right.LOOK, "asset_line_item.list")
    check_limit(limit)
    return map(views.asset_line_item, pages.rows(app.database, ASSETS.listing(limit)))


def asset_line_items_page(
    app: Application,
    *,
    limit: int = PAGE,
    after: str | None = None,
    actor: Actor | None = None,
    **by: Unpack[Narrowing],
) -> Page[View]:
    """A page of the same list. One that is narrowed down may be short, and yet not the last."""
    permit(app, actor, Right.LOOK, "asset_line_item.list")
    listing, walk = narrowed(app, NOUN, ASSETS, by)
    view = views.asset_line_item
    return page_of(app.database, NOUN, listing, by, view, limit=limit, after=after, walk=walk)


def show_asset_line_item(app: Application, asset_line_item_id: str, *, actor: Actor | None = None) -> View:
    """The asset line item of that id."""
    permit(app, actor, Right.LOOK, "asset_line_item.show")
    with app.database.read() as connection:
        return views.asset_line_item(asset_row(app, connection, asset_line_item_id))


def asset_row(app: Application, connection: Connection, asset_line_item_id: str) -> RowMapping:
    """The asset line item of that id, read once for all of a page; refuses an unknown one."""
    row = app.database.once(
        ("asset line item", asset_line_item_id), lambda: assets.shown(connection, asset_line_item_id)
    )
    if row is None:
        raise Unknown(NOUN, [asset_line_item_id], field="asset_line_item_id")
    return row


def asset_key_of(connection: Connection, asset_line_item_id: str) -> int:
    """The key of the asset line item of that id; refuses an unknown one."""
    key = assets.key_of(connection, asset_line_item_id)
    if key is None:
        raise Unknown(NOUN, [asset_line_item_id], field="asset_line_item_id")
    return key


def filter_key(app: Application, asset_line_item_id: str | None) -> int | None:
    """The key that narrows a list down to one asset; `None` when nobody asked for one. Refuses an unknown id."""
    if asset_line_item_id is None:
        return None
    with app.database.read() as connection:
        return int(asset_row(app, connection, asset_line_item_id)["id"])
