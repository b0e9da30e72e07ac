"""Selections of usage inputs: what matches a filter now, for an act on just these within the hour."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from typing import Any, Final, Unpack

from sqlalchemy import Connection

from batchwright.billing.records import input_filter, input_selections
from batchwright.billing.records.input_filter import InputFilter
from batchwright.engine.errors import Refused
from batchwright.engine.submit import SYNC_LIMIT
from batchwright.jobs.usage_selection import no_selection
from batchwright.operations import user_store, views
from batchwright.operations.access.permissions import Right, permit, right_to_run
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.billing.input_filter import checked_filter, filter_text
from batchwright.operations.billing.usage_inputs import existing_inputs
from batchwright.operations.checks import distinct_ids
from batchwright.operations.paging import PART_SECONDS, carried_by, carrying
from batchwright.operations.runs.submitting import RunTerms, Submitted, submit_run
from batchwright.operations.views import View

MOST: Final = 1_000_000
"""Inputs of a selection: eight bytes each are stored."""
GOOD_FOR: Final = timedelta(hours=1)
STRETCH: Final = 5_000
"""Inputs that are looked at in one query."""
SUMMING: Final = "sums of usage inputs"


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
    after: str | None = None,
    seconds: float = PART_SECONDS,
    actor: Actor | None = None,
) -> View:
    """Count the usage inputs that match a filter and sum up their amounts, part by part: the next part, of so many
    seconds about, and what all parts so far came to.

    Returns `count`, `sums` by currency, `next_after` (the cursor of the next part; `None` at the end), `share` (how far
    along, from 0 to 1, about) and when that was: from `began` to `ended`. Refuses a cursor that was made elsewhere, or
    for another filter.
    """
    permit(app, actor, Right.LOOK, "usage_input.list")
    started = app.clock.monotonic()
    with app.database.read() as connection:
        where = checked_filter(connection, pairs)
        key, wanted = user_store.key_of_links(connection), {"filter": filter_text(where)}
        summed = _Summed(views.instant(app.clock.now()))
        if after is not None:
            summed = _Summed(**carried_by(after, key, SUMMING, wanted, field="sums_after"))
        is_over = summed.add_next(connection, where)
        while not is_over and app.clock.monotonic() - started < seconds:
            is_over = summed.add_next(connection, where)
        share = 1.0 if is_over else summed.share(connection, where)
    return {
        "count": summed.count,
        "sums": views.totals(summed.sums),
        "next_after": None if is_over else carrying(key, SUMMING, wanted, asdict(summed)),
        "share": share,
        "began": summed.began,
        "ended": views.instant(app.clock.now()),
    }


@dataclass
class _Summed:
    """What a part, and those before it, came to; and the `place` in the walk at which they ended."""

    began: str | None
    place: Sequence[Any] | None = None
    count: int = 0
    sums: dict[str, dict[str, int]] = field(default_factory=dict)

    def add_next(self, connection: Connection, where: InputFilter) -> bool:
        """Go on for a stretch; whether that was the last."""
        kinds = input_filter.order_of(where)
        place = [
            date.fromisoformat(part) if kind is date and isinstance(part, str) else part
            for part, kind in zip(self.place or (), kinds, strict=self.place is not None)
        ]
        after = tuple(place) or None
        conditions, self.place = input_filter.stretch(connection, where, after, STRETCH)
        count, sums = input_selections.sums(connection, conditions, joined=where.names_assets)
        self.count += count
        for name, amounts in sums.items():
            total = self.sums.setdefault(name, {})
            for currency, amount in amounts.items():
                total[currency] = total.get(currency, 0) + amount
        return self.place is None

    def share(self, connection: Connection, where: InputFilter) -> float:
        """How far along the place is, by its first part."""
        assert self.place is not None
        ends = input_filter.ends(connection, where)
        first, here, last = (
            one.toordinal() if isinstance(one, date) else one for one in (ends[0], self.place[0], ends[1])
        )
        return 0.0 if first is None else min((here - first) / (last - first + 1), 1.0)


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
