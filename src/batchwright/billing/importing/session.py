"""The state of one import: the connection, what was refused, and the file that takes the bad lines."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import IO, Any, Final

from sqlalchemy import Connection

from batchwright.billing.importing.problems import PROBLEMS_SHOWN, Problem
from batchwright.billing.importing.schema import CsvLine, Fault
from batchwright.billing.records.assets import lock_where
from batchwright.formulas import escape_formula

_EXTRA_COLUMNS: Final = ("file", "line", "reason")
_HELD_LINES: Final = 10_000
_HELD_CHARACTERS: Final = 10_000_000


class ImportSession:
    """One import on its way. It keeps the first problems and counts the rest, so that memory stays flat.

    What is refused comes in the order of the files, which are named as they are loaded, and of their lines, whenever it
    is found out.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        update: bool,
        again: bool,
        now: datetime,
        skip_bad: IO[str] | None,
        files: Sequence[str],
    ) -> None:
        self.connection = connection
        self.update = update
        self.again = again
        self.now = now
        self.problems: list[Problem] = []
        self.count = 0
        self._locked = False
        self._order = {name: place for place, name in enumerate(files)}
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
            lock_where(self.connection)
            self._locked = True

    def begin_bad_lines(self, headers: Iterable[Sequence[str]]) -> None:
        """Write the header of the file of bad lines: the columns of all files, then file, line and reason."""
        if self._bad_lines is not None:
            self._bad_lines.begin(headers)

    def end_bad_lines(self) -> None:
        """Write those that are held."""
        if self._bad_lines is not None:
            self._bad_lines.flush()

    def refuse(self, line: CsvLine[Any], faults: Sequence[Fault]) -> bool:
        """Refuse the line for its faults; False when it has none."""
        if not faults:
            return False
        line.file.skipped += 1
        found = [
            Problem(line.file.file, line.number, column, line.text(column), problem, remedy)
            for column, problem, remedy in faults
        ]
        self.count += len(found)
        if len(self.problems) < PROBLEMS_SHOWN or self._place(found[0]) < self._place(self.problems[-1]):
            self.problems = sorted([*self.problems, *found], key=self._place)[:PROBLEMS_SHOWN]
        if self._bad_lines is not None:
            self._bad_lines.write(self._place(found[0]), line, found)
        return True

    def _place(self, problem: Problem) -> tuple[int, int]:
        return self._order[problem.file], problem.line or 0

    def count_in(self, lines: Sequence[CsvLine[Any]], loaded: int, updated: int) -> None:
        """Count what was written of these lines, which are all of one file."""
        if lines:
            lines[0].file.loaded += loaded
            lines[0].file.updated += updated


class BadLines:
    """The CSV file that takes the bad lines, as they were written, each with its file, line and reason.

    Some are held, so that they stand in their order; of very many only those that were held at one time do.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._writer = csv.writer(stream, lineterminator="\n")
        self._columns: list[str] = []
        self._held: list[tuple[tuple[int, int], list[Any]]] = []
        self._characters = 0

    def begin(self, headers: Iterable[Sequence[str]]) -> None:
        self._columns = list(dict.fromkeys(name for header in headers for name in header))
        self._writer.writerow([*self._columns, *_EXTRA_COLUMNS])

    def flush(self) -> None:
        self._held.sort()
        self._writer.writerows(row for _, row in self._held)
        self._held.clear()
        self._characters = 0

    def write(self, place: tuple[int, int], line: CsvLine[Any], problems: Sequence[Problem]) -> None:
        reason = "; ".join(
            f"{problem.column + ': ' if problem.column else ''}{problem.problem}; {problem.remedy}"
            for problem in problems
        )
        if len(line.cells) > len(line.file.header):
            reason += f"; the cells beyond the header: {','.join(line.cells[len(line.file.header) :])}"
        cells = [escape_formula(line.text(column) or "") for column in self._columns]
        self._held.append((place, [*cells, line.file.file, line.number, escape_formula(reason)]))
        self._characters += len(reason) + sum(map(len, cells))
        if len(self._held) >= _HELD_LINES or self._characters >= _HELD_CHARACTERS:
            self.flush()
