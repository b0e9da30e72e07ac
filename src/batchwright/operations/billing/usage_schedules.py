"""Usage schedules: what a person may see of them. They follow their billing schedule; nobody edits them."""

from __future__ import annotations

from collections.abc import Iterator

from batchwright.billing.records import billing_schedules
from batchwright.operations import views
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.billing.asset_line_items import filter_key
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
    return _stream(app, filter_key(app, asset_line_item_id), limit)


def _stream(app: Application, asset_key: int | None, limit: int | None) -> Iterator[View]:
    with app.database.read() as connection:
        for row in billing_schedules.list_usage(connection, asset_key=asset_key, limit=limit):
            yield views.usage_schedule(row)
