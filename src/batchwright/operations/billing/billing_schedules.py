"""Billing schedules: what a person may see of them, and the way to the invoice."""

from __future__ import annotations

from calendar import monthrange
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, TypedDict, Unpack

from sqlalchemy import ColumnElement, Connection, RowMapping

from batchwright.billing.importing import cells
from batchwright.billing.records import assets, billing_schedules
from batchwright.billing.records.billing_schedules import (
    INVOICED,
    PENDING_BILLING,
    PENDING_INVOICE,
    SUPERSEDED,
    Group,
    walk_billing,
)
from batchwright.billing.records.charges import customers
from batchwright.engine.errors import Conflict, Refused
from batchwright.engine.store import pages
from batchwright.engine.store.pages import Listing
from batchwright.operations import user_store, views
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.billing.asset_line_items import filter_key
from batchwright.operations.billing.fields import read_field
from batchwright.operations.checks import Unknown, check_known, check_limit, distinct_ids, shortened
from batchwright.operations.paging import PAGE, PART_SECONDS, Page, carried_by, carrying, page_of
from batchwright.operations.versions import Seen, check_seen
from batchwright.operations.views import View

NOUN = "billing schedule"

STATUSES: Final[Mapping[str, str]] = {
    "pending_billing": PENDING_BILLING,
    "pending_invoice": PENDING_INVOICE,
    "invoiced": INVOICED,
}
"""What a person may set, in snake case, and the status it stands for."""

ALL_STATUSES: Final = (*STATUSES.values(), SUPERSEDED)
ACT: Final = "billing_schedule.set_status"
COUNTED: Final = 10_000
"""Billing schedules whose status would change that a page sums up unasked."""
STRETCH: Final = 5_000
"""Billing schedules that are looked at in one query."""
SUMMING: Final = "billing schedules that move"

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


class Narrowing(TypedDict, total=False):
    """What narrows a list of billing schedules down, as a person writes it."""

    status: str | None
    """As it is shown ("Pending Invoice"), or in snake case."""
    customer_id: str | None
    period: str | None
    """A month, YYYY-MM: periods that have a day of it."""
    ready_by: str | None
    """A day, YYYY-MM-DD: what is ready for invoice by then."""


def list_billing_schedules(
    app: Application,
    asset_line_item_id: str | None = None,
    limit: int | None = None,
    *,
    actor: Actor | None = None,
    **narrowing: Unpack[Narrowing],
) -> Iterator[View]:
    """The billing schedules by asset and period, superseded ones too; streamed. Refuses an unknown asset."""
    permit(app, actor, Right.LOOK, "billing_schedule.list")
    check_limit(limit)
    listing = _narrowed(app, asset_line_item_id, limit, narrowing)
    return map(views.billing_schedule, pages.rows(app.database, listing))


def billing_schedules_page(
    app: Application,
    asset_line_item_id: str | None = None,
    *,
    limit: int = PAGE,
    after: str | None = None,
    actor: Actor | None = None,
    **narrowing: Unpack[Narrowing],
) -> Page[View]:
    """A page of the same list. One that is narrowed down by days may be short, and yet not the last."""
    permit(app, actor, Right.LOOK, "billing_schedule.list")
    listing = _narrowed(app, asset_line_item_id, None, narrowing)
    wanted = {"asset_line_item_id": asset_line_item_id, **narrowing}
    by_days = narrowing.get("period") or narrowing.get("ready_by")
    is_wide = by_days and asset_line_item_id is None and narrowing.get("customer_id") is None
    status = narrowing.get("status")
    walk = walk_billing(status and read_status(status, ALL_STATUSES)) if is_wide else None
    view = views.billing_schedule
    return page_of(app.database, NOUN, listing, wanted, view, limit=limit, after=after, walk=walk)


def show_billing_schedule(app: Application, billing_schedule_id: str, *, actor: Actor | None = None) -> View:
    """The billing schedule of that id."""
    permit(app, actor, Right.LOOK, "billing_schedule.show")
    with app.database.read() as connection:
        row = billing_schedules.shown_billing(connection, billing_schedule_id)
    if row is None:
        raise Unknown(NOUN, [billing_schedule_id], field="billing_schedule_id")
    return views.billing_schedule(row)


def preview_billing_schedule_status(
    app: Application,
    ids: Sequence[str] | None,
    status: str,
    *,
    ready_by: str | None = None,
    actor: Actor | None = None,
) -> View:
    """What `set_billing_schedule_status` would do, in numbers; refuses what that would refuse. Changes nothing.

    Returns `status, moving, untouched, by_status, fee_amounts`: how many move, how many have the status already, how
    many move from each status, and their fee amounts by currency.
    """
    permit(app, actor, Right.BILLING, ACT)
    chosen = _Chosen.read(ids, status, ready_by)
    with app.database.read() as connection:
        if chosen.ready_by is None:
            return chosen.plan(chosen.rows(connection))
        return chosen.plan_of(billing_schedules.groups_where(connection, *chosen.ready))


