"""Usage schedules: what a person may see of them. They follow their billing schedule; nobody edits them."""

from __future__ import annotations

from collections.abc import Iterator

from batchwright.billing.records import billing_schedules
from batchwright.engine.store import pages
from batchwright.operations import views
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.billing.asset_line_items import filter_key
from batchwright.operations.checks import Unknown, check_limit
from batchwright.operations.paging import PAGE, Page, page_of
from batchwright.operations.views import View


def list_usage_schedules(
    app: Application,
    asset_line_item_id: str | None = None,
    limit: int | None = None,
    *,
    actor: Actor | None = None,
) -> Iterator[View]:
    """The usage schedules by asset and period, superseded ones too; streamed. Refuses an unknown asset."""
    permit(app, actor, Right.LOOK, "usage_schedule.list")
    check_limit(limit)
    listing = billing_schedules.list_usage(filter_key(app, asset_line_item_id), limit)
    return map(views.usage_schedule, pages.rows(app.database, listing))


def usage_schedules_page(
    app: Application,
    asset_line_item_id: str | None = None,
    *,
    limit: int = PAGE,
    after: str | None = None,
    actor: Actor | None = None,
) -> Page[View]:
    """A page of the same list."""
    permit(app, actor, Right.LOOK, "usage_schedule.list")
    listing = billing_schedules.list_usage(filter_key(app, asset_line_item_id))
    asked = {"asset_line_item_id": asset_line_item_id}
    view = views.usage_schedule
    return page_of(app.database, "usage_schedules", listing, asked, view, limit=limit, after=after)


def show_usage_schedule(app: Application, usage_schedule_id: str, *, actor: Actor | None = None) -> View:
    """The usage schedule of that id."""
    permit(app, actor, Right.LOOK, "usage_schedule.show")
    with app.database.read() as connection:
        row = billing_schedules.shown_usage(connection, usage_schedule_id)
    if row is None:
        raise Unknown("usage schedule", [usage_schedule_id], field="usage_schedule_id")
    return views.usage_schedule(row)
