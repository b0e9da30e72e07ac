"""Firing: what is due is decided, recorded and submitted in one transaction, by whoever keeps the schedule's row.

The clock and the processes that look only say when somebody looks. Whoever is first keeps the row, reads up to which
time all is recorded, and goes on from there; (schedule, nominal time) is unique beside that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from sqlalchemy import Connection

from batchwright.engine import events
from batchwright.engine.clock import Clock
from batchwright.engine.errors import JobExit, Refused
from batchwright.engine.events import Event, Events
from batchwright.engine.faults import exponential_pause, is_transient, reason_of
from batchwright.engine.run import Run
from batchwright.engine.schedule import Hold, NotRunCause, NotRunReason, Schedule, ScheduleSpec
from batchwright.engine.schedules import due, policy
from batchwright.engine.schedules.alerts import MOST_OVERLAPPED, late_check_of
from batchwright.engine.schedules.job_calls import Answer, JobCalls
from batchwright.engine.schedules.policy import SkippedTimes, Start, Verdict
from batchwright.engine.store import late_checks
from batchwright.engine.store import schedules as store
from batchwright.engine.store.database import Database
from batchwright.engine.store.schedules import Fire

SET = 250
"""So many schedules are fired in one transaction: it takes some tenths of a second."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""Before a schedule that met a fault that may pass is tried again, and after many such faults in a row."""

MOST_TRIES = 7
"""Then its time is recorded as refused: after about a minute."""

SECONDS_OF_HANGING = 60.0
"""So long the code of a job may take before the times of its schedule are recorded as refused."""

SECONDS_TO_OTHERS = 15.0
"""How long a time is left to others when its parameters are refused here: they may know a newer version of the job."""

Submit = Callable[[Connection, Sequence[tuple[Schedule, Start]]], Sequence[Run | Refused]]
"""Enqueues runs of schedules in the transaction given, in their order. In the place of one that cannot be stands why;
nothing is written of that."""

_SPEC = tuple(one.name for one in fields(ScheduleSpec))

log = structlog.get_logger()


