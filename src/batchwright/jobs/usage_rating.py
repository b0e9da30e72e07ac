"""Usage rating: what usage costs, added to the schedules that will be invoiced (Conga: *Process Usage Input*).

Takes Loaded inputs only. A good one becomes Rated; its quantity and amount are added to its usage schedule and its
amount to the billing schedule, once. A bad one becomes Error with a code and a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection

from batchwright.billing.charges import Charges, charges_of, figures_after
from batchwright.billing.counts import Counts
from batchwright.billing.explain import figures_changed
from batchwright.billing.records import assets_and_inputs, counts, preview, ratings, selection
from batchwright.billing.records.assets_and_inputs import InputRow
from batchwright.billing.records.billing_schedules import PENDING_BILLING
from batchwright.billing.records.candidates import Candidates
from batchwright.billing.records.catalog_of_rating import CatalogLoader
from batchwright.billing.records.inputs import InputStatus
from batchwright.billing.records.ratings import Charged
from batchwright.billing.usage import AssetUsage, rate_assets
from batchwright.engine.job import Amount, Finish, Preview, Schema, Scope
from batchwright.engine.run import Run
from batchwright.jobs.usage_preview import LATE_SCHEDULE, SCHEDULE, input_lines, line
from batchwright.jobs.usage_selection import UsageJob, UsageParameters, counts_of, expect, report

TOTAL = "rated_amount"
NOTHING_YET = Charged(0, 0, "0", 0, 0, 0, PENDING_BILLING)
"""What a schedule that is to be made was charged with before."""


class Parameters(UsageParameters):
    """No arguments: every Loaded input. Usage input ids, or asset line item ids; not both.

    ``include_errors`` also takes inputs that rating put in Error; a retry sets it.
    """

    include_errors: bool = False


@dataclass(frozen=True, slots=True)
class Rating:
    """What a scope's inputs come to, asset by asset, and what their schedules were charged with and counted before."""

    usages: list[AssetUsage]
    charged: Mapping[int, Charged]
    counts: Counts