def sum_billing_schedules_that_move(
    app: Application,
    status: str,
    ready_by: str,
    *,
    after: str | None = None,
    seconds: float = PART_SECONDS,
    actor: Actor | None = None,
) -> View:
    """What `set_billing_schedule_status` would do by that day, in numbers, part by part: the next part, of so many
    seconds about, and what all parts so far came to.

    Returns `plan` (what `preview_billing_schedule_status` returns, which takes all at once), `next_after` (the cursor
    of the next part; `None` at the end), `share` (how far along, from 0 to 1, about) and when that was: from `began` to
    `ended`.
    """
    permit(app, actor, Right.BILLING, ACT)
    chosen, started = _Chosen.read(None, status, ready_by), app.clock.monotonic()
    began, place, last, groups = views.instant(app.clock.now()), 0, 0, list[Group]()
    wanted = {"status": chosen.target, "ready_by": chosen.ready_by}
    with app.database.read() as connection:
        key = user_store.key_of_links(connection)
        if after is not None:
            began, place, last, carried = carried_by(after, key, SUMMING, wanted, field="sums_after")
            groups = [Group(*group) for group in carried]
        while place < len(chosen.before):
            these, end = billing_schedules.stretch(connection, chosen.before[place], last, STRETCH)
            groups += billing_schedules.groups_where(connection, *these, *chosen.ready)
            place, last = (place + 1, 0) if end is None else (place, end)
            if app.clock.monotonic() - started >= seconds:
                break
        share = (place + last / max(assets.newest(connection), last, 1)) / len(chosen.before)
    is_over, groups = place == len(chosen.before), _merged(groups)
    return {
        "plan": chosen.plan_of(groups),
        "next_after": None if is_over else carrying(key, SUMMING, wanted, [began, place, last, groups]),
        "share": share,
        "began": began,
        "ended": views.instant(app.clock.now()),
    }


def _merged(groups: Iterable[Group]) -> list[Group]:
    numbers, fees = Counter[tuple[str, str | None]](), Counter[tuple[str, str | None]]()
    for status, currency, number, fee_amount in groups:
        numbers[status, currency] += number
        fees[status, currency] += fee_amount
    return [Group(*kind, number, fees[kind]) for kind, number in numbers.items()]


def many_billing_schedules_move(
    app: Application, status: str, ready_by: str, *, at_most: int = COUNTED, actor: Actor | None = None
) -> bool:
    """Whether more than `at_most` billing schedules would move by that day: to sum them up takes a moment."""
    permit(app, actor, Right.BILLING, ACT)
    chosen = _Chosen.read(None, status, ready_by)
    with app.database.read() as connection:
        return billing_schedules.are_more(connection, at_most, *chosen.ready)


def set_billing_schedule_status(
    app: Application,
    ids: Sequence[str] | None,
    status: str,
    *,
    ready_by: str | None = None,
    seen: Seen = None,
    actor: Actor,
    reason: str | None = None,
) -> dict[str, list[str]]:
    """Move billing schedules to `status`, all of them or none; usage schedules follow.

    `status` is one of `STATUSES`, as it is shown or in snake case. The schedules are those of the `ids`, or all that
    are ready for invoice by a day (`ready_by`, YYYY-MM-DD) and not as far yet.

    Returns the ids as `{"moved", "untouched"}`; untouched are those that have the status already. Refuses a move
    that is not one of `MOVES`, naming the schedules, and, where the version of an answer of
    `preview_billing_schedule_status` is given as `seen`, to do anything else than it says.
    """
    permit(app, actor, Right.BILLING, ACT)
    chosen = _Chosen.read(ids, status, ready_by)
    with app.database.write(patient=True) as connection:
        rows = _locked(connection, chosen)
        plan = chosen.plan(rows)
        check_seen(seen, plan, "billing schedules were changed")
        movable = [row for row in rows if row["status"] != chosen.target]
        if billing_schedules.set_status(connection, movable, chosen.target) != len(movable):
            raise Conflict(
                "somebody else moved these billing schedules at the same moment", remedy="Look, and try again"
            )
        audit.record(
            connection,
            actor,
            ACT,
            audit.subject_of([row["billing_schedule_id"] for row in rows], NOUN),
            reason=reason,
            before={row["billing_schedule_id"]: row["status"] for row in movable},
            after={"status": chosen.target},
            records=[row["billing_schedule_id"] for row in movable],
            now=app.clock.now(),
        )
    untouched = [row["billing_schedule_id"] for row in rows if row["status"] == chosen.target]
    return {"moved": [row["billing_schedule_id"] for row in movable], "untouched": untouched}


