"""What an import refuses: one problem for each cell at fault, and the refusal that lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from batchwright.engine.errors import Refused

PROBLEMS_SHOWN: Final = 100
_SHOWN_CHARACTERS: Final = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a cell, a line or a file, and what to do about it.

    ``line`` is the physical line the row begins on, counted from 1; ``None`` where the whole file is at fault.
    """

    file: str
    line: int | None
    column: str | None
    value: str | None
    problem: str
    remedy: str

    def __str__(self) -> str:
        place = self.file
        if self.line is not None:
            place += f", line {self.line}"
        if self.column is not None:
            place += f", column {self.column}"
        value = "" if self.value is None else f"{shown(self.value)} "
        return f"{place}: {value}{self.problem}; {self.remedy}"


class ImportRefused(Refused):
    """The import was refused and nothing of it is kept, once the caller has rolled its transaction back.

    ``problems`` holds the first `PROBLEMS_SHOWN`, ``count`` says how many there were.
    """

    def __init__(self, problems: Sequence[Problem], count: int, *, skippable: bool = False) -> None:
        self.problems = tuple(problems[:PROBLEMS_SHOWN])
        self.count = count
        lines = [str(problem) for problem in self.problems]
        if count > len(lines):
            lines.append(f"… and {count - len(lines)} more")
        remedy = "Nothing was changed: correct what is named above and import again"
        if skippable:
            remedy += ", or load the good lines with --skip-bad FILE"
        super().__init__("\n".join(lines), field=problems[0].column, remedy=remedy)

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}"


def shown(value: str) -> str:
    """A value as messages show it: quoted, control characters escaped, shortened when long."""
    quoted = repr(value[:_SHOWN_CHARACTERS])
    return f"{quoted}… ({len(value)} characters)" if len(value) > _SHOWN_CHARACTERS else quoted