class UsageRatingJob(UsageJob):
    """Rates usage inputs (Process Usage Input): Rated Amount on each, Actual Quantity and Fee Amount on schedules."""

    name = "usage-rating"
    type = "Usage rating"
    error_note = (
        "A usage input with an error was not charged and is now in status Error. Another rating leaves it alone until "
        "`batchwright usage-inputs reset` makes it Loaded; the retry then leaves it out."
    )
    Parameters: ClassVar[Schema] = Parameters

    def __init__(
        self,
        usage_input_ids: Iterable[str] | None = None,
        asset_line_item_ids: Iterable[str] | None = None,
        include_errors: bool = False,
        **unknown: Any,
    ) -> None:
        super().__init__(usage_input_ids, asset_line_item_ids, include_errors=include_errors, **unknown)
        self._catalogs = CatalogLoader()

    @property
    def candidates(self) -> Candidates:
        """Loaded inputs; those that rating put in Error where they are asked for."""
        return Candidates.LOADED_AND_ERRORS if self.parameters.include_errors else Candidates.LOADED

    def takes(self, row: InputRow) -> bool:
        """Loaded; or put in Error by rating where those are asked for."""
        errors = bool(self.parameters.include_errors)
        return row.status == InputStatus.LOADED or (
            errors and row.status == InputStatus.ERROR and row.error_by == "rating"
        )

    def why_not(self, row: InputRow) -> str:
        """Its status, and what makes it Loaded."""
        if row.status == InputStatus.RATED:
            return "its status is Rated: it was charged already"
        return "its status is Error; `batchwright usage-inputs reset` makes it Loaded again"

    def compute(self, scope: Scope) -> Rating:
        """Rate the inputs of every asset of the scope, and report what became of them."""
        connection = scope.connection
        locked = assets_and_inputs.lock_assets(connection, scope.groups)
        catalog = self._catalogs.load(connection, locked)
        schedules = assets_and_inputs.read_schedules(connection, scope.groups)
        charged = ratings.read_charged(connection, scope.groups)
        counted = counts_of(connection, schedules)
        inputs = self.eligible(scope)
        self.attribute(scope, locked, inputs)
        usages = rate_assets(locked, inputs, schedules, catalog, counted, charged)
        report(scope, usages, TOTAL)
        return Rating(usages, charged, counted)

    def apply(self, scope: Scope, computed: Rating) -> None:
        """Write amounts, errors and sums; every status moves only from the one that was read."""
        connection = scope.connection
        charges = charges_of(computed.usages, computed.charged, computed.counts)
        made = _make_late(connection, charges)
        rated = [
            (amount, price_key, contract_key, discount, prior, made[-beside] if beside < 0 else beside, key)
            for usage in computed.usages
            for amount, price_key, contract_key, discount, prior, key, _, beside, _ in usage.rated
        ]
        counted = [
            count._replace(schedule_key=made[-count.schedule_key]) if count.schedule_key < 0 else count
            for count in charges.counts
        ]
        recovered = [key for usage in computed.usages for key in usage.recovered()]
        errors = self.errors(scope, computed.usages)
        expect(assets_and_inputs.clear_errors(connection, recovered, by="rating"), recovered)
        expect(ratings.write_rated(connection, scope.run.id, rated), rated)
        expect(ratings.write_errors(connection, errors), errors)
        expect(ratings.write_figures(connection, charges.figures), charges.figures)
        expect(ratings.write_fees(connection, charges.fees), charges.fees)
        expect(counts.write_counts(connection, counted), counted)

    def preview(self, scope: Scope, computed: Rating) -> Iterator[Preview]:
        """One line for each input that would be rated, and each usage schedule that would be charged.

        A schedule to be made for late usage is named by the billed one beside which it would stand.
        """
        connection = scope.connection
        yield from input_lines(connection, "rated", computed.usages, self.errors(scope, computed.usages))
        yield from _schedule_lines(connection, computed)

    def finish(self, finish: Finish) -> None:
        """Say how many inputs in Error were left uncharged, although their billing schedule is still pending."""
        ids = self.parameters.asset_line_item_ids
        left = ratings.left_in_error(
            finish.connection,
            finish.run.id,
            None if ids is None else selection.asset_keys(finish.connection, ids),
            named=self._takes_inputs,
        )
        if left.errored:
            finish.warn(
                "not_rated",
                f"{_inputs_in_error(left.errored)} not charged: `batchwright usage-inputs list --status Error` shows"
                " why; an edit or `batchwright usage-inputs reset` makes them Loaded, then rate again",
            )
        if left.unrated:
            finish.warn("unrated", f"{_inputs_in_error(left.unrated)} left alone after unrating")

    def retry_parameters(self, connection: Connection, run: Run, keys: Iterator[int]) -> dict[str, Any]:
        """The records themselves, also those that are in Error by the rating that is retried."""
        return {**super().retry_parameters(connection, run, keys), "include_errors": True}


def _inputs_in_error(number: int) -> str:
    return "1 usage input in Error was" if number == 1 else f"{number:,} usage inputs in Error were"


def _schedule_lines(connection: Connection, computed: Rating) -> Iterator[Preview]:
    touched = {abs(key) for usage in computed.usages for key in usage.postings}
    schedules = preview.schedules(connection, sorted(touched), "rated")
    for usage in computed.usages:
        for key, posting in usage.postings.items():
            if not posting.inputs:
                continue
            kind, before, current = SCHEDULE, computed.charged.get(key), schedules[abs(key)]
            if before is None:
                kind, before, current = LATE_SCHEDULE, NOTHING_YET, current._replace(amount=None)
            quantity, fee, *_ = figures_after(before, posting.quantity, posting.fee, posting.inputs)
            detail = figures_changed((before.quantity, before.fee), (quantity, fee), usage.currency)
            yield line(kind, current, Amount(posting.fee, usage.currency), fee, detail)


def _make_late(connection: Connection, charges: Charges) -> dict[int, int]:
    """Make the schedules for late usage; keys of usage schedules by those beside which they stand."""
    schedules = ratings.make_late_billing(connection, [plan.billing_schedule for plan in charges.late])
    usage = dict(charges.late_usage)
    for schedule_key, plan in zip(schedules, charges.late, strict=True):
        usage |= {
            beside: one._replace(billing_key=schedule_key) for beside, one in plan.usage_schedules.items()
        }
    return dict(zip(usage, ratings.make_late_usage(connection, list(usage.values())), strict=True))
