"""The border between the engine and what the author of a job wrote: whatever is raised there ends no more than the job.

``sys.exit``, a cancelled task and the like are not an ``Exception``: they would end a thread silently, and leave
its run without a process.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Coroutine, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from inspect import isawaitable, isgenerator
from types import FrameType, TracebackType
from typing import TypeVar

from batchwright.config.stop import StopAtOnce
from batchwright.engine.errors import JobExit

T = TypeVar("T")

_passing: ContextVar[tuple[type[BaseException], ...]] = ContextVar("passing", default=())


class _PassedOn(BaseException):
    """Carries ``raised`` out, past everybody who catches an ``Exception``."""

    def __init__(self, raised: BaseException) -> None:
        super().__init__(raised)
        self.raised = raised


class _JobCode(AbstractContextManager[None]):
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, _passing.get()):
            raise _PassedOn(error)
        if error is None or isinstance(error, Exception) or _is_of_the_keyboard(error):
            return
        raise JobExit(error) from error


JOB_CODE = _JobCode()
"""A block that calls what an author wrote. Raises ``JobExit`` in place of all but an ``Exception`` and a Ctrl-C at the
program.
"""


def check_done(returned: object) -> None:
    """Raise ``TypeError`` where what a job's method gave has yet to be awaited, or iterated: nothing is done then."""
    if isawaitable(returned) or isgenerator(returned):
        kind = type(returned).__name__
        if isinstance(returned, Coroutine | Generator):
            returned.close()
        raise TypeError(f"it gave a {kind}, so that nothing of it was done: do it, and give nothing")


def each(given: Iterable[T]) -> Iterator[T]:
    """What an author's iterable gives, its code called within ``JOB_CODE``."""
    with JOB_CODE:
        iterator = iter(given)
    while True:
        with JOB_CODE:
            try:
                value = next(iterator)
            except StopIteration:
                return
        yield value


@contextmanager
def passing_on(*kinds: type[BaseException]) -> Iterator[None]:
    """Let exceptions of these kinds out of jobs that this thread calls in the block, and out of the block.

    For what drives jobs in a test, whose own verdict is such an exception.
    """
    token = _passing.set(kinds)
    try:
        yield
    except _PassedOn as passed:
        raise passed.raised from None
    finally:
        _passing.reset(token)


def _is_of_the_keyboard(error: BaseException) -> bool:
    """Whether Ctrl-C may have raised it: in the main thread alone, and not where a handler of ours stands."""
    if not isinstance(error, KeyboardInterrupt):
        return False
    handler = signal.getsignal(signal.SIGINT)
    is_ours = str(getattr(handler, "__module__", "")).startswith("batchwright.")
    is_main = threading.current_thread() is threading.main_thread()
    return isinstance(error, StopAtOnce) or (is_main and callable(handler) and not is_ours)


def end_at_once(number: int, _frame: FrameType | None) -> None:
    """A handler of signals: the process is gone, as after a crash."""
    os._exit(128 + number)
