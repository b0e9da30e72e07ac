"""Firing: what is due is decided, recorded and submitted in one transaction, by whoever keeps the schedule's row.

The clock and the processes that look only say when somebody looks. Whoever is first keeps the row, reads up to which
time all is recorded, and goes on from there; (schedule, nominal time) is unique beside that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog
from sqlalchemy import Connection

from batchwright.engine import events
from batchwright.engine.clock import Clock
from batchwright.engine.errors import Refused
from batchwright.engine.events import Event, Events
from batchwright.engine.faults import is_transient
from batchwright.engine.run import Run
from batchwright.engine.schedule import NotRunCause, NotRunReason, Schedule
from batchwright.engine.schedules import due, policy
from batchwright.engine.schedules.alerts import late_check_of
from batchwright.engine.schedules.policy import SkippedTimes, Start, Verdict
from batchwright.engine.store import late_checks
from batchwright.engine.store import schedules as store
from batchwright.engine.store.database import Database
from batchwright.engine.store.schedules import Fire

SET = 250
"""So many schedules are fired in one transaction: it takes some tenths of a second."""

SECONDS_TO_OTHERS = 15.0
"""How long a time is left to others when its parameters are refused here: they may know a newer version of the job."""

Submit = Callable[[Connection, Sequence[tuple[Schedule, Start]]], Sequence[Run | Refused]]
"""Enqueues runs of schedules in the transaction given, in their order. In the place of one that cannot be stands why;
nothing is written of that."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Set:
    """What one transaction does: records by key of schedule, ranges made longer, and news for after its commit."""

    now: datetime
    seen: list[Schedule] = field(default_factory=list)
    fires: list[tuple[int, Fire]] = field(default_factory=list)
    news: list[Event] = field(default_factory=list)


class Firing:
    """Fires the schedules that are due, in sets. ``submit`` is given by who wires the parts.

    ``has_job`` says whether a job is here: times of others are left to who has it. ``refusal`` is why the job does not
    take the parameters of a schedule, ``None`` when it does.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        events: Events,
        submit: Submit,
        has_job: Callable[[str], bool] = lambda job: True,
        refusal: Callable[[Schedule], BaseException | None] = lambda schedule: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._events = events
        self._submit = submit
        self._has_job = has_job
        self._refusal = refusal
        self._left_since: dict[int, float] = {}
        self._told: set[tuple[int, str]] = set()

    def is_ours(self, schedule: Schedule) -> bool:
        """Whether its job is here; else its times are left, and recorded by who has it."""
        if self._has_job(schedule.job):
            return True
        self._tell(schedule, f"there is no job named {schedule.job!r} here")
        return False

    def fire(self, keys: Sequence[int]) -> list[Schedule]:
        """Fire what is due of these schedules, and return them as they are then; without those that others keep.

        A schedule that cannot be fired keeps nobody from the others: its time is recorded with the reason.
        """
        seen: list[Schedule] = []
        for some in _batched(keys, SET):
            with self._database.read() as connection:
                fresh = store.by_keys(connection, some)
            now = self._clock.now()
            due_now = [one for one in fresh if not one.paused and _is_due(one, now)]
            waiting = [one.id for one in due_now if self.is_ours(one) and not self._is_left(one)]
            seen += [one for one in fresh if one.id not in waiting]
            seen += self._fire_apart(waiting)
        return seen

    def _fire_apart(self, keys: Sequence[int]) -> list[Schedule]:
        """Fire a set; where that fails, each of it alone, so that the guilty one is found."""
        if not keys:
            return []
        try:
            return self._fire_set(keys)
        except Exception as error:
            if is_transient(error):
                raise
            if len(keys) == 1:
                log.exception("a schedule cannot be fired", schedule_key=keys[0])
                return self._fire_set(keys, _refused(f"{type(error).__name__}: {error}"))
        return [one for key in keys for one in self._fire_apart([key])]

    def _fire_set(self, keys: Sequence[int], refused: NotRunReason | None = None) -> list[Schedule]:
        with self._database.write() as connection:
            done = _Set(self._clock.now())
            hold = store.read_hold(connection)
            kept = [one for one in store.lock_free(connection, keys) if self.is_ours(one)]
            ahead = store.recorded_ahead(connection, keys)
            live = store.newest_live(connection, [one.name for one in kept])
            verdicts = [
                policy.decide(
                    one, done.now, hold=hold, live=live.get(one.name), recorded=ahead.get(one.id, ())
                )
                for one in kept
            ]
            results = iter(self._started(connection, kept, verdicts, refused))
            for schedule, verdict in zip(kept, verdicts, strict=True):
                _record(connection, schedule, verdict, results, done)
            store.insert_fires(connection, done.fires, done.now)
            schedules = {schedule.id: schedule for schedule in kept}
            checks = (late_check_of(schedules[key], hold, fire, done.now) for key, fire in done.fires)
            late_checks.add(connection, checks)
            pairs = zip(kept, verdicts, strict=True)
            store.mark_recorded(connection, {one.id: to.up_to for one, to in pairs if to.up_to is not None})
        for event in done.news:
            self._events.publish(event)
        for schedule in done.seen:
            self._left_since.pop(schedule.id, None)
        return done.seen

    def _is_left(self, schedule: Schedule) -> bool:
        """Whether its time is left to others for a moment; whoever takes the parameters fires at once."""
        refusal = self._refusal(schedule)
        if refusal is None:
            return False
        self._tell(schedule, str(refusal))
        now = self._clock.monotonic()
        return now - self._left_since.setdefault(schedule.id, now) < SECONDS_TO_OTHERS

    def _tell(self, schedule: Schedule, reason: str) -> None:
        if (schedule.id, reason) not in self._told:
            self._told.add((schedule.id, reason))
            log.warning("schedule left to a worker that can fire it", schedule=schedule.name, reason=reason)

    def _started(
        self,
        connection: Connection,
        schedules: Sequence[Schedule],
        verdicts: Sequence[Verdict],
        refused: NotRunReason | None,
    ) -> Sequence[Run | NotRunReason]:
        """Of each start in its order the run, or why there is none."""
        starts = [
            (schedule, one)
            for schedule, verdict in zip(schedules, verdicts, strict=True)
            for one in verdict.decisions
            if isinstance(one, Start)
        ]
        if refused is not None:
            return [refused] * len(starts)
        results = self._submit(connection, starts)
        return [_refused(str(one)) if isinstance(one, Refused) else one for one in results]


def _record(
    connection: Connection,
    schedule: Schedule,
    verdict: Verdict,
    results: Iterator[Run | NotRunReason],
    done: _Set,
) -> None:
    """Note what became of a schedule's times; of each that was to start, the next result says it."""
    fires = []
    for one in verdict.decisions:
        if isinstance(one, SkippedTimes):
            fires.append(_not_run(one))
            continue
        time, result = one.nominal_time, next(results)
        if isinstance(result, NotRunReason):
            fires.append(_not_run(SkippedTimes(time, time, 1, result)))
            continue
        fires.append(Fire(time, time, 1, "started", run_id=result.run_id))
        late = (done.now - time).total_seconds()
        done.news += [
            events.ScheduleFired(schedule.name, time, result.run_id, late),
            events.RunSubmitted(result.run_id, result.job, result.mode, result.actor),
        ]
    joined = list(_joined(fires))
    done.news += [
        events.ScheduleTimesNotRun(
            schedule.name,
            fire.nominal_time,
            fire.last_nominal_time,
            fire.count,
            fire.cause,
            fire.reason or "",
        )
        for fire in joined
        if fire.cause is not None
    ]
    done.fires += [(schedule.id, fire) for fire in _new(connection, schedule, joined, done.now)]
    done.seen.append(replace(schedule, last_nominal_time=verdict.up_to or schedule.last_nominal_time))


