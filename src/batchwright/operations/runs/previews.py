"""Previews: what a dry run would have written, old → new, by customer, schedule and input; and doing just that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final, Literal, Unpack

from sqlalchemy import Connection

from batchwright.engine import ledger
from batchwright.engine.errors import MoveRefused, Refused
from batchwright.engine.job import BatchJob, Change, Preview
from batchwright.engine.run import APPLY, ENDED, Run, State
from batchwright.engine.store import runs, scopes
from batchwright.engine.store.scopes import PreviewPlace
from batchwright.operations import views
from batchwright.operations.access.permissions import Right, permit, permit_for_run
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import check_limit, check_one_of
from batchwright.operations.paging import PAGE, Page, check_page, cursor, place_after
from batchwright.operations.runs.submitting import RunRequest, RunTerms, Submitted, submit, terms_after
from batchwright.operations.views import View

By = Literal["customer", "account", "charge", "schedule", "input", "other"]
Sums = Callable[[Connection], list[Preview]]
Part = Callable[[int, PreviewPlace | None], list[tuple[PreviewPlace, Preview]]]
CHOICES: Final = ("customer", "account", "charge", "schedule", "input", "other")

AGAIN: Final = "Run the job with --dry-run again"
MOST_SUMS_KEPT: Final = 12
MOST_LINES_KEPT: Final = 10_000
LISTING: Final = "run_preview"
CUSTOMER: Final = "customer"
CUSTOMER_CHARGES: Final = "customer_charges"
ACCOUNT: Final = "account"
INPUT: Final = "usage_input"
CHARGE: Final = "account_charge"
OTHER: Final = "other"
KINDS: Final = {
    "charge": (CHARGE,),
    "schedule": ("usage_schedule", "late_usage_schedule", "billing_schedule"),
    "input": (INPUT,),
}
"""The kinds of lines by what a reader asks for; they are shown in this order, and after them those that only the job
knows: ``other``.
"""


def run_preview(
    app: Application,
    run_id: str,
    by: By | None = None,
    limit: int | None = None,
    *,
    actor: Actor | None = None,
) -> Iterator[View]:
    """What a dry run would have written: customers, accounts by month, charges, schedules, inputs; or one of these.

    Streamed. A customer has a line of what its inputs sum to, and one of what its accounts are charged
    (`customer_charges`); in the preview of a job without inputs, of what its own kind of lines sums to. Kinds that
    only the job knows are `other`. Each by currency, the largest difference first. Lines of `kind, record_id,
    customer_id, amount, currency, before, after, difference, detail`. Refuses a run that was none, before the first
    line.
    """
    permit(app, actor, Right.LOOK, "run.preview")
    check_limit(limit)
    if by is not None:
        check_one_of(by, CHOICES, field="by")
    with app.database.read() as connection:
        run = dry_run_of(connection, run_id)
    return islice(_lines(app, run, by), limit)


def page_of_preview(
    app: Application,
    run_id: str,
    by: By | None = None,
    after: str | None = None,
    limit: int = PAGE,
    *,
    actor: Actor | None = None,
) -> Page[View]:
    """A page of the same lines. Those of a dry run that has not ended come and go between two pages."""
    permit(app, actor, Right.LOOK, "run.preview")
    check_page(limit)
    if by is not None:
        check_one_of(by, CHOICES, field="by")
    asked = {"run_id": run_id, "by": by}
    begin, *rest = (
        (0, "", 0, -1) if after is None else place_after(after, LISTING, asked, (int, str, int, int))
    )
    behind: PreviewPlace | None = None if after is None else PreviewPlace(*rest)
    lines: list[tuple[int, PreviewPlace, Preview]] = []
    with app.database.read() as connection:
        run = dry_run_of(connection, run_id)
        for number, part in enumerate(_parts(app, connection, run, by)):
            if number >= begin and len(lines) <= limit:
                found = part(limit + 1 - len(lines), behind if number == begin else None)
                lines += ((number, place, line) for place, line in found)
    items = [views.preview_line(line) for *_, line in lines[:limit]]
    if len(lines) <= limit:
        return Page(items, None)
    number, place, _ = lines[limit - 1]
    return Page(items, cursor(LISTING, asked, (number, *place)))


def preview_parts(app: Application, run_id: str, *, actor: Actor | None = None) -> dict[str, list[str]]:
    """By which of `CHOICES` the preview of a dry run has lines, each with the kinds of the lines it is made of."""
    permit(app, actor, Right.LOOK, "run.preview")
    with app.database.read() as connection:
        run = dry_run_of(connection, run_id)
        there = scopes.preview_kinds(connection, run.id)
        parts = {part: _kinds_of(there, part) for part in (*KINDS, OTHER)}
        summed = _summed(there)
        if summed is not None and scopes.has_preview_sums(connection, run.id, summed):
            parts[CUSTOMER] = [summed]
    if parts["charge"]:
        parts |= {CUSTOMER: [*parts.get(CUSTOMER, []), CHARGE], ACCOUNT: [CHARGE]}
    return {part: parts[part] for part in CHOICES if parts.get(part)}


def dry_run_of(connection: Connection, run_id: str) -> Run:
    """The dry run of that id. Refuses one that was none."""
    run = runs.by_id(connection, run_id)
    if not run.is_dry:
        raise Refused(
            f"{run_id} is not a dry run, so it has no preview",
            field="run_id",
            remedy="Submit the job with --dry-run",
        )
    runs.check_kept(run, AGAIN)
    return run


def apply_run(
    app: Application,
    run_id: str,
    *,
    actor: Actor,
    claim: bool = False,
    **terms: Unpack[RunTerms],
) -> Submitted:
    """Submit the run that a dry run foretold, as its child. `claim` and `terms` are as in `retry_run`.

    It does the records of the preview and writes just what that shows: all of it is computed again while the run is
    Preparing, each scope once more when it is executed, under its locks, and at last what its end writes. Where it
    would come to something else the run fails and names what changed: before it has done anything, or later at that
    scope, and what it had done before is what was foretold. Refuses a dry run that did not complete.
    """
    permit_for_run(app, actor, run_id, "run.apply")
    with app.database.read() as connection:
        preview = dry_run_of(connection, run_id)
    _refuse_incomplete(preview)
    _refuse_other_scopes(preview, terms.get("scope_size"))
    job = app.registry.make(preview.job, preview.parameters)
    request = RunRequest(
        actor=actor,
        trigger=APPLY,
        parent=preview,
        **terms_after(preview, {**terms, "scope_size": preview.scope_size}),
    )

    def make(connection: Connection) -> tuple[BatchJob, RunRequest]:
        runs.keep(connection, preview, AGAIN)
        return job, request

    return submit(app, make, "run.apply", claim=claim)


def _refuse_incomplete(preview: Run) -> None:
    if preview.state is not State.COMPLETED:
        raise MoveRefused(
            f"{preview.run_id} is {preview.state}: it did not foretell everything",
            field="run_id",
            remedy="Run the job with --dry-run again, and let it complete",
        )


def _refuse_other_scopes(preview: Run, scope_size: int | None) -> None:
    if scope_size not in (None, preview.scope_size):
        raise Refused(
            f"a preview is applied in its own scopes, of {preview.scope_size:,} records",
            field="scope_size",
            remedy="Leave it out, or make the preview with another size",
        )


def _lines(app: Application, run: Run, by: By | None) -> Iterator[View]:
    for sums in _sums(run, by):
        with app.database.read() as connection:
            lines = sums(connection)
        yield from map(views.preview_line, lines)
    with app.database.read() as connection:
        kinds = _kinds(connection, run, by)
    for kind in kinds:
        yield from map(views.preview_line, ledger.preview_pages(app.database, run, kind))


def _parts(app: Application, connection: Connection, run: Run, by: By | None) -> Iterator[Part]:
    """The lines as what gives so many of them behind a place."""
    for number, sums in enumerate(_sums(run, by)):
        yield partial(_of_sums, connection, partial(_kept, app, run, (by, number), sums))
    for kind in _kinds(connection, run, by):
        yield partial(ledger.preview_page, connection, run, kind)


def _of_sums(
    connection: Connection,
    sums: Sums,
    size: int,
    behind: PreviewPlace | None,
) -> list[tuple[PreviewPlace, Preview]]:
    begin = 0 if behind is None else behind.key + 1
    some = sums(connection)[begin : begin + size]
    return [(PreviewPlace("", 0, number), line) for number, line in enumerate(some, begin)]


def _kept(
    app: Application, run: Run, name: tuple[By | None, int], sums: Sums, connection: Connection
) -> list[Preview]:
    """The sums, of a run that has ended once for its pages: to make them takes as long as there are lines."""
    key = run.run_id, run.ended_at, name
    if (found := app.preview_sums.get(key)) is not None:
        return found
    made = sums(connection)
    if run.state in ENDED and len(made) <= MOST_LINES_KEPT:
        app.preview_sums[key] = made
        while len(app.preview_sums) > MOST_SUMS_KEPT:
            app.preview_sums.pop(next(iter(app.preview_sums)), None)
    return made


def _sums(run: Run, by: By | None) -> Iterator[Sums]:
    if by in (None, CUSTOMER):
        yield lambda connection: _customers(
            connection, run, CUSTOMER, _summed(scopes.preview_kinds(connection, run.id))
        )
        yield lambda connection: _customers(connection, run, CUSTOMER_CHARGES, CHARGE)
    if by in (None, ACCOUNT):
        yield lambda connection: _accounts(connection, run)


def _kinds(connection: Connection, run: Run, by: By | None) -> list[str]:
    """Of the kinds that the run has those that are asked for; a kind that only its job knows comes last."""
    there = scopes.preview_kinds(connection, run.id)
    return [kind for part in ((*KINDS, OTHER) if by is None else (by,)) for kind in _kinds_of(there, part)]


def _kinds_of(there: Sequence[str], part: str) -> list[str]:
    known = [kind for kinds in KINDS.values() for kind in kinds]
    if part == OTHER:
        return [kind for kind in there if kind not in known]
    return [kind for kind in KINDS.get(part, ()) if kind in there]


def _summed(there: Sequence[str]) -> str | None:
    """The kind of lines that are summed up by customer: inputs; of a job without them the one that only it knows."""
    others = _kinds_of(there, OTHER)
    return INPUT if INPUT in there else others[0] if len(others) == 1 else None


def _customers(connection: Connection, run: Run, kind: str, summed: str | None) -> list[Preview]:
    """A line for each customer and currency: what its lines of the kind `summed` sum to."""
    if summed is None:
        return []
    lines = [
        Preview(kind, customer_id, None, {}, change, customer_id)
        for customer_id, change in scopes.preview_sums(connection, run.id, summed)
    ]
    return sorted(lines, key=_by_size)


def _accounts(connection: Connection, run: Run) -> list[Preview]:
    """A line for each account, month and currency: what its charges sum to."""
    changes: dict[tuple[str, str, str | None, str], list[Change]] = {}
    for line in ledger.preview_lines(connection, run, CHARGE):
        if line.change is not None:
            account_id, period = line.detail["account_id"], line.detail["period"]
            of = account_id, period, line.customer_id, line.change.currency
            changes.setdefault(of, []).append(line.change)
    lines = []
    for (account_id, period, customer_id, currency), of_account in changes.items():
        detail = {"account_id": account_id, "period": period}
        before, after = _sum(one.before for one in of_account), _sum(one.after for one in of_account)
        change = Change(before, after, currency)
        lines.append(Preview(ACCOUNT, f"{account_id} {period}", None, detail, change, customer_id))
    return sorted(lines, key=_by_size)


def _sum(amounts: Iterable[int | None]) -> int | None:
    """Blank where every amount is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None


def _by_size(line: Preview) -> tuple[str, int, str]:
    before, after, currency = line.change or (None, None, "")
    return currency, -abs((after or 0) - (before or 0)), line.record_id