@dataclass(slots=True)
class _Set:
    """What one transaction does: records by key of schedule, ranges made longer, events to publish after it."""

    now: datetime
    seen: list[Schedule] = field(default_factory=list)
    fires: list[tuple[int, Fire]] = field(default_factory=list)
    overlapped: list[tuple[int, Fire]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


class _SubmitRefused(Exception):
    """The job does not take the parameters of a schedule."""

    def __init__(self, refusal: BaseException) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class _Failures(NamedTuple):
    """How often a schedule could not be fired in a row, and until when (monotonic) it is left alone."""

    number: int
    until: float


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a schedule is to be fired: with what its job answered, or with a refusal for each time that would start."""

    answer: Answer | None = None
    refused: NotRunReason | None = None

    @property
    def ready(self) -> Any:
        return None if self.answer is None else self.answer.value

    def is_of(self, schedule: Schedule) -> bool:
        """Whether the schedule is still as it was when its job was asked; another look asks again."""
        return self.answer is None or _decided(self.answer.schedule) == _decided(schedule)


class Firing:
    """Fires the schedules that are due, in sets. ``submit`` is given by who wires the parts.

    ``has_job`` says whether a job is here: times of others are left to who has it. ``refusal`` is why the job does not
    take the parameters of a schedule, ``None`` when it does. ``make_ready`` calls the rest of the job's code; what it
    gives is handed to ``submit`` with each start. Both are called under no lock, in other threads.
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
        make_ready: Callable[[Schedule], Any] = lambda schedule: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._events = events
        self._submit = submit
        self._has_job = has_job
        self._refusal = refusal
        self._make_ready = make_ready
        self._calls = JobCalls(self._called, clock)
        self._found: dict[int, datetime] = {}
        self._left_since: dict[int, float] = {}
        self._failures: dict[int, _Failures] = {}
        self._logged: set[tuple[int, str]] = set()

    def is_ours(self, schedule: Schedule) -> bool:
        """Whether its job is here; else its times are left, and recorded by who has it."""
        if self._has_job(schedule.job):
            return True
        self._tell(schedule, f"there is no job named {schedule.job!r} here")
        return False

    def fire(self, keys: Sequence[int]) -> list[Schedule]:
        """Fire what is due of these schedules, and return them as they are then; without those that others keep.

        A schedule that cannot be fired keeps nobody from the others: its time is recorded with the reason, or left, and
        tried again alone, later each time.
        """
        seen: list[Schedule] = []
        fired: list[Schedule] = []
        faults: list[Exception] = []
        again: list[tuple[Schedule, _Plan]] = []
        for some in _batched(keys, SET):
            with self._database.read() as connection:
                fresh = store.by_keys(connection, some)
            now = self._clock.now()
            due_now = [one for one in fresh if not one.paused and _is_due(one, now)]
            self._note_found(fresh, {one.id for one in due_now}, now)
            plans = self._plans([one for one in due_now if self.is_ours(one) and not self._backs_off(one)])
            seen += [one for one in fresh if one.id not in plans]
            again += [
                (one, plans.pop(one.id)) for one in due_now if one.id in plans and one.id in self._failures
            ]
            fired += self._fire_together(plans, faults)
        # One at a time: each may wait for a lock, and others come due meanwhile.
        for one, plan in sorted(again, key=lambda pair: self._failures[pair[0].id].until)[:1]:
            fired += self._fire_alone(one.id, plan, faults)
        if faults and not fired:
            raise faults[0]
        return seen + fired

    def _note_found(self, schedules: Iterable[Schedule], due_keys: Collection[int], now: datetime) -> None:
        """From when it is found that times are due, however long it takes until they are decided on."""
        for schedule in schedules:
            if schedule.id in due_keys:
                self._found.setdefault(schedule.id, now)
            else:
                self._found.pop(schedule.id, None)

    def _backs_off(self, schedule: Schedule) -> bool:
        failures = self._failures.get(schedule.id)
        return failures is not None and self._clock.monotonic() < failures.until

    def _called(self, schedule: Schedule) -> Any:
        """Call the job's code. Raises what that raises, ``_SubmitRefused`` where it does not take the parameters."""
        refusal = self._refusal(schedule)
        if refusal is not None:
            raise _SubmitRefused(refusal)
        return self._make_ready(schedule)

    def _plans(self, schedules: Sequence[Schedule]) -> dict[int, _Plan]:
        """What can be decided on now, by key of schedule. The others are left to another look, or to others."""
        answers = self._calls.ask(schedules)
        plans: dict[int, _Plan] = {}
        for one in schedules:
            answer = answers.get(one.id)
            if answer is None:
                seconds = self._calls.seconds_under_way(one.id) or 0.0
                self._tell(one, "its job has not answered yet", "schedule waits for its job")
                if seconds >= SECONDS_OF_HANGING:
                    plans[one.id] = _Plan(refused=_refused("its job does not answer while it is submitted"))
            elif isinstance(answer.error, _SubmitRefused):
                if not self._is_left(one, answer.error.refusal):
                    plans[one.id] = _Plan(refused=_refused(_why(answer.error.refusal)))
            elif answer.error is None:
                plans[one.id] = _Plan(answer)
            elif is_transient(answer.error) and not self._fails_for_good(one.id, answer.error):
                continue
            else:
                plans[one.id] = _Plan(refused=_refused(_why(answer.error)))
        return plans

    def _fire_together(self, plans: Mapping[int, _Plan], faults: list[Exception]) -> list[Schedule]:
        """Fire a set; where that fails, each of it alone, so that only the guilty ones wait."""
        if not plans:
            return []
        with suppress(Exception):
            return self._fire_set(plans)
        fired: list[Schedule] = []
        for key, plan in plans.items():
            fired += self._fire_alone(key, plan, faults)
        return fired

    def _fire_alone(self, key: int, plan: _Plan, faults: list[Exception]) -> list[Schedule]:
        """Fire one schedule; a fault that may pass is added to the others. Raises one where nobody answers any more."""
        try:
            return self._fire_set({key: plan})
        except Exception as error:
            if is_transient(error):
                self._check_database(error)
                if not self._fails_for_good(key, error):
                    faults.append(error)
                    return []
            else:
                log.exception("a schedule cannot be fired", schedule_key=key)
            return self._refuse(key, error, faults)

    def _refuse(self, key: int, refused: Exception, faults: list[Exception]) -> list[Schedule]:
        """Record a time as refused. Where not even that can be, it is tried again later, and keeps nobody waiting."""
        try:
            return self._fire_set({key: _Plan(refused=_refused(_why(refused)))})
        except Exception as error:
            self._check_database(error)
            self._fails_for_good(key, error)
            faults.append(error)
            return []

    def _check_database(self, error: Exception) -> None:
        """Raise the error where it is one of losing the connection, and nobody answers now either."""
        try:
            with self._database.read() as connection:
                store.version(connection)
        except Exception:
            raise error from None

    def _fails_for_good(self, key: int, error: BaseException) -> bool:
        """Note that a fault that may pass kept a schedule from being fired; whether it has been tried often enough."""
        before = self._failures.get(key)
        count = 1 if before is None else before.number + 1
        pause = exponential_pause(count, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        self._failures[key] = _Failures(count, self._clock.monotonic() + pause)
        log.warning("a schedule is fired later", schedule_key=key, reason=reason_of(error), tries=count)
        return count >= MOST_TRIES

    def _fire_set(self, plans: Mapping[int, _Plan]) -> list[Schedule]:
        keys = list(plans)
        with self._database.write() as connection:
            store.wait_shortly(connection)
            done = _Set(self._clock.now())
            hold = store.read_hold(connection)
            kept = [one for one in store.lock_free(connection, keys) if plans[one.id].is_of(one)]
            ahead = store.recorded_ahead(connection, keys)
            live = store.newest_live(connection, [one.name for one in kept])
            verdicts = [self._decide(one, plans[one.id], done.now, hold, live, ahead) for one in kept]
            results = iter(self._started(connection, kept, verdicts, plans))
            for schedule, verdict in zip(kept, verdicts, strict=True):
                _record(connection, schedule, verdict, results, done)
            store.insert_fires(connection, done.fires, done.now)
            schedules = {schedule.id: schedule for schedule in kept}
            checks = [late_check_of(schedules[key], hold, fire, done.now) for key, fire in done.fires]
            checks += [
                late_check_of(schedules[key], hold, fire, done.now, is_wanted=True)
                for key, fire in done.overlapped
            ]
            late_checks.add(connection, checks)
            pairs = zip(kept, verdicts, strict=True)
            store.mark_recorded(connection, {one.id: to.up_to for one, to in pairs if to.up_to is not None})
        for event in done.events:
            self._events.publish(event)
        for schedule in done.seen:
            self._left_since.pop(schedule.id, None)
            self._found.pop(schedule.id, None)
            if plans[schedule.id].refused is None:
                self._failures.pop(schedule.id, None)
        return done.seen

    def _decide(
        self,
        schedule: Schedule,
        plan: _Plan,
        now: datetime,
        hold: Hold,
        live: Mapping[str, str],
        ahead: Mapping[int, Collection[datetime]],
    ) -> Verdict:
        recorded = ahead.get(schedule.id, ())
        if plan.refused is not None and not schedule.paused and not hold.lasts:
            return policy.skip_all(schedule, now, plan.refused, recorded)
        return policy.decide(
            schedule,
            now,
            hold=hold,
            live=live.get(schedule.name),
            recorded=recorded,
            found=self._found.get(schedule.id),
        )

    def _is_left(self, schedule: Schedule, refusal: BaseException) -> bool:
        """Whether its time is left to others for a moment; whoever takes the parameters fires at once."""
        self._tell(schedule, str(refusal))
        now = self._clock.monotonic()
        return now - self._left_since.setdefault(schedule.id, now) < SECONDS_TO_OTHERS

    def _tell(
        self, schedule: Schedule, reason: str, event: str = "schedule left to a worker that can fire it"
    ) -> None:
        if (schedule.id, reason) not in self._logged:
            self._logged.add((schedule.id, reason))
            log.warning(event, schedule=schedule.name, reason=reason)

    def _started(
        self,
        connection: Connection,
        schedules: Sequence[Schedule],
        verdicts: Sequence[Verdict],
        plans: Mapping[int, _Plan],
    ) -> Sequence[Run | NotRunReason]:
        """Of each start in its order the run, or why there is none."""
        starts = [
            (schedule, replace(decision, ready=plans[schedule.id].ready))
            for schedule, verdict in zip(schedules, verdicts, strict=True)
            for decision in verdict.decisions
            if isinstance(decision, Start)
        ]
        results = self._submit(connection, starts)
        return [_refused(str(result)) if isinstance(result, Refused) else result for result in results]


def _record(
    connection: Connection,
    schedule: Schedule,
    verdict: Verdict,
    results: Iterator[Run | NotRunReason],
    done: _Set,
) -> None:
    """Note what became of a schedule's times; of each that was to start, the next result says it."""
    fires = []
    for decision in verdict.decisions:
        if isinstance(decision, SkippedTimes):
            fires.append(_not_run(decision))
            continue
        time, result = decision.nominal_time, next(results)
        if isinstance(result, NotRunReason):
            fires.append(_not_run(SkippedTimes(time, time, 1, result)))
            continue
        fires.append(Fire(time, time, 1, "started", run_id=result.run_id))
        late = (done.now - time).total_seconds()
        done.events += [
            events.ScheduleFired(schedule.name, time, result.run_id, late),
            events.RunSubmitted(result.run_id, result.job, result.mode, result.actor),
        ]
    joined = list(_joined(fires))
    done.events += [
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
    done.overlapped += _overlapped_often(connection, schedule, joined)
    done.fires += [(schedule.id, fire) for fire in _new(connection, schedule, joined, done.now)]
    done.seen.append(replace(schedule, last_nominal_time=verdict.up_to or schedule.last_nominal_time))


def settle(connection: Connection, schedule: Schedule, now: datetime, what: str) -> Schedule:
    """Record everything that is due of a locked schedule as not run: ``what`` of it is about to be replaced."""
    reason = NotRunReason(NotRunCause.CHANGED, f"changed: its {what} was replaced first")
    recorded = store.recorded_ahead(connection, [schedule.id]).get(schedule.id, set())
    verdict = policy.skip_all(schedule, now, reason, recorded)
    if verdict.up_to is None:
        return schedule
    fires = [_not_run(decision) for decision in verdict.decisions if isinstance(decision, SkippedTimes)]
    store.insert_fires(connection, [(schedule.id, fire) for fire in fires], now)
    store.mark_recorded(connection, {schedule.id: verdict.up_to})
    return replace(schedule, last_nominal_time=verdict.up_to)


def _decided(schedule: Schedule) -> tuple[Any, ...]:
    """What people decide of a schedule."""
    return tuple(getattr(schedule, name) for name in _SPEC)


def rewind(connection: Connection, schedule: Schedule, now: datetime) -> Schedule:
    """Leave behind what a clock that was ahead recorded of a locked schedule: it fires again from now on.

    Its times up to now count as recorded; runs that were started for times to come stay, their times are to come again.
    """
    known = (schedule.created_at, schedule.timed_at, schedule.last_nominal_time, schedule.resumed_at)
    if all(at is None or at <= now for at in known):
        return schedule
    late_checks.forget(connection, schedule.id, after=now)
    for fire in store.forget_ahead(connection, schedule, now):
        if fire.nominal_time <= now:
            expression, before = schedule.expression, fire.nominal_time - due.A_MOMENT
            last, count = due.newest(expression, before, now, 1)[0], expression.count(before, now)
            come = Fire(fire.nominal_time, last, count, fire.decision, fire.cause, fire.reason, fire.run_id)
            store.insert_fires(connection, [(schedule.id, come)], now)
    return store.by_keys(connection, [schedule.id])[0]


def _is_due(schedule: Schedule, now: datetime) -> bool:
    return due.first(schedule.expression, *due.bounds(schedule, now)) is not None


def _why(error: BaseException) -> str:
    return (
        str(error) if isinstance(error, Refused | JobExit) else f"{type(error).__name__}: {reason_of(error)}"
    )


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


def _overlapped_often(
    connection: Connection, schedule: Schedule, fires: Sequence[Fire]
) -> Iterator[tuple[int, Fire]]:
    """The times that complete a row of overlapped ones long enough to notify; not where each is notified anyway."""
    if not any(fire.cause is NotRunCause.OVERLAPPED for fire in fires):
        return
    if (schedule.start_within_minutes, schedule.finish_within_minutes) != (None, None):
        return
    in_a_row: list[Fire] = []
    for before in store.fires(connection, schedule.id, MOST_OVERLAPPED):
        if before.cause is not NotRunCause.OVERLAPPED:
            break
        in_a_row.insert(0, before)
    for fire in fires:
        if fire.cause is not NotRunCause.OVERLAPPED:
            in_a_row = []
            continue
        counted = sum(one.count for one in in_a_row)
        in_a_row.append(fire)
        if counted < MOST_OVERLAPPED <= counted + fire.count:
            first = in_a_row[0].nominal_time
            yield schedule.id, replace(fire, nominal_time=first, count=counted + fire.count)


def _batched(keys: Collection[int], size: int) -> Iterator[Sequence[int]]:
    ordered = sorted(keys)
    for begin in range(0, len(ordered), size):
        yield ordered[begin : begin + size]
