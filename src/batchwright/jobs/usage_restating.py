"""Restating: what comes after inputs that are taken back starts earlier in its window, and may cost something else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from batchwright.billing.explain import restated_explained
from batchwright.billing.recalculation import difference_told
from batchwright.billing.records import assets_and_inputs, preview, restating, selection
from batchwright.billing.records.assets_and_inputs import ScheduleRow
from batchwright.billing.records.billing_schedules import PENDING_BILLING, SUPERSEDED
from batchwright.billing.records.catalog_of_rating import price_revisions
from batchwright.billing.records.ratings import Charged
from batchwright.billing.restating import Hindered, Metered, Restated, Restating, Window, restate
from batchwright.engine.job import Amount, Preview, Scope
from batchwright.jobs.usage_preview import INPUT, line
from batchwright.jobs.usage_selection import expect

TOTAL = "restated_amount"


class Because(NamedTuple):
    """Why a run restates inputs that are no records of it: as it is said of them all, and of one."""

    of_all: str
    of_one: str


REASONS: Final[Mapping[str, Because]] = {
    "usage-unrating": Because(
        "They came after usage inputs that were taken back, and start earlier in their window.",
        "an input ahead of it in its window was unrated",
    ),
    "data-recalculation": Because(
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
    prices = price_revisions(scope.connection, {one.price_key for one in inputs})
    return restate(inputs, schedule_of.keys(), schedules, prices)


def _windows_left(scope: Scope, taken: Counter[int]) -> dict[int, Metered]:
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
        row.key: Metered(window_of[row.key], Decimal(row.actual_quantity), billed=not row.pending)
        for row in live
        if window_of[row.key] in touched and left[window_of[row.key]]
    }


def report_hindered(scope: Scope, hindered: Sequence[Hindered]) -> set[int]:
    """Leave inputs as they are where one after them would be left without a price; their keys."""
    ids = selection.input_ids(scope.connection, [one.later_key for one in hindered])
    for one in hindered:
        later = f"{ids[one.later_key]}, which came after it in its window, could not be priced then"
        for key in one.keys:
            scope.error(key, one.code, f"{later}: {one.message}; unrate both")
    return {key for one in hindered for key in one.keys}


def report_restated(
    scope: Scope, later: Sequence[Restated], charged: Mapping[int, Charged]
) -> list[Restated]:
    """Add up what is restated, and tell what is billed and stays; those that can be written."""
    pending: list[Restated] = []
    billed: dict[int, list[Restated]] = defaultdict(list)
    for one in later:
        schedule = charged[one.before.schedule_key]
        if schedule.status != PENDING_BILLING:
            billed[schedule.billing_key].append(one)
            continue
        pending.append(one)
        if one.difference:
            scope.add_total(TOTAL, one.price.currency, one.difference)
    ids = selection.billing_schedule_ids(scope.connection, sorted(billed))
    for key, inputs in billed.items():
        before, difference = (
            sum(one.before.amount for one in inputs),
            sum(one.difference for one in inputs),
        )
        if difference:
            told = difference_told(before, before + difference, inputs[0].price.currency)
            scope.warn("invoiced", f"{ids[key]} is billed: what was rated under it {told}", ids[key])
    return pending


def write_restated(scope: Scope, restated: Sequence[Restated]) -> None:
    """Write where inputs start now and what they come to, and note those that come to something else."""
    starts = [one.new_start for one in restated]
    expect(restating.write_starts(scope.connection, starts), starts)
    noted = [
        (one.before.key, one.before.amount, one.amount, one.price.currency)
        for one in restated
        if one.difference
    ]
    restating.add_restatements(scope.connection, scope.run.id, noted)


def restated_lines(scope: Scope, restated: Sequence[Restated]) -> Iterator[Preview]:
    """One line for each input that would come to something else."""
    changed = [one for one in restated if one.difference]
    inputs = preview.inputs(scope.connection, [one.before.key for one in changed], "rated")
    for one in changed:
        adds = Amount(one.difference, one.price.currency)
        yield line(INPUT, inputs[one.before.key], adds, one.amount, restated_explained(one))
