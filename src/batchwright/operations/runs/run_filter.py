"""Which runs a listing shows, as people ask for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypedDict

from batchwright.engine.errors import Refused
from batchwright.engine.run import ACTIVE, State
from batchwright.engine.store.run_log import RunQuery
from batchwright.operations.checks import check_one_of, check_storable

_STATES: Final[dict[str, tuple[State, ...]]] = {
    **{state.lower(): (state,) for state in State},
    "complete": (State.COMPLETED,),
    "running": (*ACTIVE, State.PAUSED),
}
_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)


class RunFilter(TypedDict, total=False):
    """Runs for which all of it holds; `None` asks for nothing.

    `status` are states, or what the log shows and no state is called, `Complete` and `Running`, in any case: one or
    several. `period` is one of a run's months, `run_actor` who asked for it. They started (were created, while they
    wait) at `since` or later and earlier than `before`, times with a zone. `errors`: only with records that errored.
    """

    status: str | Sequence[str] | None
    job: str | None
    customer_id: str | None
    period: str | None
    run_actor: str | None
    schedule: str | None
    trigger: str | None
    since: datetime | None
    before: datetime | None
    errors: bool


def query_of(asked: RunFilter) -> RunQuery:
    """The filter as the database takes it. Refuses, naming the field, what no run could have."""
    period = asked.get("period")
    if period is not None and not _MONTH.fullmatch(period):
        raise Refused(
            f"{period!r} is not a valid month", field="period", remedy="Write it as YYYY-MM, such as 2026-01"
        )
    columns = {
        "job": asked.get("job"),
        "customer_id": asked.get("customer_id"),
        "actor": asked.get("run_actor"),
        "schedule": asked.get("schedule"),
        "trigger": asked.get("trigger"),
    }
    equal = {name: value for name, value in columns.items() if value is not None}
    for name, value in equal.items():
        check_storable(value, field=name)
    return RunQuery(
        states=_states(asked.get("status")),
        equal=equal,
        period=period,
        since=_with_zone(asked.get("since"), "since"),
        before=_with_zone(asked.get("before"), "before"),
        with_errors=bool(asked.get("errors")),
    )


def _states(status: str | Sequence[str] | None) -> tuple[State, ...] | None:
    """In the order of all states, each once: whoever asks for the same asks for the same pages."""
    named = [status] if isinstance(status, str) else status
    if not named:
        return None
    for one in named:
        if one.lower() not in _STATES:
            check_one_of(one, [*State, "Complete", "Running"], field="status")
    wanted = {state for one in named for state in _STATES[one.lower()]}
    return tuple(state for state in State if state in wanted)


def _with_zone(time: datetime | None, name: str) -> datetime | None:
    if time is not None and time.tzinfo is None:
        raise Refused(f"{time} has no zone", field=name, remedy=f"Write it as {time.isoformat()}Z, say")
    return time
