"""Importing CSV files: one transaction, one audit entry with the hash of every file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import lru_cache
from io import StringIO
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import IO, Any, Final

from sqlalchemy import RowMapping

from batchwright.billing import sample
from batchwright.billing.importing import ImportReport, Progress, import_files
from batchwright.billing.importing.importing import KINDS, find_files
from batchwright.billing.importing.problems import shown
from batchwright.billing.importing.schema import FileKind
from batchwright.engine.errors import Refused
from batchwright.files import NewFile
from batchwright.operations import audit_store, views
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.audit_store import AuditFilter
from batchwright.operations.own_files import file_to_write
from batchwright.operations.paging import PAGE, Page, page_of
from batchwright.operations.views import View

FILE_NAMES: Final = tuple(kind.name for kind in KINDS)
"""The files that can be imported, in the order they are loaded."""
MOST_BAD_LINES: Final = 10_000
"""So many are given back to who sends files: they are in memory, and nowhere else."""


class _OnlyShown(Exception):
    """Takes back what a dry run has written."""


@lru_cache(maxsize=1)
def file_guides() -> list[View]:
    """What each of the files looks like: `file, columns` (`name, optional`), `header` and `example`, lines of CSV."""
    return [_guide(kind) for kind in KINDS]


def _guide(kind: FileKind[Any]) -> View:
    names = [column.name for column in kind.columns]
    with (sample.folder() / kind.name).open(encoding="utf-8", newline="") as file:
        first = next(csv.DictReader(file))
    lines = StringIO()
    csv.writer(lines, lineterminator="\n").writerows([names, [first[name] for name in names]])
    header, _, example = lines.getvalue().partition("\n")
    columns = [
        {"name": one.name, "optional": one.optional, "may_be_blank": one.optional or one.may_be_blank}
        for one in kind.columns
    ]
    return {"file": kind.name, "columns": columns, "header": header, "example": example.rstrip("\n")}


def import_paths(
    app: Application,
    paths: Sequence[Path],
    *,
    update: bool = False,
    again: bool = False,
    skip_bad: Path | None = None,
    most_bad: int | None = None,
    dry_run: bool = False,
    actor: Actor,
    reason: str | None = None,
    progress: Progress | None = None,
) -> View:
    """Import CSV files, or folders of them; an embedded database that is missing is made.

    With `update` a line may change what has its id already; with `again` a file of usage inputs without ids that was
    imported before is loaded once more; with `skip_bad` bad lines are left out and written to
    that file with the reason, else one bad line refuses all; more than `most_bad` of them are refused. A `dry_run` does
    all of it and takes it back, but for that file. Returns `files` (a list of
    `file, rows, loaded, updated, skipped, sha256`), `billing_schedules_made, usage_schedules_made, skipped,
    problems, seconds`.
    """
    started = app.clock.monotonic()
    _make_missing_database(app, paths)
    permit(app, actor, Right.BILLING, "import")
    files = [file.path for file in find_files(paths)]
    with (
        suppress(_OnlyShown),
        _bad_lines(app, skip_bad, files) as bad,
        app.database.write(patient=True) as connection,
    ):
        now = app.clock.now()
        stream = None if bad is None else bad.text()
        report = import_files(
            connection, paths, update=update, again=again, skip_bad=stream, now=now, progress=progress
        )
        if most_bad is not None and report.skipped > most_bad:
            raise Refused(
                f"{report.skipped:,} lines are bad, and no more than {most_bad:,} can be given back",
                field="skip_bad",
                remedy="Correct the files, or import them on the machine with `batchwright import --skip-bad FILE`",
            )
        audit.record(
            connection,
            actor,
            "import",
            audit.subject_of([file.file for file in report.files], "file"),
            reason=reason,
            after={"update": update, "again": again, **_counts(report)},
            records=[file.file for file in report.files],
            now=now,
        )
        if bad is not None:
            # Before the commit: lines that are left out and stand nowhere would be lost.
            bad.publish()
        if dry_run:
            raise _OnlyShown
    seconds = round(app.clock.monotonic() - started, 3)
    return {
        **_counts(report),
        "skipped": report.skipped,
        "problems": [str(problem) for problem in report.problems],
        "seconds": seconds,
    }


def import_uploads(
    app: Application,
    uploads: Sequence[tuple[str, IO[bytes]]],
    *,
    update: bool = False,
    again: bool = False,
    skip_bad: bool = False,
    dry_run: bool = False,
    actor: Actor,
    reason: str | None = None,
    progress: Progress | None = None,
) -> View:
    """The same of files that somebody sends: the name of each, such as `customers.csv`, and what is in it.

    Adds `bad_lines`: with `skip_bad` the lines that were left out, with the reason, as CSV; else `None`.
    """
    permit(app, actor, Right.BILLING, "import")
    _check_names([name for name, _ in uploads])
    with TemporaryDirectory(prefix="batchwright-import-") as folder:
        paths = [Path(folder, name) for name, _ in uploads]
        for path, (_, content) in zip(paths, uploads, strict=True):
            with path.open("xb") as file:
                copyfileobj(content, file)
        bad = Path(folder, "bad_lines.csv") if skip_bad else None
        report = import_paths(
            app,
            paths,
            update=update,
            again=again,
            skip_bad=bad,
            most_bad=MOST_BAD_LINES,
            dry_run=dry_run,
            actor=actor,
            reason=reason,
            progress=progress,
        )
        return {**report, "bad_lines": None if bad is None else bad.read_text("utf-8")}


def imports_page(
    app: Application, *, limit: int = PAGE, after: str | None = None, actor: Actor | None = None
) -> Page[View]:
    """A page of the imports that were done, newest first: `entry_id, at, actor, reason, files, update, again`."""
    permit(app, actor, Right.BILLING, "import.list")
    listing = audit_store.list_audit_entries(wanted=AuditFilter(act="import"))
    return page_of(app.database, "imports", listing, {}, _earlier, limit=limit, after=after)


def _earlier(row: RowMapping) -> View:
    entry = views.audit_entry(row)
    done = entry["after"] if isinstance(entry["after"], dict) else {}
    return {
        "entry_id": row["id"],
        **{name: entry[name] for name in ("at", "actor", "reason")},
        "files": done.get("files", []),
        **{name: bool(done.get(name)) for name in ("update", "again")},
    }


def _check_names(names: Sequence[str]) -> None:
    """Only names that an import knows become paths."""
    for name in names:
        if name not in FILE_NAMES or names.count(name) > 1:
            twice = name in FILE_NAMES
            raise Refused(
                f"{shown(name)} is sent twice"
                if twice
                else f"{shown(name)} is not a file that can be imported",
                field="files",
                remedy="Send one after the other" if twice else f"Name it as one of {', '.join(FILE_NAMES)}",
            )


def _make_missing_database(app: Application, paths: Sequence[Path]) -> None:
    # Only where there is no file at all: a file of something else is not ours to put tables into.
    if app.database.is_sqlite and not Path(app.database.url.database or "").exists():
        find_files(paths)  # what is not there to be imported makes no database
        app.database.upgrade()


@contextmanager
def _bad_lines(app: Application, target: Path | None, files: Sequence[Path]) -> Iterator[NewFile | None]:
    """The file for the bad lines."""
    if target is None:
        yield None
        return
    with file_to_write(app, target, field="skip_bad", sources=files, may_replace=True) as file:
        yield file


def _counts(report: ImportReport) -> dict[str, Any]:
    return {
        "files": [asdict(file) for file in report.files],
        "billing_schedules_made": report.billing_schedules_made,
        "usage_schedules_made": report.usage_schedules_made,
    }
