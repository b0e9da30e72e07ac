"""Billing schedules: what a person may see of them, and the way to the invoice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, RowMapping

from batchwright.billing.records import assets, billing_schedules
from batchwright.billing.records.billing_schedules import (
    INVOICED,
    PENDING_BILLING,
    PENDING_INVOICE,
    SUPERSEDED,
)
from batchwright.engine.errors import Refused
from batchwright.engine.store import pages
from batchwright.operations import views
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.billing.asset_line_items import filter_key
from batchwright.operations.checks import (
    Unknown,
    check_known,
    check_limit,
    check_one_of,
    distinct_ids,
    shortened,
)
from batchwright.operations.views import View

NOUN = "billing schedule"

STATUSES: Final[Mapping[str, str]] = {
    "pending_billing": PENDING_BILLING,
    "pending_invoice": PENDING_INVOICE,
    "invoiced": INVOICED,
}
"""What a person writes, and the status it stands for."""

MOVES: Final[Mapping[tuple[str, str], str]] = {
    (PENDING_BILLING, PENDING_INVOICE): "an invoice is being made of it",
    (PENDING_BILLING, INVOICED): "its invoice was approved at once",
    (PENDING_INVOICE, INVOICED): "its invoice was approved",
    (PENDING_INVOICE, PENDING_BILLING): "its invoice was cancelled before approval",
    (INVOICED, PENDING_BILLING): "its invoice was cancelled",
}
"""Every move a person may make, and when it happens (Conga: billing schedule status change).

The invoicing system tells us; amending an asset is the only way to Superseded, and there is none from it.
"""


def list_billing_schedules(
    app: Application,
    asset_line_item_id: str | None = None,
    limit: int | None = None,
    *,
    actor: Actor | None = None,
) -> Iterator[View]:
    """The billing schedules by asset and period, superseded ones too; streamed. Refuses an unknown asset."""
    permit(app, actor, Right.LOOK, "billing_schedule.list")
    check_limit(limit)
    listing = billing_schedules.list_billing(filter_key(app, asset_line_item_id), limit)
    return map(views.billing_schedule, pages.rows(app.database, listing))


def show_billing_schedule(app: Application, billing_schedule_id: str, *, actor: Actor | None = None) -> View:
    """The billing schedule of that id."""
    permit(app, actor, Right.LOOK, "billing_schedule.show")
    with app.database.read() as connection:
        row = billing_schedules.shown_billing(connection, billing_schedule_id)
    if row is None:
        raise Unknown(NOUN, [billing_schedule_id], field="billing_schedule_id")
    return views.billing_schedule(row)


def set_billing_schedule_status(
    app: Application, ids: Sequence[str], status: str, *, actor: Actor, reason: str | None = None
) -> dict[str, list[str]]:
    """Move billing schedules to `status` (a key of `STATUSES`), all of them or none; usage schedules follow.

    Returns the ids as `{"moved", "untouched"}`; untouched are those that have the status already. Refuses a move
    that is not one of `MOVES`.
    """
    permit(app, actor, Right.BILLING, "billing_schedule.set_status")
    check_one_of(status, STATUSES, field="status")
    target = STATUSES[status]
    ids = distinct_ids(ids, field="billing_schedule_ids")
    with app.database.write(patient=True) as connection:
        rows = _locked(connection, ids)
        movable = [row for row in rows if row["status"] != target]
        _refuse_forbidden(movable, target)
        if billing_schedules.set_status(connection, movable, target) != len(movable):
            raise Refused(
                "somebody else moved these billing schedules at the same moment", remedy="Look, and try again"
            )
        moved = [row["billing_schedule_id"] for row in movable]
        audit.record(
            connection,
            actor=actor,
            act="billing_schedule.set_status",
            subject=audit.subject_of(ids, NOUN),
            reason=reason,
            before={row["billing_schedule_id"]: row["status"] for row in movable},
            after={"status": target},
            now=app.clock.now(),
        )
    return {"moved": moved, "untouched": [an_id for an_id in ids if an_id not in set(moved)]}


def _locked(connection: Connection, ids: Sequence[str]) -> list[RowMapping]:
    """The schedules of these ids as they are while we hold their assets; a schedule never changes its asset."""
    found = billing_schedules.billing_by_ids(connection, ids)
    check_known(NOUN, ids, found, field="billing_schedule_ids")
    assets.lock(connection, {row["asset_key"] for row in found.values()})
    found = billing_schedules.billing_by_ids(connection, ids)
    return [found[an_id] for an_id in ids]


def _refuse_forbidden(rows: Sequence[RowMapping], target: str) -> None:
    by_status: dict[str, list[str]] = {}
    for row in rows:
        if (row["status"], target) not in MOVES:
            by_status.setdefault(row["status"], []).append(row["billing_schedule_id"])
    if not by_status:
        return
    named = "; ".join(f"{status}: {shortened(ids)}" for status, ids in by_status.items())
    targets = [after for before, after in MOVES if before in by_status]
    remedy = (
        f"From there a schedule moves to {' or '.join(dict.fromkeys(targets))}"
        if targets
        else (f"A {SUPERSEDED} schedule was replaced by an amendment: name the one that stands in its place")
    )
    raise Refused(f"not to be moved to {target}, {named}", field="status", remedy=remedy)
