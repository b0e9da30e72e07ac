"""What becomes of the nominal times that are due: pure, given the instant and what is known of the schedule.

A time that is found at most five seconds after it came is on time, and starts a run, however long the deciding has to
wait. What is later, or came in a pause or a hold, has been missed. Of missed times none, the last, or the last so many
are run (``Misfire``), if they are not later than the grace. So what is run is always the end of what is due, and the
rest before it is recorded as ranges with their reason. APScheduler and Quartz know the same policies; neither keeps
account.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from batchwright.engine.schedule import Hold, Misfire, NotRunCause, NotRunReason, Overlap, Schedule
from batchwright.engine.schedules import due
from batchwright.engine.schedules.due import A_MOMENT

ON_TIME = timedelta(seconds=5)
"""How late a time may be found and still be on time; as Quartz's store in memory has it."""

_PAUSED = NotRunReason(NotRunCause.PAUSED, "paused")
_HELD = NotRunReason(NotRunCause.HELD, "held")


@dataclass(frozen=True, slots=True)
class Start:
    """A time that a run is started for; ``after_earlier``: it holds until earlier ones of the schedule have ended.

    ``ready``: what was made ready of the run before, if anything.
    """

    nominal_time: datetime
    after_earlier: bool = False
    ready: Any = None


@dataclass(frozen=True, slots=True)
class SkippedTimes:
    """Times that no run is started for, from the first to the last, with the reason."""

    first: datetime
    last: datetime
    count: int
    reason: NotRunReason


