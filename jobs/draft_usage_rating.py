"""Draft usage rating: the forecast of what usage will cost, before it is rated (Conga's ``DraftUsageRatingJob``).

A forecast counts only the inputs it was given and overwrites the draft values of the schedules they fall on. Good
inputs stay Loaded; a bad one becomes Error with a code and a message, and is a candidate again next time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator
from sqlalchemy import Connection

from billing.exact import canonical, quantity_text
from billing.records import rating_rows, selection
from billing.records.catalog_rows import CatalogLoader
from billing.records.rating_rows import (
    DraftOfSchedule,
    ErrorOfInput,
    InputRow,
    InputTuple,
)
from billing.usage import AssetUsage, Rated, rate_assets
from engine.errors import Refused
from engine.job import Amount, DryRunJob, Group, Preview, Schema, Scope, StartContext
from engine.run import Run

TOTAL = "draft_fee_amount"
LOADED, RATED, ERROR = "Loaded", "Rated", "Error"


class Parameters(BaseModel):
    """No arguments: every candidate. Usage input ids, or asset line item ids; not both.

    ``include_rated`` also takes Rated inputs, which keep their status and their rated amount.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    usage_input_ids: list[str] | None = None
    asset_line_item_ids: list[str] | None = None
    include_rated: bool = False

    @model_validator(mode="after")
    def _not_empty(self) -> Parameters:
        for name in ("usage_input_ids", "asset_line_item_ids"):
            if getattr(self, name) == []:
                raise ValueError(f"{name} is an empty list; leave it out to take everything")
        return self


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a scope's inputs come to, asset by asset.

    ``partial`` are the assets of which the caller named some eligible inputs and left out others.
    """

    usages: list[AssetUsage]
    partial: frozenset[int]

    def postings(self) -> Iterator[tuple[AssetUsage, DraftOfSchedule]]:
        """Draft values of the schedules touched; blanks for the others of an asset that is covered wholly."""
        for usage in self.usages:
            for key, posting in usage.postings.items():
                if posting.inputs:
                    yield usage, (canonical(posting.quantity), posting.fee, key)
                else:
                    yield usage, (None, None, key)
            if usage.asset.key not in self.partial:
                for row in usage.schedules:
                    _, _, pending, key, _, _, has_draft, *_ = row
                    if has_draft and pending and key not in usage.postings:
                        yield usage, (None, None, key)


class DraftUsageRatingJob(DryRunJob):
    """Forecasts usage inputs: (Draft) Rated Amount on each, (Draft) Rated Quantity and Fee on their schedules."""

    name = "draft-usage-rating"
    type = "Draft usage rating"
    record_noun = "usage input"
    retry_unit = "asset line item"
    scope_size = 2_000
    Parameters: ClassVar[Schema] = Parameters

    def __init__(
        self,
        usage_input_ids: Iterable[str] | None = None,
        asset_line_item_ids: Iterable[str] | None = None,
        include_rated: bool = False,
        **unknown: Any,
    ) -> None:
        if usage_input_ids is not None and asset_line_item_ids is not None:
            raise Refused(
                "give usage_input_ids or asset_line_item_ids, not both",
                field="asset_line_item_ids",
                remedy="Leave one of them out, or both to take everything",
            )
        super().__init__(
            usage_input_ids=_listed(usage_input_ids),
            asset_line_item_ids=_listed(asset_line_item_ids),
            include_rated=include_rated,
            **unknown,
        )
        self._catalogs = CatalogLoader()

    def select(self, connection: Connection) -> Sequence[int]:
        """Keys of the inputs, or of the assets, that the parameters name."""
        if self.parameters.usage_input_ids is not None:
            return selection.input_keys(connection, self.parameters.usage_input_ids)
        if self.parameters.asset_line_item_ids is not None:
            return selection.asset_keys(connection, self.parameters.asset_line_item_ids)
        return ()

    def start(self, context: StartContext) -> Iterator[Group]:
        """The inputs by asset; and a visit to assets that may hold draft values of inputs no longer there."""
        if self.parameters.usage_input_ids is not None:
            return self._named_inputs(context)
        if self.parameters.asset_line_item_ids is not None:
            return self._whole_assets(context)
        return self._everything(context.connection)

    def count(self, context: StartContext, at_most: int) -> int:
        """Counted by the database where everything is meant."""
        if self.parameters.usage_input_ids is None and self.parameters.asset_line_item_ids is None:
            return rating_rows.count_candidates(context.connection, self.parameters.include_rated)
        return super().count(context, at_most)

    def compute(self, scope: Scope) -> Forecast:
        """Rate the inputs in hand of every asset of the scope, and report what became of them."""
        connection = scope.connection
        locked = rating_rows.lock_assets(connection, scope.groups)
        catalog = self._catalogs.load(connection, locked)
        inputs = self._eligible(scope, rating_rows.read_inputs(connection, scope.keys))
        usages = rate_assets(locked, inputs, rating_rows.read_schedules(connection, scope.groups), catalog)
        for usage in usages:
            _report(scope, usage)
        forecast = Forecast(usages, self._partial_assets(scope))
        _warn_of_partial_assets(scope, forecast)
        return forecast

    def apply(self, scope: Scope, computed: Forecast) -> None:
        """Write draft values, and errors; every status moves only from the one that was read."""
        drafts = [rated[:6] for usage in computed.usages for rated in usage.rated]
        errors = [
            ErrorOfInput(bad.code, bad.message, bad.input.key, bad.input.status)
            for usage in computed.usages
            for bad in usage.bad
            if bad.input.status != RATED
        ]
        errors += self._errors_set_aside(scope)
        mended = [rated[5] for usage in computed.usages for rated in usage.rated if rated[6][5] == ERROR]
        postings = [posting for _, posting in computed.postings()]
        _expect(rating_rows.write_drafts(scope.connection, scope.run.id, drafts), drafts)
        _expect(rating_rows.write_errors(scope.connection, errors), errors)
        _expect(rating_rows.clear_errors(scope.connection, mended), mended)
        _expect(rating_rows.write_schedule_drafts(scope.connection, postings), postings)

    def preview(self, scope: Scope, computed: Forecast) -> Iterator[Preview]:
        """One line for each input and each schedule that would be written."""
        rated = [Rated._make(row) for usage in computed.usages for row in usage.rated]
        input_ids = self.record_ids(scope.connection, [one.key for one in rated])
        for one in rated:
            amount = Amount(one.amount, one.terms.price.currency)
            yield Preview("usage_input", input_ids[one.key], amount, _explained(one))
        postings = list(computed.postings())
        schedule_ids = selection.schedule_ids(scope.connection, [key for _, (_, _, key) in postings])
        for usage, (quantity, minor, key) in postings:
            fee = None if minor is None else Amount(minor, usage.currency)
            shown = None if quantity is None else quantity_text(Decimal(quantity))
            yield Preview("usage_schedule", schedule_ids[key], fee, {"draft_rated_quantity": shown})

    def retry_parameters(self, connection: Connection, run: Run, keys: Iterator[int]) -> dict[str, Any]:
        """The whole assets of the records: a forecast overwrites an asset's schedules."""
        return {
            "asset_line_item_ids": selection.asset_ids_of(connection, list(keys)),
            "include_rated": self.parameters.include_rated,
        }

    def record_ids(self, connection: Connection, keys: Sequence[int]) -> Mapping[int, str]:
        """Usage input ids by key."""
        return selection.input_ids(connection, keys)

    def record_facts(self, connection: Connection, keys: Sequence[int]) -> Mapping[int, Mapping[str, str]]:
        """Asset, date and quantity of each usage input."""
        return selection.input_facts(connection, keys)

    def _named_inputs(self, context: StartContext) -> Iterator[Group]:
        # Sorted as a whole: an asset's inputs must come together, whatever order they arrived in.
        named = sorted(
            pair for page in context.selected() for pair in rating_rows.owners_of(context.connection, page)
        )
        for asset, pairs in groupby(named, key=itemgetter(0)):
            yield Group(asset, [key for _, key in pairs])

    def _whole_assets(self, context: StartContext) -> Iterator[Group]:
        for page in context.selected():
            candidates = rating_rows.candidates_of(context.connection, page, self.parameters.include_rated)
            for asset in page:
                yield Group(asset, candidates.get(asset, ()))

    def _everything(self, connection: Connection) -> Iterator[Group]:
        """Every asset with candidates, and between them visits to those that hold draft values and have none."""
        stale = rating_rows.stale_assets(connection)
        visit = next(stale, None)
        for asset, keys in rating_rows.all_candidates(connection, self.parameters.include_rated):
            while visit is not None and visit <= asset:
                if visit < asset:
                    yield Group(visit)
                visit = next(stale, None)
            yield Group(asset, keys)
        while visit is not None:
            yield Group(visit)
            visit = next(stale, None)

    def _eligible(self, scope: Scope, rows: list[InputTuple]) -> list[InputTuple]:
        """The inputs that a forecast takes; the others are reported."""
        if all(row[5] == LOADED and not row[7] for row in rows):
            return rows
        taken: list[InputTuple] = []
        for row in map(InputRow._make, rows):
            if row.deleted:
                scope.error(row.key, "not_found", "the usage input was deleted after the run was submitted")
            elif (
                row.status == LOADED
                or (row.status == ERROR and row.error_by == "draft")
                or (row.status == RATED and self.parameters.include_rated)
            ):
                taken.append(row)
            else:
                scope.skip(row.key, "not_eligible", _why_not_eligible(row))
        return taken

    def _errors_set_aside(self, scope: Scope) -> list[ErrorOfInput]:
        """Inputs that a trial found guilty of an exception are bad like any other."""
        if not scope.set_aside:
            return []
        return [
            ErrorOfInput(scope.set_aside[row.key].code, scope.set_aside[row.key].message, row.key, row.status)
            for row in map(InputRow._make, rating_rows.read_inputs(scope.connection, list(scope.set_aside)))
            if not row.deleted and (row.status == LOADED or (row.status == ERROR and row.error_by == "draft"))
        ]

    def _partial_assets(self, scope: Scope) -> frozenset[int]:
        """Assets of which the caller named some eligible inputs and left out others."""
        if self.parameters.usage_input_ids is None:
            return frozenset()
        named = set(scope.planned_keys)
        candidates = rating_rows.candidates_of(scope.connection, scope.groups, with_rated=False)
        return frozenset(asset for asset, keys in candidates.items() if not named.issuperset(keys))


