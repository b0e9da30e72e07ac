"""Billing schedules: the list, and setting their status on the way to the invoice, as it was foreseen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import Field
from starlette.datastructures import FormData
from starlette.responses import Response

from batchwright.console.pages.visit import (
    FORM,
    NOTICES,
    VISIT,
    ListParams,
    Pages,
    Params,
    Visit,
    text_of,
)
from batchwright.engine.errors import Changed, Refused
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.billing.billing_schedules import (
    ALL_STATUSES,
    COUNTED,
    STATUSES,
    billing_schedules_page,
    many_billing_schedules_move,
    preview_billing_schedule_status,
    set_billing_schedule_status,
    sum_billing_schedules_that_move,
)
from batchwright.operations.paging import PART_SECONDS
from batchwright.operations.versions import version_of
from batchwright.operations.views import View

pages = Pages()
PATH: Final = "/billing-schedules"
NOTICES["status-set"] = "The billing schedules have their new status."


class SchedulesParams(ListParams):
    """Which billing schedules: those for which all of it holds."""

    status: str | None = None
    customer_id: str | None = None
    asset_line_item_id: str | None = None
    period: str | None = None
    ready_by: str | None = None

    def narrowing(self) -> dict[str, Any]:
        """What is asked of the operation."""
        return self.model_dump(exclude={"after", "limit", "done"})

    @property
    def is_set(self) -> bool:
        """Whether anything is filtered away."""
        return any(self.narrowing().values())


class StatusParams(Params):
    """Which status for which billing schedules: those that are named, or all that are ready for invoice by a day;
    ``sums`` has all of these summed up, however many, ``sums_after`` those parts.
    """

    status: str | None = None
    ready_by: str | None = None
    sums: bool = False
    sums_after: str | None = None
    billing_schedule_id: list[str] = Field(default_factory=list)


@pages.page(PATH)
def billing_schedules(params: Annotated[SchedulesParams, Query()], visit: Visit = VISIT) -> Response:
    """The list, by asset line item and period."""
    refused, page = None, None
    try:
        page = billing_schedules_page(
            visit.app, limit=params.limit, after=params.after, actor=visit.actor, **params.narrowing()
        )
    except Refused as refusal:
        refused = refusal
    return visit.page(
        "billing_schedules.html",
        status=200 if refused is None else 422,
        params=params,
        statuses=ALL_STATUSES,
        targets=list(STATUSES.values()),
        page=page,
        pager=None if page is None else visit.pager(page),
        refused=refused,
    )


@pages.page(f"{PATH}/status", Right.BILLING)
def ask_for_status(params: Annotated[StatusParams, Query()], visit: Visit = VISIT) -> Response:
    """Which status for which schedules, and what that would do."""
    ids = params.billing_schedule_id
    if params.status is None or not (ids or params.ready_by):
        return _asking(visit, params.status, params.ready_by, ids)
    day = params.ready_by
    try:
        if day and not ids and params.sums:
            return _summed(visit, params.status, day, params.sums_after)
        if day and not ids and _are_many(visit, params.status, day):
            return _asking(visit, params.status, day, ids, sums_link=visit.link(sums="true"))
        return _asking(visit, params.status, day, ids, plan=_plan(visit, params.status, day, ids))
    except Refused as refused:
        return _asking(visit, params.status, day, ids, refused=refused)


def _are_many(visit: Visit, status: str, day: str) -> bool:
    return many_billing_schedules_move(visit.app, status, day, at_most=COUNTED, actor=visit.actor)


def _summed(visit: Visit, status: str, day: str, after: str | None) -> Response:
    """What would move by that day, as far as it is summed up."""
    summed = sum_billing_schedules_that_move(
        visit.app, status, day, after=after, seconds=PART_SECONDS, actor=visit.actor
    )
    on = summed["next_after"] and visit.link(sums_after=summed["next_after"])
    parts = {**summed, "on": on, "went_on": after is not None}
    return _asking(visit, status, day, (), plan=summed["plan"], summed=parts)


@pages.act(f"{PATH}/status", Right.BILLING)
def set_status(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Set it as it was foreseen; where something else would be done by now, that is shown, and asked for again."""
    status, ready_by, reason = (text_of(form, name) for name in ("status", "ready_by", "reason"))
    ids = [str(one) for one in form.getlist("billing_schedule_id")]

    def do() -> Response:
        set_billing_schedule_status(
            visit.app,
            ids or (None if ready_by else []),
            status or "",
            ready_by=ready_by,
            seen=[text_of(form, "expected") or ""],
            actor=visit.actor,
            reason=reason,
        )
        return visit.go(PATH, done="status-set", status=status)

    try:
        return visit.once(form, do)
    except Forbidden:
        raise
    except Refused as refused:
        plan = _plan(visit, status or "", ready_by, ids) if isinstance(refused, Changed) else None
        return _asking(visit, status, ready_by, ids, plan=plan, refused=refused, reason=reason)


def _plan(visit: Visit, status: str, ready_by: str | None, ids: Sequence[str]) -> View:
    return preview_billing_schedule_status(
        visit.app, ids or (None if ready_by else []), status, ready_by=ready_by, actor=visit.actor
    )


def _asking(
    visit: Visit,
    status: str | None,
    ready_by: str | None,
    ids: Sequence[str],
    *,
    plan: View | None = None,
    refused: Refused | None = None,
    reason: str | None = None,
    sums_link: str | None = None,
    summed: View | None = None,
) -> Response:
    return visit.page(
        "billing_schedule_status.html",
        status=200 if refused is None else 422,
        targets=list(STATUSES.values()),
        target=status,
        ready_by=ready_by,
        ids=ids,
        plan=plan,
        expected=None if plan is None else version_of(plan),
        refused=refused,
        reason=reason,
        sums_link=sums_link,
        summed=summed,
        counted=COUNTED,
    )
