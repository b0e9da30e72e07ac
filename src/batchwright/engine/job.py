"""What a job author writes: parameters, ``start``, ``execute`` of a scope, ``finish``.

The shape is Salesforce's Batch Apex: ``start`` says which records, ``execute`` does one scope of them in one
transaction, ``finish`` runs once at the end. A job that can run dry is a :class:`DryRunJob`: it says what it would
do in ``compute`` and does it in ``apply``.
"""

from __future__ import annotations

import reprlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from sqlalchemy import Connection

from batchwright.engine import reports
from batchwright.engine.errors import Refused
from batchwright.engine.job_code import check_done
from batchwright.engine.run import Run, Totals

Schema = type[BaseModel]
"""The class of a job's parameters."""


class Record(NamedTuple):
    """One record of a run, by its key.

    Records of one ``group`` follow each other, end up in one scope and are committed together.
    """

    key: int
    group: int | None = None


class Group(NamedTuple):
    """A whole group and the keys of its records, for a job that knows them together.

    Without a record it is a visit: the scope learns of the group, and there is nothing to count.
    """

    group: int
    keys: Sequence[int] = ()


UNFORESEEN = "unforeseen"
"""The code of a record that raised an exception."""


ENDED_PROCESS = "ended_process"
"""The code of a record that ends each process which executes it."""


class Outcome(NamedTuple):
    """What became of a record that is not simply ok: ``outcome`` is ``error`` or ``skipped``."""

    outcome: str
    code: str
    message: str


class Amount(NamedTuple):
    """What an ok record came to, in minor units of ``currency``."""

    minor: int
    currency: str


class Warn(NamedTuple):
    """Something the reader of the run should know; ``record_id`` is an id people see."""

    code: str
    message: str
    record_id: str | None


class Change(NamedTuple):
    """What stands at a record, and what would stand there: minor units of ``currency``; ``None`` is a blank."""

    before: int | None
    after: int | None
    currency: str


class Preview(NamedTuple):
    """A line of a dry run: what would be written to a record, and what it was computed with.

    ``amount`` is what the record adds to the run's totals. ``change`` is where that is something else than an
    amount in place of a blank; ``customer_id`` says whose money it is.
    """

    kind: str
    record_id: str
    amount: Amount | None
    detail: Mapping[str, Any]
    change: Change | None = None
    customer_id: str | None = None


class NoParameters(BaseModel):
    """A job without parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(slots=True)
class StartContext:
    """What ``start`` and ``count`` work with.

    ``selected`` pages through the keys that ``select`` gave at submit, in their order, each page sorted.
    """

    connection: Connection
    selected: Callable[[], Iterator[Sequence[int]]]


@dataclass(slots=True)
class Scope:
    """One scope of a run while it is executed: its records, its transaction, and what became of them.

    ``keys`` are this call's records in planned order; ``planned_keys`` are all of the scope's, also those that a
    trial has ``set_aside``, with what became of them. ``groups`` are the groups in the scope, those without a
    record among them. All that ``execute`` writes through ``connection`` commits together with the ledger, or not
    at all.
    """

    run: Run
    number: int
    connection: Connection
    now: datetime
    keys: Sequence[int]
    planned_keys: Sequence[int]
    groups: Sequence[int]
    set_aside: Mapping[int, Outcome] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    amounts: dict[str, dict[int, int]] = field(default_factory=dict)
    totals: dict[str, dict[str, int]] = field(default_factory=dict)
    warnings: list[Warn] = field(default_factory=list)
    previews: list[Preview] = field(default_factory=list)
    customers: set[str] = field(default_factory=set)
    months: set[str] = field(default_factory=set)

    def error(self, key: int, code: str, message: str) -> None:
        """The record is bad, and the job knows why; the run goes on."""
        self._report("error", key, code, message)

    def skip(self, key: int, code: str, message: str) -> None:
        """The record is not for this run."""
        self._report("skipped", key, code, message)

    def _report(self, outcome: str, key: int, code: str, message: str) -> None:
        reports.check_key(key)
        code, message = reports.checked_name("code", code), reports.checked_text("message", message)
        self.outcomes[key] = Outcome(outcome, code, message)

    def pay(self, currency: str, amounts: Mapping[int, int] | Iterable[tuple[int, int]]) -> None:
        """What ok records came to: minor units of a currency by record key, as a mapping or as pairs."""
        reports.check_currency(currency)
        paid = dict(amounts)
        reports.check_minors(paid.values())
        self.amounts.setdefault(currency, {}).update(paid)

    def warn(self, code: str, message: str, record_id: str | None = None) -> None:
        """Tell the reader of the run something; in the mail, too."""
        self.warnings.append(_warning(code, message, record_id))

    def attribute(self, customers: Iterable[str], months: Iterable[str]) -> None:
        """For the log's columns: ids of the customers whose records these are, and months (YYYY-MM) that they span.

        The run shows its customer where there is but one, and the months from the first to the last.
        """
        self.customers.update(reports.checked_ids("customer's id", customers))
        self.months.update(reports.checked_months(months))

    def add_total(self, name: str, currency: str, minor: int) -> None:
        """Add minor units of a currency to one of the run's totals."""
        reports.check_currency(currency)
        reports.check_whole(minor)
        amounts = self.totals.setdefault(reports.checked_name("name of a total", name), {})
        amounts[currency] = amounts.get(currency, 0) + minor