def _warn_of_partial_assets(scope: Scope, forecast: Forecast) -> None:
    for usage in forecast.usages:
        if usage.asset.key in forecast.partial:
            asset = usage.asset.asset_line_item_id
            scope.warn(
                "partial_asset",
                f"not all eligible usage inputs of {asset} were given: its forecast counts only those given",
                asset,
            )


def _report(scope: Scope, usage: AssetUsage) -> None:
    for bad in usage.bad:
        scope.error(bad.input.key, bad.code, bad.message)
    if usage.rated:
        scope.pay(usage.currency, {rated[5]: rated[0] for rated in usage.rated})
        scope.add_total(TOTAL, usage.currency, sum(posting.fee for posting in usage.postings.values()))


def _explained(one: Rated) -> dict[str, Any]:
    terms = one.terms
    return {
        "quantity": quantity_text(Decimal(InputRow._make(one.input).quantity)),
        "prior_quantity": quantity_text(Decimal(one.prior_quantity)),
        "price_revision": terms.price.key,
        "contract_revision": None if terms.contract is None else terms.contract.key,
        "discount_percent": quantity_text(terms.discount_percent),
        "lines": [
            {
                "key": line.key,
                "quantity": None if line.quantity is None else quantity_text(line.quantity),
                "unit_price": None if line.unit_price is None else quantity_text(line.unit_price),
                "amount": quantity_text(line.amount),
            }
            for line in one.bill().lines
        ],
    }


def _why_not_eligible(row: InputRow) -> str:
    if row.status == RATED:
        return "its status is Rated; include_rated takes rated inputs, too"
    return "its status is Error; `batchwright usage-inputs reset` makes it Loaded again"


def _expect(written: int, rows: Sequence[object]) -> None:
    """Every row must still have had the status it was read with: its asset is locked."""
    if written != len(rows):
        raise RuntimeError(f"{len(rows) - written} of {len(rows)} rows changed under the asset's lock")


def _listed(ids: Iterable[str] | None) -> Iterable[str] | None:
    # A single id is iterable, too, letter by letter: it is left for the parameters to refuse.
    return ids if ids is None or isinstance(ids, str) else list(ids)
