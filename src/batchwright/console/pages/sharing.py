"""Looks at live regions, made once for all who would be shown the same: many viewers cost little more than one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from starlette.responses import Response

GOOD_FOR: Final = 0.4
"""Seconds for which an answer is given to others: with those between two looks of a page, and those for which counts
of a run at work are good, they come to less than two.
"""
MOST: Final = 200
"""Answers that are kept; above that all are forgotten."""


@dataclass
class _Shared:
    lock: threading.Lock = field(default_factory=threading.Lock)
    at: float = float("-inf")
    answer: Response | None = None


class SharedAnswers:
    """The answers of one process, from any thread.

    Args:
        now: seconds of a clock that never goes back.
    """

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._looks: dict[Hashable, _Shared] = {}

    def fresh(self, key: Hashable) -> Response | None:
        """The answer that was made for the key just now; ``None`` where that is to be made, or is being made."""
        look = self._looks.get(key)
        return None if look is None or self._now() - look.at >= GOOD_FOR else look.answer

    def answer(self, key: Hashable, make: Callable[[], Response]) -> Response:
        """The answer that was made for the key just now, or a new one; who comes meanwhile waits for that."""
        with self._lock:
            if len(self._looks) > MOST:
                self._looks.clear()
            look = self._looks.setdefault(key, _Shared())
        with look.lock:
            if look.answer is None or self._now() - look.at >= GOOD_FOR:
                answer = make()
                if answer.status_code != 200:  # a whole page, with the frame of who asks
                    return answer
                look.answer, look.at = answer, self._now()
            return look.answer
