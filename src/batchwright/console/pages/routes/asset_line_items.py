"""Asset line items: their terms, the price in force, their schedules and inputs; and amending one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Query
from starlette.datastructures import FormData
from starlette.responses import Response

from batchwright.billing.periods import FREQUENCIES
from batchwright.console.pages.visit import FORM, NOTICES, VISIT, ListParams, Pages, Params, Visit, text_of
from batchwright.engine.errors import Changed, Refused
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.billing.amendments import amend_asset_line_item, preview_amendment
from batchwright.operations.billing.asset_line_items import (
    FILTERS,
    asset_line_items_page,
    show_asset_line_item,
)
from batchwright.operations.billing.billing_schedules import billing_schedules_page
from batchwright.operations.billing.loaded import prices_of_asset
from batchwright.operations.billing.usage_inputs import usage_inputs_page
from batchwright.operations.billing.usage_schedules import usage_schedules_page
from batchwright.operations.versions import version_of
from batchwright.operations.views import View

pages = Pages()
NOTICES["amended"] = "The asset line item was amended."
TERMS: Final = ("end_date", "price_book_id", "billing_frequency", "usage_frequency")
SCHEDULES: Final = 500
"""Schedules of each kind that a page shows."""
INPUTS: Final = 50
MOST_FORESEEN: Final = 200
"""Inputs of which what becomes is shown one by one."""


class AssetParams(Params):
    """The day of which the price is shown (default: today)."""

    on: str | None = None


class AmendParams(Params):
    """Terms that would be changed; with ``foresee`` what would become of what is shown."""

    end_date: str | None = None
    price_book_id: str | None = None
    billing_frequency: str | None = None
    usage_frequency: str | None = None
    foresee: bool = False

    def changes(self) -> dict[str, str | None]:
        """What is asked of the operation."""
        return {name: getattr(self, name) for name in TERMS}


class AssetsParams(ListParams):
    """Which page of the list, and what it is narrowed down by."""

    words: str | None = None
    customer_id: str | None = None
    product: str | None = None
    on: str | None = None

    def narrowing(self) -> dict[str, Any]:
        """What is asked of the operation."""
        return self.model_dump(exclude={"after", "limit", "done"}, exclude_none=True)


@pages.page("/asset-line-items")
def asset_line_items(params: Annotated[AssetsParams, Query()], visit: Visit = VISIT) -> Response:
    """The asset line items in the order they came."""
    refused, page, by = None, None, params.narrowing()
    try:
        page = asset_line_items_page(
            visit.app, limit=params.limit, after=params.after, actor=visit.actor, **by
        )
    except Refused as refusal:
        refused = refusal
    return visit.page(
        "asset_line_items.html",
        status=200 if refused is None else HTTPStatus.UNPROCESSABLE_ENTITY.value,
        params=params,
        filters=FILTERS,
        is_set=bool(by),
        page=page,
        pager=None if page is None else visit.pager(page),
        refused=refused,
    )


@pages.page("/asset-line-items/{asset_line_item_id:path}/amend", Right.OPERATE)
def ask_to_amend(
    asset_line_item_id: str, params: Annotated[AmendParams, Query()], visit: Visit = VISIT
) -> Response:
    """The form of an amendment, and what it would do."""
    shown = show_asset_line_item(visit.app, asset_line_item_id, actor=visit.actor)
    if not params.foresee:
        return _amending(visit, shown, params.changes())
    try:
        plan = preview_amendment(visit.app, asset_line_item_id, actor=visit.actor, **params.changes())
    except Refused as refused:
        return _amending(visit, shown, params.changes(), refused=refused)
    return _amending(visit, shown, params.changes(), plan=plan)


@pages.act("/asset-line-items/{asset_line_item_id:path}/amend", Right.OPERATE)
def amend(asset_line_item_id: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Amend as it was foreseen; where something else would be done by now, that is shown, and asked for again."""
    changes = {name: text_of(form, name) for name in TERMS}
    seen, reason = [text_of(form, "expected") or ""], text_of(form, "reason")

    def do() -> Response:
        amend_asset_line_item(
            visit.app, asset_line_item_id, seen=seen, actor=visit.actor, reason=reason, **changes
        )
        return visit.go(f"/asset-line-items/{quote(asset_line_item_id, safe='')}", done="amended")

    try:
        return visit.once(form, do)
    except Forbidden:
        raise
    except Refused as refused:
        shown = show_asset_line_item(visit.app, asset_line_item_id, actor=visit.actor)
        plan = None
        if isinstance(refused, Changed):
            plan = preview_amendment(visit.app, asset_line_item_id, actor=visit.actor, **changes)
        return _amending(visit, shown, changes, plan=plan, refused=refused, reason=reason)


def _amending(
    visit: Visit,
    asset: View,
    changes: Mapping[str, str | None],
    *,
    plan: View | None = None,
    refused: Refused | None = None,
    reason: str | None = None,
) -> Response:
    changed = [] if plan is None else _changed(plan["terms"])
    return visit.page(
        "asset_line_item_amend.html",
        status=200 if refused is None else HTTPStatus.UNPROCESSABLE_ENTITY.value,
        asset=asset,
        values=changes,
        frequencies=FREQUENCIES,
        plan=plan,
        most=MOST_FORESEEN,
        changed=changed,
        expected=None if plan is None else version_of(plan),
        uncovered=0 if plan is None else sum(not one["covered"] for one in plan["usage_inputs"]),
        refused=refused,
        reason=reason,
    )


def _changed(terms: View) -> list[tuple[str, Any, Any]]:
    before, after = terms["before"], terms["after"]
    return [(name, before[name], after[name]) for name in before if before[name] != after[name]]


@pages.page("/asset-line-items/{asset_line_item_id:path}")
def asset_line_item(
    asset_line_item_id: str, params: Annotated[AssetParams, Query()], visit: Visit = VISIT
) -> Response:
    """One asset line item, with the tables of what is billed for it."""
    shown = show_asset_line_item(visit.app, asset_line_item_id, actor=visit.actor)
    refused, prices = None, list[View]()
    try:
        prices = prices_of_asset(visit.app, asset_line_item_id, params.on, actor=visit.actor)
    except Refused as refusal:
        refused = refusal
    bills = billing_schedules_page(visit.app, asset_line_item_id, limit=SCHEDULES, actor=visit.actor)
    meters = usage_schedules_page(visit.app, asset_line_item_id, limit=SCHEDULES, actor=visit.actor)
    named = [("asset_line_item_id", asset_line_item_id)]
    return visit.page(
        "asset_line_item.html",
        status=200 if refused is None else HTTPStatus.UNPROCESSABLE_ENTITY.value,
        asset=shown,
        on=params.on or visit.app.clock.now().astimezone(visit.app.zone).date().isoformat(),
        prices=prices,
        refused=refused,
        bills=bills,
        meters=meters,
        late=late_of(bills.items) | late_of(meters.items),
        inputs=usage_inputs_page(visit.app, named, limit=INPUTS, actor=visit.actor),
    )


def late_of(schedules: list[View]) -> set[str]:
    """The ids of schedules that stand beside another one of the same days: they bill what came late."""
    kind = "usage_schedule_id" if schedules and "usage_schedule_id" in schedules[0] else "billing_schedule_id"
    seen: Counter[tuple[str, str]] = Counter()
    late = set()
    for schedule in schedules:
        days = (schedule["period_start_date"], schedule["period_end_date"])
        if not schedule["superseded"]:
            seen[days] += 1
            if seen[days] > 1:
                late.add(schedule[kind])
    return late
