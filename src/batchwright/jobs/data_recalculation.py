"""Data recalculation: past months of a customer rated again, by the active contract and the newest prices (DoiT).

Rated inputs get their new amounts, and their schedules the difference; what was rated beside them after the run was
planned is restated, so that every window is whole. What is not rated is counted and left alone; what is on its way to
an invoice is left alone, too, and the difference reported. Then the customer's custom line items are charged anew for
these months, account by account.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from sqlalchemy import Connection

from batchwright.billing.counts import Counts
from batchwright.billing.explain import explained, figures_changed, rerated_explained
from batchwright.billing.recalculation import (
    Recalculated,
    Rerated,
    RetroactiveCatalog,
    difference_text,
    new_amounts,
    new_counts,
    new_sums,
    recalculate,
    span_of,
)
from batchwright.billing.records import (
    assets_and_inputs,
    charges,
    counts,
    preview,
    ratings,
    recalculation,
    restating,
    selection,
)
from batchwright.billing.records.catalog_of_rating import CatalogLoader
from batchwright.billing.records.ratings import Charged
from batchwright.billing.records.recalculation import Span
from batchwright.engine.job import Amount, Change, Finish, Group, Preview, Schema, Scope, StartContext
from batchwright.engine.run import Run
from batchwright.jobs.recalculation_charges import charging, report
from batchwright.jobs.recalculation_terms import NAME, Parameters, check_offer, customer_key_of
from batchwright.jobs.recalculation_windows import inputs_of_windows
from batchwright.jobs.usage_preview import ACCOUNT_CHARGE, INPUT, SCHEDULE, line
from batchwright.jobs.usage_restating import TOTAL
from batchwright.jobs.usage_selection import JobOfInputs, counts_of, expect

BEFORE, AFTER, DIFFERENCE = "rated_amount_before", "rated_amount_after", "difference"


@dataclass(frozen=True, slots=True)
class Recalculation:
    """What Rated inputs come to now, asset by asset, and their schedules' charges and counts before.

    ``joined`` are the ids of those, by key, that are not records of the scope.
    """

    results: list[Recalculated]
    charged: Mapping[int, Charged]
    counts: Counts
    joined: Mapping[int, str]

    @property
    def restated(self) -> list[tuple[str, Rerated]]:
        """What changes of the inputs that are not records, each with its currency."""
        return [
            (result.currency, change)
            for result in self.results
            for change in result.rerated
            if change.before.key in self.joined and change.changed
        ]


class DataRecalculationJob(JobOfInputs):
    """Rates past months of a customer again, by the active contract and the newest prices."""

    name = NAME
    type = "Recalc"
    retry_unit = "customer with all the months of the run"
    error_note = (
        "A usage input with an error stays Rated, with the amount it had. To correct the usage input itself, unrate it "
        "first: `batchwright run usage-unrating --usage-input ID`, then reset, edit and rate it."
    )
    scope_size = 2_000
    required_role = "Billing Utilities Admin"
    Parameters: ClassVar[Schema] = Parameters

    def __init__(
        self,
        customer_id: str,
        periods: Iterable[str],
        reason: str,
        explanation: str | None = None,
        **unknown: Any,
    ) -> None:
        listed = periods if isinstance(periods, str) else list(periods)
        super().__init__(
            customer_id=customer_id, periods=listed, reason=reason, explanation=explanation, **unknown
        )
        self._catalogs = CatalogLoader(partial(RetroactiveCatalog, self.parameters.periods))

    @property
    def customer_id(self) -> str:
        """The customer."""
        return str(self.parameters.customer_id)

    @property
    def periods(self) -> list[str]:
        """The months, in their order."""
        return list(self.parameters.periods)

    @property
    def reason(self) -> str:
        """Why."""
        return str(self.parameters.reason)

    @property
    def explanation(self) -> str | None:
        """More about why."""
        said: str | None = self.parameters.explanation
        return said

    def select(self, connection: Connection) -> Sequence[int]:
        """No keys: which inputs are Rated is asked when the run is planned. Refuses an unknown customer."""
        customer_key_of(connection, self.customer_id)
        return ()

    def check(self, connection: Connection, now: datetime) -> None:
        """Refuse what DoiT's dialog does not offer that day, and what another live run is about."""
        check_offer(connection, self.customer_id, self.periods, now.date())

    def start(self, context: StartContext) -> Iterator[Group]:
        """The Rated inputs in the windows of the months, by asset."""
        key = customer_key_of(context.connection, self.customer_id)
        for asset, keys in recalculation.rated_inputs(context.connection, key, self._spans):
            yield Group(asset, keys)

    def count(self, context: StartContext, at_most: int) -> int:
        """Counted by the usage schedules of the customer."""
        key = customer_key_of(context.connection, self.customer_id)
        return recalculation.count_rated_inputs(context.connection, key, self._spans)

    def compute(self, scope: Scope) -> Recalculation:
        """Rate the inputs again, and report what they came to and come to."""
        connection = scope.connection
        locked = assets_and_inputs.lock_assets(connection, scope.groups)
        schedules = assets_and_inputs.read_schedules(connection, scope.groups)
        found = inputs_of_windows(scope, schedules, self._spans)
        charged = ratings.read_charged(connection, scope.groups)
        counted = counts_of(connection, schedules)
        prices = self._catalogs.load(connection, locked)
        results = recalculate(locked, found.inputs, found.current, schedules, charged, counted, prices)
        for result in results:
            _report(scope, result, found.joined)
        _report_billed(scope, results, charged, found.joined)
        return Recalculation(results, charged, counted, found.joined)

    def apply(self, scope: Scope, computed: Recalculation) -> None:
        """Write amounts and sums, and note what is restated; an amount moves only from the one that was read."""
        amounts = new_amounts(computed.results)
        figures, fees = new_sums(computed.results, computed.charged)
        expect(recalculation.write_amounts(scope.connection, scope.run.id, amounts), amounts)
        noted = [
            (one.before.key, one.before.amount, one.after.amount, currency)
            for currency, one in computed.restated
        ]
        restating.add_restatements(scope.connection, scope.run.id, noted)
        expect(ratings.write_figures(scope.connection, figures), figures)
        expect(ratings.write_fees(scope.connection, fees), fees)
        counted = new_counts(computed.results, computed.counts)
        expect(counts.write_counts(scope.connection, counted), counted)

    def preview(self, scope: Scope, computed: Recalculation) -> Iterator[Preview]:
        """One line for each input that is rated again, and for each usage schedule whose fee changes."""
        connection = scope.connection
        rerated = [(result.currency, change) for result in computed.results for change in result.rerated]
        inputs = preview.inputs(connection, [one.before.key for _, one in rerated], "rated")
        for currency, one in rerated:
            if one.before.key not in computed.joined:
                adds = Amount(one.after.amount, currency)
                yield line(INPUT, inputs[one.before.key], adds, one.after.amount, explained(one.after))
        for currency, one in computed.restated:
            adds = Amount(one.difference, currency)
            yield line(INPUT, inputs[one.before.key], adds, one.after.amount, rerated_explained(one))
        figures, _ = new_sums(computed.results, computed.charged)
        schedules = preview.schedules(connection, [key for *_, key, _ in figures], "rated")
        currencies = {one.before.schedule_key: currency for currency, one in rerated}
        for quantity, fee, _, key, had in figures:
            currency = currencies[key]
            detail = figures_changed((quantity, had), (quantity, fee), currency)
            yield line(SCHEDULE, schedules[key], Amount(fee - had, currency), fee, detail)

    def finish(self, finish: Finish) -> None:
        """Say how many inputs of the months are not rated, and charge the custom line items anew."""
        connection = finish.connection
        key = customer_key_of(connection, self.customer_id)
        _warn_of_not_rated(finish, recalculation.not_rated(connection, key, self._spans))
        found = charging(connection, finish.run, key, self.periods)
        report(finish, found)
        if not finish.run.is_dry:
            accounts = list(charges.accounts_of(connection, [key])[key])
            charges.replace_charges(
                connection, finish.run.id, accounts, self.periods, found.charges, finish.now, found.billed
            )

    def preview_finish(self, connection: Connection, run: Run) -> Iterator[Preview]:
        """One line for each account, month and custom line item that is charged, or was."""
        key = customer_key_of(connection, self.customer_id)
        for currency, before, after, detail in charging(connection, run, key, self.periods).changes:
            record = f"{detail['account_id']} {detail['period']} {detail['line_item_id']}"
            change = Change(before, after, currency)
            yield Preview(ACCOUNT_CHARGE, record, None, detail, change, self.customer_id)

    def retry_parameters(self, connection: Connection, run: Run, keys: Iterator[int]) -> dict[str, Any]:
        """The same once more: what came out right stays as it is."""
        again: dict[str, Any] = self.parameters.model_dump(mode="json")
        return again

    @property
    def _spans(self) -> list[Span]:
        return [span_of(month) for month in self.periods]


