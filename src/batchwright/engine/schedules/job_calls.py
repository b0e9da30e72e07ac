"""The code of schedules' jobs, called in threads of their own: one that hangs keeps nobody waiting for long.

Nobody can end a thread. One whose call does not come back is left to itself, and its schedule is not asked again before
that; the answer is there for whoever asks next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from batchwright.engine.clock import Clock
from batchwright.engine.schedule import Schedule

SECONDS_TO_ANSWER = 1.0
"""How long a call is waited for, the first time that it takes longer; from then on its schedule is not waited for."""


class Answer(NamedTuple):
    """What the job's code gave for a schedule as it was then, or what it raised."""

    schedule: Schedule
    value: Any = None
    error: BaseException | None = None


@dataclass
class _Call:
    schedule: Schedule
    since: float
    answered: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None


class JobCalls:
    """Calls `code` for schedules. One thread asks: its scheduler's."""

    def __init__(self, code: Callable[[Schedule], Any], clock: Clock) -> None:
        self._code = code
        self._clock = clock
        self._under_way: dict[int, _Call] = {}
        self._slow: set[int] = set()

    def ask(self, schedules: Sequence[Schedule]) -> dict[int, Answer]:
        """The answers by key of schedule, of those that have answered."""
        answers = {one.id: answer for one in schedules if (answer := self._taken(one)) is not None}
        asked = [one for one in schedules if one.id not in answers and one.id not in self._under_way]
        for one in asked:
            if one.id in self._slow:
                self._under_way[one.id] = call = self._call_of(one)
                self._begin([call])
        calls = [self._call_of(one) for one in asked if one.id not in self._slow]
        while calls:
            answered = self._answered(calls)
            answers |= {answer.schedule.id: answer for answer in answered}
            calls = calls[len(answered) :]
            if calls:  # the first of them has not answered, and its thread asks no more
                slow, *calls = calls
                self._slow.add(slow.schedule.id)
                self._under_way[slow.schedule.id] = slow
        return answers

    def seconds_under_way(self, schedule_key: int) -> float | None:
        """How long the call for a schedule has been under way; ``None`` when there is none."""
        call = self._under_way.get(schedule_key)
        return None if call is None else self._clock.monotonic() - call.since

    def _taken(self, schedule: Schedule) -> Answer | None:
        call = self._under_way.get(schedule.id)
        if call is None or not call.answered.is_set():
            return None
        del self._under_way[schedule.id]
        return call.answer

    def _call_of(self, schedule: Schedule) -> _Call:
        return _Call(schedule, self._clock.monotonic())

    def _answered(self, calls: Sequence[_Call]) -> list[Answer]:
        """The answers of the first of the calls, up to one that is not waited for any longer."""
        gave_up = self._begin(calls)
        answers: list[Answer] = []
        for call in calls:
            if not call.answered.wait(SECONDS_TO_ANSWER):
                gave_up.set()
                break
            if call.answer is not None:
                answers.append(call.answer)
        return answers

    def _begin(self, calls: Iterable[_Call]) -> threading.Event:
        gave_up = threading.Event()

        def answer_all() -> None:
            for call in calls:
                if gave_up.is_set():
                    return
                try:
                    call.answer = Answer(call.schedule, self._code(call.schedule))
                except BaseException as error:
                    call.answer = Answer(call.schedule, error=error)
                call.answered.set()

        threading.Thread(target=answer_all, name="jobs of schedules", daemon=True).start()
        return gave_up
