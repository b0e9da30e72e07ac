"""The database itself: making and upgrading it, checking it, copying it away."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.exc import DatabaseError

from batchwright.config.secrets import url_without_password
from batchwright.engine.errors import Refused
from batchwright.engine.faults import is_damage, reason_of
from batchwright.engine.store import database
from batchwright.engine.store.migrating import advice, newest_revision
from batchwright.engine.store.notify import notify
from batchwright.files import CannotWrite, NewFile
from batchwright.operations.access import audit
from batchwright.operations.access.permissions import Right, permit
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.own_files import file_to_write


def upgrade_database(app: Application, *, actor: Actor | None = None) -> dict[str, str | None]:
    """Make the database if it is embedded and missing, and bring it to the newest revision.

    Returns `place, before, after`; before is the revision it stood at, `None` when there was none.
    """
    before = app.database.revision() if app.database.exists() else None
    app.database.upgrade()
    after = app.database.revision()
    with app.database.write() as connection:
        audit.record(
            connection,
            actor or app.default_actor(),
            "database.upgrade",
            app.database.display_url,
            before={"revision": before},
            after={"revision": after},
            now=app.clock.now(),
        )
        notify(connection)  # so that workers of the program before look, and stop
    return {"place": app.database.display_url, "before": before, "after": after}


def check_database(app: Application) -> list[str]:
    """What is wrong with the database, a sentence each; an empty list when nothing is.

    Its revision and, on SQLite, its pages and foreign keys. Refuses a database that is not there.
    """
    try:
        return _faults(app)
    except (Refused, DatabaseError) as error:
        cause = error.__cause__ if isinstance(error, Refused) else error
        if cause is None or not is_damage(cause):
            raise
        return [f"the file is damaged: {reason_of(cause)}; restore a backup"]


def _faults(app: Application) -> list[str]:
    if not app.database.exists():
        app.database.require()
    problems, there = [], app.database.revision()
    if there is not None and there != newest_revision():
        problems.append(f"the database is at revision {there}, {advice(there)}")
    if app.database.is_sqlite:
        with app.database.read() as connection:
            problems += database.sqlite_faults(connection)
    return problems


def backup_database(app: Application, file: Path, *, actor: Actor | None = None) -> Path:
    """Copy an SQLite database, as it is at one moment, into a new file; others may go on writing meanwhile.

    Needs the highest role: the copy holds users and audit, too. Refuses to overwrite, and refuses PostgreSQL, which
    has a tool of its own.
    """
    permit(app, actor, Right.ADMINISTER, "database.backup")
    if not app.database.is_sqlite:
        raise Refused(
            "a PostgreSQL database is not copied from here",
            field="database_url",
            remedy=f"Run `pg_dump --format=custom --file={file} {_pg_address(app)}`",
        )
    source = Path(app.database.url.database or "")
    with file_to_write(app, file, field="file", sources=[source], may_replace=False) as copy:
        _copy(source, copy)
        copy.publish()
    return file


def _copy(source: Path, file: NewFile) -> None:
    """Copy the database; a file that has been put in the place of the copy is not written to."""
    with (
        closing(sqlite3.connect(f"file:{quote(os.fspath(source))}?mode=rw", uri=True)) as origin,
        closing(
            sqlite3.connect(f"file:{quote(os.fspath(file.temporary or file.path))}?mode=rw", uri=True)
        ) as copy,
    ):
        copy.execute("PRAGMA journal_mode=MEMORY").close()  # of a copy that is broken off nothing is needed
        file.check_untouched()
        try:
            origin.backup(copy)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_FULL":
                raise
            raise CannotWrite(file.path, "cannot be written: the disk is full") from error


def _pg_address(app: Application) -> str:
    url = app.database.url.set(drivername="postgresql")
    return url_without_password(url.render_as_string(hide_password=True))