Decision = Start | SkippedTimes


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decisions in the order of their times, and the time up to which all are decided; ``None``: as before."""

    decisions: tuple[Decision, ...] = ()
    up_to: datetime | None = None


def decide(
    schedule: Schedule,
    now: datetime,
    *,
    hold: Hold,
    live: str | None = None,
    recorded: Collection[datetime] = (),
    found: datetime | None = None,
) -> Verdict:
    """Decide about every time that is due.

    Args:
        hold: the maintenance that holds all schedules, or the last one.
        live: id of the newest run of the schedule that has not ended.
        recorded: due times that have a record already, of a backfill.
        found: when it was found that times are due, from which lateness counts; now, unless what decides had to wait.
    """
    found = min(now, found or now)
    after, until = due.bounds(schedule, now)
    if schedule.paused or hold.lasts or due.first(schedule.expression, after, until) is None:
        return Verdict()
    missed, on_time = _to_run(schedule, now, hold, after, until, recorded, found)
    starts = [*missed, *on_time]
    rest = starts[0] - A_MOMENT if starts else until
    skipped = _skipped(schedule, found, hold, after, rest, recorded)
    started = _by_overlap(schedule, starts, live, is_made_up=bool(missed))
    decisions = tuple(_merged([*skipped, *started], recorded))
    ends = [decision.nominal_time if isinstance(decision, Start) else decision.last for decision in decisions]
    return Verdict(decisions, max([*ends, *(time for time in recorded if time <= until)]))


def skip_all(
    schedule: Schedule, now: datetime, reason: NotRunReason, recorded: Collection[datetime] = ()
) -> Verdict:
    """Decide against every time that is due."""
    after, until = due.bounds(schedule, now)
    ranges = [_range(schedule, *stretch, reason) for stretch in _between(after, until, recorded)]
    decisions = tuple(found for found in ranges if found is not None)
    return Verdict(decisions, max((decision.last for decision in decisions), default=None))


def _to_run(
    schedule: Schedule,
    now: datetime,
    hold: Hold,
    after: datetime,
    until: datetime,
    recorded: Collection[datetime],
    found: datetime,
) -> tuple[list[datetime], list[datetime]]:
    """The missed times and those on time that a run is for, unless runs overlap."""
    ends = [at for at in (schedule.resumed_at, hold.released_at) if at is not None and at <= now]
    late = max([now - ON_TIME - A_MOMENT, *ends])
    on_time = list(due.each(schedule.expression, max(after, late), until))
    waited = max([found - ON_TIME - A_MOMENT, *ends])
    if waited < late:
        # What came while it waited is on time, too; of a dense cadence no more than missed times may be.
        on_time[:0] = due.newest(schedule.expression, max(after, waited), min(until, late), schedule.cap)
        late = on_time[0] - A_MOMENT if on_time else late
    on_time = [time for time in on_time if time not in recorded]
    number = schedule.cap if schedule.misfire is Misfire.ALL else 0 if on_time else 1
    since = max(after, _oldest_to_run(schedule, found, after))
    missed = due.newest(schedule.expression, since, min(until, late), number)
    return [time for time in missed if time not in recorded], on_time


def _oldest_to_run(schedule: Schedule, now: datetime, after: datetime) -> datetime:
    """Missed times up to here are too late to be run."""
    if schedule.grace_seconds is not None:
        return now - timedelta(seconds=schedule.grace_seconds) - A_MOMENT
    return now if schedule.misfire is Misfire.SKIP or _has_ended(schedule, now) else after


def _has_ended(schedule: Schedule, now: datetime) -> bool:
    return schedule.end is not None and now - schedule.end > ON_TIME


def _skipped(
    schedule: Schedule,
    now: datetime,
    hold: Hold,
    after: datetime,
    until: datetime,
    recorded: Collection[datetime],
) -> Iterator[SkippedTimes]:
    """What is not run before the first that is: cut where a pause or a hold began or ended."""
    pause = (schedule.paused_at, schedule.resumed_at)
    held = (hold.held_at, hold.released_at)
    missed = _why_missed(schedule, now)
    for begin, end in _between(after, until, recorded):
        cuts = sorted({cut for cut in (*pause, *held) if cut is not None and begin < cut < end})
        for since, to in pairwise((begin, *cuts, end)):
            reason = _PAUSED if _within(pause, since, to) else _HELD if _within(held, since, to) else missed
            if (found := _range(schedule, since, to, reason)) is not None:
                yield found


def _between(
    after: datetime, until: datetime, recorded: Collection[datetime]
) -> Iterator[tuple[datetime, datetime]]:
    """The stretches that the recorded times leave."""
    for time in sorted(recorded):
        if after < time <= until:
            yield after, time - A_MOMENT
            after = time
    yield after, until


def _within(interval: tuple[datetime | None, datetime | None], since: datetime, to: datetime) -> bool:
    begin, end = interval
    return begin is not None and end is not None and begin <= since and to <= end


def _range(schedule: Schedule, after: datetime, until: datetime, reason: NotRunReason) -> SkippedTimes | None:
    expression = schedule.expression
    begin = due.first(expression, after, until)
    if begin is None:
        return None
    last = due.newest(expression, after, until, 1)[0]
    return SkippedTimes(begin, last, expression.count(after, until), reason)


def _why_missed(schedule: Schedule, now: datetime) -> NotRunReason:
    text = f"misfire skipped: policy {schedule.misfire}"
    if schedule.grace_seconds is not None:
        text += f", grace {schedule.grace_seconds} s"
    elif schedule.misfire is not Misfire.SKIP and _has_ended(schedule, now):
        return NotRunReason(NotRunCause.ENDED, "ended: found after the end of the schedule")
    elif schedule.misfire is Misfire.ALL:
        text += f" runs the last {schedule.cap}"
    return NotRunReason(NotRunCause.MISFIRE, text)


def _by_overlap(
    schedule: Schedule, times: Iterable[datetime], live: str | None, *, is_made_up: bool
) -> Iterator[Decision]:
    """Runs that make up for missed times wait for each other; whatever else comes while a run lives is overlapped."""
    before: datetime | None = None
    for time in times:
        if schedule.overlap is not Overlap.SKIP:
            yield Start(time, after_earlier=schedule.overlap is Overlap.QUEUE)
        elif live is not None:
            yield _overlapped(time, live)
        elif before is None or is_made_up:
            yield Start(time, after_earlier=before is not None)
            before = time
        else:
            yield _overlapped(time, f"the run of {before:%Y-%m-%dT%H:%M:%SZ}")


def _overlapped(time: datetime, live: str) -> SkippedTimes:
    reason = NotRunReason(NotRunCause.OVERLAPPED, f"overlapped: {live} had not ended")
    return SkippedTimes(time, time, 1, reason)


def _merged(decisions: Iterable[Decision], recorded: Collection[datetime]) -> Iterator[Decision]:
    """Neighbours that were not run for one reason are one range."""
    kept: Decision | None = None
    for decision in decisions:
        if (
            isinstance(kept, SkippedTimes)
            and isinstance(decision, SkippedTimes)
            and kept.reason == decision.reason
            and not any(kept.last < time < decision.first for time in recorded)
        ):
            kept = replace(kept, last=decision.last, count=kept.count + decision.count)
            continue
        if kept is not None:
            yield kept
        kept = decision
    if kept is not None:
        yield kept
