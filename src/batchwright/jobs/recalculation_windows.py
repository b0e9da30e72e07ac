"""What a scope of a recalculation rates again: the windows of its records whole, as they are under their assets' lock.

Other runs rate meanwhile: since this one was planned, inputs may have come to its windows. An order without them would
not be the window's, so they are done again with the records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from batchwright.billing.records import assets_and_inputs, recalculation, selection
from batchwright.billing.records.assets_and_inputs import InputRow, InputTuple, ScheduleTuple
from batchwright.billing.records.inputs import InputStatus
from batchwright.billing.records.recalculation import CurrentRating, Span
from batchwright.engine.job import Scope
from batchwright.jobs.usage_selection import eligible

ELSEWHERE = "it was rated again after the run was planned, in a window that none of these months touches"


class WindowInputs(NamedTuple):
    """Rated inputs, what each came to by its key, and the ids of those, by key, that are not records of the scope."""

    inputs: Sequence[InputTuple]
    current: Mapping[int, CurrentRating]
    joined: Mapping[int, str]


def inputs_of_windows(
    scope: Scope, schedules: Iterable[ScheduleTuple], months: Sequence[Span]
) -> WindowInputs:
    """The records of the scope that are Rated, the others are reported; and what else is Rated in their windows."""
    connection = scope.connection
    rows = eligible(scope, InputStatus.RATED, _is_rated, _why_not)
    current = recalculation.read_current(connection, [row.key for row in map(InputRow._make, rows)])
    windows = recalculation.windows_of(schedules, months)
    elsewhere = {one.key for one in current.values() if one.schedule_key not in windows}
    for key in elsewhere:
        scope.skip(key, "not_eligible", ELSEWHERE)
    touched = {windows[one.schedule_key] for one in current.values() if one.key not in elsewhere}
    usage = [key for key, window in windows.items() if window in touched]
    planned = set(scope.planned_keys)
    rated = recalculation.rated_on(connection, scope.groups, usage)
    joined = [key for _, keys in rated for key in keys if key not in planned]
    if elsewhere:
        rows = [row for row in rows if InputRow._make(row).key not in elsewhere]
    return WindowInputs(
        [*rows, *assets_and_inputs.read_inputs(connection, joined)],
        current | recalculation.read_current(connection, joined),
        selection.input_ids(connection, joined),
    )


def _is_rated(row: InputRow) -> bool:
    return row.status == InputStatus.RATED


def _why_not(row: InputRow) -> str:
    return f"its status is {row.status}: there is no rated amount to recalculate"
