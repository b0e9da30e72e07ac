"""Selections of usage inputs: what matches a filter now, for an act on just these within the hour."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Final, Unpack

from batchwright.billing.records import input_selections
from batchwright.engine.errors import Refused
from batchwright.engine.submit import SYNC_LIMIT
from batchwright.operations import views
from batchwright.operations.access.permissions import Right, permit, right_to_run
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.billing.input_filter import checked_filter, filter_text
from batchwright.operations.runs.submitting import RunTerms, Submitted, submit_run
from batchwright.operations.views import View

MOST: Final = 1_000_000
"""Inputs of a selection: eight bytes each are stored."""
GOOD_FOR: Final = timedelta(hours=1)


def select_usage_inputs(app: Application, pairs: Iterable[tuple[str, str]], *, actor: Actor) -> View:
    """Store which usage inputs match a filter, names and values, now: what comes later is none of them.

    Returns `selection_id, count, by_status, sums, assets, partial_assets, expires_at`: `sums` of the rated and draft
    amounts by currency, `assets` the number of asset line items, `partial_assets` that of those of which a forecast
    would take other inputs, too. It is good for whoever made it.
    """
    permit(app, actor, Right.OPERATE, "usage_input.select")
    with app.database.read() as connection:
        where = checked_filter(connection, pairs)
        if input_selections.count(connection, where, MOST) > MOST:
            raise Refused(
                f"more than {MOST:,} usage inputs match",
                field="filter",
                remedy="Narrow the filter down, or run the job without ids: it takes all that are eligible",
            )
        found = input_selections.match(connection, where)
    now = app.clock.now()
    selection = {
        "selection_id": f"SEL-{secrets.token_hex(8)}",
        "actor": actor.name,
        "filter": filter_text(where),
        "count": sum(map(len, found.keys.values())),
        "created_at": now,
        "expires_at": now + GOOD_FOR,
    }
    with app.database.write() as connection:
        input_selections.add(connection, selection, found.keys)
    return {
        "selection_id": selection["selection_id"],
        "count": selection["count"],
        "by_status": {status: len(keys) for status, keys in found.keys.items()},
        "sums": views.totals(found.sums),
        "assets": found.assets,
        "partial_assets": found.partial_assets,
        "expires_at": views.instant(now + GOOD_FOR),
    }


def submit_on_selection(
    app: Application,
    job_name: str,
    selection_id: str,
    *,
    actor: Actor,
    trigger: str = "cli",
    here: bool = True,
    **terms: Unpack[RunTerms],
) -> Submitted:
    """Submit a run of the job on a selection: up to 1,000 inputs as a synchronous run, more in batch mode.

    Whoever calls drives it with `drive_submitted`; without `here` a worker drives one in batch mode. For resets and
    deletions, that people expect to be done at once. Refuses as `submit_run` does.
    """
    permit(app, actor, right_to_run(app, job_name), "run.submit")
    few = is_small(app, selection_id)
    mode, parameters = "sync" if few else "batch", {"selection_id": selection_id}
    return submit_run(
        app, job_name, parameters, actor=actor, mode=mode, trigger=trigger, here=here or few, **terms
    )


def is_small(app: Application, selection_id: str) -> bool:
    """Whether a selection that there is can be worked on by a synchronous run."""
    with app.database.read() as connection:
        owned = input_selections.owned(connection, selection_id)
    return owned is not None and owned["count"] <= SYNC_LIMIT


def prune_selections(app: Application) -> None:
    """Forget selections that nobody can use any more, nor any run."""
    before = app.clock.now() - GOOD_FOR
    with app.database.read() as connection:
        expired = input_selections.any_expired(connection, before)
    if expired:
        with app.database.write() as connection:
            input_selections.prune(connection, before)
