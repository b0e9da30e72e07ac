"""The one way in: a validated job and a request become a run row, in the caller's transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo

from sqlalchemy import Connection

from batchwright.engine.errors import Refused
from batchwright.engine.job import BatchJob, DryRunJob, StartContext, Warn
from batchwright.engine.job_code import JOB_CODE, check_done
from batchwright.engine.registry import Registry
from batchwright.engine.reports import checked_months, checked_name, checked_text
from batchwright.engine.run import NewRun, Run, State
from batchwright.engine.store import runs
from batchwright.engine.store.lending import ends_refused

SYNC_LIMIT = 1_000
"""Most records of a synchronous run, as Conga's API has it."""
SELECTION_PAGE = 5_000
DEDUP_KEY_LIMIT = 200
"""Most characters of a dedup key."""
MOST_PER_SCOPE = 10**9
MODES = ("sync", "batch", "dry_run")
CEILING = re.compile(r"[0-9]{1,9}|(?:100|[0-9]{1,2}(?:\.[0-9]{1,6})?)%")


@dataclass(frozen=True, slots=True)
class Request:
    """How a job is to be run, and on whose behalf.

    ``mode`` is ``sync``, ``batch`` or ``dry_run``; ``in_caller`` drives it in the caller's thread, outside the flex
    queue, within the limit of a synchronous run. ``scope_size`` and ``error_ceiling`` (a count or a percentage
    such as ``5%``) are the job's and none where left out. ``schedule`` is the name of the one that it is a run of;
    with ``after_earlier`` it holds until every earlier run of that has ended.
    """

    actor: str
    mode: str = "batch"
    in_caller: bool = False
    reason: str | None = None
    explanation: str | None = None
    trigger: str = "python"
    scope_size: int | None = None
    error_ceiling: str | None = None
    notify: Sequence[str] = ()
    mail_actor: bool = True
    parent: Run | None = None
    schedule: str | None = None
    after_earlier: bool = False
    warnings: Sequence[Warn] = ()
    zone: tzinfo = UTC
    """In which the business day begins and ends."""


def submit(connection: Connection, job: BatchJob, request: Request, now: datetime) -> Run:
    """Check everything that can be checked now, and enqueue the run on the caller's connection.

    Raises ``Refused`` for parameters that do not fit the data, for too many records in a synchronous run, and for a
    dry run of a job that cannot run dry; ``KeyInUse`` while another run has the job's dedup key. Nothing is written
    then, and the caller's transaction is as good as before.
    """
    (submitted,) = submit_set(connection, [(job, request)], now)
    if isinstance(submitted, Refused):
        raise submitted
    return submitted


def submit_set(
    connection: Connection,
    wanted: Sequence[tuple[BatchJob, Request]],
    now: datetime,
    ready: Mapping[int, CheckedRun] | None = None,
) -> list[Run | Refused]:
    """The same of several runs in few statements, in their order; each that is refused has its refusal in its place.

    A job's own ``check`` finds the runs before it there. ``ready`` are by place the runs that ``check_run`` made of the
    same: of such a job none of its code is called again, but for its own ``check`` where a run was inserted since.
    """
    ready = ready or {}
    submitted: dict[int, Run | Refused] = {}
    checked: dict[int, CheckedRun] = {}
    for place, (job, request) in enumerate(wanted):
        has_check = type(job).check is not BatchJob.check
        if has_check:
            submitted |= _insert(connection, checked, now)
            checked = {}
        try:
            if (known := ready.get(place)) is None:
                checked[place] = check_run(connection, job, request, now)
                continue
            if has_check and known.after_run != runs.last_key(connection):
                with ends_refused(connection), JOB_CODE:
                    job.check(connection, now.astimezone(request.zone))
            new = replace(known.new, after_earlier=request.after_earlier)
            checked[place] = replace(known, new=new, warnings=request.warnings)
        except Refused as refusal:
            submitted[place] = refusal
    submitted |= _insert(connection, checked, now)
    return [submitted[place] for place in range(len(wanted))]


@dataclass(frozen=True, slots=True)
class CheckedRun:
    """A run that may be inserted, if its dedup key is free; ``after_run`` is the key of the newest run before it."""

    new: NewRun
    selection: Sequence[int]
    warnings: Sequence[Warn]
    after_run: int


def check_run(connection: Connection, job: BatchJob, request: Request, now: datetime) -> CheckedRun:
    """Call all of the job's code that a submit calls; also on a connection that only reads, under no lock."""
    with ends_refused(connection), JOB_CODE:
        _check(job, request)
        after_run = runs.last_key(connection) if type(job).check is not BatchJob.check else 0
        selection = sorted(set(job.select(connection)))
        check_done(job.check(connection, now.astimezone(request.zone)))  # type: ignore[func-returns-value]
        if request.in_caller:
            _check_sync_limit(connection, job, selection)
        return CheckedRun(_new_run(job, request), selection, request.warnings, after_run)


