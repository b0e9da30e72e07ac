"""Ctrl-C while a run is driven: the first asks it to stop after the scope at hand, the second ends at once."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

from batchwright.config.stderr import write_at_once
from batchwright.config.stop import StopAtOnce

ASKED = b"\nStopping after the scope at hand. Ctrl-C again stops at once.\n"
MAIL_IS_LEFT = b"\nThe mail is left for later: `batchwright mail list --status waiting`.\n"


class StoppedAtOnce(Exception):
    """A second Ctrl-C ended the driving of a run in the middle of a scope; ``remedy`` says how to go on."""

    def __init__(self, run_id: str, remedy: str) -> None:
        super().__init__(f"{run_id} was stopped at once; the scope at hand was not saved")
        self.remedy = remedy


class StopOnInterrupt:
    """Inside its block SIGINT sets a flag, which calling the object tells; a second one raises KeyboardInterrupt.

    The first is answered on stderr.
    """

    def __init__(self, answer: bytes = ASKED) -> None:
        self._answer = answer
        self._asked = False

    def __call__(self) -> bool:
        return self._asked

    def __enter__(self) -> StopOnInterrupt:
        self._previous = signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._previous)

    def _interrupted(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked:
            raise StopAtOnce
        self._asked = True
        write_at_once(self._answer)