def read_status(text: str, statuses: Collection[str]) -> str:
    """The status that a person wrote, as it is shown or in snake case. Refuses what is not one of `statuses`."""
    named = {status.replace(" ", "_").lower(): status for status in statuses}
    status = text if text in statuses else named.get(text)
    if status is None:
        raise Refused(
            f"status {text!r} is not known",
            field="status",
            remedy=f"Use one of {', '.join(statuses)}, or in snake case {', '.join(named)}",
        )
    return status


def _narrowed(app: Application, asset_line_item_id: str | None, limit: int | None, by: Narrowing) -> Listing:
    conditions = []
    if (status := by.get("status")) is not None:
        conditions.append(billing_schedules.has_status(read_status(status, ALL_STATUSES)))
    if (period := by.get("period")) is not None:
        conditions.append(billing_schedules.within(*_days_of(period)))
    if (day := by.get("ready_by")) is not None:
        conditions.append(billing_schedules.ready_by(read_field(cells.day, day, field="ready_by")))
    if (customer_id := by.get("customer_id")) is not None:
        conditions.append(billing_schedules.of_customer(_customer_key(app, customer_id)))
    return billing_schedules.list_billing(filter_key(app, asset_line_item_id), limit, conditions)


def _days_of(month: str) -> tuple[date, date]:
    try:
        first = cells.day(f"{month}-01")
    except cells.CellError:
        raise Refused(
            f"period {month!r} is not a valid month",
            field="period",
            remedy="Write it as YYYY-MM, such as 2023-06",
        ) from None
    return first, first.replace(day=monthrange(first.year, first.month)[1])


def _customer_key(app: Application, customer_id: str) -> int:
    with app.database.read() as connection:
        found = customers(connection, customer_id)
    if not found:
        raise Unknown("customer", [customer_id], field="customer_id")
    return found[0].key


@dataclass(frozen=True)
class _Chosen:
    """The schedules that a person chose, and the status that they are to get."""

    target: str
    ids: Sequence[str]
    ready_by: date | None

    @classmethod
    def read(cls, ids: Sequence[str] | None, status: str, ready_by: str | None) -> _Chosen:
        target = read_status(status, STATUSES.values())
        if ready_by is None:
            return cls(target, distinct_ids(ids or (), field="billing_schedule_ids"), None)
        if ids is not None:
            raise Refused(
                "ids were given together with a day",
                field="ready_by",
                remedy="Give either the ids or the day",
            )
        if target == PENDING_BILLING:
            raise Refused(
                f"by a day billing schedules move on only, not back to {PENDING_BILLING}",
                field="ready_by",
                remedy="Name those whose invoices were cancelled",
            )
        return cls(target, (), read_field(cells.day, ready_by, field="ready_by"))

    @property
    def ready(self) -> tuple[ColumnElement[bool], ...]:
        """The conditions of those that are ready by the day, and not as far yet."""
        assert self.ready_by is not None
        return billing_schedules.has_status(*self.before), billing_schedules.ready_by(self.ready_by)

    @property
    def before(self) -> list[str]:
        """The statuses from which a schedule moves to that one."""
        return [before for before, after in MOVES if after == self.target]

    def rows(self, connection: Connection) -> list[RowMapping]:
        """The schedules as they are. Refuses ids that nobody has."""
        if self.ready_by is not None:
            return billing_schedules.billing_where(connection, *self.ready)
        found = billing_schedules.billing_by_ids(connection, self.ids)
        check_known(NOUN, self.ids, found, field="billing_schedule_ids")
        return [found[an_id] for an_id in self.ids]

    def plan(self, rows: Sequence[RowMapping]) -> View:
        """What becomes of these schedules, in numbers. Refuses moves that nobody may make."""
        movable = [row for row in rows if row["status"] != self.target]
        _refuse_forbidden(movable, self.target)
        each = (Group(row["status"], row["currency"], 1, row["fee_amount"]) for row in movable)
        return self.plan_of(each, untouched=len(rows) - len(movable))

    def plan_of(self, groups: Iterable[Group], untouched: int = 0) -> View:
        """The same of those that move."""
        by_status, fees = Counter[str](), Counter[str]()
        for group in groups:
            by_status[group.status] += group.number
            if group.currency is not None:  # else its amount is zero
                fees[group.currency] += group.fee_amount
        return {
            "status": self.target,
            "moving": by_status.total(),
            "untouched": untouched,
            "by_status": dict(sorted(by_status.items())),
            "fee_amounts": {currency: views.money(fees[currency], currency) for currency in sorted(fees)},
        }


def _locked(connection: Connection, chosen: _Chosen) -> list[RowMapping]:
    """The schedules as they are while we hold their assets; a schedule never changes its asset.

    Of an asset whose first schedule came to be chosen just now, none.
    """
    held = {row["asset_key"] for row in chosen.rows(connection)}
    assets.lock(connection, held)
    return [row for row in chosen.rows(connection) if row["asset_key"] in held]


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
    raise Conflict(f"not to be moved to {target}, {named}", field="status", remedy=remedy)
