"""An import from beginning to end: which files, in which order, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection

from batchwright.billing.importing.assets import AssetLoader
from batchwright.billing.importing.billing_schedules import (
    BillingScheduleLoader,
    TakenOver,
    UsageScheduleLoader,
)
from batchwright.billing.importing.contracts import ContractLoader, CustomItemLoader
from batchwright.billing.importing.csv_reader import CsvFile, Unreadable
from batchwright.billing.importing.customers import AccountLoader, CustomerLoader
from batchwright.billing.importing.loader import Loader
from batchwright.billing.importing.prices import BookLoader, Catalogue, PriceLoader, TierLoader
from batchwright.billing.importing.problems import PROBLEMS_SHOWN, ImportRefused, Problem
from batchwright.billing.importing.schema import CsvLine, FileKind
from batchwright.billing.importing.session import ImportSession
from batchwright.billing.importing.usage_inputs import UsageInputLoader
from batchwright.billing.records.forecast_blocks import mark_all_changed

# In the order they are loaded: what a file refers to stands before it.
LOADERS: tuple[type[Loader[Any]], ...] = (
    CustomerLoader,
    AccountLoader,
    BookLoader,
    PriceLoader,
    TierLoader,
    ContractLoader,
    CustomItemLoader,
    AssetLoader,
    BillingScheduleLoader,
    UsageScheduleLoader,
    UsageInputLoader,
)
KINDS: tuple[FileKind[Any], ...] = tuple(loader.kind for loader in LOADERS)

# Called with the file, its rows so far, and how much of it has been read, from 0 to 1.
Progress = Callable[[str, int, float], None]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of a file: its rows, those added, updated and skipped, and the SHA-256 of its bytes in hex."""

    file: str
    rows: int
    loaded: int
    updated: int
    skipped: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did. ``problems`` are the first of what was skipped; the schedules are those made here."""

    files: tuple[FileReport, ...]
    billing_schedules_made: int
    usage_schedules_made: int
    skipped: int
    problems: tuple[Problem, ...]


def import_files(
    connection: Connection,
    paths: Sequence[Path],
    *,
    update: bool,
    again: bool = False,
    skip_bad: IO[str] | None,
    now: datetime,
    progress: Progress | None = None,
) -> ImportReport:
    """Import CSV files, or the CSV files of folders, in the caller's transaction.

    With ``update`` lines whose id is there change it; with ``again`` usage inputs without ids that were imported before
    are loaded once more; with ``skip_bad`` bad lines are written there and the good ones loaded. ``now`` is when
    revisions are made (aware). Raises ``ImportRefused``; the caller then rolls back.
    """
    files = {file.kind.name: file for file in find_files(paths)}
    _check(files.values())
    session = ImportSession(
        connection, update=update, again=again, now=now, skip_bad=skip_bad, files=list(files)
    )
    session.begin_bad_lines(file.tally.header for file in files.values())
    taken_over = TakenOver()
    for loader in _loaders(session, taken_over):
        file = files.get(loader.kind.name)
        if file is not None:
            _load(file, loader, session, progress)
        loader.finish()
    session.end_bad_lines()
    if session.count and not session.skips:
        raise ImportRefused(session.problems, session.count, skippable=True)
    if update or set(files) != {UsageInputLoader.kind.name}:  # new usage inputs alone change no figure
        mark_all_changed(connection)
    return ImportReport(
        tuple(_report(file) for file in files.values()),
        taken_over.billing_schedules_made,
        taken_over.usage_schedules_made,
        sum(file.tally.skipped for file in files.values()),
        tuple(session.problems),
    )


def find_files(paths: Sequence[Path]) -> list[CsvFile]:
    """The files to import, in the order they are loaded. Raises ``ImportRefused``, which names every bad path."""
    found: dict[str, CsvFile] = {}
    problems = []
    kinds = {kind.name: kind for kind in KINDS}
    for path in paths:
        members = _members(path)
        if not members:
            problems.append(_no_file(path))
        for member in members:
            kind = kinds.get(member.name)
            if kind is None:
                problems.append(_unknown_file(member))
            elif kind.name in found:
                problem = f"is given twice ({found[kind.name].path} and {member})"
                problems.append(Problem(kind.name, None, None, None, problem, "import one after the other"))
            else:
                found[kind.name] = CsvFile(member, kind)
    if not paths:
        problems.append(
            Problem("import", None, None, None, "no file is named", "name CSV files or a folder of them")
        )
    if problems:
        raise ImportRefused(problems, len(problems))
    return [found[kind.name] for kind in KINDS if kind.name in found]


def _members(path: Path) -> list[Path]:
    """The path itself, or the CSV files of the folder that it is; empty when there are none."""
    try:
        if path.is_dir():
            return sorted(
                one for one in path.iterdir() if one.suffix.lower() == ".csv" and not one.name.startswith(".")
            )
        return [path] if path.exists() else []
    except (OSError, ValueError):
        return []


def _no_file(path: Path) -> Problem:
    if path.is_dir():
        return Problem(
            str(path), None, None, None, "is a folder without a CSV file", "name the folder that has them"
        )
    return Problem(str(path), None, None, None, "is not there", "check the path")


def _unknown_file(path: Path) -> Problem:
    names = [kind.name for kind in KINDS]
    close = get_close_matches(path.stem.lower(), [name.removesuffix(".csv") for name in names], 1)
    remedy = f"did you mean {close[0]}.csv?" if close else f"name it as one of {', '.join(names)}"
    return Problem(str(path), None, None, None, "is not a file that can be imported", remedy)


def _check(files: Iterable[CsvFile]) -> None:
    """Look at every header first: a file that cannot be read would make every reference to it look wrong."""
    problems = []
    for file in files:
        try:
            file.check()
        except Unreadable as error:
            problems.append(error.problem)
    if problems:
        raise ImportRefused(problems, len(problems))


def _loaders(session: ImportSession, taken_over: TakenOver) -> list[Loader[Any]]:
    catalogue = Catalogue()
    assets = AssetLoader(session)
    return [
        CustomerLoader(session),
        AccountLoader(session),
        BookLoader(session),
        PriceLoader(session, catalogue),
        TierLoader(session, catalogue),
        ContractLoader(session),
        CustomItemLoader(session),
        assets,
        BillingScheduleLoader(session, taken_over),
        UsageScheduleLoader(session, taken_over, assets.ceiling),
        UsageInputLoader(session),
    ]


def _load(file: CsvFile, loader: Loader[Any], session: ImportSession, progress: Progress | None) -> None:
    def refuse(line: CsvLine[Any], faults: Any) -> bool:
        loader.refused(line)
        return session.refuse(line, faults)

    try:
        for lines in file.chunks(refuse):
            loader.take(lines)
            if progress is not None:
                progress(file.kind.name, file.tally.rows, file.fraction_read)
    except Unreadable as error:
        problems = [*session.problems[: PROBLEMS_SHOWN - 1], error.problem]
        raise ImportRefused(problems, session.count + 1) from None


def _report(file: CsvFile) -> FileReport:
    tally = file.tally
    return FileReport(tally.file, tally.rows, tally.loaded, tally.updated, tally.skipped, tally.sha256)
