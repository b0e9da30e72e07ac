"""What a mail shows and attaches of a run's records, read once from the ledger as a stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from batchwright.engine.errors import Pruned
from batchwright.notifications.csv_file import Attachment, CsvFile

SHOWN = 50
"""Rows of each kind in the body of a mail."""

Row: TypeAlias = Mapping[str, str | None]
"""One outcome as `runs outcomes --json` has it, with the columns that the job adds."""

OutcomeSource: TypeAlias = Callable[[str, str], Iterator[Row]]
"""Run id and outcome (``ok``, ``error``) -> its rows, read in pages: who has enough of them leaves nothing open."""

_FIXED = ("record_id", "outcome", "code", "message", "amount", "currency")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The first rows of one outcome, and the file with all of them if it fits.

    ``codes`` counts the rows read by code; ``complete`` says whether these were all.
    """

    rows: tuple[Row, ...] = ()
    file: Attachment | None = None
    codes: Mapping[str, int] = field(default_factory=dict)
    complete: bool = True


@dataclass(frozen=True, slots=True)
class RunRecords:
    """What is said of a run's records."""

    errored: Excerpt
    processed: Excerpt
    pruned: bool = False
    """They are not kept any more: nothing is said of them."""

    @property
    def files(self) -> tuple[Attachment, ...]:
        """The attachments, in the order they are attached."""
        return tuple(e.file for e in (self.processed, self.errored) if e.file is not None)

    @property
    def without_files(self) -> RunRecords:
        """The same with nothing to attach."""
        return RunRecords(
            errored=replace(self.errored, file=None), processed=replace(self.processed, file=None)
        )


def gather(outcomes: OutcomeSource, run_id: str, limit: int) -> RunRecords:
    """Read a run's errored and processed records; both files together take at most ``limit`` bytes in the message.

    Errors come first: their file is the one to keep where not both fit.
    """
    try:
        return _gathered(outcomes, run_id, limit)
    except Pruned:
        return RunRecords(Excerpt(), Excerpt(), pruned=True)


def _gathered(outcomes: OutcomeSource, run_id: str, limit: int) -> RunRecords:
    errored = _excerpt(outcomes(run_id, "error"), "errored.csv", limit)
    left = limit - (errored.file.size if errored.file is not None else 0)
    processed = _excerpt(outcomes(run_id, "ok"), "processed.csv", left)
    return RunRecords(errored=errored, processed=processed)


def record_id(row: Row) -> str:
    """The id people know the record by."""
    return row.get("record_id") or ""


def extra_columns(row: Row) -> list[str]:
    """The columns a job adds to those of every outcome, in its order."""
    return [name for name in row if name not in _FIXED]


def _excerpt(rows: Iterator[Row], file_name: str, limit: int) -> Excerpt:
    shown: list[Row] = []
    codes: Counter[str] = Counter()
    file: CsvFile | None = None
    complete = True
    for row in rows:
        if file is None:
            file = CsvFile(file_name, _columns(row), limit)
        if file.full and len(shown) == SHOWN:
            complete = False
            break
        if len(shown) < SHOWN:
            shown.append(row)
        codes[row.get("code") or ""] += 1
        file.add(row)
    made = file.finish() if file is not None else None
    return Excerpt(rows=tuple(shown), file=made, codes=dict(codes), complete=complete)


def _columns(row: Row) -> list[str]:
    return [*_FIXED, *extra_columns(row)]