@dataclass(slots=True)
class Finish:
    """What ``finish`` works with: the run with its final counts and totals, in the transaction that ends it.

    ``totals`` may be changed, ``warn`` and ``submit`` may be called; all of it is saved with the run. Where only this
    is done again, by a retry, ``run`` and ``totals`` are those of the run whose records were done.
    """

    run: Run
    connection: Connection
    now: datetime
    totals: dict[str, dict[str, int]]
    chain: Callable[[BatchJob, str | None, int | None], Run]
    """How ``submit`` enqueues a run; given by the engine."""
    warnings: list[Warn] = field(default_factory=list)
    submitted: list[Run] = field(default_factory=list)

    def warn(self, code: str, message: str, record_id: str | None = None) -> None:
        """Tell the reader of the run something; in the mail, too."""
        self.warnings.append(_warning(code, message, record_id))

    def submit(
        self, job: BatchJob, *, reason: str | None = None, scope_size: int | None = None
    ) -> str | None:
        """Enqueue a run that follows this one, and return its id: it is there when this one has ended, or never.

        This run is its parent. It has this run's actor, addresses and error ceiling, the reason too where none is
        given, and is a dry run if this is one; a job that cannot run dry is then left out with a warning, and the id is
        ``None``. Raises ``Refused`` for what a submit refuses and for a job that is not
        registered, ``KeyInUse`` while another run has its dedup key.
        """
        if self.run.is_dry and not isinstance(job, DryRunJob):
            self.warn("not_submitted", f"{job.type} would follow; it cannot run dry")
            return None
        run = self.chain(job, reason, scope_size)
        self.submitted.append(run)
        return run.run_id


