"""The files of an application, which no file that somebody names may take the place of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from batchwright.engine.errors import Refused
from batchwright.files import CannotWrite, NewFile, new_file
from batchwright.operations.app import Application


@contextmanager
def file_to_write(
    app: Application, path: Path, *, field: str, sources: Sequence[Path], may_replace: bool
) -> Iterator[NewFile]:
    """As `batchwright.files.new_file`: neither a file of the application nor one of the `sources`, which it is made of.

    Refuses what cannot be written, also while it is written; `field` is the parameter that names it.
    """
    protected = dict.fromkeys(sources, "one of the files to import") | own_files(app)
    try:
        with new_file(path, sources=sources, protected=protected, may_replace=may_replace) as file:
            yield file
    except CannotWrite as error:
        raise Refused(str(error), field=field, remedy="Name another file") from error


def own_files(app: Application) -> dict[Path, str]:
    """The files of the database, the settings, the mail that was written and the templates: what each of them is."""
    own = dict.fromkeys(app.settings.files, "a file of the settings")
    own |= dict.fromkeys(app.settings.mail.directory.glob("*.eml"), "a mail")
    if app.settings.mail.templates is not None:
        own |= dict.fromkeys(app.settings.mail.templates.rglob("*"), "a template of the mail")
    if app.database.is_sqlite:
        own |= dict.fromkeys(app.database.files, "a file of the database")
    return own
