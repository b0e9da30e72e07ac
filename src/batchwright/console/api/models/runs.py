"""The shapes of runs and of what became of their records."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from batchwright.console.api.models.mail import Mail
from batchwright.console.api.models.shapes import Amount, Amounts, Answer, Instant


class Warning(Answer):
    """Something a run came upon that is not the error of one record."""

    code: str
    message: str
    record_id: str | None


class Acknowledgement(Answer):
    """Who has seen what is wrong with a run, a schedule or a mail."""

    kind: Literal["run", "schedule", "mail"]
    subject: str
    actor: str
    at: Instant
    note: str | None


class Outcome(Answer):
    """What became of one record of a run."""

    record_id: str
    outcome: Literal["ok", "error", "skipped", "not_reached"]
    code: str | None
    message: str | None
    amount: Amount | None
    currency: str | None


class Run(Answer):
    """A run, as the run log shows it; `pruned_at` is there where what became of its records is deleted."""

    run_id: Annotated[str, Field(examples=["JR-00000001"])]
    job: str
    type: str
    mode: Literal["sync", "batch", "dry_run"]
    status: str
    badge: str
    actor: str
    reason: str | None
    explanation: str | None
    parameters: dict[str, Any]
    trigger: str
    schedule: str | None
    parent_run_id: str | None
    customer_id: str | None
    periods: list[str] | None
    total: int | None
    processed: int | None
    errored: int | None
    skipped: int | None
    not_reached: int | None
    totals: dict[str, Amounts]
    warnings: list[Warning]
    error: str | None
    created_at: Instant
    started_at: Instant | None
    ended_at: Instant | None
    duration_seconds: float | None
    pruned_at: Instant = ""


class PrunedOfJob(Answer):
    """Of one job."""

    job: str
    runs: int
    records: int


class Pruned(Answer):
    """Runs that were pruned. `kept` are as old but still needed; `unfinished` still have records to be deleted."""

    older_than: Instant
    jobs: list[str]
    runs: int
    records: int
    oldest: Instant | None
    newest: Instant | None
    by_job: list[PrunedOfJob]
    kept: int
    unfinished: int


class PruningPlan(Pruned):
    """Runs that would be pruned, with the number of their scopes."""

    scopes: int


class Restatement(Answer):
    """What an unrating or a recalculation restated beside its records."""

    record_id: str
    before: Amount | None
    after: Amount | None
    currency: str | None


class RunShown(Run):
    """A run with its mail and the runs that follow it; `cannot_retry` says why a retry would be refused, if so.

    `restated` is there for unratings and recalculations, `owner` and what follows it while it works.
    """

    children: list[str]
    mails: list[Mail]
    restated: list[Restatement] = Field([])
    cannot_retry: str = ""
    owner: str = ""
    owner_beat_seconds: float | None = None
    no_worker: str = ""


class Cell(Answer):
    """Some scopes of a run, one after another."""

    first_scope: int
    last_scope: int
    done: int
    first_record: int
    records: int
    ok: int
    errored: int
    skipped: int


class Progress(Answer):
    """How far a run is, and how fast it goes."""

    run_id: str
    records_per_second: float | None
    seconds_left: float | None
    last_done_at: Instant | None
    claimed_at: Instant | None
    scopes: int
    strip: list[Cell]


class OutcomeCount(Answer):
    """How many records of a run have one outcome and code."""

    outcome: Literal["ok", "error", "skipped", "not_reached"]
    code: str | None
    count: int


class PreviewLine(Answer):
    """What a dry run would have written to one record, and what it was computed with."""

    kind: str
    record_id: str
    customer_id: str | None
    amount: Amount | None
    currency: str | None
    before: Amount | None
    after: Amount | None
    difference: Amount | None
    detail: dict[str, Any]


class RunWithOutcomes(Run):
    """A run that was driven at once, with the outcome of each of its records."""

    outcomes: list[Outcome]
