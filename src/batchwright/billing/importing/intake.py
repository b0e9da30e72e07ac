"""The state of one import: the connection, what was refused, and the file that takes the bad lines."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import IO, Any, Final, Generic

from sqlalchemy import Connection

from batchwright.billing.importing.problems import PROBLEMS_SHOWN, Problem
from batchwright.billing.importing.shape import Fault, FileKind, Line, V
from batchwright.billing.records.loading import lock_assets
from batchwright.formulas import escape_formula

_EXTRA_COLUMNS: Final = ("file", "line", "reason")


class Intake:
    """One import on its way. It keeps the first problems and counts the rest, so that memory stays flat."""

    def __init__(
        self, connection: Connection, *, update: bool, now: datetime, skip_bad: IO[str] | None
    ) -> None:
        self.connection = connection
        self.update = update
        self.now = now
        self.problems: list[Problem] = []
        self.count = 0
        self._locked = False
        self._bad_lines = BadLines(skip_bad) if skip_bad is not None else None

    @property
    def skips(self) -> bool:
        """True when bad lines are set aside and the good ones loaded."""
        return self._bad_lines is not None

    def lock_for_update(self) -> None:
        """Lock the assets before anything of theirs is updated.

        All of them at once and in key order: locked chunk by chunk, an import and a run could wait for each other.
        """
        if self.update and not self._locked:
            lock_assets(self.connection)
            self._locked = True

    def begin_bad_lines(self, headers: Iterable[Sequence[str]]) -> None:
        """Write the header of the file of bad lines: the columns of all files, then file, line and reason."""
        if self._bad_lines is not None:
            self._bad_lines.begin(headers)

    def refuse(self, line: Line[Any], faults: Sequence[Fault]) -> bool:
        """Refuse the line for its faults; False when it has none."""
        if not faults:
            return False
        line.file.skipped += 1
        found = [
            Problem(line.file.file, line.number, column, line.text(column), problem, remedy)
            for column, problem, remedy in faults
        ]
        self.count += len(found)
        self.problems.extend(found[: max(0, PROBLEMS_SHOWN - len(self.problems))])
        if self._bad_lines is not None:
            self._bad_lines.write(line, found)
        return True

    def count_in(self, lines: Sequence[Line[Any]], loaded: int, updated: int) -> None:
        """Count what was written of these lines, which are all of one file."""
        if lines:
            lines[0].file.loaded += loaded
            lines[0].file.updated += updated


class BadLines:
    """The CSV file that takes the bad lines, as they were written, each with its file, line and reason."""

    def __init__(self, stream: IO[str]) -> None:
        self._writer = csv.writer(stream, lineterminator="\n")
        self._columns: list[str] = []

    def begin(self, headers: Iterable[Sequence[str]]) -> None:
        self._columns = list(dict.fromkeys(name for header in headers for name in header))
        self._writer.writerow([*self._columns, *_EXTRA_COLUMNS])

    def write(self, line: Line[Any], problems: Sequence[Problem]) -> None:
        reason = "; ".join(
            f"{problem.column + ': ' if problem.column else ''}{problem.problem}; {problem.remedy}"
            for problem in problems
        )
        if len(line.cells) > len(line.file.header):
            reason += f"; the cells beyond the header: {','.join(line.cells[len(line.file.header) :])}"
        cells = [escape_formula(line.text(column) or "") for column in self._columns]
        self._writer.writerow([*cells, line.file.file, line.number, escape_formula(reason)])


class Loader(ABC, Generic[V]):
    """Loads the lines of one kind of file."""

    kind: FileKind[V]

    def __init__(self, intake: Intake) -> None:
        self.intake = intake

    @abstractmethod
    def take(self, lines: Sequence[Line[V]]) -> None:
        """Check these lines against the database and against each other, and write the good ones."""

    def refused(self, line: Line[Any]) -> None:
        """A line was refused before it came here, for what its cells say."""

    def finish(self) -> None:
        """What is left to do after the last line, or when there is no such file."""


class Register(Generic[V]):
    """Tells a new id from one that is there already, and from one that the file has twice."""

    def __init__(self, column: str, *, update: bool, ceiling: int, name: Callable[[V], str]) -> None:
        self._column = column
        self._update = update
        self._ceiling = ceiling
        self._name = name
        self._chunk: dict[str, int] = {}
        self._updated: set[int] = set()

    def next_chunk(self) -> None:
        """Forget the lines of the chunk before: by now the database knows them."""
        self._chunk.clear()

    def faults(self, line: Line[V], key: int | None) -> list[Fault]:
        """What speaks against the line's id; ``key`` is that of the row the database has under it."""
        earlier = self._chunk.get(self._name(line.values))
        if earlier is not None:
            return [Fault(self._column, f"appears twice, first on line {earlier}", "keep one of the lines")]
        if key is None:
            return []
        if key > self._ceiling or key in self._updated:
            return [Fault(self._column, "appears on an earlier line of this file", "keep one of the lines")]
        if not self._update:
            return [
                Fault(
                    self._column, "is already in the database", "leave the line out, or import with --update"
                )
            ]
        return []

    def accept(self, line: Line[V], key: int | None) -> None:
        """The line is good: its id is taken from here on."""
        self._chunk[self._name(line.values)] = line.number
        if key is not None:
            self._updated.add(key)


def unknown(column: str, what: str) -> Fault:
    """The fault of a reference to something that is neither in the import nor in the database."""
    return Fault(
        column, f"is not a known {what}", f"correct it, or import the {what} before or in the same import"
    )
