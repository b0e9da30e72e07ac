"""How the amounts of a usage input came about, and what became of it in every run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, RowMapping

from batchwright.billing.exact import ZERO
from batchwright.billing.explain import lines_of
from batchwright.billing.money import money_text
from batchwright.billing.rating import rate
from batchwright.billing.records import assets, basis, restating
from batchwright.billing.records.catalog_of_rating import price_revisions
from batchwright.engine.job import BatchJob, Outcome
from batchwright.engine.ledger import RecordOutcome
from batchwright.engine.run import Run
from batchwright.engine.store import pruning, runs, scopes
from batchwright.engine.store.scopes import StoredScope
from batchwright.jobs import (
    DataRecalculationJob,
    DraftUsageRatingJob,
    UsageInputDeletionJob,
    UsageInputResetJob,
    UsageRatingJob,
    UsageUnratingJob,
)
from batchwright.jobs.usage_restating import REASONS
from batchwright.operations import audit_store, views
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.billing import amendments
from batchwright.operations.billing.usage_inputs import existing_input
from batchwright.operations.paging import Page, check_page, cursor, place_after
from batchwright.operations.views import View, picked

JOBS: Final[tuple[type[BatchJob], ...]] = (
    DraftUsageRatingJob,
    UsageRatingJob,
    UsageUnratingJob,
    DataRecalculationJob,
    UsageInputResetJob,
    UsageInputDeletionJob,
)
"""The jobs whose records are usage inputs, by asset line item."""


LISTING: Final = "usage_input_history"
HISTORY_PAGE: Final = 20
MOST_RUNS: Final = 5_000
"""Runs that are looked at for a page."""
SCOPES_AT_A_TIME: Final = 50
NEWEST: Final = 2**63 - 1

RESET: Final = "usage_input.reset"
ACTS: Final = ("usage_input.add", "usage_input.edit")
ACTS_ON_SEVERAL: Final = (RESET, amendments.ACT)
"""What people do to usage inputs, where the audit trail says to which; of an import it knows the files alone."""

AMOUNTS: Final[Mapping[basis.Kind, str]] = {"rated": "rated_amount", "draft": "draft_rated_amount"}


def explain_usage_input(
    app: Application,
    usage_input_id: str,
    *,
    with_history: bool = True,
    with_owner: bool = False,
    actor: Actor | None = None,
) -> View:
    """The usage input of that id with `explanation`, `history` and `acts`. A deleted one is refused as gone.

    `explanation` has, for the `rated` and the `draft` amount, what it was computed with and the `lines` that sum to
    it; for one that an amendment took to zero `amendment` (`at, actor, reason`, and `before`: the asset line
    item, the schedules that were superseded, status and amounts) and no lines; `None` where there is no amount.
    `history` are its outcomes in the last runs, the newest of them last; `history_next` leads `usage_input_history` to
    those before: `None` where there are none. Each has `run_id, type, mode, started_at, actor, reason, outcome, code,
    message, amount, currency`; of a run that restated it the outcome is `restated`, with `before` and `after`.
    Of runs that were pruned it says nothing: `history_pruned_until`, where there are any, has by job when the last of
    these ended.
    `acts` are what people did to it, oldest first: `at, actor, act, reason, before, after`, the last two with what
    changed of it. `history` is empty where nobody wants it yet. `with_owner` it has `customer_id`, `customer_name` and
    `product` of its asset line item, too.
    """
    permit(app, actor, Right.LOOK, "usage_input.explain")
    with app.database.read() as connection:
        row = existing_input(connection, usage_input_id)
        acts = list(_acts(connection, usage_input_id))
        history: Page[View] = _history(connection, row, HISTORY_PAGE) if with_history else Page([], None)
        pruned = pruning.newest_pruned(connection, [job.name for job in JOBS]) if with_history else {}
        owner = assets.owners(connection, [row["asset_key"]])[row["asset_key"]] if with_owner else {}
        return {
            **views.usage_input(row),
            **{name: owner[name] for name in ("customer_id", "customer_name", "product") if with_owner},
            "explanation": {kind: _explanation(connection, row, kind, acts) for kind in basis.KINDS},
            "history": history.items[::-1],
            "history_next": history.next,
            **(
                {"history_pruned_until": {job: views.instant(at) for job, at in pruned.items()}}
                if pruned
                else {}
            ),
            "acts": acts,
        }


def _explanation(
    connection: Connection, row: RowMapping, kind: basis.Kind, acts: Sequence[View]
) -> View | None:
    price_key = row[f"{kind}_price_key"]
    if price_key is None:
        return _left_by_amendment(row, AMOUNTS[kind], acts)
    revision = price_revisions(connection, [price_key])[price_key]
    prior, discount = row[f"{kind}_prior_quantity"], row[f"{kind}_discount_percent"]
    net = rate(
        revision.price,
        row["quantity"],
        prior or ZERO,
        indexed=revision.usage_indexing,
        first_in_window=prior is None,
    ).net(revision.currency, discount)
    price = basis.price_facts(connection, price_key)
    contract = basis.contract_facts(connection, row[f"{kind}_contract_key"])
    schedule = basis.schedule_facts(connection, row["rated_schedule_key"]) if kind == "rated" else None
    run = runs.by_key(connection, row[f"{kind}_run_key"])
    return {
        "amount": money_text(net.amount_minor, revision.currency),
        "currency": revision.currency,
        "run_id": run.run_id,
        **({} if run.pruned_at is None else {"run_pruned_at": views.instant(run.pruned_at)}),
        "quantity": views.quantity(row["quantity"]),
        "prior_quantity": views.quantity(prior or ZERO),
        "first_in_window": prior is None,
        "price": {
            **price,
            "effective_from": views.day(price["effective_from"]),
            "model": revision.price.model,
            "usage_indexing": revision.usage_indexing,
        },
        "contract": None if contract is None else dict(contract),
        "discount_percent": views.quantity(discount),
        "usage_schedule_id": schedule and schedule["usage_schedule_id"],
        "billing_schedule_id": schedule and schedule["billing_schedule_id"],
        "billing_schedule_status": schedule and schedule["status"],
        "lines": lines_of(net),
    }


def _left_by_amendment(row: RowMapping, amount: str, acts: Sequence[View]) -> View | None:
    """An amount that rests on no price: an amendment, the last one, took it to zero. `None` where there is none."""
    amendments_of = [act for act in acts if act["act"] == amendments.ACT]
    if row[amount] is None or not amendments_of:
        return None
    amendment = {name: value for name, value in amendments_of[-1].items() if name not in ("act", "after")}
    return {
        "amount": views.money(row[amount], row["currency"]),
        "currency": row["currency"],
        "amendment": amendment,
        "lines": [],
    }


def _acts(connection: Connection, usage_input_id: str) -> Iterator[View]:
    """What people did to the input alone; of entries about several records what they say of it."""
    for entry in audit_store.acts_on(connection, usage_input_id, ACTS + ACTS_ON_SEVERAL):
        view = views.audit_entry(entry)
        before, after = view["before"], view["after"]
        if view["act"] == amendments.ACT:
            before, after = (side["usage_inputs"].get(usage_input_id) for side in (before, after))
            before = before and {"asset_line_item_id": view["subject"], **before}
        elif view["act"] == RESET:
            before = before.get(usage_input_id)
        elif before is not None:
            changed = [name for name in before if before[name] != after[name]]
            before, after = ({name: side[name] for name in changed} for side in (before, after))
        if before is None and view["act"] in ACTS_ON_SEVERAL:
            continue  # its id stands there for something else
        # The rest of an entry is for who may look at the audit trail.
        shown = {name: view[name] for name in ("at", "actor", "act", "reason")}
        yield {**shown, "before": before, "after": after}


def usage_input_history(
    app: Application,
    usage_input_id: str,
    *,
    limit: int = HISTORY_PAGE,
    after: str | None = None,
    actor: Actor | None = None,
) -> Page[View]:
    """What became of the input by run, newest first, as in `explain_usage_input`.

    A page may be short, and yet not be the last: runs are looked at one by one, `MOST_RUNS` at a time.
    """
    permit(app, actor, Right.LOOK, "usage_input.explain")
    check_page(limit)
    with app.database.read() as connection:
        row = existing_input(connection, usage_input_id)
        return _history(connection, row, limit, after)


def _history(connection: Connection, row: RowMapping, limit: int, after: str | None = None) -> Page[View]:
    asked = {"usage_input_id": row["usage_input_id"]}
    (before_run,) = (NEWEST,) if after is None else place_after(after, LISTING, asked, (int,))
    outcomes, earliest = _outcomes(connection, row, before_run, limit)
    restated = [one for one in _restatements(connection, row) if (earliest or 0) <= one[0].id < before_run]
    newest_first = sorted([*outcomes, *restated], key=lambda one: -one[0].id)
    if len(newest_first) > limit:
        newest_first = newest_first[:limit]
        earliest = newest_first[-1][0].id
    lines = [
        {
            **picked(run, "run_id type mode started_at actor reason"),
            **what,
        }
        for run, what in newest_first
    ]
    return Page(lines, None if earliest is None else cursor(LISTING, asked, (earliest,)))


def _restatements(connection: Connection, row: RowMapping) -> Iterator[tuple[Run, View]]:
    found = restating.restatements_of(connection, row["id"])
    of_run = runs.by_keys(connection, found)
    for run_key, restated in found.items():
        run, shown = of_run[run_key], views.restatement(restated)
        message = f"{shown['before']} before: {REASONS[run.job].of_one}"
        named = {"outcome": "restated", "code": None, "message": message, "amount": shown["after"]}
        del shown["record_id"]
        yield run, {**named, **shown}


def _outcomes(
    connection: Connection, row: RowMapping, before_run: int, limit: int
) -> tuple[list[tuple[Run, View]], int | None]:
    """Outcomes of the newest runs before one, and the key of the earliest run that was looked at: ``None`` at the end.

    They are kept by scope, and a scope knows between which assets its records lie.
    """
    outcomes: list[tuple[Run, View]] = []
    names = [job.name for job in JOBS]
    around, earliest = scopes.scopes_around(connection, names, row["asset_key"], before_run, MOST_RUNS)
    for first in range(0, len(around), SCOPES_AT_A_TIME):
        some = dict(around[first : first + SCOPES_AT_A_TIME])
        read = scopes.read_some(connection, some.values())
        held = {key: read[one] for key, one in some.items() if row["id"] in read[one].keys}
        of_run, reported = (
            runs.by_keys(connection, held),
            scopes.outcomes_of_record(connection, held, row["id"]),
        )
        for key, scope in held.items():
            if scope.done or of_run[key].ended:  # or nothing became of it yet
                outcomes.append((of_run[key], _outcome(row, scope, reported.get(key))))
            if len(outcomes) == limit:
                return outcomes, key
    return outcomes, earliest


def _outcome(row: RowMapping, scope: StoredScope, reported: Outcome | None) -> View:
    found = reported or Outcome("ok" if scope.done else "not_reached", "", "")
    record = RecordOutcome(
        record_key=row["id"],
        record_id=row["usage_input_id"],
        outcome=found.outcome,
        code=found.code or None,
        message=found.message or None,
        amount=scope.amount_of(scope.keys.index(row["id"])),
        facts={},
    )
    what = views.outcome(record)
    del what["record_id"]
    return what