def _insert(
    connection: Connection, checked: Mapping[int, CheckedRun], now: datetime
) -> Mapping[int, Run | Refused]:
    inserted = runs.insert_runs(connection, [run.new for run in checked.values()], now)
    warnings = []
    for entry, run in zip(checked.values(), inserted, strict=True):
        if isinstance(run, Run):
            runs.insert_selection(connection, run.id, entry.selection)
            warnings += [(run.id, None, warning) for warning in entry.warnings]
    runs.add_warnings_of(connection, warnings)
    return dict(zip(checked, inserted, strict=True))


def submit_next(
    connection: Connection,
    registry: Registry,
    parent: Run,
    job: BatchJob,
    now: datetime,
    *,
    reason: str | None,
    scope_size: int | None,
    zone: tzinfo,
) -> Run:
    """Enqueue a run that follows ``parent``, on its behalf. Raises ``Refused`` as ``submit`` and the registry do."""
    registry.check(job)
    request = Request(
        actor=parent.actor,
        mode="dry_run" if parent.is_dry else "batch",
        reason=parent.reason if reason is None else reason,
        explanation=parent.explanation if reason is None else None,
        trigger="job",
        scope_size=scope_size,
        error_ceiling=parent.error_ceiling,
        notify=parent.notify,
        mail_actor=parent.mail_actor,
        parent=parent,
        zone=zone,
    )
    return submit(connection, job, request, now)


def stored_selection(connection: Connection, run_key: int) -> Iterator[Sequence[int]]:
    """Pages of the keys that were selected at submit."""
    last = -(2**63)
    while page := runs.selection_page(connection, run_key, last, SELECTION_PAGE):
        yield page
        last = page[-1]


def _new_run(job: BatchJob, request: Request) -> NewRun:
    return NewRun(
        job=job.name,
        type=job.type,
        mode=request.mode,
        in_caller=request.in_caller,
        actor=request.actor,
        reason=checked_text("reason", job.reason) if job.reason else request.reason,
        explanation=checked_text("explanation", job.explanation) if job.explanation else request.explanation,
        parameters=job.parameters.model_dump(mode="json"),
        trigger=request.trigger,
        schedule=request.schedule,
        after_earlier=request.after_earlier,
        parent_id=request.parent.id if request.parent else None,
        customer_id=None if job.customer_id is None else checked_name("customer's id", job.customer_id),
        periods=None if job.periods is None else checked_months(job.periods),
        scope_size=job.scope_size if request.scope_size is None else request.scope_size,
        error_ceiling=request.error_ceiling,
        notify=list(request.notify),
        mail_actor=request.mail_actor,
        queue_key=request.actor,
        dedup_key=job.dedup_key,
        # A synchronous run takes no slot: it lives in its caller's thread.
        state=State.QUEUED if request.in_caller else State.HOLDING,
    )


def _check(job: BatchJob, request: Request) -> None:
    if request.mode not in MODES:
        raise Refused(
            f"{request.mode!r} is not a valid mode of a run",
            field="mode",
            remedy=f"Give one of {', '.join(MODES)}",
        )
    size = job.scope_size if request.scope_size is None else request.scope_size
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= MOST_PER_SCOPE:
        raise Refused(
            f"{size!r} is not a valid number of records for a scope",
            field="scope_size",
            remedy=f"Give a whole number from 1 to {MOST_PER_SCOPE}",
        )
    ceiling = request.error_ceiling
    if ceiling is not None and not (isinstance(ceiling, str) and CEILING.fullmatch(ceiling)):
        raise Refused(
            f"{request.error_ceiling!r} is not a valid error ceiling",
            field="error_ceiling",
            remedy="Give a count such as 100, or a percentage such as 5%",
        )
    key = job.dedup_key
    if key is not None and not (
        isinstance(key, str) and 0 < len(key) <= DEDUP_KEY_LIMIT and key.isprintable()
    ):
        raise Refused(
            f"{key!r:.80} is not a valid dedup key",
            field="dedup_key",
            remedy=f"The job has to give 1 to {DEDUP_KEY_LIMIT} printable characters, or none",
        )
    if request.mode == "dry_run" and not isinstance(job, DryRunJob):
        raise Refused(f"{job.type} cannot run dry", field="mode", remedy="Run it without a dry run")


def count_records(connection: Connection, job: BatchJob, at_most: int) -> int:
    """How many records a run of the job would take if it were planned now; counting may stop beyond ``at_most``.

    Raises ``Refused`` for what its parameters name and is not there, and whatever else the job's code raises.
    """
    with ends_refused(connection), JOB_CODE:
        return _count(connection, job, sorted(set(job.select(connection))), at_most)


def _count(connection: Connection, job: BatchJob, selection: Sequence[int], at_most: int) -> int:
    context = StartContext(connection=connection, selected=lambda: iter([selection] if selection else []))
    return job.count(context, at_most)


def _check_sync_limit(connection: Connection, job: BatchJob, selection: Sequence[int]) -> None:
    counted = _count(connection, job, selection, SYNC_LIMIT)
    if counted > SYNC_LIMIT:
        raise Refused(
            f"a synchronous run takes at most {SYNC_LIMIT:,} {job.record_noun}s, and these are more",
            field="process_synchronously",
            remedy="Run it in batch mode, or name fewer",
        )