class BatchJob(ABC):
    """A batch job. Subclass it, name it, and write ``start`` and ``execute``."""

    name: ClassVar[str]
    """The name in commands and in the log, such as ``draft-usage-rating``."""
    type: ClassVar[str]
    """What people call it, such as ``Draft usage rating``."""
    record_noun: ClassVar[str] = "record"
    """What one record is called, in the singular."""
    retry_unit: ClassVar[str] = "record"
    """What a retry does again, as people call it: the record, or a whole group such as ``asset line item``."""
    error_note: ClassVar[str] = ""
    """What became of a record that errored, and how it is taken up again; the mail says so beside the remedies."""
    scope_size: ClassVar[int] = 200
    """Records per scope where nobody asks for another size; 200 as in Salesforce."""
    required_role: ClassVar[str | None] = None
    """The lowest role that may run it, by the name that users have it under; ``None``: who may run jobs at all."""
    Parameters: ClassVar[Schema] = NoParameters
    """The one schema of the job's parameters."""

    def __init__(self, **parameters: Any) -> None:
        self.parameters: Any = checked_parameters(self.Parameters, parameters)

    def select(self, connection: Connection) -> Sequence[int]:
        """Keys of the records or groups that the parameters name; stored with the run at submit.

        Raises ``Refused`` for parameters that do not fit what is in the database, naming every unknown id.
        """
        return ()

    @property
    def selects_records(self) -> bool:
        """Whether ``select`` gives keys of records, which are not reached where ``start`` fails; or of groups."""
        return True

    def check(self, connection: Connection, now: datetime) -> None:  # noqa: B027  (most jobs run on any day)
        """Raise ``Refused`` for what cannot be run as things stand now; called once, at submit.

        The date of ``now`` is the business day: it is in the zone of the setting ``time_zone``.
        """

    @abstractmethod
    def start(self, context: StartContext) -> Iterable[Record | Group]:
        """The records of the run, those of one group together. Read in pages; never hold them all."""

    def count(self, context: StartContext, at_most: int) -> int:
        """How many records ``start`` would give; may stop counting beyond ``at_most``."""
        counted = 0
        for entry in self.start(context):
            counted += len(entry.keys) if isinstance(entry, Group) else 1
            if counted > at_most:
                break
        return counted

    @abstractmethod
    def execute(self, scope: Scope) -> None:
        """Do one scope. Records not reported as errors or skips are ok."""

    def finish(self, finish: Finish) -> None:  # noqa: B027  (most jobs have nothing to say at the end)
        """Runs once, in the transaction that ends the run."""

    def retry_parameters(self, connection: Connection, run: Run, keys: Iterator[int]) -> dict[str, Any]:
        """Parameters of a run that does the records ``keys`` of ``run`` again, by the job's retry unit."""
        raise not_retried(self.type)

    @classmethod
    def can_be_retried(cls) -> bool:
        """Whether it says how records of an ended run are done again: by ``retry_parameters`` of its own."""
        return cls.retry_parameters is not BatchJob.retry_parameters

    def record_ids(self, connection: Connection, keys: Sequence[int]) -> Mapping[int, str]:
        """The ids people see for record keys; keys left out show as numbers."""
        return {}

    def record_keys(self, connection: Connection, ids: Sequence[str]) -> Mapping[str, int]:
        """The keys of records by the ids people see, for who looks for one; an id left out is one that nobody has."""
        return {}

    def record_facts(self, connection: Connection, keys: Sequence[int]) -> Mapping[int, Mapping[str, str]]:
        """More columns about records for listings and attachments, by key: column -> text."""
        return {}

    @property
    def dedup_key(self) -> str | None:
        """While a run of this job with the same key has not ended, a second one is refused; ``None``: never."""
        return None

    @property
    def reason(self) -> str | None:
        """Why it is run, where that is one of its parameters; ``None``: whatever whoever submits it says."""
        return None

    @property
    def explanation(self) -> str | None:
        """More about the reason, where that is one of its parameters."""
        return None

    @property
    def customer_id(self) -> str | None:
        """The customer of the run, for the log's column; ``None``: as its scopes ``attribute``."""
        return None

    @property
    def periods(self) -> list[str] | None:
        """The months (YYYY-MM) of the run, for the log's column; ``None``: as its scopes ``attribute``."""
        return None


