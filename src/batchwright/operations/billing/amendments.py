"""Amending an asset line item: other terms from the first period on that nobody has billed.

Conga's outcome (*Effect of Asset Amendment on Forecasted Usage Input*): pending billing schedules and their usage
schedules are superseded and new ones made, and the amounts of the usage inputs on them go to zero.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from batchwright.billing.importing.schedule_generation import write_periods
from batchwright.billing.records import amendment, assets
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.billing.amendment_plan import Changes, Plan, included_in, plan_amendment
from batchwright.operations.billing.amendment_view import audit_values, preview, result
from batchwright.operations.versions import Seen, check_seen
from batchwright.operations.views import View

ACT: Final = "asset_line_item.amend"


def preview_amendment(
    app: Application,
    asset_line_item_id: str,
    *,
    end_date: str | None = None,
    price_book_id: str | None = None,
    billing_frequency: str | None = None,
    usage_frequency: str | None = None,
    actor: Actor | None = None,
) -> View:
    """What `amend_asset_line_item` would do, as its answer: ids of what it would make are `None`. Changes nothing."""
    permit(app, actor, Right.OPERATE, ACT)
    changes = Changes.read(end_date, price_book_id, billing_frequency, usage_frequency)
    app.database.require()
    with app.database.read() as connection:
        return preview(connection, plan_amendment(connection, asset_line_item_id, changes))


def amend_asset_line_item(
    app: Application,
    asset_line_item_id: str,
    *,
    end_date: str | None = None,
    price_book_id: str | None = None,
    billing_frequency: str | None = None,
    usage_frequency: str | None = None,
    seen: Seen = None,
    actor: Actor,
    reason: str | None = None,
) -> View:
    """Amend the asset, all of it in one transaction; without a change its schedules are made again.

    Returns `asset_line_item_id, terms, billing_schedules, usage_schedules, charged_elsewhere, invoiced, usage_inputs`:
    terms have `before` and `after`, schedules those `superseded` and those `created`; `charged_elsewhere` is what
    superseded billing schedules were taken over with, and no rating charges again; `invoiced` are billing schedules
    that stay, although what was rated under them came in its window after inputs that go to zero: it `would_be` another
    amount without them (`None` where it could not be priced then); inputs have each their amounts and status
    `before` (with the superseded schedules that they were on) and `after`, and whether a schedule is there for their
    day (`covered`).

    Refuses what would change billed periods, and, where the version of an answer of `preview_amendment` is given as
    `seen`, to do anything else than it says.
    """
    permit(app, actor, Right.OPERATE, ACT)
    changes = Changes.read(end_date, price_book_id, billing_frequency, usage_frequency)
    app.database.require()
    with app.database.write(patient=True) as connection:
        key = assets.key_of(connection, asset_line_item_id)
        assets.lock(connection, [] if key is None else [key])
        plan = plan_amendment(connection, asset_line_item_id, changes)
        view = preview(connection, plan)
        check_seen(seen, view, f"{asset_line_item_id} was changed")
        _carry_out(connection, plan)
        view = result(connection, plan, view)
        before = audit_values(plan, view, "before")
        audit.record(
            connection,
            actor,
            ACT,
            asset_line_item_id,
            reason=reason,
            before=before,
            after=audit_values(plan, view, "after"),
            records=list(before["usage_inputs"]),
            now=app.clock.now(),
        )
    return view


def _carry_out(connection: Connection, plan: Plan) -> None:
    moved = amendment.supersede(connection, plan.billing_schedules)
    zeroed = amendment.take_to_zero(connection, plan.inputs)
    if (moved, zeroed) != (len(plan.billing_schedules), len(plan.inputs)):
        raise RuntimeError("schedules or inputs changed under the asset's lock")
    amendment.change_terms(connection, plan.asset["id"], plan.stored)
    asset, included = included_in(connection, plan)
    write_periods(connection, [(asset, period) for period in plan.periods], included)
