"""Selections of usage inputs: what matches a filter now, for an act on just these within the hour."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final, Unpack

from sqlalchemy import Connection

from batchwright.billing.records import input_selections
from batchwright.billing.records.input_filter import InputFilter
from batchwright.engine.errors import Refused
from batchwright.engine.submit import SYNC_LIMIT
from batchwright.jobs.usage_selection import no_selection
from batchwright.operations import views
from batchwright.operations.access.permissions import Right, permit, right_to_run
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.billing.input_filter import checked_filter, filter_text
from batchwright.operations.billing.usage_inputs import existing_inputs
from batchwright.operations.checks import distinct_ids
from batchwright.operations.runs.submitting import RunTerms, Submitted, submit_run
from batchwright.operations.views import View

MOST: Final = 1_000_000
"""Inputs of a selection: eight bytes each are stored."""
GOOD_FOR: Final = timedelta(hours=1)


COUNTED: Final = 10_000
"""Inputs that are counted and summed up unasked."""


def select_usage_inputs(
    app: Application,
    pairs: Iterable[tuple[str, str]] = (),
    *,
    usage_input_ids: Sequence[str] | None = None,
    actor: Actor,
) -> View:
    """Store which usage inputs match a filter, names and values, now: what comes later is none of them.

    Those of the ids, 1,000 at most, in place of a filter; unknown and deleted ones are refused.

    Returns `selection_id, count, by_status, sums, assets, partial_assets, expires_at`: `sums` of the rated and draft
    amounts by currency, `assets` the number of asset line items, `partial_assets` that of those of which a forecast
    would take other inputs, too. It is good for whoever made it.
    """
    permit(app, actor, Right.OPERATE, "usage_input.select")
    with app.database.read() as connection:
        where = _where(connection, pairs, usage_input_ids)
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
    shown = {
        "selection_id": selection["selection_id"],
        "count": selection["count"],
        "by_status": {status: len(keys) for status, keys in found.keys.items()},
        "sums": views.totals(found.sums),
        "assets": found.assets,
        "partial_assets": found.partial_assets,
        "expires_at": views.instant(now + GOOD_FOR),
    }
    with app.database.write() as connection:
        input_selections.add(connection, {**selection, "figures": json.dumps(shown)}, found.keys)
    return shown


def show_selection(app: Application, selection_id: str, *, actor: Actor) -> View:
    """A selection of the actor's, as `select_usage_inputs` returned it. Refuses one that has expired."""
    permit(app, actor, Right.OPERATE, "usage_input.select")
    with app.database.read() as connection:
        row = input_selections.figures(connection, selection_id)
    theirs = row is not None and row["actor"] == actor.name and row["expires_at"] > app.clock.now()
    if row is None or not theirs or not row["figures"]:
        raise no_selection(selection_id)
    shown: View = json.loads(row["figures"])
    return shown


def sum_usage_inputs(
    app: Application,
    pairs: Iterable[tuple[str, str]] = (),
    *,
    at_most: int = COUNTED,
    actor: Actor | None = None,
) -> View:
    """How many usage inputs match a filter, and what their amounts sum to by currency: `count, more, sums`.

    Where `more` than `at_most` match, that is the count, and `sums` is `None`.
    """
    permit(app, actor, Right.LOOK, "usage_input.list")
    with app.database.read() as connection:
        where = checked_filter(connection, pairs)
        count = input_selections.count(connection, where, at_most)
        sums = None if count > at_most else views.totals(input_selections.sums(connection, where))
    return {"count": min(count, at_most), "more": count > at_most, "sums": sums}


def _where(
    connection: Connection, pairs: Iterable[tuple[str, str]], usage_input_ids: Sequence[str] | None
) -> InputFilter:
    if usage_input_ids is None:
        return checked_filter(connection, pairs)
    ids = distinct_ids(usage_input_ids, field="usage_input_ids")
    if len(ids) > SYNC_LIMIT:
        raise Refused(
            f"{len(ids):,} usage inputs were named one by one",
            field="usage_input_ids",
            remedy=f"Name {SYNC_LIMIT:,} at most, or select by a filter",
        )
    existing_inputs(connection, ids)
    return InputFilter(usage_input_id=tuple(ids))


def submit_on_selection(
    app: Application,
    job_name: str,
    selection_id: str,
    *,
    actor: Actor,
    trigger: str = "cli",
    claim: bool = True,
    **terms: Unpack[RunTerms],
) -> Submitted:
    """Submit a run of the job on a selection: up to 1,000 inputs as a synchronous run, more in batch mode.

    The caller drives it with `drive_submitted`; without `claim` a worker drives one in batch mode. For resets and
    deletions, that people expect to be done at once. Refuses as `submit_run` does.
    """
    permit(app, actor, right_to_run(app, job_name), "run.submit")
    few = is_small(app, selection_id)
    mode, parameters = "sync" if few else "batch", {"selection_id": selection_id}
    return submit_run(
        app, job_name, parameters, actor=actor, mode=mode, trigger=trigger, claim=claim or few, **terms
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
