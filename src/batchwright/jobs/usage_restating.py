"""Restating: what comes after inputs that are taken back starts earlier in its window, and may cost something else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from batchwright.billing.explain import restated_explained
from batchwright.billing.recalculation import difference_text
from batchwright.billing.records import assets_and_inputs, preview, restating, selection
from batchwright.billing.records.assets_and_inputs import ScheduleRow
from batchwright.billing.records.billing_schedules import PENDING_BILLING, SUPERSEDED
from batchwright.billing.records.catalog_of_rating import price_revisions
from batchwright.billing.records.ratings import Charged
from batchwright.billing.restating import Blocked, Restated, Restating, Window, WindowSchedule, restate
from batchwright.engine.job import Amount, Preview, Scope
from batchwright.jobs.usage_preview import INPUT, line
from batchwright.jobs.usage_selection import expect

TOTAL = "restated_amount"


class Reason(NamedTuple):
    """Why a run restates inputs that are not its records: the text for all of them, and for one."""

    of_all: str
    of_one: str


REASONS: Final[Mapping[str, Reason]] = {
    "usage-unrating": Reason(
        "They came after usage inputs that were taken back, and start earlier in their window.",
        "an input ahead of it in its window was unrated",
    ),
    "data-recalculation": Reason(
        "They were rated in windows of this run after it was planned, and were done again with the others.",
        "it was rated in a window of this run after that was planned",
    ),
}
"""The jobs that do, by name."""


def restated_without(
    scope: Scope, schedule_of: Mapping[int, int], charged: Mapping[int, Charged]
) -> Restating:
    """What becomes of what is left in the windows of taken inputs, each given with its usage schedule."""
    live = sum(one.inputs for one in charged.values() if one.status != SUPERSEDED)
    if not schedule_of or live == len(schedule_of):
        return Restating()
    schedules = _windows_left(scope, Counter(schedule_of.values()))
    if not schedules:
        return Restating()
    inputs = restating.read_windows(scope.connection, scope.groups, list(schedules))
    prices = price_revisions(scope.connection, {usage_input.price_key for usage_input in inputs})
    return restate(inputs, schedule_of.keys(), schedules, prices)


def _windows_left(scope: Scope, taken: Counter[int]) -> dict[int, WindowSchedule]:
    """The usage schedules, by key, of windows that lose some inputs, but not all."""
    rows = map(ScheduleRow._make, assets_and_inputs.read_schedules(scope.connection, scope.groups))
    live = [row for row in rows if row.status != SUPERSEDED]
    window_of: dict[int, Window] = {
        row.key: (row.asset_key, row.window_start, row.window_end) for row in live
    }
    left: dict[Window, int] = defaultdict(int)
    for row in live:
        left[window_of[row.key]] += row.rated_inputs - taken[row.key]
    touched = {window_of[key] for key in taken}
    return {
        row.key: WindowSchedule(window_of[row.key], Decimal(row.actual_quantity), billed=not row.pending)
        for row in live
        if window_of[row.key] in touched and left[window_of[row.key]]
    }


def report_blocked(scope: Scope, blocked: Sequence[Blocked]) -> set[int]:
    """Leave inputs as they are where one after them would be left without a price; their keys."""
    ids = selection.input_ids(scope.connection, [block.later_key for block in blocked])
    for block in blocked:
        later = f"{ids[block.later_key]}, which came after it in its window, could not be priced then"
        for key in block.keys:
            scope.error(key, block.code, f"{later}: {block.message}; unrate both")
    return {key for block in blocked for key in block.keys}


def report_restated(
    scope: Scope, later: Sequence[Restated], charged: Mapping[int, Charged]
) -> list[Restated]:
    """Add up what is restated, and tell what is billed and stays; those that can be written."""
    pending: list[Restated] = []
    billed: dict[int, list[Restated]] = defaultdict(list)
    for later_input in later:
        schedule = charged[later_input.before.schedule_key]
        if schedule.status != PENDING_BILLING:
            billed[schedule.billing_key].append(later_input)
            continue
        pending.append(later_input)
        if later_input.difference:
            scope.add_total(TOTAL, later_input.price.currency, later_input.difference)
    ids = selection.billing_schedule_ids(scope.connection, sorted(billed))
    for key, inputs in billed.items():
        before, difference = (
            sum(usage_input.before.amount for usage_input in inputs),
            sum(usage_input.difference for usage_input in inputs),
        )
        if difference:
            text = difference_text(before, before + difference, inputs[0].price.currency)
            scope.warn("invoiced", f"{ids[key]} is billed: what was rated under it {text}", ids[key])
    return pending


def write_restated(scope: Scope, restated: Sequence[Restated]) -> None:
    """Write where inputs start now and what they come to, and note those that come to something else."""
    starts = [change.new_start for change in restated]
    expect(restating.write_starts(scope.connection, starts), starts)
    noted = [
        (change.before.key, change.before.amount, change.amount, change.price.currency)
        for change in restated
        if change.difference
    ]
    restating.add_restatements(scope.connection, scope.run.id, noted)


def restated_lines(scope: Scope, restated: Sequence[Restated]) -> Iterator[Preview]:
    """One line for each input that would come to something else."""
    changed = [change for change in restated if change.difference]
    inputs = preview.inputs(scope.connection, [change.before.key for change in changed], "rated")
    for change in changed:
        adds = Amount(change.difference, change.price.currency)
        yield line(INPUT, inputs[change.before.key], adds, change.amount, restated_explained(change))
