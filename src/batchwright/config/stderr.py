"""The stderr of a process of ours: what is said there may be lost, but nothing fails or stands still because of it.

A full disk, a pipe whose reader is gone, or one whose reader is stopped, must not decide what becomes of a run.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import TextIO

SECONDS_TO_WAIT = 1.0
"""How long a line waits for a reader that stands still; while lines are being lost the next ones do not wait."""
_STDERR = 2
_AT_ONCE = select.PIPE_BUF
"""So many bytes go into a pipe that `poll` calls writable without waiting."""


class UnfailingStderr(io.RawIOBase):
    """File descriptor 2, unbuffered. What cannot be written is dropped; `lost` counts the lines."""

    def __init__(self) -> None:
        self.lost = 0
        self._stuck = False

    def writable(self) -> bool:
        """True."""
        return True

    def fileno(self) -> int:
        """2, whatever it is connected to."""
        return _STDERR

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return os.isatty(_STDERR)

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write what can be written; all of `data` counts as written."""
        left = memoryview(data)
        try:
            while left:
                if not _is_writable(0 if self._stuck else SECONDS_TO_WAIT):
                    raise BlockingIOError
                left = left[os.write(_STDERR, left[:_AT_ONCE]) :]
            self._stuck = False
        except OSError:
            self._stuck = True
            self.lost += bytes(left).count(b"\n") or 1
        return len(data)


def make_stderr_unfailing() -> None:
    """Put it in the place of Python's own `sys.stderr`; one that somebody else has put there stays."""
    for number in range(_STDERR + 1):
        _open_if_closed(number)
    if sys.stderr is sys.__stderr__:
        encoding = sys.stderr.encoding if sys.stderr is not None else "utf-8"
        sys.stderr = io.TextIOWrapper(
            UnfailingStderr(),
            encoding=encoding,
            errors="backslashreplace",
            newline="\n",
            write_through=True,
        )


def lines_lost(stream: TextIO) -> int:
    """How many lines could not be written to the stream so far; 0 for one that raises instead."""
    raw = getattr(stream, "buffer", None)
    return raw.lost if isinstance(raw, UnfailingStderr) else 0


def write_at_once(data: bytes) -> None:
    """For signal handlers: past Python's buffers, which the signal may have caught in the middle. Lost if need be."""
    try:
        if _is_writable(0):
            os.write(_STDERR, data)
    except OSError:
        pass


def _is_writable(seconds: float) -> bool:
    """Whether a piece can be written without waiting, after so many seconds at most."""
    poll = select.poll()  # one for each call: threads must not share it
    poll.register(_STDERR, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))


def _open_if_closed(number: int) -> None:
    """Connect a standard stream that the caller closed (`2>&-`) to nothing, before the next file takes its place."""
    try:
        os.fstat(number)
    except OSError:
        os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
