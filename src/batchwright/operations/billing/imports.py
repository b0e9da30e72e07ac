"""Importing CSV files: one transaction, one audit entry with the hash of every file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from batchwright.billing.importing import ImportReport, Progress, import_files
from batchwright.billing.importing.importing import find_files
from batchwright.engine.errors import Refused
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.views import View


def import_paths(
    app: Application,
    paths: Sequence[Path],
    *,
    update: bool = False,
    skip_bad: Path | None = None,
    actor: Actor,
    reason: str | None = None,
    progress: Progress | None = None,
) -> View:
    """Import CSV files, or folders of them; an embedded database that is missing is made.

    With `update` a line may change what has its id already; with `skip_bad` bad lines are left out and written to
    that file with the reason, else one bad line refuses all. Returns `files` (a list of
    `file, rows, loaded, updated, skipped, sha256`), `billing_schedules_made, usage_schedules_made, skipped,
    problems, seconds`.
    """
    started = app.clock.monotonic()
    # Only where there is no file at all: a file of something else is not ours to put tables into.
    if app.database.is_sqlite and not Path(app.database.url.database or "").exists():
        find_files(paths)  # what is not there to be imported makes no database
        app.database.upgrade()
    permit(app, actor, Right.BILLING, "import")
    files = [file.path for file in find_files(paths)]
    with _bad_lines(skip_bad, files) as stream, app.database.write(patient=True) as connection:
        now = app.clock.now()
        report = import_files(connection, paths, update=update, skip_bad=stream, now=now, progress=progress)
        audit.record(
            connection,
            actor=actor,
            act="import",
            subject=audit.subject_of([file.file for file in report.files], "file"),
            reason=reason,
            after={"update": update, **_counts(report)},
            now=now,
        )
    seconds = round(app.clock.monotonic() - started, 3)
    return {
        **_counts(report),
        "skipped": report.skipped,
        "problems": [str(problem) for problem in report.problems],
        "seconds": seconds,
    }


@contextmanager
def _bad_lines(target: Path | None, files: Sequence[Path]) -> Iterator[IO[str] | None]:
    """A stream for the bad lines, which becomes the file `target` when the import has committed."""
    if target is None:
        yield None
        return
    if target.resolve() in {file.resolve() for file in files}:
        raise Refused(
            f"{target} is one of the files to import, and would be overwritten with its bad lines",
            field="skip_bad",
            remedy="Name another file for the bad lines",
        )
    partial = target.with_name(target.name + ".partial")
    try:
        stream = partial.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise Refused(
            f"{target} cannot be written: {error.strerror}", field="skip_bad", remedy="Name another file"
        ) from None
    try:
        with stream:
            yield stream
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _counts(report: ImportReport) -> dict[str, Any]:
    return {
        "files": [asdict(file) for file in report.files],
        "billing_schedules_made": report.billing_schedules_made,
        "usage_schedules_made": report.usage_schedules_made,
    }
