"""Usage schedules: what a person may see of them. They follow their billing schedule; nobody edits them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from batchwright.billing.records import billing_schedules
from batchwright.operations import views
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.billing.asset_line_items import filter_key
from batchwright.operations.billing.listing import listing
from batchwright.operations.checks import check_limit
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
    rows = partial(billing_schedules.list_usage, asset_key=filter_key(app, asset_line_item_id), limit=limit)
    return listing(app, rows, views.usage_schedule)
