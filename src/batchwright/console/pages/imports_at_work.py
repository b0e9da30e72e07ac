"""How far the imports are that were sent to this process: nobody else can see their rows before they commit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import IO, Final

from batchwright.console.pages.formats import roughly
from batchwright.operations.views import View

_BLOCK: Final = 1 << 20


@dataclass(eq=False)
class ImportAtWork:
    """One of them, from any thread."""

    actor: str
    files: Sequence[str]
    lines: int
    now: Callable[[], float]
    _rows: dict[str, int] = field(default_factory=dict)
    _first: tuple[float, int] | None = None

    def tell(self, file: str, rows: int, read: float) -> None:
        """So many rows of a file are taken in."""
        self._rows[file] = rows
        if self._first is None:
            self._first = self.now(), rows

    def view(self) -> View:
        """`actor, files, rows, lines, left`: rows so far, of how many lines, and what is left in words."""
        rows = sum(dict(self._rows).values())
        return {
            "actor": self.actor,
            "files": list(self.files),
            "rows": rows,
            "lines": max(self.lines, rows),
            "left": self._left(rows),
        }

    def _left(self, rows: int) -> str | None:
        if self._first is None:
            return "waiting for its turn"
        if rows >= self.lines:
            return "finishing"
        since, before = self._first
        pace = (rows - before) / max(self.now() - since, 0.001)
        return f"{roughly(max((self.lines - rows) / pace, 1.0))} left" if pace else None


class ImportsAtWork:
    """Those of one process.

    Args:
        now: seconds of a clock that never goes back.
    """

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._at_work: list[ImportAtWork] = []

    @contextmanager
    def one(self, actor: str, files: Sequence[tuple[str, IO[bytes]]]) -> Iterator[ImportAtWork]:
        """One that is shown until the end of the block."""
        lines = sum(_lines(content) for _, content in files)
        begun = ImportAtWork(actor, [name for name, _ in files], lines, self._now)
        with self._lock:
            self._at_work.append(begun)
        try:
            yield begun
        finally:
            with self._lock:
                self._at_work.remove(begun)

    def views(self) -> list[View]:
        """Each, in the order they came."""
        with self._lock:
            return [one.view() for one in self._at_work]


def _lines(content: IO[bytes]) -> int:
    """How many lines a file has below its header, about: a quoted cell may have several."""
    count, last = 0, b"\n"
    while block := content.read(_BLOCK):
        count, last = count + block.count(b"\n"), block[-1:]
    content.seek(0)
    return max(count + (last != b"\n") - 1, 0)