def settle(connection: Connection, schedule: Schedule, now: datetime, what: str) -> Schedule:
    """Record everything that is due of a locked schedule as not run: ``what`` of it is about to be replaced."""
    reason = NotRunReason(NotRunCause.CHANGED, f"changed: its {what} was replaced first")
    recorded = store.recorded_ahead(connection, [schedule.id]).get(schedule.id, set())
    verdict = policy.skip_all(schedule, now, reason, recorded)
    if verdict.up_to is None:
        return schedule
    fires = [_not_run(one) for one in verdict.decisions if isinstance(one, SkippedTimes)]
    store.insert_fires(connection, [(schedule.id, fire) for fire in fires], now)
    store.mark_recorded(connection, {schedule.id: verdict.up_to})
    return replace(schedule, last_nominal_time=verdict.up_to)


def _is_due(schedule: Schedule, now: datetime) -> bool:
    return due.first(schedule.expression, *due.bounds(schedule, now)) is not None


def _refused(why: str) -> NotRunReason:
    return NotRunReason(NotRunCause.REFUSED, f"refused: {why}")


def _not_run(times: SkippedTimes) -> Fire:
    cause, text = times.reason
    return Fire(times.first, times.last, times.count, "not_run", cause=cause, reason=text)


def _joined(fires: Iterable[Fire]) -> Iterator[Fire]:
    """Neighbours that were refused for one reason are one range."""
    kept: Fire | None = None
    for fire in fires:
        if kept is not None and fire.decision == kept.decision == "not_run" and fire.reason == kept.reason:
            kept = replace(kept, last_nominal_time=fire.last_nominal_time, count=kept.count + fire.count)
            continue
        if kept is not None:
            yield kept
        kept = fire
    if kept is not None:
        yield kept


def _new(connection: Connection, schedule: Schedule, fires: Sequence[Fire], now: datetime) -> Sequence[Fire]:
    """Those that need a row of their own: the first may go on with the range before it."""
    if not fires or fires[0].decision == "started":
        return fires
    last = store.last_fire(connection, schedule.id)
    goes_on = (
        last is not None
        and (last.decision, last.reason) == ("not_run", fires[0].reason)
        and last.last_nominal_time == schedule.last_nominal_time
    )
    if last is None or not goes_on:
        return fires
    store.extend_fire(connection, last, fires[0], now)
    return fires[1:]


def _batched(keys: Collection[int], size: int) -> Iterator[Sequence[int]]:
    ordered = sorted(keys)
    for begin in range(0, len(ordered), size):
        yield ordered[begin : begin + size]
