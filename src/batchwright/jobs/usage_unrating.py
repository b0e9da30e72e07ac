"""Usage unrating: a rating taken back (Conga: *processRatedUsageInput*).

Takes Rated inputs. What each added to its schedules is taken off again, its rated amount is blanked, and it becomes
Error with the code ``unrated``; a reset makes it Loaded. What is on its way to an invoice stays. Inputs that came
after it in its window are restated: they start where they would without it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from batchwright.billing.charges import Charges, taken_back
from batchwright.billing.counts import Counts, Share
from batchwright.billing.exact import quantity_text
from batchwright.billing.explain import figures_changed
from batchwright.billing.records import assets_and_inputs, counts, preview, ratings, selection
from batchwright.billing.records.assets_and_inputs import InputRow
from batchwright.billing.records.billing_schedules import PENDING_BILLING
from batchwright.billing.records.candidates import Candidates
from batchwright.billing.records.inputs import InputStatus
from batchwright.billing.records.ratings import Charged, Owed
from batchwright.billing.restating import Restated
from batchwright.engine.job import Amount, Preview, Scope
from batchwright.jobs.usage_preview import INPUT, SCHEDULE, line
from batchwright.jobs.usage_restating import (
    report_blocked,
    report_restated,
    restated_lines,
    restated_without,
    write_restated,
)
from batchwright.jobs.usage_selection import UsageJob, expect

TOTAL = "unrated_amount"


@dataclass(frozen=True, slots=True)
class Taken:
    """An input whose rating is taken back."""

    key: int
    quantity: Decimal
    owed: Owed

    @property
    def share(self) -> Share:
        """What it is of a count."""
        return Share(self.owed.schedule_key, self.owed.counts_as, self.quantity)


@dataclass(frozen=True, slots=True)
class Unrating:
    """What is taken back of a scope and restated, and what the schedules were charged with and counted before."""

    taken: list[Taken]
    restated: list[Restated]
    charged: Mapping[int, Charged]
    counts: Counts


class UsageUnratingJob(UsageJob):
    """Takes ratings back: Rated inputs become Error with the code unrated, and their schedules lose the amounts."""

    name = "usage-unrating"
    type = "Usage unrating"
    error_note = "A usage input with an error keeps its status and its rated amount."
    usual = InputStatus.RATED

    @property
    def candidates(self) -> Candidates:
        """Rated inputs."""
        return Candidates.RATED

    def takes(self, row: InputRow) -> bool:
        """Rated."""
        return row.status == InputStatus.RATED

    def why_not(self, row: InputRow) -> str:
        """Its status."""
        return f"its status is {row.status}: there is no rated amount to take back"

    def compute(self, scope: Scope) -> Unrating:
        """Find what each Rated input was charged with; skip those whose billing schedule is no longer pending."""
        connection = scope.connection
        locked = assets_and_inputs.lock_assets(connection, scope.groups)
        inputs = self.eligible(scope)
        self.attribute(scope, locked, inputs)
        rows = list(map(InputRow._make, inputs))
        owed = ratings.read_owed(connection, [row.key for row in rows])
        charged = ratings.read_charged(connection, scope.groups)
        taken = [Taken(row.key, Decimal(row.quantity), owed[row.key]) for row in rows]
        billed = [one for one in taken if charged[one.owed.schedule_key].status != PENDING_BILLING]
        _skip_billed(scope, billed, charged)
        left = {billed_input.key for billed_input in billed}
        schedule_of = {one.key: one.owed.schedule_key for one in taken if one.key not in left}
        restating = restated_without(scope, schedule_of, charged)
        left |= report_blocked(scope, restating.blocked)
        restated = report_restated(scope, restating.later, charged)
        taken = [taken_one for taken_one in taken if taken_one.key not in left]
        _report(scope, taken)
        schedules = sorted({taken_one.owed.schedule_key for taken_one in taken})
        return Unrating(taken, restated, charged, Counts(counts.read_counts(connection, schedules)))

    def apply(self, scope: Scope, computed: Unrating) -> None:
        """Write statuses and sums; every status moves only from Rated."""
        connection = scope.connection
        keys = [taken_one.key for taken_one in computed.taken]
        charges = _charges_of(computed)
        expect(ratings.write_unrated(connection, keys), keys)
        write_restated(scope, computed.restated)
        expect(ratings.write_figures(connection, charges.figures), charges.figures)
        expect(ratings.write_fees(connection, charges.fees), charges.fees)
        expect(counts.write_counts(connection, charges.counts), charges.counts)

    def preview(self, scope: Scope, computed: Unrating) -> Iterator[Preview]:
        """One line for each input and each usage schedule: what would be taken back, and what restated."""
        connection = scope.connection
        inputs = preview.inputs(connection, [taken_one.key for taken_one in computed.taken], "rated")
        for one in computed.taken:
            detail = {"quantity": quantity_text(one.quantity)}
            yield line(INPUT, inputs[one.key], Amount(one.owed.amount, one.owed.currency), None, detail)
        yield from restated_lines(scope, computed.restated)
        currencies = {taken_one.owed.schedule_key: taken_one.owed.currency for taken_one in computed.taken}
        currencies |= {change.before.schedule_key: change.price.currency for change in computed.restated}
        schedules = preview.schedules(connection, list(currencies), "rated")
        for quantity, fee, _, key, had in _charges_of(computed).figures:
            currency = currencies[key]
            figured = figures_changed((computed.charged[key].quantity, had), (quantity, fee), currency)
            yield line(SCHEDULE, schedules[key], Amount(had - fee, currency), fee, figured)


def _skip_billed(scope: Scope, billed: list[Taken], charged: Mapping[int, Charged]) -> None:
    keys = {charged[billed_input.owed.schedule_key].billing_key for billed_input in billed}
    ids = selection.billing_schedule_ids(scope.connection, sorted(keys))
    for billed_input in billed:
        schedule = charged[billed_input.owed.schedule_key]
        message = f"it is billed: {ids[schedule.billing_key]} is {schedule.status}"
        scope.skip(billed_input.key, "invoiced", message)


def _report(scope: Scope, taken: list[Taken]) -> None:
    """Tell the run what is taken back, by currency: there are few."""
    amounts: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for taken_one in taken:
        amounts[taken_one.owed.currency].append((taken_one.key, taken_one.owed.amount))
    for currency, theirs in amounts.items():
        scope.pay(currency, theirs)
        scope.add_total(TOTAL, currency, sum(amount for _, amount in theirs))


def _charges_of(computed: Unrating) -> Charges:
    taken = ((taken_one.share, taken_one.owed.amount) for taken_one in computed.taken)
    restated = ((one.before.schedule_key, one.difference) for one in computed.restated if one.difference)
    return taken_back(taken, restated, computed.charged, computed.counts)