class DryRunJob(BatchJob):
    """A job in two halves: ``compute`` changes nothing, ``apply`` writes what it found. A dry run computes only."""

    @abstractmethod
    def compute(self, scope: Scope) -> Any:
        """What the scope would do. Reports outcomes, amounts, totals and warnings; writes nothing."""

    @abstractmethod
    def apply(self, scope: Scope, computed: Any) -> None:
        """Write what ``compute`` gave."""

    @abstractmethod
    def preview(self, scope: Scope, computed: Any) -> Iterable[Preview]:
        """What ``apply`` would write, as lines for people."""

    def preview_finish(self, connection: Connection, run: Run) -> Iterable[Preview]:
        """What ``finish`` would write, as lines for people; writes nothing. None where it writes nothing.

        Asked before ``finish``, of a dry run and of a ``run`` that applies its preview; and of the dry run once more
        before that one is submitted.
        """
        return ()

    def execute(self, scope: Scope) -> None:
        """Both halves; or, in a dry run, the first half and its preview. Who applies a preview needs it again."""
        computed = self.compute(scope)
        if scope.run.is_dry or scope.run.preview_key is not None:
            scope.previews.extend(map(check_line, self.preview(scope, computed)))
        if not scope.run.is_dry:
            check_done(self.apply(scope, computed))


def not_retried(job_type: str) -> Refused:
    """The refusal to retry a job that does not say how."""
    return Refused(
        f"{job_type} does not say how it is retried", remedy="Submit it again with the right parameters"
    )


def _warning(code: str, message: str, record_id: str | None) -> Warn:
    return Warn(
        reports.checked_name("code", code),
        reports.checked_text("message", message),
        None if record_id is None else reports.checked_name("record's id", record_id),
    )


def check_line(line: Preview) -> Preview:
    """The line of a preview, its texts storable. Raises ``TypeError`` or ``ValueError`` for one that cannot be kept."""
    if not isinstance(line, Preview):
        raise TypeError(f"{line!r} is not a Preview")
    if line.amount is not None:
        reports.check_minor(line.amount.minor)
        reports.check_currency(line.amount.currency)
    if line.change is not None:
        reports.check_minors(minor for minor in line.change[:2] if minor is not None)
        reports.check_currency(line.change.currency)
    return line._replace(
        kind=reports.checked_name("kind of a line", line.kind),
        record_id=reports.checked_name("record's id", line.record_id),
        customer_id=None
        if line.customer_id is None
        else reports.checked_name("customer's id", line.customer_id),
    )


def _said(message: str, value: object) -> str:
    """What is wrong, and the value where it is one that a person gave by itself."""
    return message if isinstance(value, dict | list | tuple) else f"{message}, not {reprlib.repr(value)}"


class _JsonSchema(GenerateJsonSchema):
    """Of a type that JSON knows nothing of, anything goes: the job itself reads its text."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        return {}


def json_schema_of(model: Schema) -> dict[str, Any]:
    """The JSON schema of a job's parameters, whatever types they have."""
    return model.model_json_schema(schema_generator=_JsonSchema)


def checked_parameters(model: Schema, parameters: Mapping[str, Any]) -> BaseModel:
    """The parameters of a job, read by its schema. Raises ``Refused`` for what does not fit."""
    try:
        return model(**parameters)
    except ValidationError as error:
        raise _refusal(model, error) from None


def _refusal(model: Schema, error: ValidationError) -> Refused:
    problems = error.errors(include_url=False)
    fields = [".".join(str(part) for part in problem["loc"]) for problem in problems]
    texts = [_said(problem["msg"].removeprefix("Value error, "), problem["input"]) for problem in problems]
    said = "; ".join(f"{name}: {text}" if name else text for name, text in zip(fields, texts, strict=True))
    known = ", ".join(json_schema_of(model).get("properties", ())) or "none"
    return Refused(
        f"bad parameters: {said}", field=fields[0] or None, remedy=f"Parameters of this job: {known}"
    )


__all__ = [
    "Amount",
    "BatchJob",
    "Change",
    "DryRunJob",
    "Finish",
    "Group",
    "NoParameters",
    "Outcome",
    "Preview",
    "Record",
    "Scope",
    "StartContext",
    "Totals",
    "Warn",
]
