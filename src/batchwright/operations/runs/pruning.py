"""Pruning: of runs that ended long ago their rows stay, and what became of each of their records is deleted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from batchwright.engine.claim import Stop
from batchwright.engine.errors import Changed, Refused
from batchwright.engine.store import pruning
from batchwright.engine.store.pruning import Figures, Old
from batchwright.notifications import outbox
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.checks import check_storable
from batchwright.operations.views import View, instant
from batchwright.operations.workers import clock_ahead_seconds

ACT: Final = "run.prune"
LEAST: Final = timedelta(days=1)
SPAN: Final = re.compile(r"([0-9]{1,5})\s*([dw]?)", re.ASCII)
REMEDY: Final = "Give a number of days (90d) or weeks (12w), or a date such as 2026-01-31"


def preview_prune(
    app: Application, older_than: str, jobs: Sequence[str] = (), *, actor: Actor | None = None
) -> View:
    """What `prune_runs` would do: `older_than, jobs, runs, records, oldest, newest, by_job, scopes, kept, unfinished`.

    `older_than` is the time before which the runs ended. `kept` are runs as old that something needs still: a run that
    follows them and has not ended, or a mail that waits. `unfinished` were pruned before, and not all of their records
    are deleted yet.
    """
    permit(app, actor, Right.ADMINISTER, ACT)
    old = _old(app, older_than, jobs)
    with app.database.read() as connection:
        found, kept = pruning.figures(connection, old)
        return {
            **_told(old, found),
            "scopes": pruning.scopes_of(connection, old),
            "kept": kept,
            "unfinished": pruning.number_left(connection),
        }


def prune_runs(
    app: Application,
    older_than: str,
    jobs: Sequence[str] = (),
    *,
    expected: int | None = None,
    reason: str | None = None,
    actor: Actor,
) -> View:
    """Prune the runs that ended before a time or longer ago than a span, such as `90d`: nobody is shown what became of
    their records any more, and that is deleted by `delete_pruned` or by a worker. Of these jobs alone if any are named.

    Their rows stay, with counts, totals, errors by code, parameters, mail and audit entries; so do amounts of usage
    inputs and what these rest on. Returns what it did, as `preview_prune` tells it, without `scopes`. Refuses a time
    less than a day ago, and with `expected` another number of runs.
    """
    permit(app, actor, Right.ADMINISTER, ACT)
    old = _old(app, older_than, jobs)
    now = app.clock.now()
    with app.database.write() as connection:
        marked, ids = pruning.mark(connection, old, now)
        done = _told(old, marked)
        if expected not in (None, done["runs"]):
            raise Changed(f"these were {expected:,} runs, and became {done['runs']:,}")
        if marked:
            subject = audit.subject_of(ids, "run")
            audit.record(connection, actor, ACT, subject, reason=reason, after=done, records=ids, now=now)
        _, kept = pruning.figures(connection, old)
        return {**done, "kept": kept, "unfinished": pruning.number_left(connection)}


def delete_pruned(app: Application, stop: Stop = lambda: False) -> int:
    """Delete the records of pruned runs, in short transactions until `stop` says so; of how many runs some are left."""
    while not stop():
        if not pruning.delete_some(app.database):
            return 0
    with app.database.read() as connection:
        return pruning.number_left(connection)


def _told(old: Old, found: Sequence[Figures]) -> View:
    return {
        "older_than": instant(old.before),
        "jobs": list(old.jobs),
        "runs": sum(one.runs for one in found),
        "records": sum(one.records for one in found),
        "oldest": instant(min((one.oldest for one in found), default=None)),
        "newest": instant(max((one.newest for one in found), default=None)),
        "by_job": [{"job": one.job, "runs": one.runs, "records": one.records} for one in found],
    }


def _old(app: Application, older_than: str, jobs: Sequence[str]) -> Old:
    with app.database.read() as connection:
        ahead = timedelta(seconds=max(clock_ahead_seconds(app, connection) or 0.0, 0.0))
    before = time_of(older_than, app.clock.now() - ahead)  # by a clock that is ahead all would be old
    wanted = sorted(set(jobs))
    for job in wanted:
        check_storable(job, field="job")
        with app.database.read() as connection:
            is_known = pruning.any_of(connection, job)
        if not is_known:
            app.registry.get(job)
    return Old(before, wanted, outbox.waits_for_records())


def time_of(older_than: str, now: datetime) -> datetime:
    """The time, in UTC, that a span before now or a date means. Refuses one that is less than a day ago."""
    text = older_than.strip()
    span = SPAN.fullmatch(text)
    try:
        if span is not None:
            before = now.replace(microsecond=0) - int(span[1]) * timedelta(days=7 if span[2] == "w" else 1)
        else:
            given = datetime.fromisoformat(text)
            before = given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused(f"{older_than!r} is not an age or a date", field="older_than", remedy=REMEDY) from None
    if before > now - LEAST:
        raise Refused(
            f"{older_than!r} is less than a day ago: such a run may be wanted still",
            field="older_than",
            remedy="Give 1d or more, or an earlier date",
        )
    return before
