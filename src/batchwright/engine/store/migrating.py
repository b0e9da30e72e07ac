"""The revision of a database, and how it is brought to the newest: what Alembic does for us."""

from __future__ import annotations

import os
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, inspect, text

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS: Final = files("batchwright.migrations")
_MIGRATION: Final = re.compile(r"(\d{4})_\w+\.py")
_TABLE: Final = "alembic_version"


def revision(connection: Connection) -> str | None:
    """The migration the database stands at; ``None`` before the first."""
    if not inspect(connection).has_table(_TABLE):
        return None
    found: str | None = connection.scalar(text(f"SELECT version_num FROM {_TABLE}"))
    return found


@cache
def newest_revision() -> str | None:
    """The revision that this program needs."""
    return max(known_revisions(), default=None)


@cache
def known_revisions() -> frozenset[str]:
    """The revisions that this program can bring to the newest: a chain in the order of their numbers.

    Told by the names of their files, since every command asks, and Alembic takes long to load.
    """
    found = [
        name[1] for file in (_MIGRATIONS / "versions").iterdir() if (name := _MIGRATION.fullmatch(file.name))
    ]
    if len(set(found)) < len(found):
        raise RuntimeError(f"two migrations have the same number: {sorted(found)}")
    return frozenset(found)


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
    from alembic import command

    config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _alembic() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", os.fspath(Path(str(_MIGRATIONS))))
    config.set_main_option("path_separator", "os")
    return config
