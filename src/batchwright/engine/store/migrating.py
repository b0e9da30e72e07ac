"""The revision of a database, and how it is brought to the newest: what Alembic does for us."""

from __future__ import annotations

import os
from functools import cache
from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def revision(connection: Connection) -> str | None:
    """The migration the database stands at; ``None`` before the first."""
    return MigrationContext.configure(connection).get_current_revision()


@cache
def newest_revision() -> str | None:
    """The revision that this program needs."""
    return ScriptDirectory.from_config(_alembic()).get_current_head()


@cache
def known_revisions() -> frozenset[str]:
    """The revisions that this program can bring to the newest."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions())


def advice(there: str) -> str:
    """What a database at another revision than the newest is to this program, and what to do: a clause."""
    if there in known_revisions():
        return f"this program needs {newest_revision()}: run `batchwright db upgrade`"
    if there.isdigit() and there > (newest_revision() or ""):
        return f"which a newer program has made; this one needs {newest_revision()}: install that program"
    return (
        f"which this program does not know; it needs {newest_revision()}, and no `batchwright db upgrade` leads there:"
        " install the program that made it"
    )


def upgrade(connection: Connection) -> None:
    """Bring the database to the newest revision, in the transaction of the connection."""
    config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", os.fspath(Path(str(files("batchwright.migrations")))))
    config.set_main_option("path_separator", "os")
    return config
