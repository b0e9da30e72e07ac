"""What the jobs over usage inputs share: which inputs they take, by asset, and how they report on them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)
from pydantic.json_schema import SkipJsonSchema
from sqlalchemy import Connection

from batchwright.billing.counts import Counts
from batchwright.billing.records import assets_and_inputs, candidates, counts, input_selections, selection
from batchwright.billing.records.assets_and_inputs import (
    ASSET_KEY,
    RATED_INPUTS,
    SCHEDULE_KEY,
    UNUSUAL,
    USAGE_DATE,
    AssetRow,
    ErrorOfInput,
    InputRow,
    InputTuple,
    ScheduleTuple,
)
from batchwright.billing.records.candidates import Candidates
from batchwright.billing.records.input_selections import Selection
from batchwright.billing.records.inputs import InputStatus
from batchwright.billing.usage import AssetUsage, Rated
from batchwright.engine import ledger
from batchwright.engine.errors import Conflict, Refused
from batchwright.engine.job import DryRunJob, Group, Schema, Scope, StartContext
from batchwright.engine.run import Run
from batchwright.engine.store import runs

_KEY_AND_AMOUNT = itemgetter(*map(Rated._fields.index, ("key", "amount")))
MOST_NAMED_AGAIN = 1_000
"""A retry of more records names the run that it retries, instead of them: parameters are read over and over."""
MOVED = "it was given to another asset line item after the run was submitted; run it again"


class UsageParameters(BaseModel):
    """No arguments: every candidate. Usage input ids, asset line item ids, or a selection; one of them at most.

    ``retry_of``, in place of these, is the run whose records that errored or were not reached are meant; a retry
    of many sets it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    usage_input_ids: list[str] | None = Field(
        None, description="only these; where nothing is named, all are taken"
    )
    asset_line_item_ids: list[str] | None = Field(None, description="only the inputs of these assets")
    selection_id: str | None = Field(
        None,
        description="what was ticked on the page Usage inputs, such as all of a customer; good for an hour",
        json_schema_extra={"x-expires": True},
    )
    retry_of: SkipJsonSchema[str | None] = None

    @model_serializer(mode="wrap")
    def _without_what_few_runs_have(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dumped: dict[str, Any] = dump(self)
        rare = ("selection_id", "retry_of")
        return {name: value for name, value in dumped.items() if name not in rare or value is not None}

    @field_validator("usage_input_ids", "asset_line_item_ids")
    @classmethod
    def _not_empty(cls, ids: list[str] | None) -> list[str] | None:
        if ids == []:
            raise ValueError("an empty list; name at least one, or leave it out to take everything")
        return ids


class JobOfInputs(DryRunJob):
    """A job whose records are usage inputs."""

    record_noun = "usage input"

    def record_ids(self, connection: Connection, keys: Sequence[int]) -> Mapping[int, str]:
        """Usage input ids by key."""
        return selection.input_ids(connection, keys)

    def record_keys(self, connection: Connection, ids: Sequence[str]) -> Mapping[str, int]:
        """The keys of usage inputs by id."""
        return selection.input_keys_by_id(connection, ids)

    def record_facts(self, connection: Connection, keys: Sequence[int]) -> Mapping[int, Mapping[str, str]]:
        """Asset, date, quantity and customer of each usage input."""
        return selection.input_facts(connection, keys)


class UsageJob(JobOfInputs):
    """A job over usage inputs, by asset line item: of everything, of whole assets, or of inputs by id."""

    scope_size = 2_000
    Parameters: ClassVar[Schema] = UsageParameters
    retries_assets: ClassVar[bool] = False
    """Whether a retry does whole assets again, instead of the records."""
    usual: ClassVar[InputStatus | None] = None
    """What is ``unusual`` about inputs that the job takes whatever its parameters: nothing, they are Loaded."""

    def __init__(
        self,
        usage_input_ids: Iterable[str] | None = None,
        asset_line_item_ids: Iterable[str] | None = None,
        **more: Any,
    ) -> None:
        if more.get("retry_of") is not None and (
            usage_input_ids is not None or asset_line_item_ids is not None
        ):
            raise Refused(
                "retry_of names a run whose records are done again: give no ids beside it",
                field="retry_of",
                remedy="Leave it out; `batchwright runs retry` sets it",
            )
        if usage_input_ids is not None and asset_line_item_ids is not None:
            raise Refused(
                "give usage_input_ids or asset_line_item_ids, not both",
                field="asset_line_item_ids",
                remedy="Leave one of them out, or both to take everything",
            )
        if more.get("selection_id") is not None and (
            usage_input_ids is not None or asset_line_item_ids is not None or more.get("retry_of") is not None
        ):
            raise Refused(
                "a selection says which usage inputs are meant: give no ids beside it",
                field="selection_id",
                remedy="Leave the selection out, or the ids",
            )
        super().__init__(
            usage_input_ids=_listed(usage_input_ids),
            asset_line_item_ids=_listed(asset_line_item_ids),
            **more,
        )
        self._customer_ids: dict[int, str] = {}
        self._selection: Selection | None = None

    @property
    @abstractmethod
    def candidates(self) -> Candidates:
        """The inputs that the job takes where they are not named."""

    @abstractmethod
    def takes(self, row: InputRow) -> bool:
        """Whether it takes an input that is not deleted."""

    @abstractmethod
    def why_not(self, row: InputRow) -> str:
        """What to tell of an input that it does not take."""

    def select(self, connection: Connection) -> Sequence[int]:
        """Keys of the inputs, or of the assets, that the parameters name."""
        if self.parameters.usage_input_ids is not None:
            return selection.input_keys(connection, self.parameters.usage_input_ids)
        if self.parameters.asset_line_item_ids is not None:
            return selection.asset_keys(connection, self.parameters.asset_line_item_ids)
        if self.parameters.selection_id is not None:
            return self._selected(connection).keys()
        if self.parameters.retry_of is not None:
            return self._keys_again(connection, self.parameters.retry_of)
        return ()

    @property
    def selects_records(self) -> bool:
        """Inputs; not where assets are selected."""
        return self._takes_inputs

    def start(self, context: StartContext) -> Iterator[Group]:
        """The inputs by asset."""
        if self._takes_everything:
            return self._everything(context.connection)
        return self._named_inputs(context) if self._takes_inputs else self._whole_assets(context)

    def count(self, context: StartContext, at_most: int) -> int:
        """Counted by the database where everything is meant."""
        if self._takes_everything:
            return candidates.count_candidates(context.connection, self.candidates, at_most)
        return super().count(context, at_most)

    def eligible(self, scope: Scope) -> list[InputTuple]:
        """The inputs of the scope that the job takes, as they are now; the others are reported.

        Of a selection it takes none that changed its status since.
        """
        rows = eligible(scope, self.usual, self.takes, self.why_not)
        if self.parameters.selection_id is None:
            return rows
        selection, taken = self._selected(scope.connection), []
        for row in rows:
            one = InputRow._make(row)
            status = selection.status_of(one.key)
            if status == one.status:
                taken.append(row)
            else:
                scope.skip(
                    one.key, "not_eligible", f"it was {status} when it was selected, and is {one.status} now"
                )
        return taken

    def attribute(self, scope: Scope, assets: Sequence[AssetRow], inputs: Sequence[InputTuple]) -> None:
        """Say for the log whose assets these are, and which months the usage dates of the inputs span."""
        customers = {asset.customer_key for asset in assets}
        unknown = customers - self._customer_ids.keys()
        if unknown:
            self._customer_ids |= selection.customer_ids(scope.connection, sorted(unknown))
        days = [row[USAGE_DATE] for row in inputs]
        months = (min(days)[:7], max(days)[:7]) if days else ()
        scope.attribute((self._customer_ids[key] for key in customers), months)

    def errors(self, scope: Scope, usages: Sequence[AssetUsage]) -> list[ErrorOfInput]:
        """What to write to inputs that are bad, and to those that a trial found guilty of an exception.

        A Rated one is not put in Error.
        """
        errors = [
            ErrorOfInput(bad.code, bad.message, bad.input.key, bad.input.status)
            for usage in usages
            for bad in usage.bad
            if bad.input.status != InputStatus.RATED
        ]
        if scope.set_aside:
            for row in map(
                InputRow._make, assets_and_inputs.read_inputs(scope.connection, list(scope.set_aside))
            ):
                if not row.deleted and row.status != InputStatus.RATED and self.takes(row):
                    entry = scope.set_aside[row.key]
                    errors.append(ErrorOfInput(entry.code, entry.message, row.key, row.status))
        return errors

    def retry_parameters(self, connection: Connection, run: Run, keys: Iterator[int]) -> dict[str, Any]:
        """The records themselves, but for those that were deleted since."""
        first = list(islice(keys, MOST_NAMED_AGAIN + 1))
        if len(first) > MOST_NAMED_AGAIN:
            return {"retry_of": run.run_id}
        return self.named_again(connection, run, first)

    def named_again(self, connection: Connection, run: Run, keys: Sequence[int]) -> dict[str, Any]:
        """Parameters of a retry that names what it does again."""
        ids = selection.present_input_ids(connection, keys)
        if not ids:
            raise _all_deleted(run.run_id)
        return {"usage_input_ids": ids}

    @property
    def _takes_everything(self) -> bool:
        given = self.parameters
        return (given.usage_input_ids, given.asset_line_item_ids, given.selection_id, given.retry_of) == (
            None,
        ) * 4

    @property
    def _takes_inputs(self) -> bool:
        """Whether what it selects are inputs; else they are assets, or there is no selection."""
        given = self.parameters
        if given.retry_of is not None:
            return not self.retries_assets
        return given.usage_input_ids is not None or given.selection_id is not None

    def _selected(self, connection: Connection) -> Selection:
        """The selection, read once."""
        if self._selection is None:
            self._selection = input_selections.read(connection, self.parameters.selection_id)
        if self._selection is None:
            raise no_selection(self.parameters.selection_id)
        return self._selection

    def _keys_again(self, connection: Connection, run_id: str) -> Sequence[int]:
        run = runs.by_id(connection, run_id)
        if not run.ended or run.job != self.name:
            raise Refused(
                f"{run_id} is not a run of {self.name} that has ended",
                field="retry_of",
                remedy="Leave it out; `batchwright runs retry` sets it",
            )
        runs.check_kept(run)
        again = list(ledger.keys_to_retry(connection, run))
        present = selection.present_input_keys(connection, again)
        if not present:
            raise _all_deleted(run_id)
        return selection.asset_keys_of(connection, again) if self.retries_assets else present

    def _named_inputs(self, context: StartContext) -> Iterator[Group]:
        # Sorted as a whole: an asset's inputs must come together, whatever order they arrived in.
        named = sorted(
            pair for page in context.selected() for pair in candidates.owners_of(context.connection, page)
        )
        for asset, pairs in groupby(named, key=itemgetter(0)):
            yield Group(asset, [key for _, key in pairs])

    def _whole_assets(self, context: StartContext) -> Iterator[Group]:
        for page in context.selected():
            found = candidates.candidates_of(context.connection, page, self.candidates)
            for asset in page:
                yield Group(asset, found.get(asset, ()))

    def _everything(self, connection: Connection) -> Iterator[Group]:
        for asset, keys in candidates.all_candidates(connection, self.candidates):
            yield Group(asset, keys)


def eligible(
    scope: Scope,
    usual: InputStatus | None,
    takes: Callable[[InputRow], bool],
    why_not: Callable[[InputRow], str],
) -> list[InputTuple]:
    """The inputs of the scope that a job ``takes``, as they are now; the others are reported, with ``why_not``.

    It takes all about which just ``usual`` is unusual.
    """
    rows = assets_and_inputs.read_inputs(scope.connection, scope.keys)
    held = set(scope.groups)
    if {usual} == set(map(itemgetter(UNUSUAL), rows)) and held.issuperset(map(itemgetter(ASSET_KEY), rows)):
        return rows
    taken: list[InputTuple] = []
    for row in map(InputRow._make, rows):
        if row.deleted:
            scope.error(row.key, "not_found", "the usage input was deleted after the run was submitted")
        elif row.asset_key not in held:
            scope.skip(row.key, "not_eligible", MOVED)
        elif takes(row):
            taken.append(row)
        else:
            scope.skip(row.key, "not_eligible", why_not(row))
    return taken


def counts_of(connection: Connection, schedules: Iterable[ScheduleTuple]) -> Counts:
    """What these usage schedules hold of each price."""
    return Counts(
        counts.read_counts(connection, [row[SCHEDULE_KEY] for row in schedules if row[RATED_INPUTS]])
    )


def report(scope: Scope, usages: Iterable[AssetUsage], total: str) -> None:
    """Tell the run what became of the assets' inputs, and add what they come to, to the total of that name."""
    paid: dict[str, list[AssetUsage]] = {}
    for usage in usages:
        for bad in usage.bad:
            scope.error(bad.input.key, bad.code, bad.message)
        if usage.rated:
            paid.setdefault(usage.currency, []).append(usage)
    for currency, theirs in paid.items():
        scope.pay(currency, map(_KEY_AND_AMOUNT, chain.from_iterable([usage.rated for usage in theirs])))
        scope.add_total(total, currency, sum(one.fee for usage in theirs for one in usage.postings.values()))


def no_selection(selection_id: str) -> Refused:
    """There is none of that id for whoever asks."""
    return Refused(
        f"there is no selection {selection_id!r} of yours: it has expired, or never was",
        field="selection_id",
        remedy="Select again; a selection is good for an hour, and for who made it",
    )


def _all_deleted(run_id: str) -> Conflict:
    return Conflict(
        f"every usage input that errored or was not reached in {run_id} was deleted since",
        field="run_id",
        remedy="There is nothing to retry",
    )


def expect(written: int, rows: Sequence[object]) -> None:
    """Every row must still have been as it was read: its asset is locked."""
    if written != len(rows):
        raise RuntimeError(f"{len(rows) - written} of {len(rows)} rows changed under the asset's lock")


def _listed(ids: Iterable[str] | None) -> Iterable[str] | None:
    # A single id is iterable, too, letter by letter: it is left for the parameters to refuse.
    return ids if ids is None or isinstance(ids, str) else list(ids)