def _report(scope: Scope, result: Recalculated, joined: Mapping[int, str]) -> None:
    """What is written, and what cannot be priced any more: a warning where it is not a record of the scope."""
    for bad in result.bad:
        message = f"{bad.message}; its rated amount stays as it is"
        if bad.input.key in joined:
            scope.warn(bad.code, message, joined[bad.input.key])
        else:
            scope.error(bad.input.key, bad.code, message)
    for bad in result.billed_bad:
        message = f"it is billed, and could no longer be priced: {bad.message}"
        if bad.input.key in joined:
            scope.warn("invoiced", message, joined[bad.input.key])
        else:
            scope.skip(bad.input.key, "invoiced", message)
    for change in result.rerated:
        if change.before.key in joined and change.difference:
            scope.add_total(TOTAL, result.currency, change.difference)
    records = [change for change in result.rerated if change.before.key not in joined]
    if records:
        before, after = result.sums(records)
        scope.pay(result.currency, [(record.before.key, record.after.amount) for record in records])
        for name, minor in ((BEFORE, before), (AFTER, after), (DIFFERENCE, after - before)):
            scope.add_total(name, result.currency, minor)


def _report_billed(
    scope: Scope,
    results: Sequence[Recalculated],
    charged: Mapping[int, Charged],
    joined: Mapping[int, str],
) -> None:
    """What is on its way to an invoice: each record is skipped, each billing schedule reported with its difference."""
    by_schedule: dict[int, tuple[Recalculated, list[Rerated]]] = {}
    for result in results:
        for one in result.billed:
            schedule = charged[one.before.schedule_key].billing_key
            _, inputs = by_schedule.setdefault(schedule, (result, []))
            inputs.append(one)
    ids = selection.billing_schedule_ids(scope.connection, sorted(by_schedule))
    status_of = {one.billing_key: one.status for one in charged.values()}
    for schedule, (result, inputs) in by_schedule.items():
        billed = f"{ids[schedule]} is {status_of[schedule]}"
        for one in inputs:
            if one.before.key in joined:
                continue
            difference = difference_text(one.before.amount, one.after.amount, result.currency)
            scope.skip(one.before.key, "invoiced", f"it is billed: {billed}, so it {difference}")
        before, after = result.sums(inputs)
        if before != after:
            difference = difference_text(before, after, result.currency)
            scope.warn("invoiced", f"{billed}: what was rated under it {difference}", ids[schedule])


def _warn_of_not_rated(finish: Finish, numbers: Mapping[str, int]) -> None:
    if not numbers:
        return
    listed = ", ".join(f"{numbers[status]:,} {status}" for status in sorted(numbers, reverse=True))
    number = sum(numbers.values())
    are = "usage input of these months is" if number == 1 else "usage inputs of these months are"
    finish.warn("not_rated", f"{number:,} {are} not rated and left alone: {listed}")
