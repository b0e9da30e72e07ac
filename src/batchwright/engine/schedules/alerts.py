"""When to notify that a run of a schedule is late, or that a time of it was not run: pure decisions."""

from __future__ import annotations

from datetime import datetime, timedelta

from batchwright.engine.run import ENDED, State
from batchwright.engine.schedule import Hold, Judgement, Late, LateCheck, NotRunCause, RunTimes, Schedule
from batchwright.engine.store.schedules import Fire

MOST_OVERLAPPED = 3
"""After so many times overlapped in a row somebody is notified, even where late times are not watched."""


def late_check_of(
    schedule: Schedule, hold: Hold, fire: Fire, now: datetime, *, is_wanted: bool = False
) -> LateCheck | None:
    """The check of a time that was just decided on; ``None`` where there is nothing to notify.

    Minutes count from the nominal time, or from the end of a pause or hold in which that lay. Of times that were not
    run somebody is told at once where the schedule says that they want to know of late ones, where it ``is_wanted``,
    and always of those that were refused.
    """
    limits = (schedule.start_within_minutes, schedule.finish_within_minutes)
    if fire.cause is not None:
        is_refused = fire.cause is NotRunCause.REFUSED
        is_wanted = is_wanted or is_refused or (limits != (None, None) and not fire.cause.is_intended)
        start_by, finish_by, ping = (now if is_wanted else None), None, None
    else:
        # One that lies ahead is of a clock that was ahead, and puts nothing off.
        ends = (end for end in (schedule.resumed_at, hold.released_at) if end is not None and end <= now)
        since = max([fire.nominal_time, *ends])
        start_by, finish_by = (
            None if minutes is None else since + timedelta(minutes=minutes) for minutes in limits
        )
        ping = schedule.ping
    if (start_by, finish_by, ping) == (None, None, None):
        return None
    return LateCheck(
        schedule_id=schedule.id,
        nominal_time=fire.nominal_time,
        last_nominal_time=fire.last_nominal_time,
        count=fire.count,
        run_id=fire.run_id,
        reason=fire.reason,
        start_by=start_by,
        finish_by=finish_by,
        ping=ping,
    )


def judge(check: LateCheck, run: RunTimes | None, now: datetime) -> Judgement:
    """What to notify now, given the times of the run; ``None``: there is no such run (any more)."""
    if check.run_id is None:
        return Judgement(("not_run",) if check.start_by is not None else (), None, None, None)
    if run is None:
        return Judgement((), None, None, None)
    late: list[Late] = []
    start_by, is_late = _deadline(check.start_by, run.started_at or run.ended_at, now)
    if is_late:
        late.append("not_started")
    finish_by, is_late = _deadline(check.finish_by, run.ended_at, now)
    if is_late:
        late.append("not_finished")
    failed = run.state in ENDED and run.state is not State.COMPLETED
    return Judgement(tuple(late), start_by, finish_by, None if failed else check.ping)


def _deadline(by: datetime | None, done_at: datetime | None, now: datetime) -> tuple[datetime | None, bool]:
    """The deadline as long as it is open, and whether it was missed."""
    if by is None or (done_at is not None and done_at <= by):
        return None, False
    return (None, True) if now >= by else (by, False)
