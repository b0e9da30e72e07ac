"""Draft usage rating: the forecast of what usage will cost, before it is rated (Conga's ``DraftUsageRatingJob``).

A forecast counts only the inputs it was given and overwrites the draft values of the schedules they fall on. Good
inputs stay Loaded; a bad one becomes Error with a code and a message, and is a candidate again next time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import Connection

from batchwright.billing.counts import Counts, Share
from batchwright.billing.exact import canonical, quantity_text
from batchwright.billing.records import assets_and_inputs, candidates, counts, drafts, preview, selection
from batchwright.billing.records.assets_and_inputs import (
    HAS_DRAFT,
    PENDING,
    SCHEDULE_KEY,
    InputRow,
    InputTuple,
)
from batchwright.billing.records.candidates import Candidates
from batchwright.billing.records.catalog_of_rating import CatalogLoader
from batchwright.billing.records.drafts import DraftOfSchedule
from batchwright.billing.records.inputs import InputStatus
from batchwright.billing.usage import AssetUsage, rate_assets
from batchwright.engine.job import Amount, Group, Preview, Schema, Scope
from batchwright.engine.run import Run
from batchwright.jobs.usage_preview import SCHEDULE, input_lines, line
from batchwright.jobs.usage_selection import UsageJob, UsageParameters, counts_of, expect, report

TOTAL = "draft_fee_amount"


class Parameters(UsageParameters):
    """No arguments: every candidate. Usage input ids, or asset line item ids; not both.

    ``include_rated`` also takes Rated inputs, which keep their status and their rated amount.
    """

    include_rated: bool = False


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
                    key = row[SCHEDULE_KEY]
                    if row[HAS_DRAFT] and key not in usage.postings and row[PENDING]:
                        yield usage, (None, None, key)


class DraftUsageRatingJob(UsageJob):
    """Forecasts usage inputs: (Draft) Rated Amount on each, (Draft) Rated Quantity and Fee on their schedules."""

    name = "draft-usage-rating"
    type = "Draft usage rating"
    retry_unit = "asset line item"
    retries_assets = True
    error_note = (
        "A Loaded usage input with an error is now in status Error, without a draft amount. Every next forecast "
        "takes it again and makes it Loaded when it passes: it needs no reset. A Rated one keeps its status and "
        "its rated amount."
    )
    Parameters: ClassVar[Schema] = Parameters

    def __init__(
        self,
        usage_input_ids: Iterable[str] | None = None,
        asset_line_item_ids: Iterable[str] | None = None,
        include_rated: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init__(usage_input_ids, asset_line_item_ids, include_rated=include_rated, **unknown)
        self._catalogs = CatalogLoader()

    @property
    def candidates(self) -> Candidates:
        """Loaded inputs and those that a forecast put in Error; Rated ones where they are asked for."""
        return Candidates.DRAFT_AND_RATED if self.parameters.include_rated else Candidates.DRAFT

    def takes(self, row: InputRow) -> bool:
        """A candidate, or one that would be if Rated ones were asked for."""
        return (
            row.status == InputStatus.LOADED
            or (row.status == InputStatus.ERROR and row.error_by == "draft")
            or (row.status == InputStatus.RATED and bool(self.parameters.include_rated))
        )

    def why_not(self, row: InputRow) -> str:
        """Its status, and what takes it."""
        if row.status == InputStatus.RATED:
            return "its status is Rated; include_rated takes rated inputs, too"
        return "its status is Error; `batchwright usage-inputs reset` makes it Loaded again"

    def compute(self, scope: Scope) -> Forecast:
        """Rate the inputs of every asset of the scope, and report what became of them."""
        connection = scope.connection
        locked = assets_and_inputs.lock_assets(connection, scope.groups)
        catalog = self._catalogs.load(connection, locked)
        schedules = assets_and_inputs.read_schedules(connection, scope.groups)
        inputs = self.eligible(scope)
        self.attribute(scope, locked, inputs)
        counted = counts_of(connection, schedules)
        if self.parameters.include_rated:
            counted = _without(connection, counted, inputs)
        usages = rate_assets(locked, inputs, schedules, catalog, counted)
        report(scope, usages, TOTAL)
        forecast = Forecast(usages, self._partial_assets(scope))
        _warn_of_partial_assets(scope, forecast)
        return forecast

    def apply(self, scope: Scope, computed: Forecast) -> None:
        """Write draft values, and errors; every status moves only from the one that was read."""
        amounts = [
            (amount, price_key, contract_key, discount, prior, key)
            for usage in computed.usages
            for amount, price_key, contract_key, discount, prior, key, _, _, _ in usage.rated
        ]
        errors = self.errors(scope, computed.usages)
        recovered = [key for usage in computed.usages for key in usage.recovered()]
        postings = [posting for _, posting in computed.postings()]
        expect(drafts.write_drafts(scope.connection, scope.run.id, amounts), amounts)
        expect(drafts.write_errors(scope.connection, errors), errors)
        expect(assets_and_inputs.clear_errors(scope.connection, recovered, by="draft"), recovered)
        expect(drafts.write_schedule_drafts(scope.connection, postings), postings)

    def preview(self, scope: Scope, computed: Forecast) -> Iterator[Preview]:
        """One line for each input and each schedule that would be written."""
        connection = scope.connection
        yield from input_lines(connection, "draft", computed.usages, self.errors(scope, computed.usages))
        postings = list(computed.postings())
        schedules = preview.schedules(connection, [key for _, (_, _, key) in postings], "draft")
        for usage, (quantity, minor, key) in postings:
            fee = None if minor is None else Amount(minor, usage.currency)
            shown = None if quantity is None else quantity_text(Decimal(quantity))
            yield line(SCHEDULE, schedules[key], fee, minor, {"draft_rated_quantity": shown})

    def retry_parameters(self, connection: Connection, run: Run, keys: Iterator[int]) -> dict[str, Any]:
        """The whole assets of the records: a forecast overwrites an asset's schedules."""
        again = super().retry_parameters(connection, run, keys)
        return {**again, "include_rated": self.parameters.include_rated}

    def named_again(self, connection: Connection, run: Run, keys: Sequence[int]) -> dict[str, Any]:
        """The assets."""
        return {"asset_line_item_ids": selection.asset_ids_of(connection, keys)}

    def _everything(self, connection: Connection) -> Iterator[Group]:
        """Every asset with candidates, and between them visits to those that hold draft values and have none."""
        stale = candidates.stale_assets(connection)
        visit = next(stale, None)
        for group in super()._everything(connection):
            while visit is not None and visit <= group.group:
                if visit < group.group:
                    yield Group(visit)
                visit = next(stale, None)
            yield group
        while visit is not None:
            yield Group(visit)
            visit = next(stale, None)

    def _partial_assets(self, scope: Scope) -> frozenset[int]:
        """Assets of which the caller named some eligible inputs and left out others."""
        if not self._takes_inputs:
            return frozenset()
        named = set(scope.planned_keys)
        found = candidates.candidates_of(scope.connection, scope.groups, Candidates.DRAFT)
        return frozenset(asset for asset, keys in found.items() if not named.issuperset(keys))


def _without(connection: Connection, counted: Counts, inputs: Sequence[InputTuple]) -> Counts:
    """The counts without the Rated inputs that are rated again."""
    rated = [key for _, _, key, *_, unusual in inputs if unusual == InputStatus.RATED]
    return counted.without(
        Share(schedule, counts_as, Decimal(quantity))
        for schedule, counts_as, quantity in counts.read_shares(connection, rated)
    )


def _warn_of_partial_assets(scope: Scope, forecast: Forecast) -> None:
    for usage in forecast.usages:
        if usage.asset.key in forecast.partial:
            asset = usage.asset.asset_line_item_id
            scope.warn(
                "partial_asset",
                f"not all eligible usage inputs of {asset} were given: its forecast counts only those given",
                asset,
            )
